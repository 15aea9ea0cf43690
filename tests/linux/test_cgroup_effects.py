"""What each limit does to processes, on a real kernel: here with this host's cgroups, and in the guest with v2's."""

import mmap
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.child import in_child
from tests.support.features import IN_GUEST
from tests.support.groups import exit_code, own_group, start_in
from tests.support.patience import wait_until
from toolkit.core.errors import SyscallError, UnsupportedError
from toolkit.linux import namespace
from toolkit.linux.cgroup import detect, members
from toolkit.linux.cgroup.hierarchy import Hierarchy
from toolkit.linux.cgroup.resources import Resources
from toolkit.linux.cgroup.stats import MemoryStats

pytestmark = [pytest.mark.needs("root"), pytest.mark.guest]
MIB = 1 << 20
PATIENCE_S = 60.0
ADA = 1000


@pytest.fixture
def hierarchy() -> Hierarchy:
    return detect()


@pytest.fixture
def name(hierarchy: Hierarchy) -> Iterator[str]:
    with own_group(hierarchy) as made:
        yield made


def read(hierarchy: Hierarchy, name: str, file: str) -> str:
    with open(f"{hierarchy.path(name)}/{file}") as opened:
        return opened.read().strip()


def write(hierarchy: Hierarchy, name: str, file: str, value: str) -> None:
    with open(f"{hierarchy.path(name)}/{file}", "w") as opened:
        opened.write(value)


def memory_of(hierarchy: Hierarchy, name: str) -> MemoryStats:
    memory = hierarchy.stats(name).memory
    assert memory is not None
    return memory


def fill(size: int) -> bytearray:
    """Write to every page of new memory."""
    block = bytearray(size)
    block[::4096] = b"x" * (size // 4096)
    return block


def fill_and_stay(size: int) -> None:
    block = fill(size)
    signal.pause()
    del block


# Memory


@pytest.mark.needs("cgroup2:memory")
def test_memory_high_slows_down_and_kills_nobody(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name, {"unified": {"memory.high": str(16 * MIB)}})
    pid = start_in(hierarchy, name, lambda: fill_and_stay(24 * MIB))
    wait_until(lambda: "high 0" not in read(hierarchy, name, "memory.events"), PATIENCE_S)
    assert memory_of(hierarchy, name).oom_kills == 0
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    hierarchy.kill_all(name)
    assert exit_code(pid) == -signal.SIGKILL


@contextmanager
def swap_on(disk: str) -> Iterator[None]:
    subprocess.run(["mkswap", disk], check=True, capture_output=True)
    subprocess.run(["swapon", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["swapoff", disk], check=True)


@pytest.mark.needs("v2", "guest-disks")
@pytest.mark.parametrize(("swap", "code"), [(96, 0), (32, -signal.SIGKILL)])
def test_swap_takes_what_does_not_fit_as_far_as_it_may(hierarchy: Hierarchy, name: str, swap: int, code: int) -> None:
    """48 MiB in a group of 32: alone it is killed, with 64 of swap it is not."""
    with swap_on("/dev/vdb"):
        hierarchy.create(name, {"memory": {"limit": 32 * MIB, "swap": swap * MIB}})
        pid = start_in(hierarchy, name, lambda: os._exit(len(fill(48 * MIB)) % 2))
        assert exit_code(pid) == code
        memory = memory_of(hierarchy, name)
        assert memory.oom_kills == (0 if code == 0 else 1)
        hierarchy.remove(name)


@pytest.mark.needs("cgroup2:memory")
def test_a_group_may_be_killed_as_a_whole(hierarchy: Hierarchy, name: str) -> None:
    limits: Resources = {"memory": {"limit": 24 * MIB, "swap": 24 * MIB}, "unified": {"memory.oom.group": "1"}}
    hierarchy.create(name, limits)
    bystander = start_in(hierarchy, name)
    assert exit_code(start_in(hierarchy, name, lambda: fill_and_stay(64 * MIB))) == -signal.SIGKILL
    assert exit_code(bystander) == -signal.SIGKILL


@pytest.mark.needs("cgroup2:memory")
def test_v2_kills_where_an_update_takes_what_is_in_use(hierarchy: Hierarchy, name: str) -> None:
    """Which v1 refuses with EBUSY, and `checkBeforeUpdate` is there to refuse."""
    hierarchy.create(name)
    pid = start_in(hierarchy, name, lambda: fill_and_stay(32 * MIB))
    wait_until(lambda: memory_of(hierarchy, name).usage_bytes > 32 * MIB, PATIENCE_S)
    hierarchy.update(name, {"memory": {"limit": 8 * MIB, "swap": 8 * MIB}})
    assert exit_code(pid) == -signal.SIGKILL
    assert memory_of(hierarchy, name).oom_kills == 1


# CPU


def spin_on_one_cpu() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    while True:
        pass


def cpu_ns(hierarchy: Hierarchy, name: str) -> int:
    cpu = hierarchy.stats(name).cpu
    assert cpu is not None
    return cpu.usage_ns


@pytest.mark.needs("cgroup:cpu")
def test_who_weighs_more_gets_more_of_a_cpu(hierarchy: Hierarchy, name: str) -> None:
    """Four times the shares: 2048 against 512, or weights of 174 and 59 on v2."""
    light, heavy = f"{name}/light", f"{name}/heavy"
    hierarchy.create(light, {"cpu": {"shares": 512}})
    hierarchy.create(heavy, {"cpu": {"shares": 2048}})
    pids = [start_in(hierarchy, each, spin_on_one_cpu) for each in (light, heavy)]
    before = [cpu_ns(hierarchy, each) for each in (light, heavy)]
    time.sleep(2)
    used = [cpu_ns(hierarchy, each) - start for each, start in zip((light, heavy), before, strict=True)]
    hierarchy.kill_all(name)
    assert [exit_code(pid) for pid in pids] == [-signal.SIGKILL] * 2
    assert used[1] > 1.8 * used[0] > 0


@pytest.mark.needs("cgroup2:cpu")
def test_idle_group_and_burst_stand_in_the_kernel(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name, {"cpu": {"quota": 50_000, "burst": 10_000}})
    assert read(hierarchy, name, "cpu.max.burst") == "10000"
    hierarchy.update(name, {"cpu": {"burst": 0}})
    assert read(hierarchy, name, "cpu.max.burst") == "0"
    hierarchy.update(name, {"cpu": {"idle": 1}})
    assert read(hierarchy, name, "cpu.idle") == "1"


@pytest.mark.needs("cgroup2:cpuset")
def test_cpuset_moves_who_is_in_it(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    pid = start_in(hierarchy, name)
    hierarchy.update(name, {"cpu": {"cpus": "1", "mems": "0"}})
    assert os.sched_getaffinity(pid) == {1}
    assert read(hierarchy, name, "cpuset.cpus.effective") == "1"
    hierarchy.kill_all(name)
    exit_code(pid)


@pytest.mark.needs("v2")
def test_pressure_rises_where_two_want_one_cpu(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    pids = [start_in(hierarchy, name, spin_on_one_cpu) for _ in range(2)]
    wait_until(lambda: hierarchy.stats(name).pressure["cpu"]["some"].total_us > 100_000, PATIENCE_S)
    hierarchy.kill_all(name)
    for pid in pids:
        exit_code(pid)


# Block devices


class Disk(NamedTuple):
    path: str
    major: int
    minor: int


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Give a disk that may be written to: a virtual one in the guest, a loop device here."""
    if os.environ.get(IN_GUEST):
        yield disk_of("/dev/vda")
        return
    with open(tmp_path / "image", "wb") as image:
        image.truncate(64 * MIB)
    made = subprocess.run(
        ["losetup", "--find", "--show", str(tmp_path / "image")], capture_output=True, text=True, check=True
    )
    path = made.stdout.strip()
    try:
        yield disk_of(path)
    finally:
        subprocess.run(["losetup", "--detach", path], check=True)


def disk_of(path: str) -> Disk:
    found = os.stat(path)
    assert stat.S_ISBLK(found.st_mode)
    return Disk(path, os.major(found.st_rdev), os.minor(found.st_rdev))


def transfer(path: str, flags: int, size: int) -> float:
    """Read or write past the page cache; return the seconds that it took."""
    buffer = mmap.mmap(-1, 64 * 1024)
    fd = os.open(path, flags | os.O_DIRECT)
    begin = time.monotonic()
    for offset in range(0, size, len(buffer)):
        if flags == os.O_RDONLY:
            os.preadv(fd, [buffer], offset)
        else:
            os.pwritev(fd, [buffer], offset)
    return time.monotonic() - begin


def seconds_in(hierarchy: Hierarchy, name: str, disk: Disk, flags: int) -> float:
    def attempt() -> float:
        hierarchy.join(name)
        return transfer(disk.path, flags, 2 * MIB)

    return in_child(attempt)


@pytest.mark.needs("disk", "cgroup:blkio")
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY])
def test_rate_of_a_disk_is_held(hierarchy: Hierarchy, name: str, disk: Disk, flags: int) -> None:
    limit = {"major": disk.major, "minor": disk.minor, "rate": 2 * MIB}
    key = "throttleReadBpsDevice" if flags == os.O_RDONLY else "throttleWriteBpsDevice"
    hierarchy.create(name, {"blockIO": {key: [limit]}})  # type: ignore[misc]  # one of two keys
    assert seconds_in(hierarchy, name, disk, flags) > 0.7
    block = hierarchy.stats(name).block
    assert block is not None
    (counted,) = (each for each in block if (each.major, each.minor) == disk[1:])
    assert max(counted.read_bytes, counted.write_bytes) >= 2 * MIB


@pytest.mark.needs("disk", "cgroup:blkio")
def test_update_lifts_the_rate_of_a_disk(hierarchy: Hierarchy, name: str, disk: Disk) -> None:
    number = {"major": disk.major, "minor": disk.minor}
    hierarchy.create(name, {"blockIO": {"throttleReadBpsDevice": [{**number, "rate": 64 * 1024}]}})
    hierarchy.update(name, {"blockIO": {"throttleReadBpsDevice": [{**number, "rate": 0}]}})
    assert seconds_in(hierarchy, name, disk, os.O_RDONLY) < 8  # it was 32


@pytest.mark.needs("cgroup2:io")
def test_weight_of_io_stands_in_the_file_that_this_kernel_has(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name, {"blockIO": {"weight": 500}})
    if os.path.exists(f"{hierarchy.path(name)}/io.bfq.weight"):
        assert read(hierarchy, name, "io.bfq.weight") == "default 500"
    else:
        assert read(hierarchy, name, "io.weight") == "default 4950"


@pytest.mark.needs("cgroup2:hugetlb")
def test_huge_pages_are_limited(hierarchy: Hierarchy, name: str) -> None:
    sizes = [each.removeprefix("hugepages-") for each in os.listdir("/sys/kernel/mm/hugepages")]
    if "2048kB" not in sizes:
        pytest.skip("this kernel has no huge pages of 2 MB")
    hierarchy.create(name, {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]})
    assert read(hierarchy, name, "hugetlb.2MB.max") == str(4 * MIB)


# Processes


def test_a_bomb_of_forks_is_held_and_killed_as_a_whole(hierarchy: Hierarchy, name: str) -> None:
    def bomb() -> None:
        while True:
            try:
                os.fork()
            except BlockingIOError:
                time.sleep(0.001)

    hierarchy.create(name, {"pids": {"limit": 20}})
    assert hierarchy.stats(name).pids == (0, 20, 0)  # or this machine would be bombed
    pid = start_in(hierarchy, name, bomb)
    wait_until(lambda: len(hierarchy.pids(name)) == 20, PATIENCE_S)
    time.sleep(0.2)
    assert len(hierarchy.pids(name)) == 20
    hierarchy.kill_all(name)
    assert exit_code(pid) == -signal.SIGKILL
    wait_until(lambda: hierarchy.pids(name) == [], PATIENCE_S)


@pytest.mark.needs("cgroup2:any")
def test_a_child_can_be_born_in_a_group(hierarchy: Hierarchy, name: str) -> None:
    """CLONE_INTO_CGROUP: at no moment is it anywhere else."""
    hierarchy.create(name, {"unified": {"cgroup.max.depth": "1"}})

    def attempt() -> list[str]:
        group = hierarchy.open(name)
        reader, writer = os.pipe()
        pid, _ = namespace.clone3(0, cgroup_fd=group)
        if pid == 0:
            with open("/proc/self/cgroup") as file:
                os.write(writer, file.read().encode())
            os._exit(0)
        assert exit_code(pid) == 0
        return os.read(reader, 4096).decode().splitlines()

    assert f"0::{name}" in in_child(attempt)


@pytest.mark.needs("v2")
def test_freezing_is_said_by_the_kernel_and_killing_needs_no_thaw(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    pid = start_in(hierarchy, name)
    hierarchy.freeze(name)
    assert "frozen 1" in read(hierarchy, name, "cgroup.events")
    write(hierarchy, name, "cgroup.kill", "1")
    assert exit_code(pid) == -signal.SIGKILL
    assert "populated 0" in read(hierarchy, name, "cgroup.events")


# The rules of version 2: see "Organizing Processes and Threads" in cgroup-v2.rst


@pytest.mark.needs("v2")
def test_processes_and_controllers_do_not_go_together(hierarchy: Hierarchy, name: str) -> None:
    """The "no internal processes" rule, from its other side: who has handed down takes no process."""
    hierarchy.create(f"{name}/below", {"memory": {"limit": 64 * MIB}})
    with pytest.raises(SyscallError, match="EBUSY"):
        in_child(lambda: hierarchy.join(name))
    in_child(lambda: hierarchy.join(f"{name}/below"))


@pytest.mark.needs("v2")
def test_threads_of_a_process_can_be_apart_and_are_still_found(hierarchy: Hierarchy, name: str) -> None:
    """A threaded group tells no processes: those are found in the group above it, and killed from there."""
    hierarchy.create(name, {"pids": {"limit": 5}})
    threaded = f"{hierarchy.path(name)}/threads"
    os.mkdir(threaded)
    pid = start_in(hierarchy, name)
    write(hierarchy, f"{name}/threads", "cgroup.type", "threaded")
    write(hierarchy, f"{name}/threads", "cgroup.threads", str(pid))
    with open(f"/proc/{pid}/cgroup") as file:
        assert file.read().strip() == f"0::{name}/threads"
    assert read(hierarchy, name, "cgroup.type") == "domain threaded"
    assert members.pids(threaded) == []
    assert hierarchy.pids(name) == [pid]
    hierarchy.kill_all(name)
    assert exit_code(pid) == -signal.SIGKILL


@pytest.mark.needs("v2")
def test_memory_cannot_be_handed_to_threads(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    os.mkdir(f"{hierarchy.path(name)}/threads")
    write(hierarchy, f"{name}/threads", "cgroup.type", "threaded")
    with pytest.raises(OSError, match=r"not supported|No such file|Invalid"):
        write(hierarchy, name, "cgroup.subtree_control", "+memory")


@pytest.mark.needs("v2")
def test_controller_that_is_not_handed_down_is_named_with_the_cure() -> None:
    found = detect()
    without = found._replace(v2_controllers=found.v2_controllers - {"memory"})
    with pytest.raises(UnsupportedError, match=r"controller memory is not available.*\+memory in cgroup\.subtree"):
        without.needed({"memory": {"limit": 1 << 26}})


def delegate(hierarchy: Hierarchy, name: str, uid: int) -> None:
    """Give away what /sys/kernel/cgroup/delegate lists, as systemd does; the limits stay ours."""
    directory = hierarchy.path(name)
    with open("/sys/kernel/cgroup/delegate") as file:
        given = [f"{directory}/{each}" for each in file.read().split()]
    for path in (directory, *given):
        if os.path.exists(path):
            os.chown(path, uid, uid)


@pytest.mark.needs("v2")
def test_who_was_given_a_group_makes_others_in_it_but_keeps_its_limits(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name, {"pids": {"limit": 50}, "memory": {"limit": 64 * MIB}})
    outside = f"{os.path.dirname(name)}/outside"
    hierarchy.create(outside)
    delegate(hierarchy, name, ADA)

    def attempt() -> list[str]:
        hierarchy.join(name)
        os.setresuid(ADA, ADA, ADA)
        os.mkdir(f"{hierarchy.path(name)}/leaf")
        hierarchy.join(f"{name}/leaf")
        write(hierarchy, name, "cgroup.subtree_control", "+pids")
        os.mkdir(f"{hierarchy.path(name)}/limited")
        write(hierarchy, f"{name}/limited", "pids.max", "5")
        found = [read(hierarchy, f"{name}/limited", "pids.max")]
        for group, file in ((name, "memory.max"), (name, "pids.max"), (outside, "cgroup.procs")):
            try:
                write(hierarchy, group, file, "0")
                found.append("done")
            except PermissionError:
                found.append("refused")
        return found

    assert in_child(attempt) == ["5", "refused", "refused", "refused"]
