"""--runtime: the same container made by another OCI runtime, under the engine's own monitor."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import is_running
from tests.support.engines import collect, run
from tests.support.patience import wait_until
from toolkit.core.errors import InvalidError, UnsupportedError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.engine.runtimes import command
from toolkit.runtime.steps import CreateByRuntime, ShowOverlay, StartByRuntime
from toolkit.volume.mount import VOLUME, MountSpec

_CRUN = """#!/bin/sh
# crun refuses a hybrid cgroup layout: where it cannot see the v2 tree, this is a v1 host
if [ -d /sys/fs/cgroup/unified ]; then
    exec unshare -m sh -c 'mount -t tmpfs none /sys/fs/cgroup/unified && exec crun "$@"' crun "$@"
fi
exec crun "$@"
"""
_OURS = f"""#!/bin/sh
PYTHONPATH={os.environ.get("PYTHONPATH", "")}:{Path(__file__).parents[2]} exec {sys.executable} -m toolkit.cli oci "$@"
"""


@pytest.fixture(
    params=[
        pytest.param("runc", marks=pytest.mark.needs("root", "overlay", "busybox", "runc")),
        pytest.param("crun", marks=pytest.mark.needs("root", "overlay", "busybox", "crun")),
        pytest.param("ours", marks=pytest.mark.needs("root", "overlay", "busybox")),
    ]
)
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the value for --runtime: a name on PATH, or a path; the last is our own OCI command line."""
    if request.param == "runc":
        return "runc"
    script = tmp_path / request.param
    script.write_text(_CRUN if request.param == "crun" else _OURS)
    script.chmod(0o755)
    return str(script)


def test_output_and_code_are_the_programs(engine: Engine, runtime: str) -> None:
    ran = run(engine, "sh", "-c", "echo out; echo err >&2; exit 7", runtime=runtime)
    assert (ran.code, ran.out, ran.err) == (7, "out\n", "err\n")
    assert os.listdir(f"{engine.paths.run}/runtimes") == []


def test_container_is_as_the_engine_wants_it(engine: Engine, runtime: str) -> None:
    options: dict[str, Any] = {
        "hostname": "box",
        "user": "ada",
        "env": ("A=b",),
        "memory_bytes": 32 << 20,
        "read_only": True,
    }
    script = "hostname; id -u; echo $A; touch /x || echo refused; grep Seccomp: /proc/self/status; cat /etc/hostname"
    ran = run(engine, "sh", "-c", script, runtime=runtime, **options)
    assert ran.out.split() == ["box", "1000", "b", "refused", "Seccomp:", "2", "box"], ran.err


def test_changes_are_kept_over_a_restart(engine: Engine, runtime: str) -> None:
    made = engine.containers.create(
        ContainerOptions("busybox", ("sh", "-c", "cat /kept; echo kept > /kept"), runtime=runtime)
    )
    for expected in ("", "kept\n"):
        attachment = made.start(attach=True)
        assert attachment is not None
        assert collect(attachment).out == expected
    made.remove()


def test_exec_pause_stop_and_remove(engine: Engine, runtime: str) -> None:
    made = engine.containers.create(ContainerOptions("busybox", ("sleep", "60"), runtime=runtime))
    made.start()
    ran = collect(made.exec(ExecOptions(("sh", "-c", "cat /proc/1/comm; exit 4"))))
    assert (ran.code, ran.out) == (4, "sleep\n")
    made.pause()
    made.unpause()
    made.stop(timeout_s=0)
    assert made.exit_code == 128 + signal.SIGKILL
    made.remove()
    assert os.listdir(f"{engine.paths.run}/runtimes") == []


def test_monitor_killed_is_cleaned_up_after(engine: Engine, runtime: str) -> None:
    made = engine.containers.create(ContainerOptions("busybox", ("sleep", "60"), runtime=runtime))
    made.start()
    pid = made.pid
    with open(f"{made.run_dir}/status.json") as file:
        os.kill(json.load(file)["monitor"], signal.SIGKILL)
    wait_until(lambda: _recovered(engine, made.id), 10)
    wait_until(lambda: not is_running(pid), 10)
    assert os.listdir(f"{engine.paths.run}/runtimes") == []
    made.remove()


def _recovered(engine: Engine, ident: str) -> bool:
    engine.recovery.run()
    return not os.path.exists(engine.paths.run_dir(ident))


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_program_that_cannot_run_has_dockers_code(engine: Engine, runtime: str, program: str, code: int) -> None:
    made = engine.containers.create(ContainerOptions("busybox", (program,), runtime=runtime))
    with pytest.raises(Exception, match="exec") as failure:
        made.start()
    assert getattr(failure.value, "exit_code", 0) == code
    made.remove()
    assert os.listdir(f"{engine.paths.run}/runtimes") == []


@pytest.mark.needs("root", "overlay", "busybox", "runc")
def test_plan_is_printed_and_carried_out(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions("busybox", ("true",), runtime="runc", tty=True))
    plan = made.plan()
    assert [type(step) for step in plan] == [ShowOverlay, CreateByRuntime, StartByRuntime]
    assert '"create", "--bundle"' in plan[1].calls()[0]
    assert '"--console-socket"' in plan[1].calls()[0]
    made.remove()


@pytest.mark.needs("root", "overlay", "busybox", "runc")
def test_what_another_runtime_cannot_have(engine: Engine) -> None:
    with pytest.raises(UnsupportedError, match="--init is the engine's own runtime's"):
        engine.containers.create(ContainerOptions("busybox", ("true",), runtime="runc", init=True))
    made = engine.containers.create(ContainerOptions("busybox", ("true",), runtime="runc", userns_mode="private"))
    with pytest.raises(UnsupportedError, match="user namespace"):
        made.start()
    made.remove()
    part = (MountSpec(VOLUME, "/part", "vol", subpath="in"),)
    run(engine, "mkdir", "/whole/in", mounts=(MountSpec(VOLUME, "/whole", "vol"),))
    with pytest.raises(UnsupportedError, match="cannot mount a part of a volume, in on /part"):
        run(engine, "ls", "/part", mounts=part, runtime="runc")


@pytest.mark.needs("root", "overlay", "busybox")
def test_unknown_runtime_is_refused_when_the_container_is_made(engine: Engine) -> None:
    with pytest.raises(InvalidError, match="unknown or invalid runtime name: nope"):
        engine.containers.create(ContainerOptions("busybox", ("true",), runtime="nope"))


def test_registered_name_has_its_arguments() -> None:
    registered = {"mine": {"path": "/bin/sh", "runtimeArgs": ["-x"]}}
    assert command("mine", registered) == ("/bin/sh", "-x")
    assert command("", registered) == ()
    assert command("container-toolkit", registered) == ()


@pytest.mark.needs("root", "overlay", "busybox", "runc")
def test_terminal_comes_from_the_other_runtime(engine: Engine) -> None:
    words = [sys.executable, "-m", "toolkit.cli", "run", "--rm", "-t", "--runtime", "runc", "busybox", "sh", "-c"]
    line = " ".join([*words, "'test -t 0 && test -t 1 && echo a terminal'"])
    env = {**os.environ, "CONTAINER_ROOT": engine.paths.root, "CONTAINER_RUN": engine.paths.run}
    done = subprocess.run(
        ["script", "-qec", line, "/dev/null"],
        env=env,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=30,
        check=True,
    )
    assert "a terminal" in done.stdout
