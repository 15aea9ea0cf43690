"""How recorded calls travel between two processes of the engine that run the same code.

Whoever is timed writes them by `marshal`, and leaves it to who reads them to
spell the calls: a text of a hundred letters takes longer than some calls do.
"""

import marshal

from toolkit.trace.event import Event
from toolkit.trace.spelling import spell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_new = tuple.__new__


def encode(events: "list[Event]") -> bytes:
    """Return recorded calls as bytes."""
    return marshal.dumps([event if type(event) is tuple else tuple(event) for event in events])


def decode(content: bytes) -> "list[Event]":
    """Return what `encode` was given, with every call spelled."""
    return [_event(fields) for fields in marshal.loads(content)]  # noqa: S302 - from a socket that is root's alone


def _event(fields: "tuple[Any, ...]") -> Event:
    if type(fields[1]) is tuple:
        fields = (fields[0], spell(*fields[1]), *fields[2:])
    return _new(Event, fields)


class Recorded:
    """Recorded calls as they come; they are decoded when somebody looks."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._encoded: list[bytes] = []

    def take(self, content: bytes) -> None:
        """Keep what `encode` returned."""
        self._encoded.append(content)

    @property
    def events(self) -> "list[Event]":
        """All so far; always the same list."""
        while self._encoded:
            self._events += decode(self._encoded.pop(0))
        return self._events
