"""How a failed command ends a cell: one line in red, no traceback, and Run All stops."""

_RED, _BOLD, _PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[0m"


class CommandError(Exception):
    """A `%container` command failed; raised so that the cells after it do not run on a false premise.

    Catch it to go on: `except CommandError as error: error.exit_code`.

    Args:
        message: the line that the command line would print.
        exit_code: what the command would have exited with.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code

    def _render_traceback_(self) -> list[str]:
        """Show the line alone; IPython asks an exception for this before it makes a traceback."""
        first, _, rest = self.message.partition("\n")
        return [f"{_RED}{_BOLD}{first}{_PLAIN}", *([rest] if rest else [])]


class CommandInterruptedError(KeyboardInterrupt):
    """The cell was interrupted, and with it the command."""

    def _render_traceback_(self) -> list[str]:
        return [f"{_RED}interrupted{_PLAIN}{f': {self}' if str(self) else ''}"]
