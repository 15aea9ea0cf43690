"""`container system resume`: what a daemon would do when the machine comes up."""

from toolkit.cli.command import PROGRAM, Command
from toolkit.cli.flags import Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Container


def resume(session: Session, _parsed: Parsed) -> Outcome:
    """Start the containers whose restart policy says that they ought to run; print their names."""
    from toolkit.engine.restart import resume as resumed

    started: list[Container] = []
    error: EngineError | None = None
    for found in resumed(session.engine):
        if isinstance(found, EngineError):
            session.complain(f"{PROGRAM}: {found}")
            error = found
        else:
            session.print(found.name)
            started.append(found)
    return Outcome(0 if error is None else 1, started, error)


SYSTEM_RESUME = Command(
    "resume",
    "",
    "Start the containers that ought to run, after a reboot",
    resume,
    "container system resume",
    max_args=0,
    details="Containers with the restart policy always, those with unless-stopped that nobody had stopped, and those "
    "with on-failure that had failed. There is no daemon that does this when the machine comes up: run it from a "
    "systemd unit or from cron's @reboot.",
)
