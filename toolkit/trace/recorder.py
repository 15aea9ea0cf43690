"""The recorder that is set in a context, and the span that writes into it.

    with recording() as recorder:
        mount(...)
    recorder.events   # one Event for each call

Invariant: `span` is the only place where an OSError of a system call becomes
a SyscallError, so every failed call names itself, its errno and a cure.
"""

import errno as _errno
import os
import time
from contextvars import ContextVar, Token

from toolkit.core.errors import SyscallError
from toolkit.trace.event import Event
from toolkit.trace.spelling import spell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any, Self

    Call = str | Callable[[], str] | tuple[str, *tuple[Any, ...]]

_NO_HINTS: "Mapping[int, str]" = {}


class Recorder:
    """Collects events, in the order in which the calls ended."""

    __slots__ = ("actor", "events", "leaves_unspelled", "pid", "sink", "step")

    def __init__(
        self,
        actor: str = "client",
        sink: "Callable[[Event], None] | None" = None,
        *,
        leaves_unspelled: bool = False,
    ) -> None:
        """Collect for `actor`; hand each event to `sink` too, as soon as its call is over.

        `leaves_unspelled`: keep plain tuples, with who spells a call and its arguments in place of its text, for
        `wire.encode` alone.
        """
        self.events: list[Event] = []
        self.actor = actor
        self.pid = os.getpid()  # whoever forks sets a recorder of its own there
        self.sink = sink
        self.step = -1
        self.leaves_unspelled = leaves_unspelled

    def add(self, event: Event) -> None:
        """Keep an event, also one that another process made."""
        self.events.append(event)
        if self.sink is not None:
            self.sink(event)

    def drain(self) -> list[Event]:
        """Return the events so far and forget them."""
        events, self.events = self.events, []
        return events


_current: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


class recording:  # noqa: N801 - a context manager that reads as a verb, like contextlib's own
    """Set a recorder for a `with` block (and for the threads that copy its context)."""

    __slots__ = ("_recorder", "_token")

    def __init__(self, recorder: Recorder | None = None) -> None:
        """Record into `recorder`, or into a new one."""
        self._recorder = Recorder() if recorder is None else recorder

    def __enter__(self) -> Recorder:
        self._token: Token[Recorder | None] = _current.set(self._recorder)
        return self._recorder

    def __exit__(self, *_exc: object) -> None:
        _current.reset(self._token)


def current() -> Recorder | None:
    """Return the recorder that is set here, if any."""
    return _current.get()


def set_current(recorder: Recorder | None) -> None:
    """Set the recorder for the rest of this process (after a fork)."""
    _current.set(recorder)


_new = tuple.__new__
"""Makes a record of its fields, all of which are there, in half the time."""


class span:  # noqa: N801 - reads as a verb at its many call sites
    """Time one call, leave an event, and turn its OSError into a SyscallError.

    Args:
        area: see `Event.area`.
        call: the call as strace prints it, or what returns that, or who spells it (`spelling.speller`) and the
            arguments: the text is needed only where somebody records, or the call fails, and to spell all calls of a
            start takes longer than the kernel takes for a third of them.  The last can be left to whoever reads the
            record.
        hints: the cure for each errno that has one.
    """

    __slots__ = ("_recorder", "_start_ns", "area", "call", "hints", "result")

    def __init__(self, area: str, call: "Call", hints: "Mapping[int, str]" = _NO_HINTS) -> None:
        self.area = area
        self.call = call
        self.hints = hints
        self.result = 0

    def __enter__(self) -> "Self":
        self._recorder = _current.get()
        if self._recorder is not None:
            self._start_ns = time.monotonic_ns()
        return self

    def returns(self, result: int) -> int:
        """Note what the call returned, and return it."""
        self.result = result
        return result

    def text(self) -> str:
        """Return the call as strace prints it."""
        call = self.call
        if isinstance(call, str):
            return call
        if isinstance(call, tuple):
            return spell(*call)
        return call()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _tb: "TracebackType | None"
    ) -> None:
        recorder = self._recorder
        if recorder is None and kind is None:
            return
        failed = exc.errno if isinstance(exc, OSError) else None
        if recorder is not None and (kind is None or failed is not None):
            cost_ns = time.monotonic_ns() - self._start_ns
            name = "" if failed is None else _errno.errorcode.get(failed, str(failed))
            result = self.result if failed is None else -1
            plain, call = recorder.leaves_unspelled, self.call
            if not plain or type(call) is not tuple:
                call = self.text()
            facts = (
                self.area,
                call,
                result,
                name,
                self._start_ns,
                cost_ns,
                recorder.pid,
                recorder.actor,
                recorder.step,
            )
            if plain:
                recorder.events.append(facts)  # type: ignore[arg-type]  # for `wire.encode`, which wants it so
            else:
                recorder.add(_new(Event, facts))
        if failed is not None and not isinstance(exc, SyscallError):
            raise SyscallError(self.text, failed, hint=self.hints.get(failed, "")) from exc


Span = span
