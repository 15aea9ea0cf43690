"""A command of the command line as a value, and its --help.

Invariant: what --help shows and what the parser accepts come from one table.
"""

from toolkit.cli.flags import BOOL, Flag, UsageError, parse
from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toolkit.cli.flags import Parsed
    from toolkit.cli.session import Outcome, Session

PROGRAM = "container"
_WIDTH = 80
_MANY = 1 << 30


class Command(NamedTuple):
    """One command: its grammar, its help and its deed."""

    name: str
    usage: str
    """What follows the name: "[OPTIONS] IMAGE [COMMAND] [ARG...]"."""
    summary: str
    act: "Callable[[Session, Parsed], Outcome]"
    example: str
    """One or a few shell lines, without the prompt."""
    flags: tuple[Flag, ...] = ()
    min_args: int = 0
    max_args: int = _MANY
    interspersed: bool = True
    """Flags may follow arguments; otherwise the first argument ends them."""
    details: str = ""
    """A paragraph for --help, where something needs one."""
    later: frozenset[str] = frozenset()
    """Names and letters of docker's flags that are not built yet: unknown, but with a word of explanation."""
    own_exit_codes: bool = False
    """Failures exit with the error's own code (125, 126, 127) as `docker run`'s do; otherwise with 1."""


def read(command: Command, argv: "Sequence[str]", path: str) -> "Parsed":
    """Parse what follows the command's name, and check the number of arguments.

    Args:
        command: whose grammar applies.
        argv: the words after the name.
        path: the name as the user wrote it, for messages: "run", "image ls".

    Raises:
        UsageError: exit code 125 for a bad flag, 1 for a wrong number of arguments, as docker.
    """
    try:
        parsed = parse(command.flags, argv, interspersed=command.interspersed)
    except UsageError as exc:
        exc.command = path
        if exc.unknown in command.later:
            exc.hint = "docker has it, this engine not yet"
        raise
    count = len(parsed.args)
    if not command.min_args <= count <= command.max_args:
        raise UsageError(f"'{PROGRAM} {path}' {_arity(command)}", command=path, exit_code=1)
    return parsed


def _arity(command: Command) -> str:
    low, high = command.min_args, command.max_args
    if high == 0:
        return "accepts no arguments"
    bound = "" if low == high else "at least " if high == _MANY else "at most "
    number = high if bound == "at most " else low
    return f"requires {bound}{number} argument" + ("" if number == 1 else "s")


def help_text(command: Command, path: str, aliases: "Sequence[str]") -> str:
    """Return what `container PATH --help` prints."""
    parts = [f"Usage:  {PROGRAM} {path} {command.usage}".rstrip(), command.summary]
    if len(aliases) > 1:
        listed = ", ".join(f"{PROGRAM} {alias}" for alias in aliases)
        parts.append("Aliases:\n" + "\n".join(_fold(listed, "  ")))
    if command.details:
        parts.append("\n".join(_fold(command.details, "")))
    if command.flags:
        parts.append("Options:\n" + options_text(command.flags))
    example = "\n".join("  " + line for line in command.example.splitlines())
    parts.append("Example:\n" + example)
    return "\n\n".join(parts) + "\n"


def options_text(flags: "Sequence[Flag]") -> str:
    """Return the table of options, in docker's two columns, sorted by long name."""
    ordered = sorted(flags, key=lambda flag: flag.name)
    left = [_left(flag) for flag in ordered]
    width = max(map(len, left)) + 3
    lines: list[str] = []
    for column, flag in zip(left, ordered, strict=True):
        first, *more = _fold(_right(flag), "", _WIDTH - width)
        lines.append(column.ljust(width) + first)
        lines.extend(" " * width + line for line in more)
    return "\n".join(lines)


def _left(flag: Flag) -> str:
    short = f"  -{flag.short}, " if flag.short else "      "
    kind = f" {flag.kind.name}" if flag.kind is not BOOL else ""
    return f"{short}--{flag.name}{kind}"


def _right(flag: Flag) -> str:
    if flag.default is None or flag.default is False:
        return flag.help
    shown = f'"{flag.default}"' if isinstance(flag.default, str) else str(flag.default).lower()
    return f"{flag.help} (default {shown})"


def _fold(text: str, indent: str, width: int = _WIDTH) -> list[str]:
    """Break at spaces, as textwrap does (whose import costs more than this); newlines stay."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = indent
        for word in paragraph.split(" "):
            if line.strip() and len(line) + len(word) > width:
                lines.append(line.rstrip())
                line = indent
            line += word + " "
        lines.append(line.rstrip())
    return lines
