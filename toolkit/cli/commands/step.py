"""`container step run`: the half-made container waits before each step, to be looked at from outside."""

from typing import NamedTuple

from toolkit.cli.command import Command
from toolkit.cli.commands.run import create_container
from toolkit.cli.explain import check_path, command_line, describe, save
from toolkit.cli.flags import Parsed, UsageError
from toolkit.cli.foreground import all_streams, console_size, follow
from toolkit.cli.run_flags import CREATE_FLAGS, LATER, RECORD, container_options
from toolkit.cli.session import Outcome, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.stepping import Stepper

_QUESTION = "Enter does it, c goes on to the end, a gives up > "
_GIVEN_UP = 130


def step_run(session: Session, parsed: Parsed) -> Outcome:
    """Make a container, asking before each step; then stay with it as `run` does."""
    check_path(parsed["record"])
    stepper = begin(session, parsed)
    path, command = parsed["record"], command_line("step run", parsed)
    stepper.watches = bool(path) or session.shows_values
    if session.shows_values:
        return Outcome(value=Unasked(stepper, command, path))
    with stepper:
        if not _Walk(session, stepper).go():
            stepper.abort()
            session.complain("given up: what was made of the container is gone")
            if path:
                save(session, stepper.recording(command), path)
            return Outcome(_GIVEN_UP, stepper)
        attachment = stepper.finish() if stepper.attachment is None else stepper.attachment
        stepper.exit_code = follow(
            session,
            stepper.container,
            attachment,
            streams=all_streams(stdin=stepper.container.options.open_stdin),
            tty=stepper.container.options.tty,
            keys=b"\x10\x11",
            sig_proxy=True,
        )
    if path:
        save(session, stepper.recording(command), path)
    return Outcome(stepper.exit_code, stepper)


def begin(session: Session, parsed: Parsed) -> "Stepper":
    """Make a container of what the command line says, and stop before its first step.

    It goes away when it ends, and also if whoever steps is killed: --rm is implied.

    Raises:
        UsageError: it is to be started again when it ends.
    """
    if parsed["restart"][0] not in ("", "no"):
        raise UsageError("a container that is made step by step is made once: --restart does not go with it")
    options = container_options(parsed)._replace(auto_remove=True)
    container = create_container(session, parsed, options, will_start=True)
    try:
        return container.step(console_size=console_size(session) if options.tty else None)
    except BaseException:
        container.remove(force=True)
        raise


class Unasked(NamedTuple):
    """What `step run` is worth where nobody can be asked: the stepper at its first step."""

    stepper: "Stepper"
    command: str
    """As a recording keeps it."""
    record: str
    """Where to keep what was done; empty: nowhere."""


class _Walk:
    """Shows each step and asks what to do about it."""

    def __init__(self, session: Session, stepper: "Stepper") -> None:
        self._session = session
        self._stepper = stepper
        self._runs_on = False

    def go(self) -> bool:
        """Walk to the end; return False where it is given up."""
        while self._stepper.is_half_made:
            self._session.complain(describe(self._stepper.steps, self._stepper.index))
            if not self._runs_on and not self._ask():
                return False
            self._stepper.next()
        return True

    def _ask(self) -> bool:
        """Tell whether the step is to be done."""
        self._session.stderr.write(_QUESTION)
        self._session.stderr.flush()
        stdin = self._session.stdin
        line = stdin.readline().decode(errors="replace") if stdin is not None else ""
        if not self._session.stdin_is_tty:
            self._session.complain(line.strip())
        answer = line.strip().lower()
        self._runs_on = answer == "c"
        return bool(line) and answer != "a"


STEP_RUN = Command(
    "run",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Make and run a container one step at a time",
    step_run,
    "container step run lab echo hello\ncontainer step run --record steps.jsonl lab true",
    flags=(*CREATE_FLAGS, RECORD),
    later=LATER,
    min_args=1,
    interspersed=False,
    details="Before each step its calls are shown, and the half-made container waits: look at it from another "
    "terminal (ps, lsns, findmnt). The end of the input gives it up. It is removed when it ends: --rm is implied.",
    own_exit_codes=True,
)
