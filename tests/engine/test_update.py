"""Changing what a container may use, and its name: of one that runs and of one that does not."""

from typing import Any

import pytest

from tests.support.engines import BUSYBOX, collect, in_processes
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_MB = 1 << 20


def _made(engine: Engine, **options: Any) -> Container:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60"), **options))
    made.start()
    return made


def _reads(container: Container, controller: str, v1_file: str, v2_file: str) -> str:
    is_v1 = container.cgroups.is_v1(controller)
    path = f"{container.cgroups._hierarchy.path(container.cgroups.name(container.id), controller)}"
    with open(f"{path}/{v1_file if is_v1 else v2_file}") as file:
        return file.read().strip()


@pytest.mark.guest
@pytest.mark.needs("cgroup:memory")
def test_memory_of_a_running_container(engine: Engine) -> None:
    made = _made(engine, memory_bytes=64 * _MB)
    made.update(memory_bytes=128 * _MB, memory_swap_bytes=-1)
    assert _reads(made, "memory", "memory.limit_in_bytes", "memory.max") == str(128 * _MB)
    made.update(memory_bytes=32 * _MB, memory_swap_bytes=48 * _MB, memory_reservation_bytes=16 * _MB)
    assert _reads(made, "memory", "memory.limit_in_bytes", "memory.max") == str(32 * _MB)
    assert _reads(made, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(16 * _MB)
    assert made.inspect()["HostConfig"]["MemorySwap"] == 48 * _MB
    assert engine.containers.get(made.id).options.memory_bytes == 32 * _MB


@pytest.mark.guest
@pytest.mark.needs("cgroup:pids", "cgroup:cpu")
def test_limits_that_it_did_not_have_hold_for_all_its_processes(engine: Engine) -> None:
    made = _made(engine)
    made.update(pids_limit=7, nano_cpus=500_000_000, cpu_shares=512)
    assert _reads(made, "pids", "pids.max", "pids.max") == "7"
    assert _reads(made, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert _reads(made, "cpu", "tasks", "cgroup.procs").split() == [str(made.pid)]
    inside = collect(made.exec(ExecOptions(("cat", "/proc/self/cgroup")))).out
    assert ":cpu:/\n" in inside or "0::/\n" in inside
    made.update(pids_limit=-1)
    assert _reads(made, "pids", "pids.max", "pids.max") == "max"
    made.remove(force=True)
    assert not made.cgroups._hierarchy.present(made.cgroups.name(made.id))


@pytest.mark.guest
@pytest.mark.needs("cgroup:cpuset")
def test_cpus_of_a_running_container(engine: Engine) -> None:
    made = _made(engine)
    made.update(cpuset_cpus="0", cpuset_mems="0")
    with open(f"/proc/{made.pid}/status") as file:
        allowed = [line.split()[1] for line in file if line.startswith("Cpus_allowed_list")]
    assert allowed == ["0"]


def test_limits_of_one_that_does_not_run_hold_when_it_starts(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60")))
    made.update(memory_bytes=64 * _MB, memory_swap_bytes=-1)
    made.start()
    assert _reads(made, "memory", "memory.limit_in_bytes", "memory.max") == str(64 * _MB)


def test_policy_is_obeyed_from_then_on(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", "exit 3")))
    made.update(restart_policy="on-failure", restart_retries=2)
    made.start()
    while made.inspect()["RestartCount"] < 2 or made.status != "exited":
        made.wait()
    assert made.inspect()["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    made.update(restart_policy="no")
    assert made.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "no"


@pytest.mark.parametrize(
    ("options", "changes", "text"),
    [
        ({}, {"memory_bytes": 64 * _MB}, "smaller than already set memoryswap limit"),
        ({"memory_bytes": 64 * _MB}, {"memory_bytes": 256 * _MB}, "smaller than already set memoryswap limit"),
        ({}, {"memory_bytes": 1}, "memoryswap|minimum memory limit"),
        ({}, {"nano_cpus": 10_000 * 10**9}, "range of CPUs"),
        ({"nano_cpus": 10**9}, {"cpu_quota_us": 5000}, "CPU Quota cannot be updated as NanoCPUs has already been set"),
        ({"cpu_quota_us": 5000}, {"nano_cpus": 10**9}, "Nano CPUs cannot be updated as CPU Quota has already been set"),
        ({}, {"cpuset_cpus": "0-9999"}, "requested CPUs are not available"),
        ({}, {"blkio_weight": 5}, "range of blkio weight"),
        ({}, {"restart_policy": "nonesuch"}, "invalid restart policy"),
        ({}, {"restart_policy": "always", "restart_retries": 3}, "maximum retry count"),
        ({}, {"hostname": "x"}, "cannot be changed after a container was created: hostname"),
    ],
)
def test_change_that_means_nothing_is_refused_and_changes_nothing(
    engine: Engine, options: dict[str, Any], changes: dict[str, Any], text: str
) -> None:
    made = _made(engine, **options)
    before = engine.containers.get(made.id).doc
    with pytest.raises(InvalidError, match=text):
        made.update(**changes)
    assert engine.containers.get(made.id).doc == before


def test_policy_of_one_that_goes_when_it_ends_cannot_be_changed(engine: Engine) -> None:
    made = _made(engine, auto_remove=True)
    with pytest.raises(ConflictError, match="Restart policy cannot be updated because AutoRemove is enabled"):
        made.update(restart_policy="always")


@pytest.mark.needs("cgroup:memory")
def test_limit_that_the_kernel_refuses_changes_nothing(engine: Engine) -> None:
    made = _made(engine, memory_bytes=256 * _MB, tmpfs={"/t": ""})
    assert collect(made.exec(ExecOptions(("sh", "-c", "head -c 64000000 /dev/zero > /t/x")))).code == 0
    if not made.cgroups.is_v1("memory"):
        pytest.skip("cgroup v2 takes a limit below what is in use, and then kills")
    with pytest.raises(ConflictError, match="Cannot update container"):
        made.update(memory_bytes=8 * _MB, memory_swap_bytes=8 * _MB, pids_limit=9)
    assert _reads(made, "memory", "memory.limit_in_bytes", "memory.max") == str(256 * _MB)
    assert engine.containers.get(made.id).options.memory_bytes == 256 * _MB
    assert made.pid


def test_weight_of_block_io_is_changed_or_discarded_with_a_warning(engine: Engine) -> None:
    made = _made(engine)
    warnings = made.update(blkio_weight=300)
    assert made.options.blkio_weight == (0 if warnings else 300)
    if not warnings:
        assert "300" in _reads(made, "blkio", "blkio.bfq.weight", "io.weight") or not made.cgroups.is_v1("blkio")


# Names


def test_name_is_changed_and_the_old_one_is_free(engine: Engine) -> None:
    made = _made(engine, name="old")
    made.rename("new")
    assert (made.name, engine.containers.get("new").id) == ("new", made.id)
    with pytest.raises(NotFoundError):
        engine.containers.get("old")
    engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="old"))


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("taken", ConflictError, 'Conflict. The container name "/taken" is already in use by container'),
        ("a b", InvalidError, "invalid container name"),
        ("x", InvalidError, "invalid container name"),
        ("mine", InvalidError, "Renaming a container with the same name as its current name"),
    ],
)
def test_name_that_cannot_be_had_is_refused(engine: Engine, name: str, error: type[Exception], text: str) -> None:
    engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="taken"))
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="mine"))
    with pytest.raises(error, match=text):
        made.rename(name)
    assert engine.containers.get("mine").id == made.id


def test_of_many_that_want_a_name_at_once_one_gets_it(engine: Engine) -> None:
    for number in range(4):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name=f"number-{number}"))

    def take(mine: Engine, number: int) -> int:
        try:
            mine.containers.get(f"number-{number}").rename("wanted")
        except ConflictError:
            return 1
        return 0

    assert sorted(in_processes(engine, 4, take)) == [0, 1, 1, 1]


def test_changes_by_many_at_once_are_all_kept(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="one"))
    fields = ("cpu_shares", "pids_limit", "cpu_period_us", "cpu_quota_us")

    def change(mine: Engine, number: int) -> int:
        mine.containers.get("one").update(**{fields[number]: 5000 + number})
        return 0

    assert in_processes(engine, 4, change) == [0] * 4
    options = engine.containers.get(made.id).options
    assert [getattr(options, field) for field in fields] == [5000, 5001, 5002, 5003]
