"""Interleaved runs, medians and ratios.

All contenders of a comparison run in turn within one round, so that whatever
else the machine does hits them alike; a ratio is the median of the ratios of
each round, not the ratio of two medians.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

PER_SECOND = "per second"


class Figure(NamedTuple):
    """One line of the results."""

    bench: str
    what: str
    value: float
    unit: str
    target: float | None = None
    """In the same unit; at most this, or at least where the unit is PER_SECOND.  None: nothing was promised."""
    ratio: float | None = None
    """Of our time to the peer's."""
    ratio_target: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether all that was promised holds; None where nothing was."""
        held: list[bool] = []
        if self.target is not None:
            held.append(self.value >= self.target if self.unit == PER_SECOND else self.value <= self.target)
        if self.ratio is not None and self.ratio_target is not None:
            held.append(self.ratio <= self.ratio_target)
        return all(held) if held else None


class Rounds(NamedTuple):
    """Seconds of each contender in each round."""

    times_s: dict[str, list[float]]

    def median_s(self, name: str) -> float:
        """Return the median of one contender."""
        return statistics.median(self.times_s[name])

    def ratio(self, ours: str, peer: str) -> float:
        """Return the median over all rounds of `ours` to `peer`."""
        pairs = zip(self.times_s[ours], self.times_s[peer], strict=True)
        return statistics.median(mine / other for mine, other in pairs)


def timed(action: Callable[[], object]) -> Callable[[], float]:
    """Return a function that times `action` from outside."""

    def run() -> float:
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    return run


def interleave(contenders: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1) -> Rounds:
    """Run all contenders in turn; each returns its own seconds.

    Args:
        contenders: by name; the order changes from round to round.
        rounds: how many count.
        warm_up: how many come before, and do not.
    """
    names = list(contenders)
    times_s: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-warm_up, rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            seconds = contenders[name]()
            if turn >= 0:
                times_s[name].append(seconds)
    return Rounds(times_s)
