"""Who shares what: processes against the namespaces that they are in, by the inodes of /proc/PID/ns."""

import errno
import os
from html import escape
from typing import Any, NamedTuple

from toolkit.core.errors import SyscallError
from toolkit.linux.namespace import namespace_inodes
from toolkit.notebook.figures import Figure
from toolkit.notebook.figures.split import MEANING, read_process
from toolkit.notebook.html import AMBER, BLUE, FAINT, GREEN, INK, LINE, MONO, PURPLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = "this machine"
ENDED = "as it was: it has ended"
"""Said of a container whose processes are gone."""
COLOURS = (BLUE, PURPLE, GREEN, AMBER, "#c2557a", "#3a9aa8")
"""One for each container, in turn; what is this machine's has none."""
_DIGITS = 5
_MOST = 6
_COMMAND_WIDTH = 26


class Member(NamedTuple):
    """A process, and the namespaces it is in."""

    group: str
    """HERE, or the container's name."""
    pid: int
    inner_pid: int
    """Its number in the innermost pid namespace that it is in."""
    command: str
    note: str
    """What it is to the learner; empty for a container's."""
    inodes: dict[str, int]
    """By kind; empty where this machine lets nobody look."""


class NamespaceMap(NamedTuple):
    """What was read."""

    kinds: tuple[str, ...]
    """Those that this kernel has."""
    members: tuple[Member, ...]
    left_out: dict[str, int]
    """How many more processes there are, by group."""

    @property
    def groups(self) -> tuple[str, ...]:
        """This machine, then the containers."""
        return tuple(dict.fromkeys((HERE, *(each.group for each in self.members))))

    def owner(self, kind: str, inode: int) -> str:
        """Return the group that a namespace belongs to: the first with a process in it, this machine before all."""
        return next(each.group for each in self.members if each.inodes.get(kind) == inode)

    def is_shared(self, kind: str, one: str, other: str = HERE) -> bool:
        """Tell whether two groups have a namespace of this kind in common."""
        mine, theirs = (
            {each.inodes[kind] for each in self.members if each.group == group and each.inodes}
            for group in (one, other)
        )
        return not mine.isdisjoint(theirs)

    def own(self, group: str) -> tuple[str, ...]:
        """Return the kinds of which a container has a namespace of its own."""
        return tuple(kind for kind in self.kinds if not self.is_shared(kind, group))


def read_map(containers: "Iterable[tuple[str, Sequence[int]]]", pids: "Sequence[int]" = ()) -> NamespaceMap:
    """Read it from /proc.

    Args:
        containers: the name of each, and its processes.
        pids: of more processes of this machine.
    """
    ours = namespace_inodes("self")
    notes = {1: "the first of all", os.getpid(): "this notebook"}
    members = [
        each for pid in dict.fromkeys((1, os.getpid(), *pids)) if (each := _member(HERE, pid, notes.get(pid, "")))
    ]
    # Ours come first, so that what this machine's first process does not share with us is seen to be another's.
    members.sort(key=lambda each: each.pid != os.getpid())
    left_out: dict[str, int] = {}
    for name, inside in containers:
        members += (each for pid in inside[:_MOST] if (each := _member(name, pid, "")))
        if len(inside) > _MOST:
            left_out[name] = len(inside) - _MOST
    return NamespaceMap(tuple(kind for kind in MEANING if kind in ours), tuple(members), left_out)


def _member(group: str, pid: int, note: str) -> Member | None:
    """Read one process; None where it has ended."""
    try:
        seen = read_process(pid)
        inodes = namespace_inodes(pid)
    except SyscallError as exc:
        if exc.errno not in (errno.EACCES, errno.EPERM):
            return None
        seen, inodes = read_process(pid), {}  # its status is anybody's to read, its namespaces are not
    return Member(group, pid, seen.pids[-1], seen.command, note, inodes)


def facts(found: NamespaceMap) -> dict[str, Any]:
    """Return the picture as plain values; each cell has the inode, and the place of the group that it belongs to."""
    groups = found.groups
    owners = {
        (kind, inode): groups.index(found.owner(kind, inode))
        for each in found.members
        for kind, inode in each.inodes.items()
    }
    rows = [
        {
            "group": groups.index(each.group),
            "pid": each.pid,
            "inner": each.inner_pid,
            "command": _shortened(each),
            "note": each.note,
            "cells": [_cell(each, kind, owners) for kind in found.kinds],
        }
        for each in found.members
    ]
    return {
        "kinds": [[kind, MEANING[kind]] for kind in found.kinds],
        "groups": [[name, colour_of(index), found.left_out.get(name, 0)] for index, name in enumerate(groups)],
        "rows": rows,
    }


def _cell(member: Member, kind: str, owners: dict[tuple[str, int], int]) -> list[int]:
    inode = member.inodes.get(kind, 0)
    return [inode, owners.get((kind, inode), 0)]


def number(inode: int) -> str:
    """Return what is shown of a namespace's number: its end."""
    return str(inode)[-_DIGITS:] if inode else "?"


def colour_of(group: int) -> str:
    """Return the colour of a group by its place; empty for this machine."""
    return COLOURS[(group - 1) % len(COLOURS)] if group else ""


def _shortened(member: Member) -> str:
    command = member.command.split(" ")[0] if member.note else member.command
    return command if len(command) <= _COMMAND_WIDTH else f"{command[: _COMMAND_WIDTH - 1]}…"


def draw(found: NamespaceMap) -> Figure:
    """Draw the map as it stands."""
    shown = facts(found)
    cell = f"padding:.22em .5em;border:none;border-bottom:1px solid {LINE};text-align:left;white-space:nowrap"
    head = f"{cell};color:{FAINT};font-weight:600"
    titles = "".join(
        f'<th style="{head}" title="{escape(meaning)}">{escape(kind)}</th>' for kind, meaning in shown["kinds"]
    )
    rows = "".join(_group(index, shown, cell) for index in range(len(shown["groups"])))
    return Figure(
        f'<div style="color:{INK};font-size:.92em;overflow-x:auto">'
        '<table style="border-collapse:collapse;background:none;margin:.3em 0">'
        f'<thead><tr><th style="{head}">process</th>'
        f"{titles}</tr></thead><tbody>{rows}</tbody></table>"
        f'<div style="color:{FAINT}">{escape(LEGEND)}</div></div>',
        _text(found),
    )


LEGEND = (
    "Each number is the end of a namespace's number in /proc/PID/ns. The same number in a column: the same namespace. "
    "Grey is this machine's; a colour is the container's that it came with."
)


def _group(index: int, shown: dict[str, Any], cell: str) -> str:
    name, colour, more = shown["groups"][index]
    style = f"{cell};color:{colour or FAINT};font-weight:600;padding-top:.7em"
    head = (
        f'<tr style="background:none"><td style="{style}" colspan="{len(shown["kinds"]) + 1}">{escape(name)}</td></tr>'
    )
    lines = "".join(_line(row, shown, cell) for row in shown["rows"] if row["group"] == index)
    if more:
        lines += f'<tr style="background:none"><td style="{cell};color:{FAINT}">and {more} more</td></tr>'
    return head + lines


def _line(row: dict[str, Any], shown: dict[str, Any], cell: str) -> str:
    note = f' <span style="color:{FAINT}">{escape(row["note"])}</span>' if row["note"] else ""
    cells = "".join(_chip(inode, shown["groups"][owner][1], cell) for inode, owner in row["cells"])
    return (
        f'<tr style="background:none"><td style="{cell}"><span style="font-family:{MONO}">'
        f"<b>{row['pid']}</b> {escape(row['command'])}{note}</span></td>{cells}</tr>"
    )


def _chip(inode: int, colour: str, cell: str) -> str:
    edge = f"2px solid {colour}" if colour else f"1px solid {LINE}"
    ink = colour or FAINT
    return (
        f'<td style="{cell}"><span title="{inode}" style="font-family:{MONO};font-size:.9em;border:{edge};color:{ink};'
        f'border-radius:6px;padding:.05em .4em">{number(inode)}</span></td>'
    )


def _text(found: NamespaceMap) -> str:
    lines = [f"{'process':<36}" + "".join(f"{kind:>8}" for kind in found.kinds)]
    group = ""
    for each in found.members:
        if each.group != group:
            group = each.group
            lines.append(f"{group}:")
        what = f"{each.pid:>8} {_shortened(each)}{f' ({each.note})' if each.note else ''}"
        cells = (f"{number(each.inodes.get(kind, 0)):>8}" for kind in found.kinds)
        lines.append(f"{what[:36]:<36}" + "".join(cells))
    return "\n".join(lines)
