"""Statistics from the text of cgroup files; samples as in runc's tests and the kernel's documents."""

import pytest

from toolkit.linux.cgroup import stats
from toolkit.linux.cgroup.stats import BlockStats, Pressure


def finder(**texts: str) -> "stats.Find":
    """Return a `find` that knows files by their name, dots written as two underlines."""
    files = {name.replace("__", "."): text for name, text in texts.items()}
    return lambda _controller, file: files.get(file)


def test_v1_memory() -> None:
    memory = stats.memory_v1(
        finder(
            memory__usage_in_bytes="2048\n",
            memory__max_usage_in_bytes="4096\n",
            memory__limit_in_bytes="8192\n",
            memory__memsw__usage_in_bytes="3072\n",
            memory__failcnt="100\n",
            memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            memory__stat="cache 512\nrss 1024\ntotal_inactive_file 512\n",
        )
    )
    assert memory is not None
    assert memory[:6] == (2048, 4096, 8192, 1024, 3, 100)
    assert memory.working_bytes == 1536


def test_v1_says_no_limit_with_a_huge_number() -> None:
    memory = stats.memory_v1(finder(memory__usage_in_bytes="0\n", memory__limit_in_bytes="9223372036854771712\n"))
    assert memory is not None
    assert memory.limit_bytes is None


def test_v2_memory() -> None:
    memory = stats.memory_v2(
        finder(
            memory__current="123456789\n",
            memory__max="999999999\n",
            memory__swap__current="1000\n",
            memory__events="low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n",
            memory__stat="anon 790\nfile 6502\ninactive_file 456789\n",
        )
    )
    assert memory is not None
    assert memory[:6] == (123456789, None, 999999999, 1000, 1, 7)
    assert memory.working_bytes == 123000000


def test_what_is_not_counted_is_none() -> None:
    nothing = finder()
    assert stats.memory_v1(nothing) is stats.memory_v2(nothing) is stats.pids(nothing) is None
    assert stats.cpu(nothing) is stats.block_v1(nothing) is stats.block_v2(nothing) is None


def test_cpu_of_v2_and_its_throttling() -> None:
    text = (
        "usage_usec 1000\nuser_usec 600\nsystem_usec 400\nnr_periods 2000\nnr_throttled 200\nthrottled_usec 18446744\n"
    )
    assert stats.cpu(finder(cpu__stat=text)) == (1_000_000, 600_000, 400_000, 2000, 200, 18_446_744_000, None)


def test_cpu_of_v1_comes_from_two_controllers() -> None:
    found = stats.cpu(
        finder(
            cpuacct__usage="12262454190222160\n",
            cpuacct__usage_user="100\n",
            cpuacct__usage_sys="200\n",
            cpu__stat="nr_periods 2000\nnr_throttled 200\nthrottled_time 18446744073709551615\n",
        )
    )
    assert found == (12262454190222160, 100, 200, 2000, 200, 18446744073709551615, None)


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu__max": "50000 100000\n"}, 0.5),
        ({"cpu__max": "max 100000\n"}, None),
        ({"cpu__cfs_quota_us": "150000\n", "cpu__cfs_period_us": "100000\n"}, 1.5),
        ({"cpu__cfs_quota_us": "-1\n", "cpu__cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_quota_in_cpus_of_both_versions(files: dict[str, str], cpus: float | None) -> None:
    assert stats.cpu_limit(finder(**files)) == cpus


def test_pids_and_what_was_refused() -> None:
    find = finder(pids__current="1337\n", pids__max="1024\n", pids__events="max 5\n")
    assert stats.pids(find) == (1337, 1024, 5)
    assert stats.pids(finder(pids__current="3\n", pids__max="max\n")) == (3, None, 0)


def test_v1_block_io_of_two_devices() -> None:
    served = "8:0 Read 100\n8:0 Write 200\n8:0 Sync 300\n8:0 Async 500\n8:0 Total 500\n252:0 Read 50\nTotal 550\n"
    counted = "8:0 Read 10\n8:0 Write 40\n8:0 Total 50\nTotal 50\n"
    find = finder(blkio__throttle__io_service_bytes_recursive=served, blkio__throttle__io_serviced_recursive=counted)
    assert stats.block_v1(find) == (BlockStats(8, 0, 100, 200, 10, 40), BlockStats(252, 0, 50, 0, 0, 0))


def test_v2_block_io() -> None:
    text = (
        "254:1 rbytes=6901432320 wbytes=14245535744 rios=263278 wios=248603 dbytes=0 dios=0\n"
        "254:0 rbytes=2702336 wbytes=0 rios=97 wios=0 dbytes=0 dios=0\n"
        "259:0 \n"
    )
    assert stats.block_v2(finder(io__stat=text)) == (
        BlockStats(254, 1, 6901432320, 14245535744, 263278, 248603),
        BlockStats(254, 0, 2702336, 0, 97, 0),
        BlockStats(259, 0, 0, 0, 0, 0),
    )


def test_pressure() -> None:
    some = "some avg10=1.71 avg60=2.36 avg300=2.57 total=230548833\n"
    full = "full avg10=1.00 avg60=1.01 avg300=1.00 total=157622356\n"
    assert stats.parse_pressure(some + full) == {
        "some": Pressure(1.71, 2.36, 2.57, 230548833),
        "full": Pressure(1.00, 1.01, 1.00, 157622356),
    }


@pytest.mark.parametrize("text", ["", "\n", "inactive_file\n"])
def test_lines_without_a_number_are_no_counters(text: str) -> None:
    assert stats.pairs(text) == {}
