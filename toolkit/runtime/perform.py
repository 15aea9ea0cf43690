"""Walking a plan: the monitor and the container's init take turns, one step at a time.

Each process applies the steps that are its own and waits while the other does
the rest; who acts on a step is a property of the step, so the walk needs no
protocol beyond "your turn from here".  The clone in the middle is a step like
the others: after it there are two walkers.

Invariant: at any moment at most one of the two processes is inside a step.
"""

import os
import sys
import time
from typing import NoReturn, Protocol

from toolkit.core.errors import EngineError, StartError
from toolkit.runtime import channel
from toolkit.runtime.context import Context
from toolkit.runtime.steps import INIT, MONITOR, Clone, Exec, Step, about
from toolkit.trace import Event, Recorder
from toolkit.trace.recorder import current, set_current

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


class Observer(Protocol):
    """Who is told how a plan goes on: in the monitor, whoever asked for it."""

    def gate(self, index: int) -> None:
        """Return when step `index` may be done.

        Raises:
            AbortedError: the plan shall end here.
        """
        ...

    def events(self, events: list[Event]) -> None:
        """Take what a recorder saw, in order."""
        ...


class AbortedError(StartError):
    """The plan was ended at a gate, by whoever watched it."""


def carry_out(plan: tuple[Step, ...], context: Context, observer: Observer, *, gated: bool) -> None:
    """Do all steps of a plan; return in the monitor when the program runs.

    In the init that the plan's Clone makes, this never returns.

    Raises:
        EngineError: a step failed, in whichever process; what it had begun is
            for the caller to undo.
    """
    index = 0
    while index < len(plan):
        if about(plan[index]).actor == MONITOR:
            _do(plan[index], index, context, observer if gated else None)
            if context.actor == INIT:
                _be_init(plan, index + 1, context, gated=gated)
            index += 1
            _hand_over(plan, index, context)
        else:
            index = _await_turn(context, observer, len(plan))
    recorder = current()
    if recorder is not None:
        observer.events(recorder.drain())


def _hand_over(plan: tuple[Step, ...], index: int, context: Context) -> None:
    """After the monitor's last step before one of init's, wake init; after the clone it is awake."""
    is_turn_over = index < len(plan) and about(plan[index]).actor == INIT
    if is_turn_over and context.channel is not None and not isinstance(plan[index - 1], Clone):
        channel.send(context.channel, {"turn": index})


def _do(step: Step, index: int, context: Context, observer: Observer | None) -> None:
    if observer is not None:
        observer.gate(index)
    recorder = current()
    if recorder is not None:
        recorder.step = index
    step.apply(context)


def _await_turn(context: Context, observer: Observer, end: int) -> int:
    """Wait in the monitor while init acts; return the step to go on with."""
    assert context.channel is not None
    executing: Event | None = None
    while True:
        message, fd = channel.receive(context.channel)
        if message is None:
            if executing is None:
                raise StartError(
                    "the container's first process died while it was being set up", hint="see its limits and `dmesg`"
                )
            observer.events([executing._replace(result=0, cost_ns=time.monotonic_ns() - executing.start_ns)])
            return end
        if "turn" in message:
            return int(message["turn"])
        if "master" in message:
            context.master_fd = fd
        elif "gate" in message:
            observer.gate(message["gate"])
            channel.send(context.channel, {"go": True})
        elif "events" in message:
            observer.events([Event.from_json(fields)._replace(pid=context.pid) for fields in message["events"]])
        elif "exec" in message:
            executing = Event.from_json(message["exec"])._replace(pid=context.pid)
        elif "failed" in message:
            raise channel.error_of(message["failed"])


class _InitGate:
    """In init: asks the monitor, which asks whoever watches."""

    def __init__(self, context: Context) -> None:
        assert context.channel is not None
        self._channel = context.channel

    def gate(self, index: int) -> None:
        """Wait for the monitor's word."""
        flush_events(self._channel)
        channel.send(self._channel, {"gate": index})
        message, _fd = channel.receive(self._channel)
        if message is None:
            os._exit(1)

    def events(self, events: list[Event]) -> None:
        """Never called: init's events travel by `flush_events`."""


def flush_events(sock: "socket.socket") -> None:
    """Send what this process has recorded so far to the monitor."""
    recorder = current()
    if recorder is not None:
        channel.send_events(sock, [event.to_json() for event in recorder.drain()])


def _be_init(plan: tuple[Step, ...], index: int, context: Context, *, gated: bool) -> NoReturn:
    """Be the container's first process: do init's steps, the last of which is another program."""
    assert context.channel is not None
    if current() is not None:
        set_current(Recorder(INIT))
    observer = _InitGate(context) if gated else None
    try:
        while index < len(plan):
            step = plan[index]
            if about(step).actor == MONITOR:
                index = _init_waits(plan, index, context)
                continue
            if isinstance(step, Exec):
                _announce(step, index, context, observer)
                observer = None
            _do(step, index, context, observer)
            index += 1
    except BaseException as exc:  # noqa: BLE001 - whatever it is must reach the monitor, and init must end here
        flush_events(context.channel)
        channel.send(context.channel, {"failed": channel.failure(exc, index)})
        if not isinstance(exc, EngineError):
            sys.excepthook(type(exc), exc, exc.__traceback__)  # into the zygote's log: this is a bug
    os._exit(1)


def _init_waits(plan: tuple[Step, ...], index: int, context: Context) -> int:
    """Hand the turn to the monitor, unless the clone has just been: then it is the monitor's anyway."""
    assert context.channel is not None
    if not isinstance(plan[index - 1], Clone):
        flush_events(context.channel)
        channel.send(context.channel, {"turn": index})
    message, _fd = channel.receive(context.channel)
    if message is None:
        os._exit(1)
    return int(message["turn"])


def _announce(step: Exec, index: int, context: Context, observer: _InitGate | None) -> None:
    """Tell the monitor that execve comes next: when it works nobody is left here to say so."""
    assert context.channel is not None
    if observer is not None:
        observer.gate(index)
    flush_events(context.channel)
    call = step.calls()[-1]
    event = Event("process.execve", call, 0, "", time.monotonic_ns(), 0, os.getpid(), INIT, index)
    channel.send(context.channel, {"exec": event.to_json()})
