"""What happened in an engine: written down by whoever did it, read by anybody.

See `toolkit.runtime.journal` for the file, and docker's Engine API
(`GET /events`) for the shape in which events come out.
"""

import os

from toolkit.core import document
from toolkit.runtime import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Self

    from toolkit.engine.paths import Paths

Event = dict[str, "Any"]
"""As docker's API shows it: Type, Action, Actor, scope, time, timeNano, and the old status, id and from."""


_TICK_S = 1.0


class Events:
    """The events of one engine."""

    def __init__(self, paths: "Paths") -> None:
        self.path = paths.events

    def note(self, kind: str, action: str, ident: str, attributes: "Mapping[str, str]") -> None:
        """Write down what has just happened."""
        journal.append(self.path, journal.line(kind, action, ident, attributes))

    def note_all(self, *happened: "tuple[str, str, str, Mapping[str, str]]") -> None:
        """Write down several things at once: kind, action, id and attributes of each."""
        journal.append(self.path, b"".join(journal.line(*each) for each in happened))

    def past(self) -> "Iterator[Event]":
        """Yield what is written down, the oldest first."""
        with _Tail(self.path) as tail:
            yield from tail.begin()

    def follow(
        self,
        *,
        since_ns: int = 0,
        until_ns: int = 0,
        is_wanted: "Callable[[Event], bool] | None" = None,
        tick: "Callable[[], None] | None" = None,
    ) -> "Iterator[Event]":
        """Yield events as docker does.

        Args:
            since_ns: nanoseconds since the epoch: first what has happened from then on; 0: only what happens from
                now on, unless `until_ns` is given: then all that is known.
            until_ns: end with what happened by then; 0: go on for ever.
            is_wanted: leave out the others.
            tick: called every second while nothing happens.
        """
        import select
        import time

        from toolkit.linux.inotify import Watch

        watch = Watch(os.path.dirname(self.path))
        try:
            with _Tail(self.path) as tail:
                fresh: Iterator[Event] = iter(tail.begin()) if since_ns or until_ns else tail.skip()
                while True:
                    for event in fresh:
                        if until_ns and event["timeNano"] > until_ns:
                            return
                        if event["timeNano"] >= since_ns and (is_wanted is None or is_wanted(event)):
                            yield event
                    left_s = (until_ns - time.time_ns()) / 1e9 if until_ns else None
                    if left_s is not None and left_s <= 0:
                        return
                    patience_s = left_s if tick is None else min(_TICK_S, _TICK_S if left_s is None else left_s)
                    if not select.select([watch], [], [], patience_s)[0] and tick is not None:
                        tick()
                    watch.drain()
                    fresh = iter(tail.more())
        finally:
            watch.close()


class _Tail:
    """Reads a journal to its end, again and again, also when it begins a new file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: Any = None
        self._rest = b""

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._close()

    def begin(self) -> "Iterator[Event]":
        """Yield all there is, the older file first."""
        try:
            with open(f"{self._path}.1", "rb") as older:
                yield from _parsed(older.read().splitlines())
        except FileNotFoundError:
            pass  # the first one is not full yet
        yield from self.more()

    def skip(self) -> "Iterator[Event]":
        """Go to the end; yield nothing."""
        for _event in self.more():
            pass
        return iter(())

    def more(self) -> "Iterator[Event]":
        """Yield what has been written since."""
        while True:
            if self._file is None:
                try:
                    self._file = open(self._path, "rb")  # noqa: SIM115 - kept open, to notice when it is moved away
                except FileNotFoundError:
                    return
            *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
            yield from _parsed(lines)
            if self._is_current():
                return
            *lines, _torn = (self._rest + self._file.read()).split(b"\n")  # what was written while it was moved
            self._close()
            yield from _parsed(lines)

    def _is_current(self) -> bool:
        try:
            return os.stat(self._path).st_ino == os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._rest = b""


def _parsed(lines: list[bytes]) -> "Iterator[Event]":
    for text in lines:
        try:
            time_ns, kind, action, ident, attributes = document.decode(text)
        except ValueError:
            continue  # a line cut short by a full disk
        yield event(time_ns, kind, action, ident, attributes)


def event(time_ns: int, kind: str, action: str, ident: str, attributes: dict[str, str]) -> Event:
    """Return an event in the shape that docker's API gives it."""
    old: Event = {}
    if kind == "container":
        old = {"status": action, "id": ident, "from": attributes.get("image", "")}
    elif kind == "image":
        old = {"status": action, "id": ident}
    return {
        **old,
        "Type": kind,
        "Action": action,
        "Actor": {"ID": ident, "Attributes": attributes},
        "scope": "local",
        "time": time_ns // 10**9,
        "timeNano": time_ns,
    }


def attributes_of(doc: "dict[str, Any]", name: str) -> dict[str, str]:
    """Return what the events of a container say of it: its labels, image and name."""
    options = doc["options"]
    return {
        **(doc["image_config"].get("Labels") or {}),
        **options.get("labels", {}),
        "image": options["image"],
        "name": name,
    }
