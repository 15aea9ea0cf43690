"""What happened: one event for each call to the kernel, and for each exchange with a registry.

`linux/` opens a `span` around every call it makes.  With a recorder set, the
span leaves an `Event`; with none it costs the formatting of the call and
nothing else.
"""

from toolkit.trace.event import Event
from toolkit.trace.recorder import Recorder, Span, recording, span

__all__ = ["Event", "Recorder", "Span", "recording", "span"]
