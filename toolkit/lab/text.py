"""What a check found and what a lab is about, as text: for a terminal, for CI, and for the words of the cards."""

from toolkit.lab.task import BROKEN, DONE, LACKING, LATE, OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.lab.definition import Definition
    from toolkit.lab.task import Result

WORDS = {
    DONE: "done",
    OPEN: "not yet",
    LATE: "no answer",
    LACKING: "not on this machine",
    BROKEN: "the check failed",
}
MARKS = {True: "✓", False: "✗"}
_LONGEST = 160


def result_text(result: "Result") -> str:
    """Return what a check found, a line for each thing that it looked at."""
    word = WORDS[result.state]
    lines = [f"{result.task} {result.title}: {word}, {result.points:g} of {points_text(result.max_points)}"]
    if result.first:
        lines.append(f"  first comes {result.first}: this task builds on it")
    if result.reason:
        lines.append(f"  {result.reason}")
    if result.cure:
        lines.append(f"  what helps: {result.cure}")
    for claim in result.claims:
        lines.append(f"  {MARKS[claim.holds]} {claim.what}: {shortened(claim.observed)}")
        if not claim.holds:
            lines.append(f"      expected: {shortened(claim.expected)}")
    lines += [f"  hint {number}: {hint}" for number, hint in enumerate(result.hints, 1)]
    if result.hints:
        lines.append(f"  {more_hints(result)}")
    return "\n".join(lines)


def points_text(points: float) -> str:
    """Return a number of points in words: "1 point", "2.5 points"."""
    return "1 point" if points == 1 else f"{points:g} points"


def shortened(text: str) -> str:
    """Return text of a line or two, with an ellipsis where it is longer."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def more_hints(result: "Result") -> str:
    """Say which attempt this was, and how many hints are still to come."""
    if not result.more_hints:
        return f"Attempt {result.attempt}. These are all the hints."
    if result.more_hints == 1:
        return f"Attempt {result.attempt}. The next one shows one more hint, the last."
    return f"Attempt {result.attempt}. There are {result.more_hints} more hints, one for each attempt."


def begin_text(lab: "Definition | None", obstacles: "Sequence[tuple[str, str]]") -> str:
    """Return what a lab is about, and what stands in its way."""
    lines = [f"{reason}{f'; what helps: {cure}' if cure else ''}" for reason, cure in obstacles]
    if lab is not None:
        lines.insert(0, f"{lab.title}: {points_text(lab.points)}, about {lab.minutes} minutes")
        lines += [f"  {each.ident} {each.title} ({points_text(each.points)})" for each in lab.tasks]
    return "\n".join(lines)
