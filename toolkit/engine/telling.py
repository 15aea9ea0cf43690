"""A plan in words: what a recording keeps of it, and what is printed and drawn."""

from toolkit.runtime.steps import RESERVE_STEPS, about
from toolkit.trace.step import StepFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.runtime.steps import Step


def tell(plan: "Sequence[Step]") -> tuple[StepFacts, ...]:
    """Return a plan in words."""
    ready = len(RESERVE_STEPS) if tuple(plan[: len(RESERVE_STEPS)]) == RESERVE_STEPS else 0
    return tuple(_tell(index, step, in_reserve=index < ready) for index, step in enumerate(plan))


def _tell(index: int, step: "Step", *, in_reserve: bool) -> StepFacts:
    known = about(step)
    name = type(step).__name__
    return StepFacts(index + 1, name, known.actor, known.phase, known.why, known.see, step.calls(), in_reserve)
