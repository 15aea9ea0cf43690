"""Walking a plan, one step at a time.

Nearly all steps are done by the process that becomes the container's program,
from inside.  A few must be done by another, from outside (the id maps of a
user namespace, for one); then there are two walkers, who take turns: who acts
is a property of the step, so all they say to each other is "your turn from
here".  The making of the new process is a step like the others: after it there
is one walker more.

Invariant: at any moment at most one process is inside a step.
"""

import os
import sys

from toolkit.core.errors import AbortedError, EngineError
from toolkit.linux import process, signals
from toolkit.linux.keeper import Outlived
from toolkit.runtime import channel, frames
from toolkit.runtime.context import Context
from toolkit.runtime.steps import INIT, OUTSIDE, Exec, NewProcess, Step, actor_of
from toolkit.trace import Recorder
from toolkit.trace.recorder import current, set_current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from toolkit.linux.sock import Socket
    from toolkit.runtime.context import Reports


class Watcher:
    """Whoever asked for the start, seen from the processes that do it: is told, and asked at gates."""

    def __init__(self, sock: "Socket", *, is_gated: bool) -> None:
        self._sock = sock
        self._is_gated = is_gated

    def flush(self) -> None:
        """Send what this process has recorded so far."""
        recorder = current()
        if recorder is not None and recorder.events:
            frames.send_events(self._sock, recorder.drain())

    def gate(self, index: int) -> None:
        """Return when step `index` may be done.

        Raises:
            AbortedError: it may not, or whoever watched is gone.
        """
        if not self._is_gated:
            return
        self.flush()
        frames.tell(self._sock, {"event": "gate", "step": index})
        while True:
            received = frames.read_exactly_one(self._sock)
            if received is None:
                raise AbortedError("whoever watched this container being made is gone")
            operation = frames.operation_of(received)
            if operation == "go":
                return
            if operation == "abort":
                raise AbortedError("the container was given up half-made, as asked")


def carry_out(
    plan: tuple[Step, ...], index: int, context: Context, watcher: Watcher, *, not_inits: tuple[int, ...]
) -> None:
    """Do the steps from outside, from `index` on; return when the rest is init's alone.

    The process that the plan makes goes on as init and never returns.

    Args:
        plan: all of it.
        index: the step to begin with.
        context: what the steps share.
        watcher: whoever asked for the start.
        not_inits: descriptors that init must not keep, -1 for none.

    Raises:
        EngineError: a step of ours failed.
    """
    while index < len(plan):
        if actor_of(plan[index]) == OUTSIDE:
            is_birth = isinstance(plan[index], NewProcess)
            index = _do(plan, index, context, watcher)
            if is_birth and context.actor == INIT:
                for fd in not_inits:
                    if fd >= 0:
                        os.close(fd)
                die_with_maker(context.reports)
                be_init(plan, index, context, watcher)
        else:
            index = _give_turn(plan, index, context, watcher)


def die_with_maker(reports: "Reports") -> None:
    """Have the kernel kill this process with whoever made it; end at once where that one was killed before."""
    process.set_parent_death_signal(signals.SIGKILL)
    if not reports.is_heard():
        os._exit(1)


def be_init(
    plan: tuple[Step, ...],
    index: int,
    context: Context,
    watcher: Watcher,
    rest: "Callable[[], tuple[Step, ...]] | None" = None,
) -> "NoReturn":
    """Do init's steps, the last of which is another program; it dies with its maker already.

    Whatever goes wrong is reported to the starter, and the process ends.

    Args:
        plan: all of it, or its beginning.
        index: the step to begin with.
        context: what the steps share.
        watcher: whoever asked for the start.
        rest: waits for the other steps, where there are more.

    Raises:
        Outlived: in the keeper of its memory, if it has one.
    """
    try:
        process.set_dumpable(0)  # who is in the container already may not look into the half-made process
        while index < len(plan):
            if actor_of(plan[index]) == INIT:
                index = _do(plan, index, context, watcher)
            else:
                index = _give_turn(plan, index, context, watcher)
            if index == len(plan) and rest is not None:
                plan, rest = plan + rest(), None
    except Outlived:
        raise  # this is the keeper, and the process is the program
    except BaseException as exc:  # noqa: BLE001 - whatever it is must be reported, and this process must end here
        _report_failure(exc, index, context, watcher)
    os._exit(1)


def _report_failure(exc: BaseException, index: int, context: Context, watcher: Watcher) -> None:
    if not isinstance(exc, (EngineError, BrokenPipeError)):
        sys.excepthook(type(exc), exc, exc.__traceback__)  # into the zygote's log: this is a bug
    try:
        watcher.flush()
        context.reports.failed(channel.failure(exc, index))
    except BrokenPipeError:
        pass  # the starter was killed: the monitor sees that, and this process goes with it


def _do(plan: tuple[Step, ...], index: int, context: Context, watcher: Watcher) -> int:
    """Do one step; return the index of the next."""
    step = plan[index]
    watcher.gate(index)
    recorder = current()
    if recorder is not None:
        recorder.step = index
    if isinstance(step, Exec):
        step.make_ready(context)
        watcher.flush()  # nobody is left to do it when execve has worked
    step.apply(context)
    if isinstance(step, NewProcess) and context.actor == INIT and recorder is not None:
        set_current(Recorder(INIT))  # what the other one has recorded is its own to tell
    return index + 1


def _give_turn(plan: tuple[Step, ...], index: int, context: Context, watcher: Watcher) -> int:
    """Let the other actor do its steps; return the index to go on with, the end if it needs us no more."""
    watcher.flush()
    if context.turn is None:
        raise RuntimeError(f"step {index} has nobody to do it")
    if not isinstance(plan[index - 1], NewProcess):  # after that one the other is awake anyway
        channel.send(context.turn, {"turn": index}, tuple(context.handed))
    if all(actor_of(step) != context.actor for step in plan[index:]):
        return len(plan)
    message, fds = channel.receive(context.turn)
    if message is not None:
        context.handed += fds
        return int(message["turn"])
    if context.actor == INIT:
        os._exit(1)  # the starter has failed, or was killed
    return len(plan)  # init has failed, and its report says how
