"""When a monitor sleeps: after a second of quiet, and later where sleeping has not been worth it."""

import os
import select

import pytest

from toolkit.linux import frozen
from toolkit.runtime import doze
from toolkit.runtime.doze import MOST_QUIET_MS, QUIET_MS, WORTHWHILE_MS, Poll, quiet_after


class _Sleeps:
    """Stands in for sleeping: notes what was asked for, and what happens meanwhile."""

    def __init__(self, *, can: bool, then: bytes = b"", descriptor: int = -1) -> None:
        self.asked: list[tuple[dict[int, int], float | None]] = []
        self._can, self._then, self._descriptor = can, then, descriptor

    def __call__(self, waiting: dict[int, int], patience_ms: float | None) -> bool:
        self.asked.append((dict(waiting), patience_ms))
        if self._then:
            os.write(self._descriptor, self._then)
        return self._can


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a second last a millisecond."""
    monkeypatch.setattr(doze, "QUIET_MS", 1)


def test_who_is_woken_soon_waits_longer_until_a_sleep_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doze, "QUIET_MS", QUIET_MS)
    quiet = [QUIET_MS]
    for slept_ms in (0, WORTHWHILE_MS - 1, 5, 5, 5, WORTHWHILE_MS):
        quiet.append(quiet_after(quiet[-1], slept_ms))
    assert quiet == [QUIET_MS, 2 * QUIET_MS, 4 * QUIET_MS, *[MOST_QUIET_MS] * 3, QUIET_MS]


def test_poll_sleeps_for_what_it_was_told_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    sleeps = _Sleeps(can=True, then=b".", descriptor=writing)
    monkeypatch.setattr(frozen, "sleep", sleeps)
    poll = Poll()
    poll.register(reading, select.POLLOUT)
    poll.register(writing, 0)
    poll.register(0, select.POLLIN)
    poll.modify(reading, select.POLLIN)
    poll.unregister(0)
    assert poll.rest(10_000) == [(reading, select.POLLIN)]
    assert sleeps.asked == [({reading: select.POLLIN, writing: 0}, 9999)]
    assert poll.rest(10_000) == [(reading, select.POLLIN)]  # it is ready: nobody sleeps
    assert len(sleeps.asked) == 1
    os.close(reading)
    os.close(writing)


def test_poll_that_cannot_sleep_waits_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(frozen, "sleep", _Sleeps(can=False, then=b".", descriptor=writing))
    poll = Poll()
    poll.register(reading, select.POLLIN)
    assert poll.rest() == [(reading, select.POLLIN)]
    os.close(reading)
    os.close(writing)


def test_patience_of_less_than_the_quiet_is_no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeps = _Sleeps(can=True)
    monkeypatch.setattr(frozen, "sleep", sleeps)
    assert Poll().rest(1) == []
    assert sleeps.asked == []


def test_unregistering_what_is_unknown_is_an_error_as_of_poll() -> None:
    with pytest.raises(KeyError):
        Poll().unregister(0)
