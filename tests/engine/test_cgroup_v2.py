"""The engine on a pure cgroup v2, where it differs from v1: runs in the guest."""

import os
import time

import pytest

from tests.support.engines import BUSYBOX, collect, run, sh
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox", "v2")

MIB = 1 << 20
DIVIDE = """
mkdir /sys/fs/cgroup/leaf /sys/fs/cgroup/limited && echo $$ >/sys/fs/cgroup/leaf/cgroup.procs &&
echo +pids >/sys/fs/cgroup/cgroup.subtree_control && echo 5 >/sys/fs/cgroup/limited/pids.max &&
cat /sys/fs/cgroup/limited/pids.max; echo max 2>/dev/null >/sys/fs/cgroup/memory.max || echo limits stay
"""


@pytest.mark.parametrize("user", ["", "ada"])
def test_privileged_container_divides_its_group_among_its_own(engine: Engine, user: str) -> None:
    ran = sh(engine, DIVIDE, privileged=True, user=user, memory_bytes=64 * MIB)
    assert ran.out.splitlines() == ["5", "limits stay"], ran.err  # by nsdelegate, for root too


def test_container_cannot_write_to_its_own_group(engine: Engine) -> None:
    ran = sh(engine, "mkdir /sys/fs/cgroup/x; echo max >/sys/fs/cgroup/memory.max", memory_bytes=64 * MIB)
    assert ran.err.count("Read-only file system") == 2, ran.err


def test_container_sees_itself_as_the_root_of_the_tree(engine: Engine) -> None:
    ran = sh(engine, "cat /proc/self/cgroup; ls -d /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/memory.max")
    assert ran.out.splitlines() == ["0::/", "/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/memory.max"]


def test_unified_limits_swap_and_reservation_are_v2s(engine: Engine) -> None:
    files = ("memory.max", "memory.swap.max", "memory.low", "cpu.weight", "cpu.max", "pids.max", "cpuset.cpus")
    ran = run(
        engine,
        *("sh", "-c", "cd /sys/fs/cgroup; for f in " + " ".join(files) + "; do echo $f $(cat $f); done"),
        memory_bytes=64 * MIB,
        memory_swap_bytes=96 * MIB,
        memory_reservation_bytes=32 * MIB,
        cpu_shares=2048,
        nano_cpus=500_000_000,
        pids_limit=20,
        cpuset_cpus="0",
    )
    assert ran.out.splitlines() == [
        f"memory.max {64 * MIB}",
        f"memory.swap.max {32 * MIB}",
        f"memory.low {32 * MIB}",
        "cpu.weight 174",
        "cpu.max 50000 100000",
        "pids.max 20",
        "cpuset.cpus 0",
    ], ran.err


def test_exec_joins_a_container_that_has_divided_its_group(engine: Engine) -> None:
    """Where the group holds no processes any more, nobody can be moved into it; runc and crun follow its init."""
    container = engine.containers.create(
        ContainerOptions(BUSYBOX, ("sh", "-c", DIVIDE + "sleep 1000"), privileged=True)
    )
    container.start()
    while "0::/leaf" not in collect(container.exec(ExecOptions(("cat", "/proc/1/cgroup")))).out:
        pass
    ran = collect(container.exec(ExecOptions(("cat", "/proc/self/cgroup"))))
    assert (ran.code, ran.out.strip()) == (0, "0::/leaf")
    container.remove(force=True)


def test_end_takes_the_groups_that_the_container_has_made(engine: Engine) -> None:
    container = engine.containers.create(
        ContainerOptions(BUSYBOX, ("sh", "-c", DIVIDE + "sleep 1000 & sleep 0.1"), privileged=True)
    )
    directory = engine.cgroups._hierarchy.path(engine.cgroups.name(container.id))
    container.start()
    container.wait()
    deadline = time.monotonic() + 20
    while os.path.exists(directory):  # its monitor does it, after it has told the exit code
        assert time.monotonic() < deadline
        time.sleep(0.05)
