"""Pictures that move: when their thread lives, what it may cost, and what happens where a beat fails."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.patience import wait_until
from toolkit.core.errors import ConflictError
from toolkit.notebook.figures import Figure
from toolkit.notebook.widgets import live
from toolkit.notebook.widgets.live import MovingWidget, Pulse


class Counter(MovingWidget):
    """Counts its beats."""

    _esm = "export default {}"
    interval_s = 0.01
    count = 0
    error: Exception | None = None

    def beat(self) -> float:
        self.count += 1
        if self.error is not None:
            raise self.error
        return 0.0

    def figure(self) -> Figure:
        return Figure("<b>twin</b>", f"{self.count} beats")

    def say(self, **content: Any) -> None:
        """Have a page say something."""
        self._take(self, content, [])


@pytest.fixture
def counter() -> Iterator[Counter]:
    made = Counter()
    yield made
    made.close()


def test_nobody_looks_and_nothing_beats(counter: Counter) -> None:
    time.sleep(0.1)
    assert counter.count == 0
    assert not counter.pulse.is_beating


def test_picture_beats_while_it_is_in_sight(counter: Counter) -> None:
    counter.say(do="look", view="one")
    wait_until(lambda: counter.count >= 3, 10)
    assert counter.beats >= 2
    counter.say(do="leave", view="one")
    wait_until(lambda: not counter.pulse.is_beating, 10)
    before = counter.count
    time.sleep(0.1)
    assert counter.count == before


def test_two_views_share_one_thread(counter: Counter) -> None:
    before = threading.active_count()
    for view in ("one", "two", "two"):
        counter.say(do="look", view=view)
    wait_until(lambda: counter.count >= 2, 10)
    assert threading.active_count() == before + 1
    counter.say(do="leave", view="one")
    seen = counter.count
    wait_until(lambda: counter.count >= seen + 3, 10)
    counter.say(do="leave", view="two")
    wait_until(lambda: not counter.pulse.is_beating, 10)


def test_page_that_died_without_a_word_is_forgotten(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LAPSE_S", 0.1)
    counter.say(do="look", view="one")
    wait_until(lambda: counter.count > 0, 10)
    wait_until(lambda: not counter.pulse.is_beating, 10)


def test_silence_while_a_cell_runs_means_nothing(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LAPSE_S", 0.1)
    counter.pulse._cells._begin(None)
    counter.say(do="look", view="one")
    time.sleep(0.4)
    assert counter.pulse.is_beating
    counter.pulse._cells._end(None)
    wait_until(lambda: not counter.pulse.is_beating, 10)


def test_what_costs_much_is_done_less_often() -> None:
    begun: list[float] = []

    def beat() -> float:
        begun.append(time.monotonic())
        return 0.006  # of SHARE = 0.015: one in 0.4 s

    pulse = Pulse(beat, 0.01)
    pulse.look("one")
    wait_until(lambda: len(begun) >= 3, 10)
    pulse.stop()
    gaps = [after - before for before, after in itertools.pairwise(begun)]
    assert min(gaps) >= 0.39


def test_beat_that_fails_shows_a_card_and_tries_again(counter: Counter) -> None:
    counter.error = ConflictError("it is gone", hint="start it")
    counter.say(do="look", view="one")
    wait_until(lambda: counter.count >= 2, 10)
    assert counter.trouble["message"] == "it is gone; start it"


def test_closed_picture_leaves_no_thread(counter: Counter) -> None:
    counter.say(do="look", view="one")
    wait_until(lambda: counter.count > 0, 10)
    counter.close()
    assert not counter.pulse.is_beating
    assert not any(thread.name == "picture" for thread in threading.enumerate())


def test_message_of_another_version_is_no_error(counter: Counter) -> None:
    take: Callable[..., None] = counter._take
    for content in ({"do": "dance"}, {}, [], "look", None):
        take(counter, content, [])
    assert not counter.pulse.is_beating
