"""Reading recordings: strict and kind.

A file that is no recording, or one of a version that is not known, is one error
with the number of its line; one that was cut short is shown as far as it goes,
and says so.
"""

import json
from typing import Any

from toolkit.core.errors import InvalidError
from toolkit.trace.event import Event
from toolkit.trace.look import NOTHING, Group, Look, Mount, Namespace, Powers, Process
from toolkit.trace.recorded import RUN, STEP, VERSION, Header, Recording
from toolkit.trace.step import StepFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

_MAX_LINE_BYTES = 1 << 20
_MAX_LINES = 200_000
_EVENT_TYPES = (str, str, int, str, int, int, int, str, int)
_STEP_TYPES = (str, str, str, str, str, list, bool)
_ROWS: "dict[str, Any]" = {"mounts": Mount, "namespaces": Namespace, "groups": Group, "processes": Process}


def load(path: str) -> Recording:
    """Read a recording from a file.

    Raises:
        InvalidError: there is none, or it is no recording of a version that is known.
    """
    try:
        with open(path, "rb") as file:
            return parse(file, path)
    except OSError as exc:
        raise InvalidError(f"{path}: {exc.strerror or exc}", hint="give the file of a recording") from exc


def parse(file: "BinaryIO", name: str) -> Recording:
    """Read a recording from lines of bytes; `name` is what messages call it.

    Raises:
        InvalidError: as `load`.
    """
    reader = _Reader(name)
    header = reader.header(file.readline(_MAX_LINE_BYTES + 1))
    while line := file.readline(_MAX_LINE_BYTES + 1):
        if not reader.take(line):
            break
    return reader.recording(header)


class _Reader:
    """Takes line after line, and says of the first wrong one what is wrong with it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._number = 0
        self._steps: list[StepFacts] = []
        self._events: list[Event] = []
        self._looks: dict[int, Look] = {}
        self._last = NOTHING
        self._end: dict[str, Any] | None = None
        self._warning = ""

    def header(self, line: bytes) -> Header:
        self._number = 1
        if not line:
            raise InvalidError(f"{self._name} is empty", hint="a recording begins with a line that says what it is")
        document = self._document(line)
        if document is None or "recording" not in document:
            raise self._wrong("this is not a recording")
        if document["recording"] != VERSION:
            message = f"a recording of version {document['recording']!r:.20}, and this program knows version {VERSION}"
            raise self._wrong(message)
        values = [document.get(field) for field in Header._fields]
        if not all(isinstance(value, str) for value in values) or values[0] not in (RUN, STEP):
            raise self._wrong("its header is damaged")
        return Header(*values)  # type: ignore[arg-type]  # all are strings

    def take(self, line: bytes) -> bool:
        """Read one line more; return False at the end."""
        self._number += 1
        if self._number > _MAX_LINES:
            raise self._wrong(f"more than {_MAX_LINES} lines")
        document = self._document(line)
        if document is None:
            return False
        for key, read in (("step", self._step), ("event", self._event), ("look", self._look), ("end", self._ending)):
            if key in document:
                try:
                    read(document[key], document)
                except (TypeError, ValueError, KeyError, IndexError, AttributeError) as exc:
                    raise self._wrong(f"a damaged {key}") from exc
                return key != "end"
        raise self._wrong(f"it says nothing that is known: {', '.join(list(document)[:3])!r:.60}")

    def recording(self, header: Header) -> Recording:
        if self._end is None and not self._warning:
            self._warning = f"cut short after line {self._number}: it has no end"
        if self._end is not None and self._end["events"] != len(self._events):
            self._warning = f"{len(self._events)} calls are here, and {self._end['events']} were recorded"
        code = self._end["exit_code"] if self._end is not None else None
        return Recording(header, tuple(self._steps), tuple(self._events), self._looks, code, self._warning)

    def _wrong(self, what: str) -> InvalidError:
        return InvalidError(f"{self._name}, line {self._number}: {what}", hint="record it again")

    def _document(self, line: bytes) -> "dict[str, Any] | None":
        """Return a line as an object; None for one that was cut off in the middle."""
        if len(line) > _MAX_LINE_BYTES:
            raise self._wrong(f"a line of more than {_MAX_LINE_BYTES >> 20} MiB")
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as exc:
            if self._number > 1 and not line.endswith(b"\n"):
                self._warning = f"cut short in line {self._number}"
                return None
            raise self._wrong("this is not JSON" if self._number > 1 else "this is not a recording") from exc
        if not isinstance(document, dict):
            raise self._wrong("this is not a JSON object" if self._number > 1 else "this is not a recording")
        return document

    def _step(self, value: Any, _line: "dict[str, Any]") -> None:
        _check(value, _STEP_TYPES)
        name, actor, phase, why, see, calls, in_reserve = value
        _check(calls, (str,) * len(calls))
        number = len(self._steps) + 1
        self._steps.append(StepFacts(number, name, actor, phase, why, see, tuple(calls), in_reserve))

    def _event(self, value: Any, _line: "dict[str, Any]") -> None:
        _check(value, _EVENT_TYPES)
        self._events.append(Event.from_json(value))

    def _look(self, index: Any, line: "dict[str, Any]") -> None:
        _check((index, line["pid"]), (int, int))
        if not 0 <= index <= len(self._steps):
            raise ValueError(index)
        rows: dict[str, Any] = {name: _rows(kind, line[name]) for name, kind in _ROWS.items() if name in line}
        if "mounts" in rows:
            rows["mounts"] = _merged(self._last.mounts, rows["mounts"], frozenset(line["gone"]))
        if "powers" in line:
            rows["powers"] = _powers(line["powers"])
        self._last = self._last._replace(pid=line["pid"], **rows)
        self._looks[index] = self._last

    def _ending(self, value: Any, _line: "dict[str, Any]") -> None:
        _check((value["events"],), (int,))
        if value["exit_code"] is not None:
            _check((value["exit_code"],), (int,))
        self._end = value


def _check(values: Any, types: "Iterable[type]") -> None:
    """Raise ValueError where `values` are not exactly of these types."""
    expected = tuple(types)
    if not isinstance(values, (list, tuple)) or tuple(type(value) for value in values) != expected:
        raise ValueError("fields of another type")


def _rows(kind: Any, values: Any) -> "tuple[Any, ...]":
    """Make named tuples of arrays, each field of the type that it is declared with."""
    types = tuple(kind.__annotations__.values())
    for row in values:
        _check(row, types)
    return tuple(kind(*row) for row in values)


def _powers(value: Any) -> Powers:
    _check(value, (int, int, list, list, list, list, list, bool, bool))
    for names in value[2:7]:
        _check(names, (str,) * len(names))
    return Powers._make(tuple(each) if isinstance(each, list) else each for each in value)


def _merged(before: tuple[Mount, ...], different: "tuple[Mount, ...]", gone: "frozenset[int]") -> tuple[Mount, ...]:
    """Return the mounts after a step: those that stay at their places, new ones at the end."""
    changed = {each.id: each for each in different}
    kept = [changed.pop(each.id, each) for each in before if each.id not in gone]
    return (*kept, *changed.values())
