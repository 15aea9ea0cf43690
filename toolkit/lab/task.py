"""A task of a lab, and what a check has to say about it.  Nothing here looks at anything."""

from typing import Any, NamedTuple

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toolkit.lab.look import Look

    Check = Callable[[Look], None]

DONE, OPEN, LATE, LACKING, BROKEN = "done", "open", "late", "lacking", "broken"
"""What a check can come to: the task is solved; it is not; no answer in time; this machine cannot; the check failed."""


class Task(NamedTuple):
    """One thing to do."""

    ident: str
    """"L1.1": unique among all labs."""
    points: float
    title: str
    hints: tuple[str, ...]
    """From a nudge to almost the answer; one more is shown with each attempt."""
    after: tuple[str, ...]
    """The tasks that come before this one because it builds on them."""
    limit_s: float
    """How long its check may take."""
    check: "Check"


def task(
    ident: str,
    *,
    points: float,
    title: str,
    hints: "Sequence[str]",
    after: "Sequence[str]" = (),
    limit_s: float = 30.0,
) -> "Callable[[Check], Task]":
    """Make a task of the check function below it; see `Task` for what the arguments mean.

    The check gets a `Look`, and says what it expects through it: `look.expect(...)`, `look.must(...)`.

    Raises:
        InvalidError: a task without points or hints, which no student can do anything with.
    """
    if points <= 0:
        raise InvalidError(f"task {ident} is worth {points:g} points", hint="give it more than 0")
    if not hints:
        raise InvalidError(f"task {ident} has no hints", hint="give it one for each attempt, two or three in all")

    def mark(check: "Check") -> Task:
        return Task(ident, points, title, tuple(hints), tuple(after), limit_s, check)

    return mark


class Claim(NamedTuple):
    """One thing that a check looked at."""

    what: str
    """In a learner's words: "the host name inside"."""
    expected: str
    observed: str
    holds: bool
    points: float = 0.0
    """What it is worth by itself, where the rest of the task is not done."""


class Result(NamedTuple):
    """What a check came to."""

    task: str
    title: str
    max_points: float
    state: str
    """DONE, OPEN, LATE, LACKING or BROKEN."""
    claims: tuple[Claim, ...] = ()
    reason: str = ""
    """Of LATE, LACKING and BROKEN: what happened, in a sentence."""
    cure: str = ""
    """What to do about it."""
    attempt: int = 0
    """Which try of the student's this was; 0: it does not count as one."""
    hints: tuple[str, ...] = ()
    """Those that the student has earned by trying."""
    more_hints: int = 0
    """How many there are beyond them."""
    first: str = ""
    """The task that comes first and is not done; empty: none."""

    @property
    def is_done(self) -> bool:
        """Tell whether the task is solved."""
        return self.state == DONE

    @property
    def points(self) -> float:
        """What it is worth: all of it where it is done, else what its claims are worth by themselves."""
        if self.is_done:
            return self.max_points
        if self.state != OPEN:
            return 0.0
        return min(sum(claim.points for claim in self.claims if claim.holds), self.max_points)


def encode(result: Result) -> dict[str, Any]:
    """Return a result as a document."""
    return {**result._asdict(), "claims": [claim._asdict() for claim in result.claims]}


def decode(document: dict[str, Any]) -> Result:
    """Return the result that `encode` made a document of."""
    claims = tuple(Claim(**claim) for claim in document["claims"])
    return Result(**document)._replace(claims=claims, hints=tuple(document["hints"]))
