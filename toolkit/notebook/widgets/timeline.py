"""The timeline of a start: each call a bar that can be walked to, asked for its cost, its step and its manual page."""

from typing import ClassVar

import traitlets

from toolkit.notebook.figures.timeline import draw, facts
from toolkit.notebook.widgets.base import LiveWidget, style
from toolkit.notebook.widgets.live import live_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.notebook.figures import Figure
    from toolkit.trace.recorded import Recording


class TimelineWidget(LiveWidget):
    """Shows a recording; it asks the kernel for nothing, so it works on when that has gone."""

    _esm: ClassVar[str] = live_module("timeline")
    _css: ClassVar[str] = style("live", "timeline")
    shown = traitlets.Dict().tag(sync=True)
    """What `facts` says of the recording."""
    is_replayed = traitlets.Bool().tag(sync=True)
    """It was read from a file."""

    def __init__(self, recording: "Recording", *, is_replayed: bool) -> None:
        self.recording = recording
        super().__init__(shown=facts(recording), is_replayed=is_replayed)

    def figure(self) -> "Figure":
        """Return the same calls for where nothing is live."""
        return draw(self.recording, is_replayed=self.is_replayed)
