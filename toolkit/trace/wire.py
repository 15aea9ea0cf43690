"""How recorded calls travel between two processes of the engine that run the same code.

Whoever is timed writes them by `marshal`, and leaves it to who reads them to
spell the calls: a text of a hundred letters takes longer than some calls do.
"""

import marshal
import sys

from toolkit.trace.event import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_names: "dict[Callable[..., str], str]" = {}


def encode(events: "list[Event]") -> bytes:
    """Return recorded calls as bytes."""
    return marshal.dumps([_plain(event) for event in events])


def _plain(event: Event) -> "tuple[Any, ...]":
    call: Any = event[1]
    if type(call) is not tuple:
        return tuple(event)
    spell = call[0]
    name = _names.get(spell)
    if name is None:
        name = _names[spell] = f"{spell.__module__}:{spell.__name__}"
    return (event[0], (name, *call[1:]), *event[2:])


def decode(content: bytes) -> "list[Event]":
    """Return what `encode` was given, with every call spelled."""
    return [_event(fields) for fields in marshal.loads(content)]  # noqa: S302 - from a socket that is root's alone


def _event(fields: "tuple[Any, ...]") -> Event:
    call = fields[1]
    if type(call) is tuple:
        module, _, name = call[0].partition(":")
        spell = getattr(_module(module), name)
        fields = (fields[0], spell(*call[1:]), *fields[2:])
    return Event._make(fields)


def _module(name: str) -> object:
    found = sys.modules.get(name)
    if found is None:
        from importlib import import_module

        found = import_module(name)
    return found


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
