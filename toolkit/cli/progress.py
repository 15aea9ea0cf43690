"""Progress of a pull or push: bars where a terminal can show them, else a line for each change of status."""

from contextlib import AbstractContextManager
from typing import Any

from toolkit.core.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.cli.session import Session
    from toolkit.registry.progress import Progress

_MOVING = ("Downloading", "Extracting", "Pushing")
_DONE = ("Pull complete", "Already exists", "Pushed", "Layer already exists")


class PlainProgress:
    """Writes docker's lines: `a1b2c3d4e5f6: Pull complete`, once for each status of a layer."""

    def __init__(self, write: "Callable[[str], None]") -> None:
        """Give each line to `write`."""
        self._write = write
        self._status: dict[str, str] = {}

    def __enter__(self) -> "Callable[[Progress], None]":
        return self.update

    def __exit__(self, *_exc: object) -> None:
        """Nothing is open."""

    def update(self, progress: "Progress") -> None:
        """Note how far a layer is."""
        if progress.layer and self._status.get(progress.layer) == progress.status:
            return
        self._status[progress.layer] = progress.status
        if progress.layer and progress.status in _MOVING:
            return  # docker says "Pulling fs layer" before and "Download complete" after; the bytes are for terminals
        self._write(f"{progress.layer}: {progress.status}" if progress.layer else progress.status)


class BarProgress:
    """Draws a bar for each layer with rich, on stderr's terminal."""

    def __init__(self, stream: Any) -> None:
        """Draw on the terminal `stream`."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._rich = RichProgress(
            TextColumn("{task.fields[layer]}: {task.description}", markup=False),
            BarColumn(bar_width=30, complete_style="cyan", finished_style="green"),
            TextColumn("{task.fields[amount]}", markup=False),
            console=Console(file=stream),
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "Callable[[Progress], None]":
        self._rich.start()
        return self.update

    def __exit__(self, *_exc: object) -> None:
        self._rich.stop()

    def update(self, progress: "Progress") -> None:
        """Note how far a layer is."""
        if not progress.layer:
            self._rich.console.print(progress.status, highlight=False, markup=False)
            return
        task = self._tasks.get(progress.layer)
        if task is None:
            task = self._tasks[progress.layer] = self._rich.add_task("", total=1, layer=progress.layer, amount="")
        done, total = progress.current, progress.total
        if progress.status not in _MOVING:
            done, total = int(progress.status in _DONE), 1
        amount = f"{format_bytes(done)}/{format_bytes(total)}" if progress.status in _MOVING and total else ""
        self._rich.update(task, description=progress.status, completed=done, total=total or None, amount=amount)


def progress_for(session: "Session", *, to_stderr: bool) -> "AbstractContextManager[Callable[[Progress], None]]":
    """Return what shows progress in this session."""
    if session.show_progress is not None:
        return session.show_progress()
    stream, is_tty = (session.stderr, session.stderr_is_tty) if to_stderr else (session.stdout, session.stdout_is_tty)
    if is_tty:
        return BarProgress(stream)

    def write(line: str) -> None:
        stream.write(line + "\n")
        stream.flush()

    return PlainProgress(write)
