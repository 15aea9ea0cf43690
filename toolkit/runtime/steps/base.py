"""What a step is.

A step is a small frozen value, a NamedTuple, so that a plan can be printed,
compared and sent to another process.  It knows how to do itself (`apply`), how
strace would print what it does (`calls`), and why it is there (`why`, `see`).

Invariant: a step imports nothing when it is applied: after pivot_root the files of
this program cannot be seen any more.

Invariant: the same tuple of steps is executed by `run`, printed by `--dry-run`,
timed by `--explain` and walked by `step`.  There is no other description of
how a container is made.
"""

from typing import Any, Protocol, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.runtime.context import Context

MONITOR = "monitor"
INIT = "init"


class Step(Protocol):
    """One step of a plan."""

    @property
    def actor(self) -> str:
        """Which process does it: MONITOR, from outside, or INIT, the container's own first process."""
        ...

    @property
    def phase(self) -> str:
        """Which part of the work it belongs to, one word: "cgroup", "namespace", "rootfs", ..."""
        ...

    @property
    def why(self) -> str:
        """One sentence for a learner."""
        ...

    @property
    def see(self) -> str:
        """Its man page or section of a specification."""
        ...

    def calls(self) -> tuple[str, ...]:
        """Return the calls it makes, as strace would print them."""
        ...

    def apply(self, context: "Context") -> None:
        """Do it.

        Raises:
            EngineError: it could not be done; the plan ends here.
        """
        ...


_REGISTRY: dict[str, "Callable[..., Step]"] = {}
_S = TypeVar("_S")


def step(kind: type[_S]) -> type[_S]:
    """Register a class of step under its name, so that a plan can travel as JSON."""
    _REGISTRY[kind.__name__] = kind  # type: ignore[assignment] # a class is the callable that makes its steps
    return kind


def to_json(plan: "tuple[Step, ...]") -> list[list[Any]]:
    """Return a plan as JSON arrays: a step's name, then its fields."""
    return [[type(item).__name__, *item] for item in plan]  # type: ignore[misc] # every step is a NamedTuple


def from_json(rows: list[list[Any]]) -> "tuple[Step, ...]":
    """Make the plan that `to_json` was given."""
    return tuple(_REGISTRY[row[0]](*map(_frozen, row[1:])) for row in rows)


def _frozen(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
