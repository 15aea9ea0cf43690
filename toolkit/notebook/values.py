"""What a `%container` command is worth: objects that show themselves in a notebook."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.core.ids import short_id
from toolkit.notebook.columns import Printed
from toolkit.notebook.display import execution_count, publish
from toolkit.notebook.html import AMBER, FAINT, GREEN, card, chip, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Engine
    from toolkit.engine.container import Container as EngineContainer

REMOVED = "removed"
_MONO = frozenset({"CONTAINER ID", "IMAGE ID", "COMMAND", "IMAGE", "NAMES", "PID", "CMD"})


class Text(str):
    """Text that a notebook shows as it is, line by line, and not in quotes."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001 - IPython's protocol
        printer.text(self.rstrip("\n"))


class Finished:
    """A command that ran to its end."""

    def __init__(self, exit_code: int, output: str, container: "Container | None" = None) -> None:
        self.exit_code = exit_code
        self.output = Text(output)
        """What it wrote, stdout and stderr as they came."""
        self.container = container

    @property
    def lines(self) -> list[str]:
        """The output's lines."""
        return self.output.splitlines()

    def __repr__(self) -> str:
        return f"<exit code {self.exit_code}, {len(self.lines)} lines of output>"

    def _ipython_display_(self) -> None:
        # The output has been seen; a code other than 0 is worth a word.
        if self.exit_code:
            text = f"exit code {self.exit_code}"
            publish({"text/plain": text, "text/html": chip(text, AMBER)})


class Container:
    """A container, as a lesson talks to it; `.raw` is the engine's own object."""

    def __init__(self, raw: "EngineContainer", engine: "Engine") -> None:
        self.raw = raw
        self._engine = engine

    @property
    def id(self) -> str:
        """Its 64-digit id."""
        return self.raw.id

    @property
    def name(self) -> str:
        """Its name, given or invented."""
        return self.raw.name

    @property
    def pid(self) -> int:
        """The host's number for its first process; 0 where it does not run."""
        return self.raw.pid

    @property
    def pids(self) -> list[int]:
        """The host's numbers for all its processes."""
        return self.raw.pids()

    @property
    def status(self) -> str:
        """Docker's word: created, running, exited; or "removed"."""
        from toolkit.core.errors import NotFoundError

        try:
            self._engine.containers.get(self.id)
        except NotFoundError:
            return REMOVED
        return self.raw.status

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or where it never did."""
        return self.raw.exit_code

    def logs(self, tail: int | None = None) -> Text:
        """Return what it has written so far, the last `tail` lines or all."""
        return Text("".join(line.text for line in self.raw.logs(tail=tail)))

    def stats(self) -> Any:
        """Return what it uses at this moment: memory, CPU, processes, as its cgroup counts them."""
        return self.raw.stats()

    def cgroup(self, controller: str) -> Path:
        """Return the directory in which the kernel keeps a kind of limit for it: "memory", "cpu", "pids".

        Raises:
            UnsupportedError: this machine has no such limits.
        """
        return Path(self.raw.cgroups.directory(self.id, controller))

    def exec(self, *command: str, user: str = "", env: Mapping[str, str] | None = None) -> Finished:
        """Run one more command in it and wait: `c.exec("ls -l /")` or `c.exec("sh", "-c", "a; b")`.

        Raises:
            ConflictError: it does not run.
            CommandNotFoundError, CommandNotExecutableError: as docker's 127 and 126.
        """
        from toolkit.engine import ExecOptions

        words = tuple(shlex.split(command[0])) if len(command) == 1 else command
        variables = tuple(f"{name}={value}" for name, value in (env or {}).items())
        with self.raw.exec(ExecOptions(words, user=user, env=variables)) as attachment:
            output = b"".join(chunk.data for chunk in attachment)
        code = attachment.exit_code
        return Finished(-1 if code is None else code, output.decode(errors="replace"), self)

    def stop(self, timeout_s: float | None = None) -> int:
        """Ask it to end, after `timeout_s` make it; return its exit code."""
        return self.raw.stop(timeout_s)

    def kill(self, signal: int | str = "SIGKILL") -> None:
        """Send a signal to its first process."""
        self.raw.kill(signal)

    def wait(self) -> int:
        """Wait until it has ended; return its exit code."""
        return self.raw.wait()

    def remove(self, *, force: bool = False) -> None:
        """Delete it and its files; `force` kills it first."""
        self.raw.remove(force=force)

    def inspect(self) -> dict[str, Any]:
        """Return everything about it, as Docker's API does."""
        return self.raw.inspect()

    def __repr__(self) -> str:
        status = self.status
        return f"<container {self.name}: {status}{f', pid {self.pid}' if status == 'running' else ''}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def _repr_html_(self) -> str:
        status = self.status
        running = status == "running"
        code = None if status == REMOVED else self.exit_code
        word = status if code is None else f"{status}, code {code}"
        facts = [("id", short_id(self.id)), ("image", self.raw.options.image)]
        if running:
            facts.append(("pid on the host", str(self.pid)))
        return card(self.name, chip(word, GREEN if running else FAINT if not code else AMBER), facts)


class _Shown:
    """A value whose command has just printed it: as the last value of that cell it need not be shown again."""

    _shown_at = -1

    def mark_shown(self) -> None:
        """Remember that this cell shows it already."""
        self._shown_at = execution_count()

    def _ipython_display_(self) -> None:
        if self._shown_at == execution_count():
            return
        html = getattr(self, "_repr_html_", None)
        publish({"text/plain": str(self), **({"text/html": html()} if html is not None else {})})


class Facts(_Shown, dict[str, Any]):
    """A document of names and values."""


class Values(_Shown, list[Any]):
    """What a command came to for each of its arguments."""


class Table(_Shown, list[Any]):
    """The objects that a listing found, with the listing itself as their picture."""

    def __init__(self, values: list[Any], printed: Printed) -> None:
        super().__init__(values)
        self.columns = printed.columns
        self.rows = printed.rows
        """Each line as a dict from heading to cell."""

    def column(self, name: str) -> list[str]:
        """Return the cells under one heading."""
        return [row[name] for row in self.rows]

    def show(self, text: str) -> None:
        """Show the listing now: the command's own output, in a form that a notebook likes better."""
        self.mark_shown()
        publish({"text/plain": text.rstrip("\n"), "text/html": self._repr_html_()})

    def _repr_html_(self) -> str:
        return table(self.columns, self.rows, _MONO)

    def __str__(self) -> str:
        lines = [self.columns, *(tuple(row[name] for name in self.columns) for row in self.rows)]
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        return "\n".join("   ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _wrap_made(value: Any, *, is_replayed: bool) -> Any:
    """Return the notebook's form of a container that is being made, or of a recording; None of anything else."""
    from toolkit.cli.commands.step import Unasked
    from toolkit.notebook.display import cell_id
    from toolkit.notebook.stepping import Stepper, note, of_recording
    from toolkit.trace.recorded import Recording

    if isinstance(value, Unasked):
        stepper = Stepper(value.stepper, value.command)
        stepper.record_path = value.record
        note(cell_id(), stepper)
        return stepper
    return of_recording(value, is_replayed=is_replayed) if isinstance(value, Recording) else None


def wrap(value: Any, *, is_replayed: bool = False) -> Any:
    """Return the notebook's form of what a command is worth; `is_replayed`: it was read from a file."""
    from toolkit.engine.container import Container as EngineContainer

    if isinstance(value, EngineContainer):
        return Container(value, value.engine)
    if (made := _wrap_made(value, is_replayed=is_replayed)) is not None:
        return made
    if isinstance(value, dict):
        facts = Facts(value)
        facts.mark_shown()
        return facts
    if isinstance(value, list):
        values = Values(wrap(each) for each in value)
        values.mark_shown()
        return values
    return value
