"""`container diff` and `container export`: what a container has on disk."""

import os

from toolkit.cli.command import Command
from toolkit.cli.flags import STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import clean
from toolkit.core.errors import InvalidError


def diff(session: Session, parsed: Parsed) -> Outcome:
    """Print what a container has changed in its image."""
    changes = session.engine.containers.get(parsed.args[0]).files.changes()
    for change in changes:
        session.print(f"{change.kind} {clean(change.path)}")
    return Outcome(value=changes)


def export(session: Session, parsed: Parsed) -> Outcome:
    """Write a container's file system as a tar."""
    container = session.engine.containers.get(parsed.args[0])
    if not parsed["output"]:
        out = getattr(session.stdout, "buffer", None)
        if session.stdout_is_tty or out is None:
            message = "cowardly refusing to save to a terminal"
            raise InvalidError(message, hint="use --output, or send it to a file or a pipe")
        container.files.export(out)
        out.flush()
        return Outcome(value=container)
    path = parsed["output"]
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise InvalidError(f"failed to export container: invalid output path: stat {directory}: no such directory")
    if os.path.isdir(path):
        raise InvalidError(f'failed to export container: invalid output path: "{path}" is a directory')
    unfinished = f"{path}.{os.getpid()}"
    try:
        with open(unfinished, "xb") as file:
            container.files.export(file)
        os.rename(unfinished, path)
    except BaseException:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        raise
    return Outcome(value=container)


DIFF = Command(
    "diff",
    "CONTAINER",
    "Inspect changes to files or directories on a container's filesystem",
    diff,
    "container diff web",
    min_args=1,
    max_args=1,
)

EXPORT = Command(
    "export",
    "[OPTIONS] CONTAINER",
    "Export a container's filesystem as a tar archive",
    export,
    "container export --output web.tar web",
    flags=(Flag("output", "o", STRING, "Write to a file, instead of STDOUT"),),
    min_args=1,
    max_args=1,
)
