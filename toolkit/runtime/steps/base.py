"""What a step is.

A step is a small frozen value, a NamedTuple, so that a plan can be printed,
compared and sent to another process.  It knows how to do itself (`apply`), how
strace would print what it does (`calls`), and why it is there (`about`).

Invariant: a step imports nothing when it is applied: after pivot_root the files of
this program cannot be seen any more, and a file in their place is the
container's.  So who has crossed over can import nothing (`shut_imports`).

Invariant: the same tuple of steps is executed by `run`, printed by `--dry-run`,
timed by `--explain` and walked by `step`.  There is no other description of
how a container is made.
"""

import marshal
import sys

from toolkit.core.record import NamedTuple, Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from toolkit.runtime.context import Context

    _S = TypeVar("_S", bound="Callable[..., Step]")

OUTSIDE = "outside"
INIT = "init"


class Step(Protocol):
    """One step of a plan: a NamedTuple with these two methods, registered by `step`."""

    def calls(self) -> tuple[str, ...]:
        """Return the calls it makes, as strace would print them."""
        raise NotImplementedError

    def apply(self, context: "Context") -> None:
        """Do it.

        Raises:
            EngineError: it could not be done; the plan ends here.
        """


class About(NamedTuple):
    """What is to be said of a kind of step."""

    actor: str
    """Which process does it: INIT, the container's own first process, or OUTSIDE, one that stays outside."""
    phase: str
    """Which part of the work it belongs to, one word: "cgroup", "namespace", "rootfs", ..."""
    why: str
    """One sentence for a learner."""
    see: str
    """Its man page or section of a specification."""


_KINDS: "dict[str, Callable[..., Step]]" = {}
_ABOUT: dict[object, About] = {}


def step(actor: str, phase: str, *, why: str, see: str) -> "Callable[[_S], _S]":
    """Register a class of step: under its name, so that a plan can travel as JSON, and with what is said of it."""

    def register(kind: "_S") -> "_S":
        _KINDS[kind.__name__] = kind
        _ABOUT[kind] = About(actor, phase, why, see)
        return kind

    return register


def about(one: Step) -> About:
    """Return what is to be said of a step; one that was made for a purpose, or for an actor, says that itself."""
    known = _ABOUT[type(one)]
    purpose, actor = getattr(one, "wish", "") or getattr(one, "purpose", ""), getattr(one, "actor", "")
    return known._replace(why=purpose or known.why, actor=actor or known.actor) if purpose or actor else known


def actor_of(one: Step) -> str:
    """Return who does a step, INIT or OUTSIDE: the one thing that is asked of each while time counts."""
    return getattr(one, "actor", "") or _ABOUT[type(one)].actor


def shut_imports() -> None:
    """Have every import fail from here on: what it would find is the container's, and would run with our powers.

    CVE-2019-14271 was of this kind: libraries, loaded late, from inside.
    """
    sys.meta_path.clear()


def encode(plan: "tuple[Step, ...]") -> bytes:
    """Return a plan as it travels to the process that carries it out: each step's name, then its fields.

    As `marshal` writes it: it keeps tuples, is ten times as quick as JSON, and
    both ends are the same code on the same interpreter (a zygote of other code
    has a socket of another name).
    """
    rows: Iterable[tuple[object, ...]] = plan  # type: ignore[assignment]  # a step is a NamedTuple, which a Protocol cannot say
    return marshal.dumps([(type(row).__name__, *row) for row in rows])


def decode(data: bytes) -> "tuple[Step, ...]":
    """Make the plan that `encode` was given.

    Raises:
        KeyError: a step that does not exist.
    """
    rows = marshal.loads(data)  # noqa: S302 - from a socket that is root's alone
    return tuple([_KINDS[row[0]](*row[1:]) for row in rows])
