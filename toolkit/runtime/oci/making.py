"""A plan carried out on behalf of a command that ends: its process becomes the caller's, with the caller's stdio.

    this command ---- fork ----> the one outside, which does OUTSIDE steps and
         |                       ends as soon as init needs it no more
         `------ child --------> init, made as a sibling of that one

Init reports to the command until all is ready (then it waits at the fifo, see
`store`) or until its execve closes the way.  Nobody in between survives.
"""

import errno
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NamedTuple, NoReturn

from toolkit.core.errors import EngineError, StartError
from toolkit.linux import process, procfs
from toolkit.linux.sock import has_ended
from toolkit.runtime import channel
from toolkit.runtime.context import NO_STDIO, Context
from toolkit.runtime.perform import Watcher, carry_out
from toolkit.runtime.steps import OUTSIDE, RunHooks, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.trace import Event

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Signals that end a container that waits to be started, although the first process of a namespace is immune."""
_MAX_MESSAGE = 64 * 1024


class Fifos(NamedTuple):
    """The two fifos of a container, open for reading and writing; -1 for an exec, which does not wait."""

    start: int
    result: int


NO_FIFOS = Fifos(-1, -1)


class ToCommand:
    """What init, and the one outside, say to the command."""

    def __init__(self, sock: socket.socket, fifos: Fifos) -> None:
        self._sock = sock
        self._fifos = fifos
        self._is_started = False

    def born(self, pid: int) -> None:
        """Say that init has been made."""
        channel.send(self._sock, {"pid": pid})

    def is_heard(self) -> bool:
        """Tell whether the command lives."""
        return not has_ended(self._sock)

    def master(self, fd: int) -> None:
        """Give the terminal's master to the command."""
        channel.send(self._sock, {"master": True}, (fd,))

    def executing(self, event: "Event | None") -> None:  # noqa: ARG002 - nobody records here
        """Say that execve comes next, unless the command is gone: its filter may allow no other call."""
        if self._fifos.start < 0:
            channel.send(self._sock, {"exec": True})

    def failed(self, message: channel.Message) -> None:
        """Say why it went no further: to the command, or to the one that started it."""
        if self._is_started:
            os.write(self._fifos.result, json.dumps(message).encode())
        else:
            channel.send(self._sock, {"failed": message})

    def run_hooks(self, step: RunHooks) -> None:
        """Have the command run hooks, and wait."""
        channel.send(self._sock, {"hooks": list(step)})
        if channel.receive(self._sock)[0] is None:
            os._exit(1)  # one has failed, and the command says so

    def take_listener(self, fd: int) -> None:
        """Have the command take a descriptor of ours: with write and read alone, as a filter is in force already."""
        os.write(self._sock.fileno(), json.dumps({"listener": fd}).encode())
        os.read(self._sock.fileno(), _MAX_MESSAGE)
        os.close(fd)

    def await_start(self) -> None:
        """Say that all is ready; return when the container is to start."""
        for number in _ENDING:
            signal.signal(number, _end)
        self._is_started = True
        os.write(self._sock.fileno(), b'{"ready": true}')
        os.read(self._fifos.start, 1)
        os.close(self._fifos.start)
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: object) -> None:
    os._exit(128 + number)


class Answers:
    """What the command does for init while it makes itself; the defaults are for a process that asks for nothing."""

    def born(self, pid: int, start_time: int) -> None:
        """Note init's pid."""

    def take_master(self, fd: int) -> None:
        """Take the terminal's master."""
        os.close(fd)

    def take_listener(self, fd: int) -> None:
        """Take the descriptor that tells of system calls."""
        os.close(fd)


class Made(NamedTuple):
    """A process that has been made."""

    pid: int
    pidfd: int


def make(plan: tuple[Step, ...], answers: Answers, *, fifos: Fifos = NO_FIFOS, kept_fds: int = 0) -> Made:
    """Carry a plan out; return when init waits to be started, or has become the program.

    Args:
        plan: with a `Creation`.
        answers: what init may want meanwhile.
        fifos: where it waits; NO_FIFOS: it does not.
        kept_fds: how many of our descriptors, from 3 on, the program gets.

    Raises:
        EngineError: as whoever did the step reported it; what had been born is dead and reaped.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    helper = os.fork()
    if helper == 0:
        ours.close()
        _be_outside(plan, theirs, fifos, kept_fds)
    theirs.close()
    conversation = _Conversation(ours, answers)
    try:
        conversation.run()
    except BaseException:
        conversation.end()
        raise
    finally:
        ours.close()
        os.waitpid(helper, 0)
    return Made(conversation.pid, conversation.pidfd)


def _be_outside(plan: tuple[Step, ...], sock: socket.socket, fifos: Fifos, kept_fds: int) -> NoReturn:
    reports = ToCommand(sock, fifos)
    try:
        process.set_parent_death_signal(signal.SIGKILL)
        process.set_dumpable(0)  # so init is born so: who is in the container already may not look into it
        # Init must hold neither our lock nor what our caller left open; nor a way to the host.
        process.close_all_but({0, 1, 2, sock.fileno(), *fifos, *process.inherited(3, 3 + kept_fds)})
        context = Context(OUTSIDE, reports, NO_STDIO, reports)
        carry_out(plan, 0, context, Watcher(sock, is_gated=False), not_inits=())
    except (EngineError, OSError) as exc:
        reports.failed(channel.failure(exc, -1))
    except BaseException as exc:  # noqa: BLE001 - this process must end here, whatever it was
        sys.excepthook(type(exc), exc, exc.__traceback__)
    os._exit(0)


class _Conversation:
    """The command's side of the making of one process."""

    def __init__(self, sock: socket.socket, answers: Answers) -> None:
        self._sock = sock
        self._answers = answers
        self._is_executing = False
        self.pid = 0
        self.pidfd = -1

    def run(self) -> None:
        """Hear init out.

        Raises:
            EngineError: it failed.
        """
        early: list[tuple[dict[str, Any], list[int]]] = []  # init may be quicker than the word of its birth
        while True:
            message, fds = channel.receive(self._sock)
            if message is None:
                if self._is_executing:
                    return
                raise self._sudden_end()
            if not self.pid and "pid" not in message and "failed" not in message:
                early.append((message, fds))
                continue
            for each, its_fds in ((message, fds), *early):
                if "ready" in each:
                    return
                self._answer(each, its_fds)
            early.clear()

    def _answer(self, message: dict[str, Any], fds: list[int]) -> None:
        if "pid" in message:
            self.pid = message["pid"]
            self.pidfd = process.pidfd_open(self.pid)
            self._answers.born(self.pid, procfs.start_time(self.pid))
        elif "master" in message:
            self._answers.take_master(fds[0])
        elif "exec" in message:
            self._is_executing = True
        elif "hooks" in message:
            RunHooks(*message["hooks"]).run(self.pid)
            channel.send(self._sock, {"done": True})
        elif "listener" in message:
            self._answers.take_listener(process.pidfd_getfd(self.pidfd, message["listener"]))
            channel.send(self._sock, {"done": True})
        elif "failed" in message:
            raise channel.error_of(message["failed"])

    def _sudden_end(self) -> EngineError:
        hint = "see the kernel's log: too little memory, or the seccomp filter"
        if self.pidfd >= 0 and select.select([self.pidfd], [], [], 1)[0]:
            info = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
            if info is not None and info.si_code != os.CLD_EXITED:
                name = signal.Signals(info.si_status).name
                return StartError(f"the container's first process was killed by {name} while it was made", hint=hint)
        return StartError("the container's first process ended while it was made", hint=hint)

    def end(self) -> None:
        """Kill and reap what was born."""
        if self.pidfd < 0:
            return
        try:
            process.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except OSError as exc:
            if exc.errno != errno.ESRCH:
                raise
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)


def read_result(fd: int) -> EngineError | None:
    """Wait for a started init to become the program; return why it did not, or None.

    Args:
        fd: the result fifo, open for reading.
    """
    os.set_blocking(fd, True)
    text = bytearray()
    while data := os.read(fd, _MAX_MESSAGE):
        text += data
    return channel.error_of(json.loads(text)) if text else None
