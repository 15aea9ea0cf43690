"""What only a pure v2 host shows; in CI these run in a guest with such a kernel."""

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.support.child import in_child
from toolkit.core.errors import SyscallError
from toolkit.linux.cgroup import detect
from toolkit.linux.cgroup.hierarchy import Hierarchy
from toolkit.linux.cgroup.resources import Resources

pytestmark = pytest.mark.needs("root", "cgroup2:memory", "cgroup2:cpu", "cgroup2:io", "cgroup2:pids")
MIB = 1 << 20


@pytest.fixture
def hierarchy() -> Hierarchy:
    return detect()


@pytest.fixture
def parent(hierarchy: Hierarchy) -> Iterator[str]:
    name = f"/toolkit-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    yield name
    hierarchy.remove(name)


def read(hierarchy: Hierarchy, name: str, file: str) -> str:
    with open(f"{hierarchy.path(name)}/{file}") as opened:
        return opened.read().strip()


LIMITS: Resources = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 2048, "quota": 50_000, "period": 100_000},
    "pids": {"limit": 20},
}


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("memory.max", str(64 * MIB)),
        ("memory.swap.max", str(32 * MIB)),
        ("memory.low", str(32 * MIB)),
        ("cpu.weight", "174"),
        ("cpu.max", "50000 100000"),
        ("pids.max", "20"),
    ],
)
def test_limits_stand_in_the_kernel(hierarchy: Hierarchy, parent: str, file: str, value: str) -> None:
    hierarchy.create(f"{parent}/one", LIMITS)
    assert read(hierarchy, f"{parent}/one", file) == value


def test_only_needed_controllers_are_handed_down(hierarchy: Hierarchy, parent: str) -> None:
    hierarchy.create(f"{parent}/one")
    assert read(hierarchy, parent, "cgroup.subtree_control").split() == ["io", "memory", "pids"]
    hierarchy.update(f"{parent}/one", {"cpu": {"quota": 20_000}})
    assert read(hierarchy, parent, "cgroup.subtree_control").split() == ["cpu", "io", "memory", "pids"]
    assert read(hierarchy, f"{parent}/one", "cpu.max") == "20000 100000"


def test_unified_resources_are_written_as_they_are(hierarchy: Hierarchy, parent: str) -> None:
    hierarchy.create(f"{parent}/one", {"unified": {"memory.high": str(48 * MIB)}})
    assert read(hierarchy, f"{parent}/one", "memory.high") == str(48 * MIB)


def test_parent_with_processes_cannot_hand_down(hierarchy: Hierarchy, parent: str) -> None:
    """The "no internal processes" rule of cgroup-v2.rst, and the cure in the message."""
    os.mkdir(hierarchy.path(parent))

    def attempt() -> None:
        hierarchy.join(parent)
        hierarchy.create(f"{parent}/one")

    with pytest.raises(SyscallError, match=r"EBUSY.*holds processes and cannot hand down"):
        in_child(attempt)


def test_all_that_is_counted_has_a_value(hierarchy: Hierarchy, parent: str) -> None:
    hierarchy.create(f"{parent}/one", LIMITS)

    def work() -> None:
        hierarchy.join(f"{parent}/one")
        bytearray(8 * MIB)

    in_child(work)
    stats = hierarchy.stats(f"{parent}/one")
    assert stats.memory is not None
    assert stats.cpu is not None
    assert stats.pids == (0, 20, 0)
    assert stats.block is not None
    assert stats.cpu.usage_ns > 0
    assert stats.memory.limit_bytes == 64 * MIB
    assert stats.memory.peak_bytes is None or stats.memory.peak_bytes > 8 * MIB
    assert sorted(stats.pressure) == ["cpu", "io", "memory"]
