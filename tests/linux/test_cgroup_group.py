"""Groups in this host's real hierarchies, whichever version they are."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.child import in_child
from tests.support.features import missing
from tests.support.groups import exit_code, own_group, start_in
from toolkit.core.errors import ConflictError, SyscallError
from toolkit.linux.cgroup import detect, members
from toolkit.linux.cgroup.hierarchy import Hierarchy
from toolkit.linux.cgroup.resources import Device, Resources
from toolkit.trace import recording

MIB = 1 << 20
pytestmark = [pytest.mark.needs("root", "cgroup:memory", "cgroup:pids"), pytest.mark.guest]


@pytest.fixture(params=["detected", pytest.param("v1 alone", marks=pytest.mark.needs("cgroup1:freezer"))])
def hierarchy(request: pytest.FixtureRequest) -> Hierarchy:
    """Give this host's hierarchies, and on a hybrid host its v1 half alone, as an older host has it."""
    found = detect()
    return found if request.param == "detected" else found._replace(v2="", v2_controllers=frozenset())


@pytest.fixture
def name(hierarchy: Hierarchy) -> Iterator[str]:
    """Give a group of this test alone."""
    with own_group(hierarchy) as made:
        yield made


def test_kind_agrees_with_what_is_mounted() -> None:
    has_v1 = any(not missing(f"cgroup1:{controller}") for controller in ("memory", "pids", "cpu"))
    has_v2 = not missing("cgroup2:any")
    assert detect().kind == {(True, False): "v1", (False, True): "v2", (True, True): "hybrid"}[has_v1, has_v2]


def test_creating_twice_is_fine(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    hierarchy.create(name, {"pids": {"limit": 7}})
    assert hierarchy.stats(name).pids == (0, 7, 0)


def test_joined_process_is_a_member_everywhere(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    pid = start_in(hierarchy, name)
    with open(f"/proc/{pid}/cgroup") as file:
        joined = [line for line in file if line.rstrip().endswith(name)]
    assert len(joined) == len(hierarchy.directories(name))
    assert hierarchy.pids(name) == [pid]
    hierarchy.kill_all(name)
    assert exit_code(pid) == -signal.SIGKILL


def test_memory_limit_kills_and_is_counted(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name, {"memory": {"limit": 20 * MIB, "swap": 20 * MIB}})
    pid = start_in(hierarchy, name, lambda: print(len(bytearray(100 * MIB))))
    assert exit_code(pid) == -signal.SIGKILL
    memory = hierarchy.stats(name).memory
    assert memory is not None
    assert (memory.oom_kills, memory.limit_bytes) == (1, 20 * MIB)
    assert memory.peak_bytes is None or 18 * MIB < memory.peak_bytes <= 20 * MIB


def test_memory_in_use_is_counted(hierarchy: Hierarchy, name: str) -> None:
    def fill() -> None:
        block = bytearray(30 * MIB)
        block[::4096] = b"x" * (30 * MIB // 4096)
        os.kill(os.getppid(), 0)
        signal.pause()

    hierarchy.create(name)
    start = start_in(hierarchy, name, fill)
    deadline = time.monotonic() + 5
    while (memory := hierarchy.stats(name).memory) and memory.usage_bytes < 30 * MIB and time.monotonic() < deadline:
        time.sleep(0.01)
    hierarchy.kill_all(name)
    exit_code(start)
    assert memory is not None
    assert 30 * MIB <= memory.working_bytes < 60 * MIB
    assert memory.limit_bytes is None


def test_pids_limit_refuses_a_fork(hierarchy: Hierarchy, name: str) -> None:
    def fork() -> None:
        try:
            os.fork()
        except BlockingIOError:
            os._exit(11)

    hierarchy.create(name, {"pids": {"limit": 1}})
    assert exit_code(start_in(hierarchy, name, fork)) == 11
    pids = hierarchy.stats(name).pids
    assert pids is not None
    assert pids.failures == 1


def spin(seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
    end = clock() + seconds
    while clock() < end:
        pass
    os._exit(0)


@pytest.mark.needs("cgroup:cpu")
def test_cpu_quota_throttles_and_is_counted(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name, {"cpu": {"quota": 10_000, "period": 100_000}})
    assert exit_code(start_in(hierarchy, name, lambda: spin(1.0))) == 0
    cpu = hierarchy.stats(name).cpu
    assert cpu is not None
    assert 10_000_000 < cpu.usage_ns < 300_000_000
    assert cpu.throttled_periods > 0
    assert cpu.throttled_ns > 0


def test_cpu_time_is_counted_without_a_limit(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    assert exit_code(start_in(hierarchy, name, lambda: spin(0.1, time.process_time))) == 0
    cpu = hierarchy.stats(name).cpu
    assert cpu is not None
    assert 90_000_000 < cpu.usage_ns < 500_000_000
    # v1 counts the whole exactly, but samples user and system at ticks: on a busy machine, where a process runs for
    # less than a tick at a time, the samples may miss most of it.
    assert 0 < cpu.user_ns + cpu.system_ns < 500_000_000


def test_frozen_process_stands_still_and_goes_on(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    reader, writer = os.pipe()

    def tick() -> None:
        while True:
            os.write(writer, b".")
            time.sleep(0.005)

    pid = start_in(hierarchy, name, tick)
    assert os.read(reader, 1) == b"."
    hierarchy.freeze(name)
    assert hierarchy.is_frozen(name)
    os.set_blocking(reader, False)
    with contextlib.suppress(BlockingIOError):
        os.read(reader, 65536)
    time.sleep(0.05)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    hierarchy.thaw(name)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b"."
    hierarchy.kill_all(name)
    assert exit_code(pid) == -signal.SIGKILL
    os.close(reader)
    os.close(writer)


def test_kill_reaches_groups_below_and_frozen_processes(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    # As the container itself would make them: without controllers, else v2 refuses processes in the upper group.
    for directory in hierarchy.present(name):
        os.mkdir(f"{directory}/inner")
    pids = [start_in(hierarchy, name), start_in(hierarchy, f"{name}/inner")]
    assert sorted(hierarchy.pids(name)) == sorted(pids)
    assert hierarchy.pids(name, recursive=False) == pids[:1]
    hierarchy.freeze(name)
    hierarchy.kill_all(name)
    assert [exit_code(pid) for pid in pids] == [-signal.SIGKILL] * 2


def _never(_directory: str, *, is_v2: bool, timeout_s: float) -> None:
    raise TimeoutError


@pytest.fixture
def unfreezable(hierarchy: Hierarchy, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a group in which, as it seems, one is in an uninterruptible call; return where its members are listed."""
    hierarchy.create(name)
    kill_file = os.path.exists
    monkeypatch.setattr(members, "freeze", _never)
    monkeypatch.setattr(members.os.path, "exists", lambda path: not path.endswith("cgroup.kill") and kill_file(path))
    return hierarchy.present(name)[0]


def test_kill_reaches_those_who_cannot_be_frozen(hierarchy: Hierarchy, name: str, unfreezable: str) -> None:
    pids = [start_in(hierarchy, name) for _ in range(3)]
    assert unfreezable
    hierarchy.kill_all(name)
    assert [exit_code(pid) for pid in pids] == [-signal.SIGKILL] * 3


def test_kill_never_takes_a_member_out_of_sight_for_its_own_process_group(
    hierarchy: Hierarchy, name: str, unfreezable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of a pid namespace that we do not see is listed as 0, and kill(0) is for all of our group."""
    killed: list[int] = []
    monkeypatch.setattr(members, "pids", lambda _directory: [0, 4711])
    monkeypatch.setattr(members.os, "kill", lambda pid, _number: killed.append(pid))
    members.kill(unfreezable, unfreezable)
    assert set(killed) == {4711}


def test_remove_takes_the_groups_below_too(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(f"{name}/a/b")
    hierarchy.remove(name)
    assert hierarchy.present(name) == []
    hierarchy.remove(name)


def test_remove_waits_for_the_dying_and_gives_up_on_the_living(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    pid = start_in(hierarchy, name)
    with pytest.raises(SyscallError, match=r"EBUSY.*still in it"):
        hierarchy.remove(name, timeout_s=0.05)
    hierarchy.create(name)
    hierarchy.kill_all(name)
    hierarchy.remove(name)
    exit_code(pid)


@pytest.mark.needs("cgroup:cpu")
def test_update_gives_a_running_group_a_limit_that_it_lacked(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name, {"memory": {"limit": 50 * MIB, "swap": 50 * MIB}})
    pid = start_in(hierarchy, name)
    resources: Resources = {"cpu": {"quota": 20_000}, "memory": {"limit": 80 * MIB, "swap": 90 * MIB}}
    hierarchy.update(name, resources)
    with open(f"/proc/{pid}/cgroup") as file:
        memberships = file.read()
    memory = hierarchy.stats(name).memory
    hierarchy.kill_all(name)
    exit_code(pid)
    assert f"cpu:{name}\n" in memberships or f"0::{name}\n" in memberships
    assert memory is not None
    assert memory.limit_bytes == 80 * MIB


@pytest.mark.needs("cgroup:cpu")
def test_a_value_that_the_kernel_refuses_is_named(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    with pytest.raises(SyscallError, match=r'write\(.*cpu.*, "5( 100000)?", \d+\) = -1 EINVAL .*does not take this'):
        hierarchy.update(name, {"cpu": {"quota": 5}})


@pytest.mark.needs("cgroup:cpu")
def test_a_group_whose_limit_is_refused_is_not_left_behind(hierarchy: Hierarchy, name: str) -> None:
    with pytest.raises(SyscallError, match="EINVAL"):
        hierarchy.create(name, {"cpu": {"quota": 5}})
    assert hierarchy.present(name) == []


@pytest.mark.needs("cgroup:cpuset")
def test_cpuset_confines_and_the_rest_is_inherited(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name, {"cpu": {"cpus": "0"}})
    reader, writer = os.pipe()
    pid = start_in(hierarchy, name, lambda: os._exit(os.write(writer, str(os.sched_getaffinity(0)).encode()) and 0))
    assert exit_code(pid) == 0
    assert os.read(reader, 100) == b"{0}"
    os.close(reader)
    os.close(writer)


def test_every_operation_is_an_event(hierarchy: Hierarchy, name: str) -> None:
    with recording() as recorder:
        hierarchy.create(name, {"pids": {"limit": 5}})
        hierarchy.remove(name)
    calls = [event.strace() for event in recorder.events]
    path = hierarchy.path(name, "pids")
    assert f'mkdir("{path}", 0755) = 0' in calls
    assert any(call.startswith("write(") and call.endswith(f'<{path}/pids.max>, "5", 1) = 1') for call in calls)
    assert f'rmdir("{path}") = 0' in calls


def test_join_without_a_group_changes_nothing(hierarchy: Hierarchy, name: str) -> None:
    def membership() -> tuple[str, str]:
        with open("/proc/self/cgroup") as file:
            before = file.read()
        hierarchy.join(name)
        with open("/proc/self/cgroup") as file:
            return before, file.read()

    before, after = in_child(membership)
    assert before == after


def test_pressure_is_read_where_the_kernel_has_it(hierarchy: Hierarchy, name: str) -> None:
    hierarchy.create(name)
    pressure = hierarchy.stats(name).pressure
    has_psi = bool(hierarchy.v2) and os.path.exists(f"{hierarchy.path(name)}/cpu.pressure")
    assert bool(pressure) == has_psi
    if has_psi:
        assert pressure["memory"]["full"].total_us >= 0


def limit_of(hierarchy: Hierarchy, name: str) -> int | None:
    memory = hierarchy.stats(name).memory
    assert memory is not None
    return memory.limit_bytes


def test_update_refuses_a_limit_below_what_is_in_use(hierarchy: Hierarchy, name: str) -> None:
    """Where it is asked to look first: v1 refuses by itself, v2 would kill."""

    def fill() -> None:
        block = bytearray(30 * MIB)
        block[::4096] = b"x" * (30 * MIB // 4096)
        signal.pause()

    hierarchy.create(name)
    pid = start_in(hierarchy, name, fill)
    deadline = time.monotonic() + 30
    while (memory := hierarchy.stats(name).memory) and memory.usage_bytes < 30 * MIB and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ConflictError, match=r"a memory limit of 10485760 bytes is below the \d+ that are in use"):
        hierarchy.update(name, {"memory": {"limit": 10 * MIB, "checkBeforeUpdate": True}})
    assert limit_of(hierarchy, name) is None
    hierarchy.update(name, {"memory": {"limit": 100 * MIB, "checkBeforeUpdate": True}})
    assert limit_of(hierarchy, name) == 100 * MIB
    hierarchy.kill_all(name)
    assert exit_code(pid) == -signal.SIGKILL


def test_update_replaces_the_device_rules(hierarchy: Hierarchy, name: str) -> None:
    null, zero = (Device(allow=True, type="c", major=1, minor=minor, access="r") for minor in (3, 5))

    def opened() -> list[bool]:
        def attempt() -> list[bool]:
            hierarchy.join(name)
            found: list[bool] = []
            for path in ("/dev/null", "/dev/zero"):
                try:
                    os.close(os.open(path, os.O_RDONLY))
                    found.append(True)
                except PermissionError:
                    found.append(False)
            return found

        return in_child(attempt)

    hierarchy.create(name, {"devices": [Device(allow=False), null]})
    assert opened() == [True, False]
    hierarchy.update(name, {"devices": [Device(allow=False), zero]})
    assert opened() == [False, True]
