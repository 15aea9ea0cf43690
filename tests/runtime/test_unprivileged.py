"""Root without CAP_SYS_ADMIN, as in a plain container: a start is refused in one line, and nobody waits for ever."""

import os
import subprocess
import sys

import pytest

from tests.support.session import EngineRoot

pytestmark = pytest.mark.needs("root", "overlay")
SHUT_IN = ["setpriv", "--bounding-set=-sys_admin"]


def run(engine_root: EngineRoot, *words: str, prefix: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CONTAINER_ROOT": engine_root.root, "CONTAINER_RUN": engine_root.run}
    command = [*prefix, sys.executable, "-m", "toolkit.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_start_that_may_not_unshare_is_refused(engine_root: EngineRoot) -> None:
    assert run(engine_root, "image", "inspect", "lab", prefix=[]).returncode == 0
    for _again in range(3):
        done = run(engine_root, "run", "--rm", "lab", "true", prefix=SHUT_IN)
        assert done.returncode == 125
        assert done.stderr.startswith("container: unshare(CLONE_NEWPID) = -1 EPERM (Operation not permitted); ")
        assert done.stderr.count("\n") == 1
    assert run(engine_root, "ps", "-aq", prefix=[]).stdout == ""


def test_zygote_that_may_not_unshare_sleeps(engine_root: EngineRoot) -> None:
    run(engine_root, "run", "--rm", "lab", "true", prefix=SHUT_IN)
    zygotes = subprocess.run(
        ["pgrep", "-f", f"{engine_root.run}/zygote-"], capture_output=True, text=True, check=True
    ).stdout.split()
    before = [ticks(pid) for pid in zygotes]
    subprocess.run(["sleep", "0.5"], check=True)
    assert [ticks(pid) for pid in zygotes] == before


def ticks(pid: str) -> int:
    """Return the time that a process and its children have taken."""
    with open(f"/proc/{pid}/stat") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
