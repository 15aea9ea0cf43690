"""A container that is made one step at a time: it waits before each, and can be looked at from outside.

    with container.step() as stepper:
        stepper.run_until("pivot_root")
        stepper.inside("ls /")          # still the host's files
        stepper.next()
        stepper.inside("ls /")          # the image's

The plan is the one that `start` carries out, by the same processes; all that is
different is that they ask before each step.  Whoever steps may die at any
moment: who waits for its answer sees the connection end, and undoes what was
made.

Invariant: an interrupt (Ctrl-C, a notebook's stop button) leaves a stepper that
either goes on where it was, or has given its container up; never one whose
questions and answers do not match.
"""

import shlex
from contextlib import suppress
from typing import NamedTuple

from toolkit.core.errors import (
    AbortedError,
    CommandNotFoundError,
    ConflictError,
    EngineError,
    StartError,
    SyscallError,
)
from toolkit.engine.options import ExecOptions
from toolkit.engine.telling import tell
from toolkit.linux import process, signals
from toolkit.linux.look import look_at
from toolkit.linux.procfs import read
from toolkit.runtime.steps import Exec, NewProcess, PivotRoot
from toolkit.trace.look import NOTHING
from toolkit.trace.recorded import STEP, Recording, begin
from toolkit.trace.walk import Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from toolkit.engine.attachment import Attachment
    from toolkit.engine.container import Container
    from toolkit.engine.starting import Start
    from toolkit.trace.look import Look

HALF_MADE, RUNNING, GONE = "half-made", "running", "gone"
_KEPT_BYTES = 4 << 20


class Ran(NamedTuple):
    """How a command inside ended."""

    exit_code: int
    output: str
    """What it wrote, stdout and stderr as they came."""

    def __repr__(self) -> str:
        text = self.output.rstrip("\n")
        return text if self.exit_code == 0 else f"{text}\n[exit code {self.exit_code}]".lstrip("\n")


class Stepper(Walk):
    """A container that is about to start; `Container.step` makes one."""

    is_live = True

    def __init__(self, container: "Container", start: "Start") -> None:
        self._state = HALF_MADE
        self._start = start
        self._pidfd = -1
        super().__init__(tell(start.plan))
        self.plan = start.plan
        """The very steps that are carried out."""
        self.container = container
        self.attachment: Attachment | None = None
        """The connection to the program, once it runs."""
        self.exit_code: int | None = None
        """How the program ended, once `wait` has seen that."""
        self.looks: dict[int, Look] = {0: NOTHING}
        """What was seen, by the index of the step that came next."""
        self.watches = False
        """Look before every step, also where several are done at once: what a recording needs."""
        self.events = start.recorded.events
        self._pid = 0
        self._is_owed = False
        self._output = bytearray()

    # Its life

    @property
    def state(self) -> str:
        """What has become of it: "half-made", "running", "exited", or "gone" where it was given up."""
        if self._state == RUNNING:
            return "running" if self.exit_code is None else "exited"
        return self._state

    @property
    def is_half_made(self) -> bool:
        """Tell whether there are steps left."""
        return self._state == HALF_MADE

    def finish(self) -> "Attachment":
        """Do all that is left, so that the program runs; return the attachment to it.

        Raises:
            ConflictError: that was done already.
        """
        self._advance(len(self.steps))
        assert self.attachment is not None  # or there is an error
        return self.attachment

    def abort(self) -> None:
        """Give it up: what was made goes, and a program that runs already is killed. Doing so twice is no harm."""
        if self._state == RUNNING:
            self._kill()
        elif self._state == HALF_MADE:
            self._leave()
            self.container.undo_start(self._start)
            self.container.start_failed(self._start, AbortedError("given up", hint="as asked"))

    def close(self) -> None:
        """Leave: what is half-made is given up, a program that runs goes on."""
        if self._state == HALF_MADE:
            self.abort()
        elif self.attachment is not None:
            self.attachment.close()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._state == HALF_MADE:
            self._leave()
            self._start.session.close()  # who waits for an answer sees it, and undoes what was made

    def _leave(self) -> None:
        self._state = GONE
        if self._pidfd >= 0:
            _close(self._pidfd)
            self._pidfd = -1

    def _kill(self) -> None:
        with suppress(ConflictError):  # it has ended by itself
            self.container.kill()
        self.wait()

    # Going on

    def _advance(self, end: int) -> None:
        self._must_be_half_made()
        while self.index < end and self._state == HALF_MADE:
            if not self._is_owed and (self.index + 1 >= end or self.watches):  # one that was begun may be over by now
                self._before = self.look()
            self._do_one()
            if self.watches and self._state == HALF_MADE:
                self.look()

    def _must_be_half_made(self) -> None:
        if self._state == RUNNING:
            message = f"all {len(self.steps)} steps are done: the container runs, or has run"
            raise ConflictError(message, hint="wait() waits for its end; step another one")
        if self._state == GONE:
            raise ConflictError("this container was given up, there is nothing left of it", hint="step another one")

    def _do_one(self) -> None:
        """Do the step that comes next; or wait for the end of one that an interrupt has kept us from waiting for."""
        if not self._is_owed:
            try:
                self._is_owed = True
                self._start.go()
            except BaseException:
                self.abort()
                raise
        self._start.wait()  # an interrupt in here leaves an answer that is still to come
        try:
            following = self._start.advance()
            self.events = self._start.recorded.events  # decodes what has come
            self._is_owed = False
            self._arrive(following)
        except EngineError as exc:
            self._leave()
            self.container.start_failed(self._start, exc)
            raise
        except BaseException:
            self.abort()
            raise

    def _arrive(self, following: int | None) -> None:
        if following is not None:
            self.index = following
            self._meet()
            return
        self.index = len(self.steps)
        self._pid = self._start.pid
        self.attachment = self.container.attached_since(self._start)
        self._leave()
        self._state = RUNNING

    def _meet(self) -> None:
        """Learn who the first process is, at the first stop after its birth: whoever made it recorded its number."""
        if self._pid or not any(isinstance(step, NewProcess) for step in self.plan[: self.index]):
            return
        self._pid = self._start.born()
        self._pidfd = process.find_pidfd(self._pid) if self._pid else -1

    # Looking

    @property
    def pid(self) -> int:
        """The host's number for the container's first process; 0 while there is none."""
        return self._pid

    def look(self) -> "Look":
        """Return all that can be seen now; between two steps nothing changes, so it is read once.

        Raises:
            StartError: the process was killed by somebody else.
        """
        if self._state == GONE:
            self._must_be_half_made()
        if self._state == HALF_MADE and self.index in self.looks and self._is_there():
            return self.looks[self.index]
        if not self._pid:
            return NOTHING
        try:
            seen = look_at(self._pid, self.container.cgroups.pids(self.container.id))
        except SyscallError as exc:
            if self._state == RUNNING:
                raise ConflictError("the container has ended, there is nothing to see any more") from exc
            raise self._died() from exc
        if self._state == HALF_MADE:
            seen = self._with_purpose(seen)
            self.looks[self.index] = seen
        return seen

    def _with_purpose(self, seen: "Look") -> "Look":
        """Say of the first process what it will be: until then it is a copy of the engine's own."""
        last = self.plan[-1]
        becomes = f"[half-made, becomes: {' '.join(last.argv)}]" if isinstance(last, Exec) else "[half-made]"
        named = (each._replace(command=becomes) if each.pid == seen.pid else each for each in seen.processes)
        return seen._replace(processes=tuple(named))

    def _what_changed(self) -> tuple[str, ...]:
        try:
            return super()._what_changed()
        except ConflictError:  # the program was quick
            return ("the program has run, and has ended",)

    def _is_there(self) -> bool:
        """Tell whether the half-made process lives; one that was killed meanwhile is no fact of a moment ago."""
        if self._pidfd < 0:
            return True
        import select

        if select.select([self._pidfd], [], [], 0)[0]:
            raise self._died()
        return True

    def _died(self) -> StartError:
        """Have it end as whoever made it reports it; return why, with what to do."""
        hint = f"somebody killed process {self._pid}; what was made is gone, step another one"
        try:
            while self._state == HALF_MADE:
                self._do_one()
        except EngineError as exc:
            return StartError(exc.message, hint=hint)
        return StartError("the container's first process died while it was being set up", hint=hint)

    # Acting inside

    def inside(self, *command: str, user: str = "") -> Ran:
        """Run a command where the container is now: `s.inside("ps")` or `s.inside("sh", "-c", "a; b")`.

        It enters the namespaces that the first process has so far, and its
        root is what that one's is: until pivot_root the host's programs are
        found, after it the image's.  It has the powers of an exec, no more.

        Raises:
            ConflictError: there is no process yet, or no container any more.
            CommandNotFoundError: there is no such program at this moment.
        """
        words = tuple(shlex.split(command[0])) if len(command) == 1 else command
        if self._state == GONE:
            self._must_be_half_made()
        if not self._pid:
            raise ConflictError("there is nothing to go inside yet", hint="the first steps make the process: next()")
        options = ExecOptions(words, user=user, working_dir="/")
        try:
            if self._state == RUNNING:
                return _run(self.container.exec(options))
            self._is_there()
            self._refuse_unmapped()
            joins = any(self.container.id in group.path for group in self.look().groups)
            return _run(self.container.exec_half_made(self._pid, options, joins_cgroups=joins))
        except CommandNotFoundError as exc:
            raise CommandNotFoundError(exc.message, hint=self._where_programs_are()) from exc

    def _refuse_unmapped(self) -> None:
        """Say why nobody can go inside while its user namespace maps no ids: there is nobody whom one could be there.

        Raises:
            ConflictError: that is so.
        """
        has_own = any(each.kind == "user" and each.is_own for each in self.look().namespaces)
        if has_own and not read(f"/proc/{self._pid}/uid_map").strip():
            mapped = next((step.number for step in self.steps if step.name == "WriteIdMaps"), 0)
            raise ConflictError(
                "its user namespace has no users yet: no id of this machine means anybody there",
                hint=f"step {mapped}, WriteIdMaps, says who is who",
            )

    def _where_programs_are(self) -> str:
        pivots = [index for index, step in enumerate(self.plan) if isinstance(step, PivotRoot)]
        if pivots and self.index <= pivots[0]:
            return f"the files are still the host's, until pivot_root in step {pivots[0] + 1}"
        return "the files are the image's now: only its programs are there"

    def recording(self, command: str) -> Recording:
        """Return what was done so far, to be kept; `command` is what it was asked for with.

        What was seen between steps that were done at once is only in it where `watches` was set before.
        """
        looks = {index: look for index, look in self.looks.items() if look.pid}
        return Recording(begin(STEP, command), self.steps, tuple(self.events), looks, self.exit_code)

    # The program's output

    @property
    def output(self) -> str:
        """What the program has written so far."""
        self._read(0)
        return self._output.decode(errors="replace")

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Read what the program writes until it ends; return its exit code, None where the time was up before.

        Args:
            timeout_s: how long to wait; None: until it ends.

        Raises:
            ConflictError: it does not run yet.
        """
        if self._state != RUNNING:
            self._must_be_half_made()
            raise ConflictError(f"step {self.index + 1} comes next: the program does not run yet", hint="finish()")
        self._read(timeout_s)
        return self.exit_code

    def _read(self, timeout_s: float | None) -> None:
        if self.attachment is None or self.exit_code is not None:
            return
        import select
        import time

        poll = select.poll()
        poll.register(self.attachment.fileno(), select.POLLIN)
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            if not self.attachment.has_output() and not poll.poll(None if left_s is None else left_s * 1000):
                return
            chunk = self.attachment.read()
            if chunk is None:
                self.exit_code = self.attachment.exit_code
                self.attachment.close()
                return
            if len(self._output) < _KEPT_BYTES:
                self._output += chunk.data

    def __repr__(self) -> str:
        if self._state == HALF_MADE:
            step = self.steps[self.index]
            where = f"step {step.number} of {len(self.steps)} comes next: {step.name}"
            return f"<{self.container.name}, half-made: {where}>"
        return f"<{self.container.name}: {self.state}>"


def _run(attachment: "Attachment") -> Ran:
    """Read to the end; a command that is interrupted is killed."""
    try:
        with attachment:
            output = b"".join(chunk.data for chunk in attachment)
    except BaseException:
        attachment.kill(signals.SIGKILL)
        raise
    code = attachment.exit_code
    return Ran(-1 if code is None else code, output.decode(errors="replace"))


def _close(fd: int) -> None:
    import os

    os.close(fd)
