"""A process on its way into a container, seen from inside: nothing can be got out of it or put into it."""

import os
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.attacker import container_of, program, sabotage_zygote
from tests.support.engines import add_image, run
from toolkit.core.errors import StartError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.runtime import client, frames

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

# Imports


_PLANTED = 'import os\nos.system("echo planted code ran as $(id -u) >&2")\n'
_IMPORTS_LATE = """
import toolkit.runtime.steps.security as security
before = security.SetCapabilities.apply
def apply(self, context):
    import planted
    before(self, context)
security.SetCapabilities.apply = apply
"""


def _plant(engine: Engine, busybox_tree: str, tree: Path) -> None:
    """Bring in an image with a module where the engine's own modules lie on the host."""
    os.system(f"cp -al {busybox_tree} {tree}")  # noqa: S605 - our own paths
    directory = tree / client._SOURCE_ROOT.lstrip("/")
    directory.mkdir(parents=True)
    (directory / "planted.py").write_text(_PLANTED)
    add_image(engine.images.store, "planted", str(tree))


def test_half_made_process_imports_nothing_of_the_containers(
    engine: Engine, busybox_tree: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(engine, busybox_tree, tmp_path / "tree")
    sabotage_zygote(engine, monkeypatch, _IMPORTS_LATE)
    with pytest.raises(StartError, match="No module named 'planted'"):
        run(engine, "true", image="planted")


def test_half_made_process_would_run_code_of_the_containers_if_it_could_import(
    engine: Engine, busybox_tree: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(engine, busybox_tree, tmp_path / "tree")
    switch_off = "import toolkit.runtime.steps.root as root\nroot.shut_imports = lambda: None\n"
    sabotage_zygote(engine, monkeypatch, _IMPORTS_LATE + switch_off)
    assert "planted code ran as 0" in run(engine, "true", image="planted").err


def test_exec_imports_nothing_of_the_containers(
    engine: Engine, busybox_tree: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(engine, busybox_tree, tmp_path / "tree")
    container = container_of(engine, "sleep", "60", image="planted")
    sabotage_zygote(engine, monkeypatch, _IMPORTS_LATE)
    with pytest.raises(StartError, match="No module named 'planted'"):
        container.exec(ExecOptions(("true",)))


# Looking into it

_PEEPER = """
    print("ready", flush=True)
    for line in sys.stdin:
        pid, reached = int(line), []
        for name, look in (
            ("exe", lambda: os.readlink(f"/proc/{pid}/exe")),
            ("fd", lambda: os.readlink(f"/proc/{pid}/fd/0")),
            ("root", lambda: os.listdir(f"/proc/{pid}/root/")),
            ("cwd", lambda: os.listdir(f"/proc/{pid}/cwd/")),
            ("mem", lambda: open(f"/proc/{pid}/mem", "rb").close()),
            ("ns", lambda: os.readlink(f"/proc/{pid}/ns/mnt")),
            ("environ", lambda: open(f"/proc/{pid}/environ").read()),
        ):
            try:
                look()
                reached.append(name)
            except OSError:
                pass
        pidfd = os.pidfd_open(pid)
        if call("pidfd_getfd", pidfd, 0, 0)[0] >= 0:
            reached.append("pidfd_getfd")
        os.close(pidfd)
        if call("ptrace", 0x4206, pid, 0, 0)[0] == 0:  # PTRACE_SEIZE
            call("ptrace", 0x4207, pid, 0, 0)  # PTRACE_INTERRUPT
            os.waitpid(pid, 0x40000000)  # __WALL
            call("ptrace", 17, pid, 0, 0)  # PTRACE_DETACH
            reached.append("ptrace")
        print("reached", *reached, flush=True)
"""


class Peeper:
    """A hostile process in a container that looks at whoever comes in."""

    def __init__(self, engine: Engine, **options: Any) -> None:
        self.container = engine.containers.create(ContainerOptions("lab", program(_PEEPER), open_stdin=True, **options))
        attachment = self.container.start(attach=True)
        assert attachment is not None
        self._attachment = attachment
        self._output = iter(attachment)
        assert b"ready" in next(self._output).data
        self._known = set(self._pids())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._attachment.close()

    def _pids(self) -> dict[int, int]:
        """Return the processes of its pid namespace: the number on the host, the number inside."""
        own = os.readlink(f"/proc/{self.container.pid}/ns/pid")
        found: dict[int, int] = {}
        for name in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{name}/ns/pid") == own:
                    with open(f"/proc/{name}/status") as status:
                        numbers = next(line for line in status if line.startswith("NSpid:"))
                    found[int(name)] = int(numbers.split()[-1])
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found

    def look(self) -> set[str]:
        """Have it look at whoever has come in; return what it could reach."""
        new = [inside for outside, inside in self._pids().items() if outside not in self._known]
        if not new:
            return set()
        self._attachment.write_stdin(f"{max(new)}\n".encode())
        answer = next(self._output).data.decode().split()
        assert answer[0] == "reached", answer
        return set(answer[1:])

    def look_during_exec(self, engine: Engine, monkeypatch: pytest.MonkeyPatch, **options: Any) -> dict[str, set[str]]:
        """Run an exec step by step; return what could be reached before each step."""
        begin, plan_of = engine.launcher.zygote.begin, engine.launcher._exec_plan
        plans: list[Any] = []

        def gated(request: Any, lock_fd: int = -1) -> client.Session:
            return begin(request._replace(gated=True), lock_fd)

        def noted(*args: Any, **more: Any) -> Any:
            plans.append(plan_of(*args, **more))
            return plans[0]

        monkeypatch.setattr(engine.launcher.zygote, "begin", gated)
        monkeypatch.setattr(engine.launcher, "_exec_plan", noted)
        session = engine.launcher.exec(
            self.container, self.container.pid, ExecOptions(("true",), **options), exec_id="x", console_size=None
        )
        reached: dict[str, set[str]] = {}
        try:
            while (received := session.receive()) is not None:
                message = frames.parse_control(received[1])
                if message["event"] == "gate":
                    reached[type(plans[0][message["step"]]).__name__] = self.look()
                    session.control(op="go")
                assert message["event"] != "failed", message
        finally:
            session.close()
        return reached


@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_exec_cannot_be_looked_into_while_it_is_half_made(
    target: Engine, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    with Peeper(target, user=user) as peeper:
        reached = peeper.look_during_exec(target, monkeypatch, user=user)
    assert {"EnterNamespaces", "SetCapabilities", "Exec"} <= reached.keys()
    assert {name: found for name, found in reached.items() if found} == {}


def test_without_dumpable_0_the_exec_could_be_looked_into_before_it_executes(
    target: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Peeper(target) as peeper:
        sabotage_zygote(target, monkeypatch, "import toolkit.linux.process as p; p.set_dumpable = lambda _value: None")
        reached = peeper.look_during_exec(target, monkeypatch)
    assert reached["EnterNamespaces"] == set()  # it still has more powers than the container's root
    assert {"exe", "fd", "mem", "ptrace"} <= reached["Exec"]  # the filter alone refuses pidfd_getfd
