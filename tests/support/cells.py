"""Cells of a notebook, run in this process: what each shows and what it is worth."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from IPython.core.interactiveshell import InteractiveShell


class Shown(NamedTuple):
    """What came of one cell."""

    value: Any
    """Of the last expression, also where nothing of it is displayed."""
    stdout: str
    stderr: str
    bundles: list[dict[str, str]]
    """What was displayed, by MIME type."""
    error: BaseException | None


class Cells:
    """Runs cells in one IPython."""

    def __init__(self, shell: InteractiveShell, capture: Callable[[], AbstractContextManager[Any]]) -> None:
        self._shell = shell
        self._capture = capture
        shell.displayhook.write_output_prompt = _no_prompt  # as in Jupyter, where it is no output

    def run(self, text: str) -> Shown:
        """Run a cell; an exception of it is in the result."""
        with self._capture() as captured:
            done = self._shell.run_cell(text, store_history=True)
        bundles = [output.data for output in captured.outputs]
        error = done.error_before_exec or done.error_in_exec
        return Shown(done.result, captured.stdout, captured.stderr, bundles, error)

    def value(self, text: str) -> Any:
        """Run a cell that must not fail; return its value."""
        shown = self.run(text)
        if shown.error is not None:
            raise shown.error
        return shown.value


def _no_prompt() -> None:
    """Write nothing."""
