"""What all widgets share.

A front end asks for deeds by custom messages, `{"do": NAME, ...}`, and each is
done by the method `do_NAME` of the widget; what that raises on purpose becomes
a card in the picture, and never a traceback in a log that nobody reads.
Traits hold what a second view must show, too; what comes in streams goes by
messages, since traits coalesce.
"""

import pathlib
from typing import Any, ClassVar

import anywidget
import traitlets

from toolkit.core.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.notebook.figures import Figure

_STATIC = pathlib.Path(__file__).with_name("static")
_DO = "do_"


def module(name: str) -> str:
    """Return the ES module of a widget: what all share, then its own. There is no build step and no second request."""
    return "\n".join((_STATIC / each).read_text(encoding="utf-8") for each in ("base.js", f"{name}.js"))


def style(*names: str) -> str:
    """Return the style sheet of a widget: what all share, then its own."""
    return "\n".join((_STATIC / f"{each}.css").read_text(encoding="utf-8") for each in ("widgets", *names))


class LiveWidget(anywidget.AnyWidget):
    """A live picture with a twin that stands still."""

    _css: ClassVar[str] = style()
    trouble = traitlets.Dict().tag(sync=True)
    """What went wrong with the last deed, for a card in the picture: message and hint; empty: nothing."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(self._take)

    def figure(self) -> "Figure":
        """Return the same picture for where nothing is live: HTML or SVG, and text."""
        raise NotImplementedError

    def _take(self, _widget: object, content: Any, buffers: list[memoryview]) -> None:
        """Do what the front end asks for."""
        deed = getattr(self, f"{_DO}{content.get('do')}", None) if isinstance(content, dict) else None
        if deed is None:
            return  # a page that was loaded before this kernel was updated
        words = {key: value for key, value in content.items() if key != "do"}
        self.trouble = {}
        try:
            deed(**words, **({"buffers": buffers} if buffers else {}))
        except EngineError as exc:
            self.trouble = {"message": str(exc), "hint": getattr(exc, "hint", "")}

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return the view, and the twin for whoever cannot show it."""
        shown = super()._repr_mimebundle_(**options)
        data, *metadata = shown if isinstance(shown, tuple) else (shown,)
        figure = self.figure()
        bundle = {**(data or {}), "text/plain": figure.text, "text/html": figure.html}
        return (bundle, *metadata) if metadata else bundle
