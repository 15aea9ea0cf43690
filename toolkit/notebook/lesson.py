"""What a lesson needs from its machine, and how it goes on where that is missing.

    from toolkit.notebook import lesson
    lesson.needs_containers()

On a machine that cannot run containers, the cells after this one are not run:
each says so in one line, so that Run All reaches the end and the text can
still be read.
"""

import time
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from IPython.core.getipython import get_ipython

from toolkit.core.errors import EngineError, NotFoundError
from toolkit.notebook.display import publish
from toolkit.notebook.errors import CommandError
from toolkit.notebook.html import AMBER, FAINT, GREEN, INK, chip
from toolkit.notebook.magics import run_command
from toolkit.notebook.session import CellSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from toolkit.engine import Engine

_SKIP = "toolkit.notebook.lesson"


class Ready(NamedTuple):
    """Whether containers run here."""

    reason: str
    """Why not; empty where they do."""
    took_ms: float

    def __bool__(self) -> bool:
        return not self.reason

    def __repr__(self) -> str:
        if self.reason:
            return f"no containers here: {self.reason}\nThe cells below are skipped; the text is still worth reading."
        return f"ready: a first container started, ran and was removed in {self.took_ms:.0f} ms"

    def _repr_html_(self) -> str:
        if self.reason:
            mark, text = (
                chip("not here", AMBER),
                f"{escape(self.reason)}<br>The cells below are skipped; the text can be read.",
            )
        else:
            mark = chip("ready", GREEN)
            text = f"a container was started, ran and was removed in {self.took_ms:.0f}&nbsp;ms"
        return f'<div style="color:{INK};margin:.3em 0">{mark} &ensp;<span style="color:{FAINT}">{text}</span></div>'


def needs_containers(*names: str) -> Ready:
    """Run a first container; where that fails, say why and skip the cells after this one.

    Args:
        names: of containers that an earlier run of this lesson may have left; they are removed.
    """
    ready = _try_container(names)
    shell = get_ipython()
    if shell is not None:
        _stop_skipping(shell)
        if not ready:
            shell.input_transformers_cleanup.append(_skipper(ready.reason))
    return ready


def _try_container(names: Sequence[str]) -> Ready:
    session = CellSession(None)
    try:
        _have_lab(session.engine)
        for container in session.engine.containers.list(all=True):
            if container.name in names:
                container.remove(force=True)
        start_s = time.perf_counter()
        run_command(["run", "--rm", "lab", "true"])
    except CommandError as exc:
        return Ready(exc.message, 0.0)
    except (EngineError, OSError) as exc:
        return Ready(str(exc), 0.0)
    return Ready("", (time.perf_counter() - start_s) * 1000)


def _have_lab(engine: "Engine") -> None:
    """Make the image with a word to the learner where it is not here yet: it takes a few seconds."""
    try:
        engine.images.store.resolve("lab")
    except NotFoundError:
        engine.images.make_lab(print)


def _skipper(reason: str) -> "Callable[[list[str]], list[str]]":
    def skip(lines: list[str]) -> list[str]:
        if any("needs_containers" in line for line in lines):
            return lines
        return [f"__import__('{_SKIP}', fromlist=['_']).say_skipped({reason!r})\n"]

    return skip


def _stop_skipping(shell: "InteractiveShell") -> None:
    kept = [each for each in shell.input_transformers_cleanup if getattr(each, "__module__", "") != _SKIP]
    shell.input_transformers_cleanup[:] = kept


def say_skipped(reason: str) -> None:
    """Say in a cell's place that it was not run."""
    text = f"skipped: {reason}"
    publish({"text/plain": text, "text/html": f'<span style="color:{FAINT}">{escape(text)}</span>'})
