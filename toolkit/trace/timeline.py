"""When the calls of a start were made: what was done before anyone asked, and what since."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.trace.event import Event
    from toolkit.trace.step import StepFacts


def begin_ns(ordered: "Sequence[Event]", steps: "Sequence[StepFacts]") -> int:
    """Return the moment from which a start is timed: its first call, after those that its reserve had made long ago.

    Args:
        ordered: the calls in the order of time; at least one.
        steps: the plan.
    """
    reserved = sum(step.in_reserve for step in steps) or -1
    return next((event.start_ns for event in ordered if event.step >= reserved), ordered[0].start_ns)
