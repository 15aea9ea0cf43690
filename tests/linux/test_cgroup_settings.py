"""OCI resources to files and values; the tables are those of runc's libcontainer."""

from pathlib import Path

import pytest

from toolkit.core.errors import InvalidError, UnsupportedError
from toolkit.linux.cgroup import v1, v2
from toolkit.linux.cgroup.hierarchy import Hierarchy
from toolkit.linux.cgroup.resources import Resources, without_swap

MIB = 1 << 20
V1 = Hierarchy(
    {name: f"/c/{name}" for name in ("cpu", "memory", "pids", "devices", "blkio", "freezer")}, "", frozenset()
)
V2 = Hierarchy({}, "/c", frozenset(("cpu", "memory", "pids", "io", "cpuset")))
HYBRID = Hierarchy(V1.v1, "/c/unified", frozenset(("hugetlb",)))


@pytest.mark.parametrize(
    ("swap", "limit", "expected"),
    [
        # runc, libcontainer/cgroups/utils_test.go, TestConvertMemorySwapToCgroupV2Value
        (0, 0, None),
        (-1, 0, -1),
        (-1, -1, -1),
        (0, -1, -1),
        (2000, 1000, 1000),
        (1000, 1000, 0),
    ],
)
def test_swap_alone_is_what_is_above_memory(swap: int, limit: int, expected: int | None) -> None:
    assert v2.swap_max(swap, limit) == expected


@pytest.mark.parametrize(("swap", "limit"), [(1000, 0), (1000, -1), (500, 1000), (1000, -2)])
def test_swap_that_contradicts_memory_is_refused(swap: int, limit: int) -> None:
    with pytest.raises(InvalidError, match="swap"):
        v2.swap_max(swap, limit)


@pytest.mark.parametrize(
    ("shares", "weight"),
    # opencontainers/cgroups, utils_test.go, TestConvertCPUSharesToCgroupV2Value; 2000 is runc issue 4896
    [(1, 1), (2, 1), (1024, 100), (2000, 170), (262144, 10000), (999999, 10000)],
)
def test_an_equal_part_of_cpu_stays_an_equal_part(shares: int, weight: int) -> None:
    assert v2.weight_of_shares(shares) == weight


@pytest.mark.parametrize(("v1_weight", "weight"), [(10, 1), (1000, 10000), (500, 4950)])
def test_io_weight_is_scaled(v1_weight: int, weight: int) -> None:
    assert v2.weight_of_blkio(v1_weight) == weight


def values(resources: Resources, version: int = 1) -> list[tuple[str, str]]:
    found = v1.settings(resources) if version == 1 else v2.settings(resources)
    return [(each.file, each.value) for each in found]


def test_v1_limits_memory_before_swap() -> None:
    assert values({"memory": {"limit": 100 * MIB, "swap": 200 * MIB}}) == [
        ("memory.limit_in_bytes", str(100 * MIB)),
        ("memory.memsw.limit_in_bytes", str(200 * MIB)),
    ]


def test_v1_raises_swap_first_when_both_grow() -> None:
    resources: Resources = {"memory": {"limit": 100, "swap": 200}}
    assert [each.file for each in v1.settings(resources, memory_limit=50)] == [
        "memory.memsw.limit_in_bytes",
        "memory.limit_in_bytes",
    ]


def test_v1_without_memory_limit_has_no_swap_limit_either() -> None:
    assert values({"memory": {"limit": -1}}) == [
        ("memory.memsw.limit_in_bytes", "-1"),
        ("memory.limit_in_bytes", "-1"),
    ]


def test_v1_refuses_swap_below_memory() -> None:
    with pytest.raises(InvalidError, match="cannot be less"):
        values({"memory": {"limit": 200, "swap": 100}})


def test_v1_refuses_swappiness_above_100() -> None:
    with pytest.raises(InvalidError, match="0 to 100"):
        values({"memory": {"swappiness": 101}})


def test_v2_converts_memory() -> None:
    resources: Resources = {"memory": {"limit": 300, "swap": 800, "reservation": 400}}
    assert values(resources, 2) == [("memory.swap.max", "500"), ("memory.max", "300"), ("memory.low", "400")]


def test_v2_switches_swap_off_with_zero_not_with_nothing() -> None:
    assert values({"memory": {"limit": 300, "swap": 300}}, 2)[0] == ("memory.swap.max", "0")


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [(50_000, 100_000, "50000 100000"), (50_000, 0, "50000 100000"), (-1, 0, "max 100000"), (0, 20_000, "max 20000")],
)
def test_v2_quota_and_period_are_one_value(quota: int, period: int, expected: str) -> None:
    assert values({"cpu": {"quota": quota, "period": period}}, 2) == [("cpu.max", expected)]


def test_v1_cpu_files() -> None:
    resources: Resources = {
        "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "burst": 1000, "cpus": "0-1", "mems": "0", "idle": 1}
    }
    assert values(resources) == [
        ("cpu.shares", "512"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
        ("cpu.cfs_burst_us", "1000"),
        ("cpu.idle", "1"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
    ]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("limit", "expected"), [(64, [("pids.max", "64")]), (-1, [("pids.max", "max")]), (0, [])])
def test_pids_limit(version: int, limit: int, expected: list[tuple[str, str]]) -> None:
    assert values({"pids": {"limit": limit}}, version) == expected


BLOCK: Resources = {
    "blockIO": {
        "weight": 500,
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 100}],
    }
}


def test_v1_block_io() -> None:
    assert values(BLOCK) == [
        ("blkio.bfq.weight", "500"),
        ("blkio.throttle.read_bps_device", "8:0 1048576"),
        ("blkio.throttle.write_iops_device", "8:16 100"),
    ]


def test_v2_block_io() -> None:
    assert values(BLOCK, 2) == [
        ("io.weight", "default 4950"),
        ("io.max", "8:0 rbps=1048576"),
        ("io.max", "8:16 wiops=100"),
    ]


def test_v1_device_rules_keep_their_order() -> None:
    resources: Resources = {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "access": "m"},
            {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        ]
    }
    assert values(resources) == [("devices.deny", "a"), ("devices.allow", "c *:* m"), ("devices.allow", "c 1:3 rwm")]


def test_hugepages() -> None:
    resources: Resources = {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}
    assert (values(resources), values(resources, 2)) == (
        [("hugetlb.2MB.limit_in_bytes", str(4 * MIB))],
        [("hugetlb.2MB.max", str(4 * MIB))],
    )


def test_writes_name_whole_paths() -> None:
    resources: Resources = {"memory": {"limit": 100}, "pids": {"limit": 5}}
    assert V1.writes("/container-toolkit/x", resources) == [
        ("/c/memory/container-toolkit/x/memory.limit_in_bytes", "100"),
        ("/c/pids/container-toolkit/x/pids.max", "5"),
    ]
    assert V2.writes("/container-toolkit/x", resources) == [
        ("/c/container-toolkit/x/memory.max", "100"),
        ("/c/container-toolkit/x/pids.max", "5"),
    ]


def test_hybrid_writes_each_limit_once_where_its_controller_is() -> None:
    resources: Resources = {**BLOCK, "memory": {"limit": 100}, "hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}
    written = [path for path, _ in HYBRID.writes("/a/b", resources)]
    assert [path for path in written if "unified" in path] == ["/c/unified/a/b/hugetlb.2MB.max"]
    assert "/c/memory/a/b/memory.limit_in_bytes" in written
    assert len([path for path in written if "blkio" in path]) == 3


def test_missing_controller_is_named_with_its_cure() -> None:
    with pytest.raises(UnsupportedError, match=r"controller hugetlb .* huge pages needs; mount it: mount -t cgroup"):
        V1.needed({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]})
    with pytest.raises(UnsupportedError, match=r"\+hugetlb in cgroup.subtree_control"):
        V2.needed({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]})


def test_only_what_is_needed_is_made() -> None:
    assert V1.needed() == ("memory", "pids", "blkio", "devices", "freezer")
    assert HYBRID.needed({"cpu": {"quota": 5}}, accounted=("memory",)) == ("memory", "cpu", "devices", "freezer")
    assert HYBRID.needed({"unified": {"cgroup.max.depth": "1"}}, accounted=()) == ("devices", "", "freezer")
    assert V2.directories("/a/b", {"cpu": {"quota": 5}}) == ["/c/a/b"]


def test_what_v2_lacks_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="does not have memory swappiness"):
        V2.writes("/a/b", {"memory": {"swappiness": 10}})


@pytest.mark.parametrize("hierarchy", [V1, HYBRID])
def test_unified_resources_need_their_controller_in_v2(hierarchy: Hierarchy) -> None:
    with pytest.raises(UnsupportedError, match=r"no cgroup v2 with the controller memory, which memory.high needs"):
        hierarchy.writes("/a/b", {"unified": {"memory.high": "100"}})


def test_unified_resources_are_written_and_handed_down() -> None:
    resources: Resources = {"unified": {"memory.high": "100", "cgroup.max.depth": "3", "cpuset.cpus": "0"}}
    assert V2.writes("/a/b", resources) == [
        ("/c/a/b/memory.high", "100"),
        ("/c/a/b/cgroup.max.depth", "3"),
        ("/c/a/b/cpuset.cpus", "0"),
    ]
    assert "cpuset" in V2.needed(resources)


@pytest.mark.parametrize("name", ["", "/", "x", "/x/", "//x", "/x/../y", "/..", "/./x"])
def test_a_name_cannot_leave_its_mount(name: str) -> None:
    with pytest.raises(InvalidError, match="invalid cgroup name"):
        V1.path(name, "memory")


def test_limits_without_swap_keep_the_rest() -> None:
    resources: Resources = {"memory": {"limit": 100, "swap": 200, "reservation": 50}, "pids": {"limit": 5}}
    assert without_swap(resources) == {"memory": {"limit": 100, "reservation": 50}, "pids": {"limit": 5}}
    assert resources["memory"]["swap"] == 200
    assert without_swap({"pids": {"limit": 5}}) == {"pids": {"limit": 5}}


@pytest.mark.parametrize("present", [True, False])
def test_swap_is_limited_where_its_file_is(tmp_path: Path, *, present: bool) -> None:
    (tmp_path / "below").mkdir()
    for file in ("memory.max", *(["memory.swap.max"] if present else [])):
        (tmp_path / "below" / file).touch()
    if present:
        (tmp_path / "memory.memsw.limit_in_bytes").touch()
    assert Hierarchy({"memory": str(tmp_path)}, "", frozenset()).limits_swap() is present
    assert Hierarchy({}, str(tmp_path), frozenset(("memory",))).limits_swap() is present
    assert not Hierarchy({}, str(tmp_path), frozenset()).limits_swap()


@pytest.mark.parametrize(
    ("v1", "v2", "kind"),
    [
        ({"memory": "/c/memory"}, "", "v1"),
        ({}, "/c", "v2"),
        ({"memory": "/c/memory"}, "/c/unified", "hybrid"),
        ({"name=systemd": "/c/systemd"}, "/c/unified", "v2"),
        ({"net_cls": "/c/net_cls"}, "/c", "v2"),
        ({}, "", "none"),
    ],
)
def test_kind_is_where_the_limits_are(v1: dict[str, str], v2: str, kind: str) -> None:
    assert Hierarchy(v1, v2, frozenset()).kind == kind


def test_controllers_that_share_a_mount_share_a_directory() -> None:
    shared = Hierarchy({"cpu": "/c/cpu,cpuacct", "cpuacct": "/c/cpu,cpuacct", "memory": "/c/memory"}, "", frozenset())
    assert shared.directories("/a/b", {"cpu": {"quota": 5}}) == ["/c/memory/a/b", "/c/cpu,cpuacct/a/b"]
