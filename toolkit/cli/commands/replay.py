"""`container replay`: what was recorded elsewhere, shown again; needs no privileges, and no Linux."""

from toolkit.cli.command import Command
from toolkit.cli.explain import describe, events_text
from toolkit.cli.flags import Parsed
from toolkit.cli.session import Outcome, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.trace.recorded import Recording


def replay(session: Session, parsed: Parsed) -> Outcome:
    """Print the calls of a recorded run, or the steps of a recorded walk."""
    from toolkit.trace.reading import load
    from toolkit.trace.recorded import STEP

    recording = load(parsed.args[0])
    if session.shows_values:
        return Outcome(value=recording)
    session.print(recording.header.label())
    session.print(recording.header.command)
    if recording.header.kind == STEP:
        _print_steps(session, recording)
    else:
        session.print(events_text(recording.events, recording.steps))
    if recording.exit_code is not None:
        session.print(f"exit code {recording.exit_code}")
    if recording.warning:
        session.complain(f"WARNING: {parsed.args[0]}: {recording.warning}")
    return Outcome(value=recording)


def _print_steps(session: Session, recording: "Recording") -> None:
    """Print each step that was done, the calls that it really made, and what it changed."""
    from toolkit.trace.replay import Replay
    from toolkit.trace.step import shortened

    walk = Replay(recording)
    done = max((event.step for event in recording.events), default=-1)
    while walk.is_half_made and walk.index <= done:
        session.print(describe(walk.steps, walk.index))
        result = walk.next()
        for event in result.events:
            session.print(f"      {event.cost_ns / 1e3:8.1f} us  {shortened(event.strace())}")
        for line in result.changes:
            session.print(f"      -> {line}")


REPLAY = Command(
    "replay",
    "FILE",
    "Show a recording of `explain run` or `step run`",
    replay,
    "container replay start.jsonl",
    min_args=1,
    max_args=1,
    details="Needs no privileges: what is shown was done on another machine, or at another time.",
)
