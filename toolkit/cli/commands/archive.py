"""`container save` and `load`: images in one file."""

import os

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import EngineError, InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO


def save(session: Session, parsed: Parsed) -> Outcome:
    """Write images to a file, or to stdout where that is no terminal."""
    output = parsed["output"]
    if not output:
        buffer: IO[bytes] | None = getattr(session.stdout, "buffer", None)
        if session.stdout_is_tty or buffer is None:
            raise InvalidError("cowardly refusing to save to a terminal", hint="use the -o flag or redirect")
        session.engine.images.save(parsed.args, buffer)
        return Outcome()
    unfinished = f"{output}.{os.getpid()}.part"
    try:
        with open(unfinished, "wb") as file:
            session.engine.images.save(parsed.args, file)
        os.rename(unfinished, output)
    except (EngineError, OSError, KeyboardInterrupt):
        _forget(unfinished)
        raise
    return Outcome(value=output)


def _forget(path: str) -> None:
    """Remove a file that is only half written, if it was begun at all."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def load(session: Session, parsed: Parsed) -> Outcome:
    """Bring the images of a file here."""
    if parsed["input"]:
        with open(parsed["input"], "rb") as file:
            loaded = session.engine.images.load(file)
    elif session.stdin is None or session.stdin_is_tty:
        raise InvalidError("requested load from stdin, but stdin is a terminal", hint="use the -i flag or redirect")
    else:
        loaded = session.engine.images.load(session.stdin)
    for one in loaded if not parsed["quiet"] else ():
        for line in one.lines():
            session.print(line)
    return Outcome(value=[one.image for one in loaded])


SAVE = Command(
    "save",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    save,
    "container save --output lab.tar lab",
    flags=(Flag("output", "o", STRING, "Write to a file, instead of STDOUT"),),
    min_args=1,
)

LOAD = Command(
    "load",
    "[OPTIONS]",
    "Load images from a tar archive or STDIN",
    load,
    "container load --input lab.tar",
    flags=(
        Flag("input", "i", STRING, "Read from tar archive file, instead of STDIN"),
        Flag("quiet", "q", BOOL, "Suppress the load output"),
    ),
    max_args=0,
)
