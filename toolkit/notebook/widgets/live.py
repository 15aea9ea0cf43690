"""Pictures that move: alive while somebody looks, and nothing before and after.

A view says that it is in sight (`look`), again every few seconds, and when it
no longer is (`leave`): scrolled away, in a tab behind another, closed.  While
there is one, a thread calls `beat` about once a second; two views are two that
look at one thread's work.  A page that dies without a word is forgotten after
some seconds; but not while a cell runs, since until it ends no word arrives.

Invariant: a picture takes no more than SHARE of one core, whatever it shows:
after a beat that took long, the next one waits the longer.
"""

import pathlib
import threading
import time
from typing import Any, ClassVar

import traitlets
from IPython.core.getipython import get_ipython

from toolkit.core.errors import EngineError
from toolkit.notebook.containers import close_here
from toolkit.notebook.widgets.base import LiveWidget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_STATIC = pathlib.Path(__file__).with_name("static")
SHARE = 0.015
"""Of one core: what a picture may use, the time of its thread and what it has others do."""
LAPSE_S = 20.0
"""After so long without a word a view is gone; those in sight speak every five seconds."""


def live_module(name: str) -> str:
    """Return the ES module of a picture that moves: what all widgets share, what these share, then its own."""
    return "\n".join((_STATIC / each).read_text(encoding="utf-8") for each in ("base.js", "live.js", f"{name}.js"))


class _Cells:
    """When the kernel was last able to hear: while a cell runs, what a page says waits."""

    def __init__(self) -> None:
        self._is_running = False
        self._ended_s = 0.0
        shell = get_ipython()
        if shell is not None:
            shell.events.register("pre_run_cell", self._begin)
            shell.events.register("post_run_cell", self._end)

    def _begin(self, _info: object) -> None:
        self._is_running = True

    def _end(self, _result: object) -> None:
        self._is_running, self._ended_s = False, time.monotonic()

    def heard_until_s(self) -> float:
        """Return until when silence means nothing, on the monotonic clock."""
        return time.monotonic() if self._is_running else self._ended_s


_cells: list[_Cells] = []


def _the_cells() -> _Cells:
    if not _cells:
        _cells.append(_Cells())
    return _cells[0]


class Pulse:
    """Calls a function again and again while somebody looks."""

    def __init__(self, beat: "Callable[[], float]", interval_s: float, share: float = SHARE) -> None:
        """Make one that is still.

        Args:
            beat: what to call; it returns the seconds of CPU that others spent for it.
            interval_s: how often, at most.
            share: of one core, what it may take.
        """
        self._beat = beat
        self._interval_s = interval_s
        self._share = share
        self._heard_s: dict[str, float] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._cells = _the_cells()

    @property
    def is_beating(self) -> bool:
        """Whether somebody looks."""
        return self._thread is not None

    def look(self, view: str) -> None:
        """Note that a view is in sight."""
        with self._lock:
            self._heard_s[view] = time.monotonic()
            if self._thread is None:
                self._wake.clear()
                self._thread = threading.Thread(target=self._run, name="picture", daemon=True)
                self._thread.start()

    def leave(self, view: str) -> None:
        """Note that a view is out of sight."""
        with self._lock:
            self._heard_s.pop(view, None)
            if not self._heard_s:
                self._wake.set()

    def stop(self) -> None:
        """Forget all views; wait for the thread, unless this is it."""
        with self._lock:
            self._heard_s.clear()
            self._wake.set()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10)

    def _run(self) -> None:
        try:
            while self._is_watched():
                before_s = time.thread_time()
                others_s = self._beat()
                cost_s = time.thread_time() - before_s + others_s
                self._wake.wait(max(self._interval_s, cost_s / self._share))
        finally:
            close_here()
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None  # it failed: the next look begins anew

    def _is_watched(self) -> bool:
        with self._lock:
            since_s = self._cells.heard_until_s()
            now_s = time.monotonic()
            for view, heard_s in list(self._heard_s.items()):
                if now_s - max(heard_s, since_s) > LAPSE_S:
                    del self._heard_s[view]
            if not self._heard_s:
                self._thread = None
            else:
                self._wake.clear()
            return bool(self._heard_s)


class MovingWidget(LiveWidget):
    """A picture that moves while somebody looks."""

    interval_s: ClassVar[float] = 1.0
    beats = traitlets.Int().tag(sync=True)
    """How often it has been drawn anew: a page that sees no more of them says so."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.pulse = Pulse(self._beat_once, self.interval_s)

    def beat(self) -> float:
        """Look again, and tell the pages what is new; return the seconds of CPU that others spent for it.

        Raises:
            EngineError: shown as a card; the next beat tries again.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Take the picture away; its thread ends."""
        self.pulse.stop()
        super().close()

    def _beat_once(self) -> float:
        try:
            cost_s = self.beat()
        except (EngineError, OSError) as exc:
            self.trouble = {"message": str(exc), "hint": ""}  # the cure is part of the text
            cost_s = 0.0
        self.beats += 1
        return cost_s

    def _take(self, widget: object, content: Any, buffers: list[memoryview]) -> None:
        """Hear what a view says about itself; anything else is a deed."""
        if isinstance(content, dict) and content.get("do") == "look":
            self.pulse.look(str(content.get("view")))
        elif isinstance(content, dict) and content.get("do") == "leave":
            self.pulse.leave(str(content.get("view")))
        else:
            super()._take(widget, content, buffers)
