"""Attacks from inside: Python programs in a container of the image `lab`, and engines with a defence switched off.

An attack is a program's text.  It has `call`, which makes any system call by
its number and returns (result, errno's name), and prints what it reached.
"""

import textwrap
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from tests.support.child import in_child
from tests.support.engines import BUSYBOX, Ran, close_engine, collect, open_engine, run
from tests.support.session import EngineRoot
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.linux.seccomp.table import numbers
from toolkit.runtime import client
from toolkit.runtime.steps import Step

T = TypeVar("T")
LAB = "lab"
UNCONFINED = ("seccomp=unconfined",)
_PRELUDE = """
import ctypes, errno, os, sys
_libc = ctypes.CDLL(None, use_errno=True)
NR = {numbers!r}
def call(name, *args):
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(NR[name]), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return result, errno.errorcode.get(ctypes.get_errno(), "") if result == -1 else ""
"""
_WANTED = (
    *("add_key", "bpf", "clone", "clone3", "io_uring_setup", "ioctl", "keyctl", "mount", "open_by_handle_at", "openat"),
    *("perf_event_open", "pidfd_getfd", "pidfd_open", "prctl", "process_vm_readv", "ptrace", "request_key", "setns"),
    *("unshare", "userfaultfd"),
)


def program(attack: str) -> tuple[str, ...]:
    """Return the command that runs an attack."""
    known = numbers("x86_64")
    prelude = _PRELUDE.replace("{numbers!r}", repr({name: known[name] for name in _WANTED}))
    return ("python3", "-c", prelude + textwrap.dedent(attack))


def attack(engine: Engine, text: str, **options: Any) -> Ran:
    """Run an attack in a container of its own; see the module."""
    return run(engine, *program(text), image=LAB, **options)


def container_of(engine: Engine, *argv: str, image: str = LAB, **options: Any) -> Container:
    """Start a container; it goes with the engine."""
    made = engine.containers.create(ContainerOptions(image, argv or ("sleep", "600"), **options))
    made.start()
    return made


def exec_attack(container: Container, text: str, **options: Any) -> Ran:
    """Run an attack in a container that runs."""
    return collect(container.exec(ExecOptions(program(text), **options)))


@pytest.fixture(scope="session")
def lab_root(tmp_path_factory: pytest.TempPathFactory, busybox_tree: str) -> str:
    """Return an engine root with the images lab and busybox, to be copied."""
    from tests.support.engines import add_image

    root = str(tmp_path_factory.mktemp("lab"))
    with Engine.open(root) as made:
        made.images.make_lab()
        add_image(made.images.store, BUSYBOX, busybox_tree)
    return root


@pytest.fixture
def target(engine_root: EngineRoot, lab_root: str) -> Iterator[Engine]:
    """Return an engine to be attacked: as `engine`, with the image `lab` too."""
    made = open_engine(engine_root, lab_root)
    yield made
    close_engine(made)


def with_engine_in_child(engine: Engine, function: Callable[[Engine], T]) -> T:
    """Return what `function` returns in a child, which may change whatever it likes about itself, with the engine."""
    engine.state.close()  # sqlite does not survive a fork

    def call() -> T:
        with Engine.open(engine.paths.root, engine.paths.run) as mine:
            return function(mine)

    try:
        return in_child(call)
    finally:
        engine.state.__init__(engine.paths.state)  # type: ignore[misc]  # open it again


Alter = Callable[[tuple[Step, ...]], tuple[Step, ...]]


def alter_plans(engine: Engine, monkeypatch: pytest.MonkeyPatch, alter: Alter) -> None:
    """Have an engine start its containers by plans that were tampered with."""
    plan = engine.launcher._plan

    def altered(*args: object, **options: object) -> tuple[Step, ...]:
        return alter(plan(*args, **options))  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(engine.launcher, "_plan", altered)


def without(*kinds: type) -> Alter:
    """Leave out all steps of some kinds."""
    return lambda plan: tuple(step for step in plan if not isinstance(step, kinds))


def sabotage_zygote(engine: Engine, monkeypatch: pytest.MonkeyPatch, sabotage: str) -> None:
    """Have the engine's next zygote run some Python of ours before it begins; the present one leaves."""
    engine.launcher.zygote.stop()
    head, found, tail = client._PROGRAM.partition("from toolkit.runtime.zygote import main; ")
    assert found
    monkeypatch.setattr(client, "_PROGRAM", f"{head}{found}\n{textwrap.dedent(sabotage)}\n{tail}")
