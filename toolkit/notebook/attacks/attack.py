"""What an attack is: a program, what it is after, the defences against it, and how the kernel tells who has won."""

import contextlib
import textwrap
from typing import Any, NamedTuple

from toolkit.core.errors import InvalidError
from toolkit.linux.libc import MACHINE
from toolkit.linux.seccomp.table import numbers
from toolkit.notebook import trial
from toolkit.notebook.html import AMBER, FAINT, GREEN, INK, MONO, chip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from toolkit.engine import Engine
    from toolkit.notebook.trial import Alter, Ran

    Judge = Callable[["Ran", "Target"], "Verdict"]
    Prepare = Callable[[], contextlib.AbstractContextManager["Target"]]

_PRELUDE = """
import ctypes, errno, os, sys, time
sys.excepthook = lambda kind, exc, trace: print(f"{kind.__name__}: {exc}")
_libc = ctypes.CDLL(None, use_errno=True)
NR = {numbers!r}
def call(name, *args):
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(NR[name]), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return result, errno.errorcode.get(ctypes.get_errno(), "") if result == -1 else ""
"""
_CALLS = ("mount", "setns", "unshare")


class Defence(NamedTuple):
    """Something that stands in an attack's way, and can be switched off."""

    name: str
    why: str
    """Why the attack fails where it is on."""
    on: "Mapping[str, Any]" = {}  # noqa: RUF012 - a NamedTuple's default is never changed
    """What it changes of a container's options, where it is on."""
    off: "Mapping[str, Any]" = {}  # noqa: RUF012 - likewise
    """The same where it is off."""
    alter: "Alter | None" = None
    """Where it is off: makes another plan, which lacks it."""
    is_usual: bool = True
    """Whether a container has it unless told otherwise."""
    is_of_target: bool = False
    """Whether to switch it off takes the target's own options, too."""


class Target(NamedTuple):
    """What was put there to be reached."""

    words: tuple[str, ...] = ()
    """What the program is told of it."""
    secret: str = ""
    """What it prints where it has got there."""
    look: "Callable[[], str]" = str
    """Looks from the host how it is."""
    options: "Mapping[str, Any]" = {}  # noqa: RUF012 - a NamedTuple's default is never changed
    """What is needed besides, where a defence that `is_of_target` is off."""


class Verdict(NamedTuple):
    """Who has won, and how the kernel tells."""

    has_succeeded: bool
    evidence: str


@contextlib.contextmanager
def nothing() -> "Generator[Target]":
    """Have no target: what is attacked is the container's own limits."""
    yield Target()


class Attack(NamedTuple):
    """One attack."""

    name: str
    tries: str
    """What it tries, in a sentence or two."""
    program: str
    """Python, run in the container; it has `call(name, ...)` for system calls."""
    defences: tuple[Defence, ...]
    judge: "Judge"
    works: str
    """Why it works where nothing stands in its way."""
    prepare: "Prepare" = nothing
    see: str = ""

    def switches(self, chosen: "Mapping[str, bool] | None" = None) -> dict[str, bool]:
        """Return which defences are on: the usual ones, but for what is `chosen`.

        Raises:
            InvalidError: a defence that this attack does not have.
        """
        made = {each.name: each.is_usual for each in self.defences}
        unknown = sorted((chosen or {}).keys() - made.keys())
        if unknown:
            message = f"no such defence against {self.name}: {', '.join(unknown)}"
            raise InvalidError(message, hint=f"there is {', '.join(made)}")
        return {**made, **(chosen or {})}

    def run(self, engine: "Engine", chosen: "Mapping[str, bool] | None" = None) -> "Outcome":
        """Make the attack and tell what happened.

        Raises:
            InvalidError: a defence that this attack does not have.
            UnsupportedError: this machine lacks what it needs.
            EngineError: the container could not be made.
        """
        is_on = self.switches(chosen)
        with self.prepare() as target:
            options: dict[str, Any] = {}
            for each in self.defences:
                _merge(options, each.on if is_on[each.name] else each.off)
                if each.is_of_target and not is_on[each.name]:
                    _merge(options, target.options)
            altering = [each.alter for each in self.defences if each.alter and not is_on[each.name]]
            ran = trial.run(engine, self._command(target), alter=altering[0] if altering else None, **options)
            verdict = self.judge(ran, target)
        return Outcome(self.name, is_on, verdict.has_succeeded, verdict.evidence, self._why(verdict, is_on), ran)

    def _command(self, target: Target) -> tuple[str, ...]:
        known = numbers(MACHINE)
        prelude = _PRELUDE.replace("{numbers!r}", repr({name: known[name] for name in _CALLS}))
        return ("python3", "-c", prelude + textwrap.dedent(self.program), *target.words)

    def _why(self, verdict: Verdict, is_on: "Mapping[str, bool]") -> str:
        if verdict.has_succeeded:
            return self.works
        held = [each.why for each in self.defences if is_on[each.name]]
        return held[0] if held else "No defence was on, and yet it failed: see what it printed."


def _merge(options: dict[str, Any], more: "Mapping[str, Any]") -> None:
    """Add options; lists add up."""
    for name, value in more.items():
        options[name] = (*options.get(name, ()), *value) if isinstance(value, tuple) else value


class Outcome(NamedTuple):
    """What happened."""

    attack: str
    defences: dict[str, bool]
    """By name, whether it was on."""
    succeeded: bool
    evidence: str
    """What the kernel says, looked at from outside the container."""
    why: str
    ran: "Ran"

    @property
    def output(self) -> str:
        """What the attack printed."""
        return self.ran.output

    @property
    def exit_code(self) -> int:
        """How it ended."""
        return self.ran.exit_code

    def __repr__(self) -> str:
        word = "succeeded" if self.succeeded else "failed"
        switches = ", ".join(f"{name} {'on' if is_on else 'off'}" for name, is_on in self.defences.items())
        return f"{self.attack} {word} ({switches})\nevidence: {self.evidence}\nwhy: {self.why}\n{self.output}".rstrip()

    def _repr_html_(self) -> str:
        from html import escape

        mark = chip("it worked", AMBER) if self.succeeded else chip("it failed", GREEN)
        switches = " ".join(
            chip(f"{name}: on", GREEN) if is_on else chip(f"{name}: off", FAINT)
            for name, is_on in self.defences.items()
        )
        return (
            f'<div style="color:{INK};font-size:.92em;max-width:760px"><div><b>{escape(self.attack)}</b> {mark}'
            f' {switches}</div><pre style="font-family:{MONO};margin:.4em 0;white-space:pre-wrap">{escape(self.output)}'
            f'</pre><div>{escape(self.evidence)}</div><div style="color:{FAINT}">{escape(self.why)}</div></div>'
        )
