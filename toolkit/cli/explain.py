"""What `run --dry-run` and `run --explain` print: the plan, and what really happened.

Both go to stderr after the container's own output, so that a pipe still gets
only what the container wrote; the plan of a dry run is the output itself.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.cli.session import Session
    from toolkit.runtime.steps import Step
    from toolkit.trace import Event


def show_plan(session: "Session", steps: "Sequence[Step]") -> None:
    """Print every step of a plan."""
    for number in range(len(steps)):
        session.print(describe(steps, number))


def describe(steps: "Sequence[Step]", index: int) -> str:
    """Return a step's lines: number, who takes it, its calls as strace prints them, and why it is there."""
    from toolkit.runtime.steps.base import about

    step = steps[index]
    known = about(step)
    width = len(str(len(steps)))
    indent = " " * (width + 2)
    return "\n".join(
        (
            f"{index + 1:>{width}}  {type(step).__name__} ({known.actor}, {known.phase})",
            *(indent + _readable(call) for call in step.calls()),
            f"{indent}# {known.why} [{known.see}]",
        )
    )


def show_events(session: "Session", events: "Sequence[Event]") -> None:
    """Print each call with its cost, in the order of time, and a sum."""
    ordered = sorted(events, key=lambda event: event.start_ns)
    if not ordered:
        session.complain("no calls were recorded")
        return
    begin_ns = _begin_ns(ordered)
    lines = [f"{'at ms':>8}  {'cost us':>8}  {'step':>4}  {'process':<8} call"]
    for event in ordered:
        step = "" if event.step < 0 else str(event.step + 1)
        lines.append(
            f"{_when(event.start_ns - begin_ns):>8}  {event.cost_ns / 1e3:8.1f}  {step:>4}  {event.actor:<8} "
            f"{_readable(event.strace())}"
        )
    in_calls_ns = sum(event.cost_ns for event in ordered)
    lines.append(f"{len(ordered)} calls took {in_calls_ns / 1e6:.3f} ms")
    session.complain("\n".join(lines))


def _begin_ns(ordered: "Sequence[Event]") -> int:
    """Return the moment from which a start is timed: its first call, after those that its reserve had made long ago."""
    from toolkit.runtime.steps import RESERVE_STEPS

    in_reserve = ordered[0].call == RESERVE_STEPS[0].calls()[0]
    first = len(RESERVE_STEPS) if in_reserve else -1
    return next((event.start_ns for event in ordered if event.step >= first), ordered[0].start_ns)


def _when(after_ns: int) -> str:
    """Return milliseconds; what was done before anyone asked, in the process kept in reserve, has no such time."""
    return "before" if after_ns < 0 else f"{after_ns / 1e6:.3f}"


def _readable(call: str) -> str:
    """Escape what is not printable and shorten the container's id, which fills the lines otherwise."""
    import re

    from toolkit.cli.table import clean

    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", clean(call))
