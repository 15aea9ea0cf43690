"""`container stop`, `restart`, `kill`, `pause`, `unpause`, `wait` and `rm`."""

from toolkit.cli.command import PROGRAM, Command
from toolkit.cli.each import each, each_container
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.kinds import SECONDS
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import NotFoundError


def stop(session: Session, parsed: Parsed) -> Outcome:
    """Stop containers: their stop signal, and SIGKILL after the timeout."""
    return each_container(
        session, parsed, lambda container: container.stop(parsed["timeout"], signal_name=parsed["signal"])
    )


def kill(session: Session, parsed: Parsed) -> Outcome:
    """Send a signal to containers."""
    return each_container(session, parsed, lambda container: container.kill(parsed["signal"]))


def restart(session: Session, parsed: Parsed) -> Outcome:
    """Stop containers as `stop` does, then start them."""
    return each_container(
        session, parsed, lambda container: container.restart(parsed["timeout"], signal_name=parsed["signal"])
    )


def pause(session: Session, parsed: Parsed) -> Outcome:
    """Freeze all processes of containers."""
    return each_container(session, parsed, lambda container: container.pause())


def unpause(session: Session, parsed: Parsed) -> Outcome:
    """Let the processes of containers go on."""
    return each_container(session, parsed, lambda container: container.unpause())


def wait(session: Session, parsed: Parsed) -> Outcome:
    """Wait for containers to end and print their exit codes."""

    def deed(name: str) -> int:
        exit_code: int = session.engine.containers.get(name).wait(parsed["condition"])
        session.print(str(exit_code))
        session.stdout.flush()
        return exit_code

    return each(session, parsed.args, deed)


def rm(session: Session, parsed: Parsed) -> Outcome:
    """Remove containers."""
    force = parsed["force"]

    def deed(name: str) -> str:
        try:
            session.engine.containers.get(name).remove(force=force, takes_volumes=parsed["volumes"])
        except NotFoundError as exc:
            if not force:
                raise
            session.complain(f"{PROGRAM}: {exc}")  # docker's rm -f: gone is gone, exit code 0
            return name
        session.print(name)
        return name

    return each(session, parsed.args, deed)


_ENDING_FLAGS = (
    Flag("signal", "s", STRING, "Signal to send to the container"),
    Flag("timeout", "t", SECONDS, "Seconds to wait before killing the container (-1: forever)", also="time"),
)

STOP = Command(
    "stop",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Stop one or more running containers",
    stop,
    "container stop --timeout 2 web",
    flags=_ENDING_FLAGS,
    min_args=1,
)

RESTART = Command(
    "restart",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Restart one or more containers",
    restart,
    "container restart --timeout 2 web",
    flags=_ENDING_FLAGS,
    min_args=1,
)

PAUSE = Command(
    "pause",
    "CONTAINER [CONTAINER...]",
    "Pause all processes within one or more containers",
    pause,
    "container pause web",
    min_args=1,
)

UNPAUSE = Command(
    "unpause",
    "CONTAINER [CONTAINER...]",
    "Unpause all processes within one or more containers",
    unpause,
    "container unpause web",
    min_args=1,
)

KILL = Command(
    "kill",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Kill one or more running containers",
    kill,
    "container kill --signal HUP web",
    flags=(Flag("signal", "s", STRING, "Signal to send to the container", default="SIGKILL"),),
    min_args=1,
)

WAIT = Command(
    "wait",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Block until one or more containers stop, then print their exit codes",
    wait,
    "container wait web",
    flags=(Flag("condition", "", STRING, "What to wait for: not-running, next-exit, removed", default="not-running"),),
    min_args=1,
)

RM = Command(
    "rm",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Remove one or more containers",
    rm,
    "container rm --force web",
    flags=(
        Flag("force", "f", BOOL, "Force the removal of a running container (uses SIGKILL)"),
        Flag("volumes", "v", BOOL, "Remove anonymous volumes associated with the container"),
    ),
    min_args=1,
)
