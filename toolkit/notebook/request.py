"""What a `%container` line asks for, before it is done: read with the command line's own grammar."""

from typing import NamedTuple

from toolkit.cli import grammar
from toolkit.cli.command import read
from toolkit.cli.flags import HelpRequestedError, Parsed, UsageError, parse
from toolkit.notebook.errors import CommandError

TAKES_STDIN = ("run", "exec", "start")
_LISTS = ("ps", "images", "top", "system df")


class Request(NamedTuple):
    """One command, as far as the notebook must know it."""

    name: str
    """The command by its first name: "container ls" is "ps"; empty where the words are no command."""
    place: int
    """Index of the word behind the command's name."""
    flags: Parsed | None
    """None where the words do not parse; the command line will say so."""

    @property
    def is_foreground(self) -> bool:
        """Tell whether the command stays with a process until it ends."""
        if self.flags is None:
            return False
        if self.name == "run":
            return not (self.flags["detach"] or self.flags["dry-run"])
        if self.name == "exec":
            return not self.flags["detach"]
        if self.name == "start":
            return bool(self.flags["attach"] or self.flags["interactive"])
        return self.name in ("attach", "vm run")

    @property
    def is_table(self) -> bool:
        """Tell whether it prints its default table."""
        return self.name in _LISTS and not self._is_formatted

    @property
    def is_board(self) -> bool:
        """Tell whether it looks at the machine's features, for a board of them."""
        return self.name == "doctor" and not self._is_formatted

    @property
    def _is_formatted(self) -> bool:
        return self.flags is None or bool(self.flags.get("quiet") or self.flags.get("format"))


def read_request(words: list[str]) -> Request:
    """Find the command in the words after `container`; never fails."""
    try:
        rest = parse(grammar.GLOBAL_FLAGS, words, interspersed=False).args
        path, entry = grammar.find(rest) if rest else ("", None)
    except (UsageError, HelpRequestedError):
        return Request("", 0, None)
    if entry is None:
        return Request("", 0, None)
    length = path.count(" ") + 1
    place = len(words) - len(rest) + length
    try:
        flags = read(grammar.load(entry), rest[length:], path)
    except (UsageError, HelpRequestedError):
        return Request(entry.paths[0], place, None)
    return Request(entry.paths[0], place, flags)


def with_stdin(words: list[str], request: Request) -> list[str]:
    """Return the words for a command that reads the cell: `-i` is what connects them.

    Raises:
        CommandError: this command reads nothing.
    """
    if request.name not in TAKES_STDIN:
        usable = ", ".join(f"%%container {name}" for name in TAKES_STDIN)
        raise CommandError(f"container: only {usable} take the cell as their input", 125)
    return [*words[: request.place], "--interactive", *words[request.place :]]
