"""The runtime's log, as callers read it: a file of lines in runc's two formats, beside stderr.

See Also:
    runc(8) --log, --log-format; logrus, whose formats these are
"""

import os
import sys

from toolkit.core import clock

LEVELS = ("debug", "info", "warning", "error")


class Log:
    """Takes messages; errors are shown on stderr, too."""

    def __init__(self, path: str = "", form: str = "text", *, is_verbose: bool = False) -> None:
        """Use the file `path`, or stderr alone; `is_verbose` lets what only developers want to read pass."""
        self._path = path
        self._form = form
        self._is_verbose = is_verbose

    def debug(self, message: str) -> None:
        """Note what only developers want to read."""
        if self._is_verbose:
            self._write("debug", message)

    def warning(self, message: str) -> None:
        """Note something that was ignored or went wrong without harm."""
        self._write("warning", message)

    def error(self, message: str) -> None:
        """Note why the command fails, and say it on stderr, where callers that have no log look."""
        if self._path:
            self._write("error", message)
        sys.stderr.write(f"{message}\n")

    def _write(self, level: str, message: str) -> None:
        text = f"{self._line(level, message)}\n"
        if not self._path:
            sys.stderr.write(text)
            return
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def _line(self, level: str, message: str) -> str:
        import json

        moment = clock.now().partition(".")[0] + "Z"
        if self._form == "json":
            return json.dumps({"level": level, "msg": message, "time": moment})
        return f'time="{moment}" level={level} msg={json.dumps(message)}'
