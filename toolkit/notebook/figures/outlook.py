"""Which lessons run on this machine, which in part, and which show a recording: made of the doctor's answers."""

import os
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from toolkit.linux.probe import Feature
from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, FAINT, GREEN, INK, LINE, PURPLE, chip

_OPTIONAL_VIEWS = ("own view of user", "own view of time")
_LIVE, _PARTLY, _RECORDED = "runs here", "runs in part", "recording"
_ALL = "every container"
_COLOURS = {_LIVE: GREEN, _PARTLY: AMBER, _RECORDED: PURPLE}


class Lesson(NamedTuple):
    """A notebook, and what single parts of it need besides what every container is made of."""

    number: str
    title: str
    parts: tuple[str, ...] = ()
    needs_machine: bool = False
    """A part starts a virtual machine."""
    needs_containers: bool = True


LESSONS = (
    Lesson("00", "What can this machine do?", needs_containers=False),
    Lesson("01", "Just a process"),
    Lesson("02", "Three small views: pid, uts, ipc"),
    Lesson("03", "A root of one's own: mnt"),
    Lesson("04", "Root that isn't: user, cgroup, time", (*_OPTIONAL_VIEWS, "own view of user, as anybody")),
    Lesson("06", "A line that the kernel watches", ("limits on memory", "limits on cpu", "limits on pids")),
    Lesson("07", "Root without power", ("own view of user, as anybody",)),
    Lesson("15", "Container and machine", ("limits on memory",), needs_machine=True),
)


class Chance(NamedTuple):
    """What becomes of a lesson on this machine."""

    lesson: Lesson
    word: str
    reason: str
    """Which parts lack something here; empty where none does, or where all is a recording."""


def outlook(features: Sequence[Feature] | None = None, *, lack_of_machine: str | None = None) -> Figure:
    """Draw what becomes of each lesson on this machine.

    Args:
        features: what the doctor found, with everything; None: it looks now.
        lack_of_machine: what a virtual machine lacks here; None: it is looked at now.
    """
    if features is None:
        from toolkit.linux.probe import find_features

        features = find_features(everything=True)
    lack = _lack_of_machine() if lack_of_machine is None else lack_of_machine
    return draw(chances(features, lack))


def chances(features: Sequence[Feature], lack_of_machine: str) -> list[Chance]:
    """Decide what becomes of each lesson."""
    lacking = {f"{each.group} {each.name}" for each in features if not each.is_here}
    has_all = all(each.is_here for each in features if each.needed_for == _ALL)
    found: list[Chance] = []
    for lesson in LESSONS:
        parts = [part for part in lesson.parts if part in lacking]
        if lesson.needs_machine and lack_of_machine:
            parts.append(f"a virtual machine ({lack_of_machine})")
        if lesson.needs_containers and not has_all:
            found.append(Chance(lesson, _RECORDED, ""))
        elif not has_all:
            found.append(Chance(lesson, _PARTLY, "its containers are a recording"))
        else:
            reason = f"missing: {', '.join(parts)}" if parts else ""
            found.append(Chance(lesson, _PARTLY if parts else _LIVE, reason))
    return found


def _lack_of_machine() -> str:
    from toolkit.core.errors import EngineError
    from toolkit.vm import parts

    try:
        parts.require()
    except EngineError as exc:
        return str(exc.message)
    return "" if os.geteuid() == 0 else "not root"


def draw(found: Sequence[Chance]) -> Figure:
    """Draw what `chances` decided."""
    cell = f"padding:.3em 1.2em .3em 0;border:none;border-bottom:1px solid {LINE};text-align:left;vertical-align:top"
    rows = "".join(
        f'<tr style="background:none"><td style="{cell}">{escape(each.lesson.number)} · '
        f'{escape(each.lesson.title)}</td><td style="{cell}">{chip(each.word, _COLOURS[each.word])}</td>'
        f'<td style="{cell};color:{FAINT};white-space:normal">{escape(each.reason)}</td></tr>'
        for each in found
    )
    head = _headline(found)
    html = (
        f'<div style="color:{INK};font-size:.92em;max-width:760px"><div style="margin-bottom:.5em"><b>{escape(head)}'
        f'</b></div><table style="border-collapse:collapse;background:none;width:100%">{rows}</table></div>'
    )
    width = max(len(each.lesson.title) for each in found)
    lines = [
        f"{each.lesson.number}  {each.lesson.title:{width}}  {each.word:12}  {each.reason}".rstrip() for each in found
    ]
    return Figure(html, "\n".join((head, *lines)))


def _headline(found: Sequence[Chance]) -> str:
    recorded = sum(each.word == _RECORDED for each in found)
    if recorded:
        return "This machine makes no containers. What most lessons show here is real, but was recorded elsewhere."
    if any(each.word == _PARTLY for each in found):
        return "This machine makes containers, and lacks what some parts of the lessons need."
    return "This machine can do everything that is needed."
