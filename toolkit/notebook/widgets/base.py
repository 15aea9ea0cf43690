"""What all widgets share.

A front end asks for deeds by custom messages, `{"do": NAME, ...}`, and each is
done by the method `do_NAME` of the widget; what that raises on purpose becomes
a card in the picture, and never a traceback in a log that nobody reads.
Traits hold what a second view must show, too; what comes in streams goes by
messages, since traits coalesce.

Deeds come one at a time.  While a cell runs they wait, unless the widget says
that it `answers_at_once`: then they come in another thread where the kernel has
subshells (ipykernel 7) and the front end uses them (JupyterLab 4.4).
"""

import inspect
import pathlib
import threading
from typing import Any, ClassVar

import anywidget
import traitlets

from toolkit.core.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.notebook.figures import Figure

STATIC = pathlib.Path(__file__).with_name("static")
_DO = "do_"


def module(name: str) -> str:
    """Return the ES module of a widget: what all share, then its own. There is no build step and no second request."""
    return "\n".join((STATIC / each).read_text(encoding="utf-8") for each in ("base.js", f"{name}.js"))


def style(*names: str) -> str:
    """Return the style sheet of a widget: what all share, then its own."""
    return "\n".join((STATIC / f"{each}.css").read_text(encoding="utf-8") for each in ("widgets", *names))


class LiveWidget(anywidget.AnyWidget):
    """A live picture with a twin that stands still."""

    _css: ClassVar[str] = style()
    trouble = traitlets.Dict().tag(sync=True)
    """What went wrong with the last deed, for a card in the picture: message and hint; empty: nothing."""

    ident = traitlets.Unicode().tag(sync=True)
    """Of its model, by which a view finds out whether the kernel is still there."""
    answers_at_once: ClassVar[bool] = False
    """Its deeds may be done by another thread while a cell runs."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._deeds = threading.RLock()
        self.on_msg(self._take)
        self.ident = self.model_id
        comm: Any = self.comm
        if self.answers_at_once and hasattr(comm, "_reply_subshell_for"):
            # ipykernel would send answers to where the picture was made, the main shell, and there they wait for the
            # cell to end; let them go where the front end sends them.
            comm._reply_subshell_for = _as_asked  # noqa: SLF001 - there is no other way to say so

    def figure(self) -> "Figure":
        """Return the same picture for where nothing is live: HTML or SVG, and text."""
        raise NotImplementedError

    def _take(self, _widget: object, content: Any, buffers: list[memoryview]) -> None:
        """Do what the front end asks for."""
        words: dict[str, Any] = dict(content) if isinstance(content, dict) else {}
        deed = getattr(self, f"{_DO}{words.pop('do', '')}", None)
        if buffers:
            words["buffers"] = buffers
        if deed is None or not _fits(deed, words):
            return  # of a page that was loaded before this kernel was updated
        with self._deeds:
            if self.trouble:
                self.trouble = {}
            try:
                deed(**words)
            except (EngineError, OSError) as exc:
                self.trouble = trouble_of(exc)
            except Exception as exc:
                self.trouble = {"message": f"{type(exc).__name__}: {exc}", "hint": "This is a fault of the picture."}
                raise  # for the log, with its traceback

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return the view, and the twin for whoever cannot show it."""
        shown = super()._repr_mimebundle_(**options)
        data, *metadata = shown if isinstance(shown, tuple) else (shown,)
        figure = self.figure()
        bundle = {**(data or {}), "text/plain": figure.text, "text/html": figure.html}
        return (bundle, *metadata) if metadata else bundle


def _as_asked(_message: object, subshell: str | None) -> str | None:
    return subshell


def trouble_of(exc: Exception) -> dict[str, str]:
    """Return the card for what was raised on purpose: what happened, and the cure on a line of its own."""
    if isinstance(exc, EngineError):
        return {"message": exc.message, "hint": exc.hint}
    return {"message": str(exc), "hint": ""}


def _fits(deed: "Callable[..., object]", words: dict[str, Any]) -> bool:
    try:
        inspect.signature(deed).bind(**words)
    except TypeError:
        return False
    return True
