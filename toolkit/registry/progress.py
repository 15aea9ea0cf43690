"""How far a transfer is, in docker's words and at a bounded rate.

A status changes a few times in a layer's life and is always reported; the
bytes in between change thousands of times and are reported ten times a second
at most.  Drawing them is the command line's and the notebook's work.
"""

import threading
import time
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PULLING_FS_LAYER = "Pulling fs layer"
WAITING = "Waiting"
DOWNLOADING = "Downloading"
VERIFYING = "Verifying Checksum"
DOWNLOADED = "Download complete"
EXTRACTING = "Extracting"
PULLED = "Pull complete"
ALREADY_EXISTS = "Already exists"
PREPARING = "Preparing"
PUSHING = "Pushing"
PUSHED = "Pushed"
LAYER_ALREADY_EXISTS = "Layer already exists"

_INTERVAL_S = 0.1


class Progress(NamedTuple):
    """Where one layer stands, or a line about the whole transfer (`layer` is empty then)."""

    layer: str
    """The first 12 hex digits of the layer's digest."""
    status: str
    """Docker's words, for example "Downloading"."""
    current: int
    """Bytes done so far; 0 where the status has no bytes."""
    total: int
    """Bytes in all; 0 where that is not known."""


class Reporter:
    """Passes progress on to one callback, from any thread, one call at a time."""

    def __init__(self, callback: "Callable[[Progress], None] | None") -> None:
        """Report to `callback`; None makes every report free."""
        self._callback = callback
        self._lock = threading.Lock()
        self._due_s: dict[str, float] = {}
        self._status: dict[str, str] = {}

    def __call__(self, layer: str, status: str, current: int = 0, total: int = 0) -> None:
        """Report where `layer` stands; dropped if it only counts on, too soon."""
        if self._callback is None:
            return
        with self._lock:
            moment_s = time.monotonic()
            is_news = self._status.get(layer) != status
            if not is_news and moment_s < self._due_s.get(layer, 0.0):
                return
            self._status[layer] = status
            self._due_s[layer] = moment_s + _INTERVAL_S
            self._callback(Progress(layer, status, current, total))

    def line(self, text: str) -> None:
        """Report a line about the whole transfer."""
        if self._callback is not None:
            with self._lock:
                self._callback(Progress("", text, 0, 0))
