"""`container step run`: the half-made container waits before each step, to be looked at from outside."""

from toolkit.cli.command import Command
from toolkit.cli.commands.run import create_container
from toolkit.cli.explain import describe
from toolkit.cli.flags import Parsed
from toolkit.cli.foreground import all_streams, console_size, follow
from toolkit.cli.run_flags import CREATE_FLAGS, container_options
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.runtime.steps import Step

_QUESTION = "Enter does it, c goes on to the end, a gives up > "
_GIVEN_UP = 130


def step_run(session: Session, parsed: Parsed) -> Outcome:
    """Make a container, asking before each step; then stay with it as `run` does."""
    options = container_options(parsed)
    container = create_container(session, parsed, options, will_start=True)
    walk = _Walk(session, container.plan(gated=True))
    size = console_size(session) if options.tty else None
    try:
        attachment = container.start(attach=True, trace=True, gate=walk.ask, console_size=size)
    except (EngineError, KeyboardInterrupt) as exc:
        if options.auto_remove:
            container.remove(force=True)
        if walk.is_given_up and isinstance(exc, EngineError):
            session.complain("given up: what was made of the container is gone")
            return Outcome(_GIVEN_UP, container)
        raise
    assert attachment is not None  # because of attach=True
    exit_code = follow(
        session,
        container,
        attachment,
        streams=all_streams(stdin=options.open_stdin),
        tty=options.tty,
        keys=b"\x10\x11",
        sig_proxy=True,
    )
    return Outcome(exit_code, container)


class _Walk:
    """Shows each step and asks what to do about it."""

    def __init__(self, session: Session, steps: "Sequence[Step]") -> None:
        self._session = session
        self._steps = steps
        self._runs_on = False
        self.is_given_up = False

    def ask(self, index: int) -> bool:
        """Show a step that comes next; tell whether it is to be done."""
        self._session.complain(describe(self._steps, index))
        if self._runs_on:
            return True
        self._session.stderr.write(_QUESTION)
        self._session.stderr.flush()
        stdin = self._session.stdin
        line = stdin.readline().decode(errors="replace") if stdin is not None else ""
        if not self._session.stdin_is_tty:
            self._session.complain(line.strip())
        answer = line.strip().lower()
        self._runs_on = answer == "c"
        self.is_given_up = answer == "a" or not line
        return not self.is_given_up


STEP_RUN = Command(
    "run",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Make and run a container one step at a time",
    step_run,
    "container step run --rm lab echo hello",
    flags=CREATE_FLAGS,
    min_args=1,
    interspersed=False,
    details="Before each step its calls are shown, and the half-made container waits: look at it from another "
    "terminal (ps, lsns, findmnt). The end of the input gives it up.",
    own_exit_codes=True,
)
