"""A recording: what one start really did, kept as JSON lines, to be seen again without privileges.

    {"recording": 1, "kind": "step", "kernel": "6.1.0", "machine": "x86_64", "date": "...", "command": "...", ...}
    {"step": ["NewProcess", "outside", "namespace", "A process ...", "clone3(2)", ["clone3(...)"], false]}
    {"event": [...]}                    one call, see `Event.to_json`
    {"look": 1, "pid": 4711, ...}       what was seen before step index 1; what is not named is as it was
    {"end": {"events": 196, "exit_code": 0}}

Steps come in order, so each one's line is its index.  Of mounts only those are
written that are new or different ("mounts") or gone ("gone").

A recording has no value of an environment variable, in its command line or in
its calls (execve shows how many there are).  It does have the words of the
command that was run: a password belongs in neither, but least there.

`trace/reading.py` reads them.
"""

import json

from toolkit.core.errors import InvalidError
from toolkit.core.record import NamedTuple
from toolkit.trace.look import NOTHING, Look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from toolkit.trace.event import Event
    from toolkit.trace.step import StepFacts

VERSION = 1
RUN, STEP = "run", "step"


class Header(NamedTuple):
    """Where and when it was recorded."""

    kind: str
    """RUN: the calls of a whole start; STEP: also what was seen between the steps."""
    toolkit: str
    kernel: str
    machine: str
    date: str
    """UTC, RFC 3339."""
    command: str

    def label(self) -> str:
        """Say that this is a recording, and of what."""
        return f"recording of {self.date[:16].replace('T', ' ')} UTC on kernel {self.kernel}, {self.machine}"


class Recording(NamedTuple):
    """One start as it was."""

    header: Header
    steps: "tuple[StepFacts, ...]"
    events: "tuple[Event, ...]"
    looks: dict[int, Look]
    """What was seen, by the index of the step that came next."""
    exit_code: int | None = None
    """How the program ended, where that is known."""
    warning: str = ""
    """What is to be said of a file that was cut short."""

    def save(self, path: str) -> None:
        """Write it to a file.

        Raises:
            InvalidError: it cannot be written there.
        """
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines(self))
        except OSError as exc:
            raise InvalidError(f"{path}: {exc.strerror or exc}", hint="name another file for the recording") from exc

    def __repr__(self) -> str:
        return f"<{self.header.label()}: {self.header.command}, {len(self.events)} calls>"


def begin(kind: str, command: str) -> Header:
    """Return the header of a recording that is made here and now."""
    import os

    import toolkit
    from toolkit.core import clock

    date = f"{clock.now()[:19]}Z"
    here = os.uname()
    return Header(kind, toolkit.__version__, here.release, here.machine, date, command)


# Writing


def lines(recording: Recording) -> "Iterator[str]":
    """Yield the lines of a recording."""
    yield _line({"recording": VERSION, **recording.header._asdict()})
    for step in recording.steps:
        yield _line({"step": [step.name, step.actor, step.phase, step.why, step.see, step.calls, step.in_reserve]})
    for event in recording.events:
        yield _line({"event": event.to_json()})
    before = NOTHING
    for index, look in sorted(recording.looks.items()):
        yield _line({"look": index, **_difference(before, look)})
        before = look
    yield _line({"end": {"events": len(recording.events), "exit_code": recording.exit_code}})


def _line(document: "dict[str, Any]") -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _difference(before: Look, after: Look) -> "dict[str, Any]":
    """Return what is different, as JSON."""
    found: dict[str, Any] = {"pid": after.pid}
    if after.mounts != before.mounts:
        known = {each.id: each for each in before.mounts}
        found["mounts"] = [each for each in after.mounts if known.get(each.id) != each]
        there = {each.id for each in after.mounts}
        found["gone"] = [each.id for each in before.mounts if each.id not in there]
    for name in ("namespaces", "powers", "groups", "processes"):
        if getattr(after, name) != getattr(before, name):
            found[name] = getattr(after, name)
    return found
