"""Whoever happens to start the first container decides nothing about the containers."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.support.attacker import attack, sabotage_zygote, with_engine_in_child
from tests.support.child import in_child
from tests.support.engines import BUSYBOX, run
from tests.support.family import Family
from toolkit.engine.engine import Engine
from toolkit.linux import cgroup, inherited
from toolkit.linux.libc import syscall

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_TELL = """
    import json, resource
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    print(json.dumps({
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in names},
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "policy": os.sched_getscheduler(0),
        "cpus": len(os.sched_getaffinity(0)),
        "oom": open("/proc/self/oom_score_adj").read(),
        "signals": [status[name].strip() for name in ("SigBlk", "ShdPnd", "SigPnd")],
        "ignored": int(status["SigIgn"], 16) & ~(1 << 12 | 1 << 24),  # Python itself ignores SIGPIPE and SIGXFSZ
        "umask": status["Umask"].strip(),
        "personality": _libc.personality(ctypes.c_ulong(0xffffffff)),
        "ioprio": _libc.syscall(252, 1, 0),
        "environment": sorted(set(os.environ) - {"LC_CTYPE"}),
    }))
"""
_ADDR_NO_RANDOMIZE = 0x40000
_IDLE_CLASS = 3 << 13


def _be_odd() -> None:
    """Take on all that a shell, a notebook's slice or a service may have been given."""
    for name, soft in (("NOFILE", 300), ("FSIZE", 1 << 30), ("STACK", 1 << 20), ("NPROC", 5000), ("CORE", 0)):
        number = getattr(resource, f"RLIMIT_{name}")
        resource.setrlimit(number, (soft, resource.getrlimit(number)[1]))
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(7)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("700")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD})
    for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    syscall("personality", _ADDR_NO_RANDOMIZE)
    syscall("ioprio_set", 1, 0, _IDLE_CLASS)
    os.environ["ODD"] = "yes"


def _told(engine: Engine, *, oddly: bool) -> dict[str, Any]:
    """Have a container tell what it finds, its zygote started by an odd process or by an ordinary one."""

    def tell(mine: Engine) -> str:
        if oddly:
            _be_odd()
        return attack(mine, _TELL, hostname="box").out

    told: dict[str, Any] = json.loads(with_engine_in_child(engine, tell))
    return told


def test_container_is_the_same_whoever_starts_the_first(target: Engine) -> None:
    plainly = _told(target, oddly=False)
    target.launcher.zygote.stop()
    assert _told(target, oddly=True) == plainly
    assert plainly["limits"]["RLIMIT_NOFILE"][0] == 1024
    assert (plainly["nice"], plainly["policy"], plainly["oom"].strip(), plainly["ignored"]) == (0, 0, "0", 0)
    assert "ODD" not in plainly["environment"]


def test_container_would_have_the_oddities_of_its_starter(target: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    off = "import toolkit.runtime.zygote as zygote; zygote._shed = lambda _files: os.setsid(); import os"
    sabotage_zygote(target, monkeypatch, off)
    oddly = _told(target, oddly=True)
    assert oddly["limits"]["RLIMIT_NOFILE"][0] == 300
    assert (oddly["nice"], oddly["policy"], oddly["cpus"], oddly["oom"].strip()) == (7, os.SCHED_BATCH, 1, "700")
    assert (oddly["personality"], oddly["ioprio"]) == (_ADDR_NO_RANDOMIZE, _IDLE_CLASS)


# Control groups


@pytest.fixture
def slice_files() -> Iterator[list[str]]:
    """Make a group in each hierarchy, as a user's slice is one; return where to write to get in."""
    here = cgroup.detect()
    name = f"/toolkit-slice-{os.getpid()}"
    directories = [mount + name for mount in dict.fromkeys((*here.v1.values(), *filter(None, [here.v2])))]
    made: list[str] = []
    for directory in directories:
        if directory.startswith(here.v1.get("cpuset", "\0")):
            continue  # a new one is empty and cannot be joined
        with suppress(PermissionError):
            os.mkdir(directory)
            made.append(directory)
    yield [f"{directory}/cgroup.procs" for directory in made]
    for directory in made:
        os.rmdir(directory)  # fails while anybody has stayed in there


@pytest.mark.guest
@pytest.mark.needs("cgroup:any")
def test_zygote_leaves_the_slice_of_whoever_starts_it(target: Engine, slice_files: list[str]) -> None:
    family = Family(target)

    def start(mine: Engine) -> tuple[str, str]:
        for path in slice_files:
            with open(path, "w") as file:
                file.write("0")
        inside = attack(mine, "print(open('/proc/self/cgroup').read())", cgroupns_mode="host").out
        with open("/proc/self/cgroup") as file:
            return file.read(), inside

    starter, container = with_engine_in_child(target, start)
    assert "toolkit-slice" in starter
    assert "toolkit-slice" not in container
    for pid in family.reserve():
        with open(f"/proc/{pid}/cgroup") as file:
            assert "toolkit-slice" not in file.read()


def test_limits_that_may_not_be_raised_are_used_to_the_full() -> None:
    def attempt() -> tuple[int, int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        os.setresuid(65534, 65534, 65534)
        inherited.reset_limits()
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    assert in_child(attempt) == (200, 200)


def test_powers_that_the_starter_lacks_are_not_lacking_to_who_comes_after(engine: Engine) -> None:
    """Its zygote is its own: it must serve nobody who has more."""
    command = [sys.executable, "-m", "toolkit.cli", "run", "--rm", BUSYBOX, "true"]
    environment = {**os.environ, "CONTAINER_ROOT": engine.paths.root, "CONTAINER_RUN": engine.paths.run}
    weak = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", *command], env=environment, capture_output=True, text=True, check=False
    )
    assert (weak.returncode, "EPERM" in weak.stderr) == (125, True), weak.stderr
    assert run(engine, "echo", "works").out == "works\n"
