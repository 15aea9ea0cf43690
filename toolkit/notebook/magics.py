"""`%container` and `%%container`: the command line in a cell.

- The grammar is the command line's own, and so is the code that runs.
- The line is split as a shell splits it, and nothing in it is expanded: not
  `{name}`, not `$name`, so that `--format '{{.Names}}'` and `sh -c 'echo $HOME'`
  mean what they mean in a shell.  A Python value comes in through an object
  (`c.logs()`) or IPython's `get_ipython().run_line_magic("container", f"logs {name}")`.
- `%%container run IMAGE` gives the cell to the container as its stdin (`-i` is
  implied): a shell or an interpreter runs it as a script.
- What the command prints appears at once; a list appears as a table.
- The value is an object: a Container of `run -d`, a Table of `ps` and `images`,
  a Finished with exit code and output of a foreground `run` or `exec`, a Terminal
  of one with `-it`, which returns at once.
- A command that fails raises CommandError, shown as one red line, so that Run
  All stops.  A container that runs and ends with a code other than 0 has not
  failed: its code is in the value.
- Interrupting the cell interrupts the command; a container in the foreground
  that does not end by it is killed.
"""

import shlex
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from toolkit.notebook.display import publish
from toolkit.notebook.errors import CommandError, CommandInterruptedError
from toolkit.notebook.interrupt import Interruptible
from toolkit.notebook.values import Container, Finished, Table, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.cli.session import Outcome
    from toolkit.linux.probe import Feature
    from toolkit.notebook.request import Request
    from toolkit.notebook.session import CellSession

_NAME = "container"
_DEEDS = ("start", "stop", "kill", "update")
"""Commands on several containers, whose value is the one where only one was named."""
_SHELL_WORDS = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<"})


def register(shell: InteractiveShell) -> None:
    """Make `%container` and `%%container` known to the running IPython."""
    shell.register_magics(ContainerMagics)


def unregister(shell: InteractiveShell) -> None:
    """Make them unknown again, and close what they have opened."""
    from toolkit.notebook.session import close_engines

    for table in shell.magics_manager.magics.values():
        table.pop(_NAME, None)
    close_engines()


@magics_class
class ContainerMagics(Magics):
    """The one magic of this package."""

    @no_var_expand
    @line_cell_magic
    def container(self, line: str, cell: str | None = None) -> Any:
        """Do one command of the `container` command line; `%container --help` lists them."""
        return run_command(split(line), cell)


def split(line: str) -> list[str]:
    """Split a line into words as a shell does.

    Raises:
        CommandError: a quote is not closed, or the line means to use a shell.
    """
    try:
        words = shlex.split(line)
    except ValueError as exc:
        raise CommandError(f"{_NAME}: {exc} in: {line}", 125) from None
    for word in words:
        if word in _SHELL_WORDS:
            message = f"{_NAME}: '{word}' would need a shell, which a %magic is not; use: !{_NAME} {line}"
            raise CommandError(message, 125)
    return words


def run_command(words: list[str], cell: str | None = None) -> Any:
    """Do one command and return its value.

    Args:
        words: what follows `container`.
        cell: the command's stdin; None: it has none.

    Raises:
        CommandError: it failed.
        CommandInterruptedError: the cell was interrupted.
    """
    from toolkit.cli.main import perform
    from toolkit.notebook.request import read_request, with_stdin
    from toolkit.notebook.session import CellSession

    request = read_request(words)
    if cell is not None:
        words = with_stdin(words, request)
    if request.name == "step run":
        _give_up_before()
    session = CellSession(cell, holds_output=request.is_table or request.is_board)
    with Interruptible() as interruptible:
        outcome = perform(words, session)
    if interruptible.was_interrupted:
        _clean_up(session, request, outcome)
    if outcome.error is not None:
        raise CommandError(_failure(session, outcome), outcome.exit_code) from None
    session.finish()
    return _value(session, request, outcome)


def _give_up_before() -> None:
    """Give up what this cell had made halfway when it was run before: it would be in the way, by its name for one."""
    from toolkit.notebook.display import cell_id
    from toolkit.notebook.stepping import give_up_of

    give_up_of(cell_id())


def _failure(session: "CellSession", outcome: "Outcome") -> str:
    from toolkit.cli.foreground import NotATerminalError

    message = session.take_complaint() or str(outcome.error)
    session.finish()
    if isinstance(outcome.error, NotATerminalError):
        return (
            "container: -it needs a terminal, which is there in JupyterLab, in a %container line; "
            "put the commands into the cell, below %%container run IMAGE, or use a shell"
        )
    return message


def _clean_up(session: "CellSession", request: "Request", outcome: "Outcome") -> None:
    """End what an interrupted command has left running."""
    from toolkit.core.errors import ConflictError, NotFoundError
    from toolkit.engine.container import Container as EngineContainer

    session.take_complaint()
    session.finish()
    container = outcome.value
    note = ""
    if request.name == "run" and request.is_foreground and isinstance(container, EngineContainer):
        try:
            container.kill()
            container.wait()
            if container.options.auto_remove:
                container.remove(force=True)  # nobody was attached at its end, so this would come a moment later
            note = f"container {container.name} did not end by itself and was killed"
        except (ConflictError, NotFoundError):
            note = f"container {container.name} has ended"
    raise CommandInterruptedError(note) from None


def _value(session: "CellSession", request: "Request", outcome: "Outcome") -> Any:
    is_replayed = request.name == "replay"
    value = wrap(outcome.value, is_replayed=is_replayed) if outcome.value is not None else None
    if session.handed is not None and isinstance(value, Container):
        from toolkit.notebook.widgets.terminal import open_terminal

        return open_terminal(session.handed, value)
    if request.is_table:
        return _show_table(session, value if isinstance(value, list) else [])
    if request.is_board:
        return _show_board(session, outcome.value or ())
    if request.is_foreground:
        return Finished(outcome.exit_code, session.written(), value if isinstance(value, Container) else None)
    if request.name in _DEEDS and isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def _show_table(session: "CellSession", values: list[Any]) -> Any:
    from toolkit.notebook.columns import read_columns

    text = session.printed()
    printed = read_columns(text)
    if printed is None:
        publish({"text/plain": text})
        return values
    table = Table(values, printed)
    table.show(text)
    return table


def _show_board(session: "CellSession", features: "Sequence[Feature]") -> Any:
    from toolkit.notebook.figures.capabilities import capability_matrix
    from toolkit.notebook.values import Values

    publish({"text/plain": session.printed().rstrip("\n"), "text/html": capability_matrix(features).html})
    values = Values(features)
    values.mark_shown()
    return values
