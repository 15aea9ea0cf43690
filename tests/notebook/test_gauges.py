"""Gauges: what they show is what the kernel counts and holds."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cells import Cells
from tests.support.patience import wait_until
from toolkit.core.errors import ConflictError, InvalidError
from toolkit.notebook import sampling
from toolkit.notebook.pictures import gauges
from toolkit.notebook.sampling import Sample, Sampler
from toolkit.notebook.values import Container

pytestmark = pytest.mark.needs("root", "overlay", "cgroup:memory", "cgroup:pids")

_MIB = 1 << 20
_HOG = "python3 -c 'b = bytearray(100 << 20)'"
_FORKS = "python3 -c 'import os, time\nfor _ in range(20):\n    if os.fork() == 0: time.sleep(5); os._exit(0)'"


@pytest.fixture
def limited(cells: Cells) -> Iterator[Container]:
    made = cells.value("%container run -d --name limited -m 64m --pids-limit 10 lab sleep 600")
    yield made
    made.remove(force=True)


def test_sample_has_the_kernels_limits_and_not_what_was_typed(limited: Container) -> None:
    picture = gauges(limited)
    sample = picture.sample()
    assert sample.memory_limit_bytes == 64 * _MIB
    assert sample.pids_limit == 10
    assert sample.pids == 1
    assert sample.memory_bytes is not None
    assert 0 < sample.memory_bytes < 64 * _MIB
    assert sample.cpu_limit is None
    limited.raw.cgroups.update(limited.id, {"pids": {"limit": 7}})  # behind the engine's back
    assert picture.sample().pids_limit == 7


def test_kill_at_the_memory_limit_is_counted(limited: Container) -> None:
    picture = gauges(limited)
    assert limited.exec("sh", "-c", f"{_HOG}; true").exit_code == 0
    assert picture.sample().oom_kills == 1
    assert picture.oom_kills == 1
    assert picture.sample().oom_kills == 0
    assert "1 killed at the limit (OOM)" in picture.figure().text


def test_refused_fork_is_counted(limited: Container) -> None:
    picture = gauges(limited)
    limited.exec("sh", "-c", _FORKS)
    assert picture.sample().refused_forks >= 1
    assert "forks refused" in picture.figure().text


@pytest.mark.needs("cgroup:cpu")
def test_quota_is_a_limit_and_what_it_holds_back_is_counted(cells: Cells) -> None:
    made = cells.value("%container run -d --cpus 0.2 lab sh -c 'yes > /dev/null'")
    try:
        picture = gauges(made)
        with picture.recording(0.1):
            wait_until(lambda: picture.throttled > 3, 30)  # other programs may leave it less than its quota
        assert picture.history[-1].cpu_limit == 0.2
        busy = [each.cpus for each in picture.history if each.cpus is not None]
        assert 0 < sum(busy) / len(busy) < 0.35
    finally:
        made.remove(force=True)


def test_limit_that_is_not_there_is_not_drawn(cells: Cells) -> None:
    made = cells.value("%container run -d lab sleep 600")
    try:
        picture = gauges(made)
        with picture.recording(0.05):
            time.sleep(0.3)
        assert picture.sample()[2] is picture.sample().cpu_limit is picture.sample().pids_limit is None
        figure = picture.figure()
        assert figure.html.count("no limit)") == 3
        assert "dashed" not in figure.html
        assert figure.text.count("no limit") == 3
    finally:
        made.remove(force=True)


def test_limit_is_moved_by_the_page(limited: Container) -> None:
    picture = gauges(limited)
    for what, value in (("memory", 96 * _MIB), ("pids", 24)):
        picture._take(picture, {"do": "limit", "what": what, "value": value}, [])
        assert picture.trouble == {}
    assert picture.sample()[2] == 96 * _MIB
    assert picture.sample().pids_limit == 24
    picture._take(picture, {"do": "limit", "what": "memory", "value": 1000}, [])
    assert "minimum memory limit" in picture.trouble["message"]
    with pytest.raises(InvalidError, match="no such limit: disk"):
        picture.limit("disk", 1)


@pytest.mark.needs("cgroup:cpu")
def test_cpu_limit_is_given_to_one_that_had_none(limited: Container) -> None:
    picture = gauges(limited)
    picture.limit("cpu", 0.5)
    assert picture.sample().cpu_limit == 0.5


def test_two_pictures_of_one_container_share_their_samples(limited: Container) -> None:
    one, other = gauges(limited), gauges("limited")
    one.sample()
    count = len(one.history)
    assert other.history == one.history
    one.beat()
    other.beat()
    assert len(one.history) <= count + 1


def test_end_at_the_memory_limit_is_told(cells: Cells) -> None:
    made = cells.value(f"%container run -d -m 32m lab sh -c 'sleep 0.5; exec {_HOG.replace(chr(39), chr(34))}'")
    try:
        picture = gauges(made)
        assert made.wait() == 137
        with pytest.raises(ConflictError):
            picture.sample()
        picture.beat()
        assert picture.state["ending"] == (
            "it ended with exit code 137: the kernel killed it, since it was at its memory limit (OOM)"
        )
        assert picture.oom_kills == 1
        assert "(OOM)" in picture.figure().text
    finally:
        made.remove(force=True)


def test_removed_container_is_told_of_and_no_error(cells: Cells, limited: Container) -> None:
    picture = gauges(limited)
    limited.remove(force=True)
    picture._take(picture, {"do": "look", "view": "one"}, [])
    try:
        wait_until(lambda: picture.state["ending"] == "it has been removed", 10)
        assert picture.trouble == {}
    finally:
        picture.close()


def test_counters_begin_anew_with_a_restart(limited: Container) -> None:
    picture = gauges(limited)
    limited.exec("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    picture.sample()
    limited.raw.restart(0)
    after = picture.sample()
    assert after.cpus is None
    assert min(after.throttled, after.periods, after.oom_kills, after.refused_forks) >= 0


def test_controller_that_is_missing_is_named(limited: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without it: the group has no such files, and the list of controllers not its name."""
    stats = type(limited.raw).stats

    def lessened(container: Any) -> Any:
        return stats(container)._replace(memory=None, pids=None)

    monkeypatch.setattr(type(limited.raw), "stats", lessened)
    monkeypatch.setattr(sampling, "_samplers", {})
    kinds = type(limited.raw.cgroups)
    monkeypatch.setattr(kinds, "controllers", frozenset({"cpu", "cpuacct", "blkio"}))
    picture = gauges(limited)
    assert picture.state["lacking"].keys() == {"memory", "pids"}
    assert "no cgroup controller memory: `container doctor`" in picture.figure().text
    assert picture.sample()[1] is None


def test_history_is_drawn_with_marks_where_the_kernel_acted() -> None:
    quiet = Sample(1.0, 10 * _MIB, 20 * _MIB, 0.1, 0.5, 0, 0, 3, 5, 0, 0, 0, 0)
    made = Sampler.__new__(Sampler)
    made.name, made.ending, made.layout, made.lacking = "a <b>", "", "v2", {}
    made.totals = sampling.Totals(oom_kills=1, throttled=2, periods=9)
    made.history = sampling.deque([quiet, quiet._replace(at_s=2.0, oom_kills=1, throttled=2)])
    from toolkit.notebook.figures.gauges import draw

    html = draw(made).html
    assert "killed (OOM)" in html
    assert "held back</text>" in html.replace(" </text>", "</text>")
    assert "fork refused" not in html
    assert "a &lt;b&gt;" in html
    assert "#123456" not in html
