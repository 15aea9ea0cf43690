"""The engine where there is cgroup v1 and nothing else; hybrid is what the other tests run on, v2 is in the guest."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support import plain_v1
from tests.support.engines import BUSYBOX
from tests.support.session import EngineRoot
from toolkit.engine.engine import Engine

pytestmark = pytest.mark.needs("overlay", *plain_v1.NEEDS)
_LIMITS = ("--memory", "64m", "--pids-limit", "20", "--cpus", "0.5")
_FILES = ("memory/memory.limit_in_bytes", "pids/pids.max", "cpu/cpu.cfs_quota_us")
Command = Callable[..., str]


@pytest.fixture
def container(engine: Engine, engine_root: EngineRoot) -> Command:
    """Give a function that runs `container ...` there, and returns what it printed."""
    environ = {**os.environ, "CONTAINER_ROOT": engine_root.root, "CONTAINER_RUN": engine_root.run}

    def run(*words: str) -> str:
        command = plain_v1.argv([sys.executable, "-m", "toolkit.cli", *words])
        ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    return run


def test_machine_is_v1_and_its_doctor_finds_what_containers_need(container: Command) -> None:
    assert "Cgroup Version: 1" in container("info")
    found = [json.loads(line) for line in container("doctor", "--format", "json").splitlines()]
    limits = {each["Name"]: each for each in found if each["Group"] == "limits on"}
    assert limits["anything"]["Evidence"].startswith("v1: ")
    assert "freezer.state" in limits["pause"]["Evidence"]
    lacking = {name for name, each in limits.items() if each["Here"] != "yes"}
    assert lacking.isdisjoint({"memory", "cpu", "pids", "devices", "pause"})
    assert "killing" not in limits
    assert all(limits[name]["Cure"] and limits[name]["Evidence"] for name in lacking & {"hugetlb", "swap"})


def test_limits_are_written_and_seen_inside(container: Command) -> None:
    inside = container("run", "--rm", *_LIMITS, BUSYBOX, "sh", "-c", f"cd /sys/fs/cgroup; cat {' '.join(_FILES)}")
    assert inside.split() == [str(64 << 20), "20", "50000"]


def test_container_is_paused_updated_counted_and_removed(container: Command) -> None:
    container("run", "-d", "--name", "one", "--memory", "64m", BUSYBOX, "sleep", "1000")
    container("pause", "one")
    assert container("inspect", "--format", "{{.State.Status}}", "one") == "paused"
    container("unpause", "one")
    container("update", "--memory", "128m", "--memory-swap", "256m", "one")
    assert container("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "one").endswith("/ 128MiB 1")
    container("rm", "-f", "one")
    assert container("ps", "-aq") == ""


def test_memory_limit_kills_and_says_so(container: Command) -> None:
    hog = "head -c 200m /dev/zero | tail >/dev/null"
    container("run", "--name", "hog", "--memory", "16m", BUSYBOX, "sh", "-c", f"{hog}; true")
    assert container("inspect", "--format", "{{.State.OOMKilled}}", "hog") == "true"
    container("rm", "hog")
