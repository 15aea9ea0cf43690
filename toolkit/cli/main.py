"""The way from words to an exit code.

`perform` does one command in a session and turns every failure that was meant
into one line and docker's exit code.  `main` is that for a shell: it owns the
process, so it also decides about signals and about how a bug is shown.
"""

import gc
import os
import sys

from toolkit.cli import grammar
from toolkit.cli.command import PROGRAM, help_text, read
from toolkit.cli.flags import HelpRequestedError, UsageError, parse
from toolkit.cli.session import Outcome, Session, shell_session
from toolkit.core.errors import EngineError, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import BinaryIO, NoReturn, TextIO

    from toolkit.cli.command import Command
    from toolkit.cli.flags import Parsed

_INTERRUPTED = 130
_BROKEN_PIPE = 141
_GC_THRESHOLD = 20_000
"""Importing makes many objects and no garbage: looking for some after every 700 takes 2 ms of a `ps`."""


def main(argv: "list[str] | None" = None) -> int:
    """Be the `container` program: do what `argv` says and return the exit code.

    Without `argv` the process is this program's own: it ends here, at once.
    """
    if argv is not None:
        return _perform_in_shell(argv)
    sys.excepthook = _show_bug
    gc.set_threshold(_GC_THRESHOLD)
    exit_code = _perform_in_shell(sys.argv[1:])
    if not os.environ.get("CONTAINER_DEBUG"):  # with it, a profiler's or coverage's own end can come
        _leave(exit_code)
    return exit_code


def _perform_in_shell(words: list[str]) -> int:
    session = shell_session()
    try:
        outcome = perform(words, session)
        session.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
        return _BROKEN_PIPE
    except OSError as exc:  # a full disk
        _discard_stdout()
        sys.stderr.write(f"{PROGRAM}: write /dev/stdout: {_in_words(exc)}\n")
        return 1
    return outcome.exit_code


def _leave(exit_code: int) -> "NoReturn":
    """End the process without taking Python apart object by object: 7 ms of a `ps` that takes 40."""
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(exit_code)


def run(
    argv: "Sequence[str]",
    *,
    stdin: "BinaryIO | None" = None,
    stdout: "TextIO | None" = None,
    stderr: "TextIO | None" = None,
    is_tty: bool | None = None,
) -> Outcome:
    """Do one command in this process, as `container ARGV...` would.

    Args:
        argv: the words after `container`.
        stdin: what the container may read; None is an empty input.
        stdout: takes the command's output; None: this process's.
        stderr: takes complaints and progress; None: this process's.
        is_tty: whether to treat the streams as a terminal; None: ask them.

    Returns:
        The exit code and the engine's object or objects: a Container of `run -d` and `start`, a list of `ps` and
        `images`, an ImageRecord of `pull`.  An error that was meant is in the outcome and is a line on stderr; a bug is
        raised.
    """
    session = Session(
        stdin=stdin,
        stdout=sys.stdout if stdout is None else stdout,
        stderr=sys.stderr if stderr is None else stderr,
        is_tty=is_tty,
    )
    return perform(argv, session)


def perform(argv: "Sequence[str]", session: Session) -> Outcome:
    """Do one command in `session`; complain there in one line about what fails."""
    try:
        return _dispatch(argv, session)
    except UsageError as exc:
        topic = f"{PROGRAM} {exc.command}".rstrip()
        session.complain(f"{PROGRAM}: {exc}\nSee '{topic} --help'.")
        return Outcome(exc.exit_code, error=exc)
    except BrokenPipeError:
        raise
    except (EngineError, OSError) as exc:
        session.complain(_one_line(f"{PROGRAM}: {_in_words(exc)}"))
        return Outcome(getattr(exc, "exit_code", 1), error=exc)
    except KeyboardInterrupt:
        return Outcome(_INTERRUPTED)
    finally:
        session.close()


def _dispatch(argv: "Sequence[str]", session: Session) -> Outcome:
    try:
        options = parse(grammar.GLOBAL_FLAGS, argv, interspersed=False)
    except HelpRequestedError:
        return _say(session, grammar.main_help())
    session.root = options["root"] if "root" in options.given else None
    session.run_dir = options["run-dir"] if "run-dir" in options.given else None
    session.config_file = options["config-file"] if "config-file" in options.given else ""
    words = options.args
    if options["version"]:
        from toolkit import __version__

        return _say(session, f"{PROGRAM} version {__version__}\n")
    if words and words[0] == "help":
        words = (*words[1:], "--help")
    if not words or words[0] == "--help":
        return _say(session, grammar.main_help())
    path, entry = grammar.find(words)
    if entry is None:
        return _say(session, grammar.group_help(path))
    command = grammar.load(entry)
    try:
        parsed = read(command, words[path.count(" ") + 1 :], path)
    except HelpRequestedError:
        return _say(session, help_text(command, path, entry.paths))
    return _act(command, path, parsed, session)


def _act(command: "Command", path: str, parsed: "Parsed", session: Session) -> Outcome:
    try:
        return command.act(session, parsed)
    except UsageError as exc:
        exc.command = path
        raise
    except BrokenPipeError:
        raise
    except (EngineError, OSError) as exc:
        session.complain(_one_line(f"{PROGRAM}: {_in_words(exc)}"))
        return Outcome(_exit_code(command, exc), error=exc)


def _exit_code(command: "Command", exc: Exception) -> int:
    """Choose as docker does: run tells 125, 126 and 127 apart, exec the last two, all others exit with 1."""
    if command.own_exit_codes or (isinstance(exc, StartError) and command.name == "exec"):
        return getattr(exc, "exit_code", 125)
    return 1


def _in_words(exc: Exception) -> str:
    """Return the error's one line; Python's own for an OSError begins with a number."""
    if isinstance(exc, EngineError) or not isinstance(exc, OSError) or not exc.strerror:
        return str(exc) or type(exc).__name__
    return f"{exc.filename}: {exc.strerror.lower()}" if exc.filename else exc.strerror.lower()


def _one_line(text: str) -> str:
    """Escape line ends too: what stands in a line of its own would look like another message of ours."""
    from toolkit.cli.table import clean

    return clean(text)


def _say(session: Session, text: str) -> Outcome:
    session.stdout.write(text)
    return Outcome()


def _discard_stdout() -> None:
    """Point stdout at /dev/null, so that the flush at exit does not complain about the closed pipe."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _show_bug(kind: type[BaseException], exc: BaseException, trace: "TracebackType | None") -> None:
    """Show what nobody meant to happen: a line, or the traceback for those who debug."""
    if issubclass(kind, KeyboardInterrupt):
        os._exit(_INTERRUPTED)
    if os.environ.get("CONTAINER_DEBUG"):
        sys.__excepthook__(kind, exc, trace)
        return
    command = " ".join([PROGRAM, *sys.argv[1:2]])
    sys.stderr.write(
        f"{PROGRAM}: internal error: {kind.__name__}: {' '.join(str(exc).split())}; this is a bug: "
        f"run 'CONTAINER_DEBUG=1 {command} ...' and report what it prints\n"
    )
