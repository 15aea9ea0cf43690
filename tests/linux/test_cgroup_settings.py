"""OCI resources to files and values; the tables are those of runc's libcontainer."""

from pathlib import Path

import pytest

from toolkit.core.errors import InvalidError, UnsupportedError
from toolkit.linux.cgroup import v1, v2
from toolkit.linux.cgroup.hierarchy import Hierarchy
from toolkit.linux.cgroup.resources import Memory, Resources, without_swap

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
        ("io.bfq.weight", "default 500"),
        ("io.max", "8:0 rbps=1048576"),
        ("io.max", "8:16 wiops=100"),
    ]


@pytest.mark.parametrize(
    ("version", "expected"), [(1, ("blkio.throttle.read_bps_device", "8:0 0")), (2, ("io.max", "8:0 rbps=max"))]
)
def test_a_rate_of_zero_is_no_limit(version: int, expected: tuple[str, str]) -> None:
    resources: Resources = {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}}
    assert values(resources, version) == [expected]


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (["io.bfq.weight", "io.weight"], [("io.bfq.weight", "default 500"), ("io.bfq.weight", "8:0 10")]),
        (["io.weight"], [("io.weight", "default 4950"), ("io.weight", "8:0 1")]),
    ],
)
def test_io_weight_goes_to_the_file_that_the_kernel_has(
    tmp_path: Path, present: list[str], expected: list[tuple[str, str]]
) -> None:
    (tmp_path / "above").mkdir()
    for file in present:
        (tmp_path / "above" / file).touch()
    hierarchy = Hierarchy({}, str(tmp_path), frozenset(("io",)))
    resources: Resources = {"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}}
    written = hierarchy.writes("/above/one", resources)
    assert [(path.removeprefix(f"{tmp_path}/above/one/"), value) for path, value in written] == expected


def test_v1_io_weight_of_a_kernel_before_bfq(tmp_path: Path) -> None:
    (tmp_path / "above").mkdir()
    (tmp_path / "above/blkio.weight").touch()
    (written,) = Hierarchy({"blkio": str(tmp_path)}, "", frozenset()).writes("/above/one", {"blockIO": {"weight": 500}})
    assert written == (f"{tmp_path}/above/one/blkio.weight", "500")


@pytest.mark.parametrize("version", [1, 2])
def test_rdma_is_the_same_in_both_versions(version: int) -> None:
    resources: Resources = {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10}, "rxe3": {"hcaObjects": 5}}}
    assert values(resources, version) == [
        ("rdma.max", "mlx5_1 hca_handle=3 hca_object=10"),
        ("rdma.max", "rxe3 hca_object=5"),
    ]


def test_network_priorities_are_v1s() -> None:
    resources: Resources = {"network": {"classID": 0x100001, "priorities": [{"name": "lo", "priority": 5}]}}
    assert values(resources) == [("net_prio.ifpriomap", "lo 5"), ("net_cls.classid", "1048577")]
    with pytest.raises(UnsupportedError, match="controller net_cls is not available"):
        V2.needed(resources)


@pytest.mark.parametrize(
    ("version", "expected"),
    [(1, [("cpu.cfs_burst_us", "0"), ("cpu.idle", "0")]), (2, [("cpu.max.burst", "0"), ("cpu.idle", "0")])],
)
def test_no_burst_and_not_idle_are_values(version: int, expected: list[tuple[str, str]]) -> None:
    assert values({"cpu": {"burst": 0, "idle": 0}}, version) == expected


def test_what_is_said_about_memory_without_limiting_it_needs_no_controller() -> None:
    assert Hierarchy({}, "/c", frozenset()).needed({"memory": {"useHierarchy": True, "swappiness": -1}}) == ("",)
    with pytest.raises(UnsupportedError, match="controller memory"):
        Hierarchy({}, "/c", frozenset()).needed({"memory": {"swappiness": 0}})


def test_rules_that_only_v2_can_hold_are_no_error_there() -> None:
    rules: Resources = {"devices": [{"allow": True, "type": "c"}, {"allow": False, "type": "c", "major": 1}]}
    assert V2.writes("/a/b", rules) == []
    with pytest.raises(InvalidError, match="contradicts"):
        HYBRID.writes("/a/b", rules)


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


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        ({"swappiness": 10}, "does not have memory swappiness"),
        ({"kernel": 1 << 30}, "does not have a limit on kernel memory alone"),
        ({"kernelTCP": 1 << 20}, "does not have a limit on TCP buffers alone"),
    ],
)
def test_what_v2_lacks_is_refused_by_name(memory: Memory, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        V2.writes("/a/b", {"memory": memory})


@pytest.mark.parametrize("file", ["memory.x/../../y", "../memory.max", "memory", ".max", "/memory.max"])
def test_a_unified_resource_is_a_file_of_the_group(file: str) -> None:
    with pytest.raises(InvalidError, match="invalid unified resource"):
        V2.writes("/a/b", {"unified": {file: "1"}})


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
