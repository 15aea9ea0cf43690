"""One process, seen twice: the host's process list beside the container's, and whose namespaces they are in."""

import os
from html import escape
from typing import NamedTuple

from toolkit.core.errors import SyscallError
from toolkit.linux.look import command_of
from toolkit.linux.namespace import namespace_inodes
from toolkit.linux.procfs import read
from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, BLUE, FAINT, GREEN, INK, LINE, MONO

MEANING = {
    "pid": "process numbers",
    "mnt": "files and mounts",
    "uts": "host name",
    "ipc": "shared memory, queues",
    "net": "network",
    "cgroup": "limits, as seen from inside",
    "user": "who is root",
    "time": "clocks since boot",
}
_WIDTH, _ROW, _TOP, _PAD = 760, 26, 64, 14
_COLUMN = 330
_RIGHT = _WIDTH - _COLUMN
_MOST = 8
_COMMAND_WIDTH = 30
_NAME_WIDTH = 12


class Process(NamedTuple):
    """A process with its number in each pid namespace that it has one in, the host's first."""

    pids: tuple[int, ...]
    parent: int
    command: str
    note: str = ""
    """What it is to the learner; empty for those of the container."""


class Namespace(NamedTuple):
    """One kind of namespace: the inode of the host's and of the container's."""

    kind: str
    host: int
    inside: int

    @property
    def is_own(self) -> bool:
        """Tell whether the container has one of its own."""
        return self.host != self.inside


class Split(NamedTuple):
    """What is seen from both sides."""

    name: str
    host: tuple[Process, ...]
    """Some of the host's processes: the first, this notebook, the container's and their parent."""
    host_count: int
    inside: tuple[Process, ...]
    namespaces: tuple[Namespace, ...]


def read_process(pid: int | str) -> Process:
    """Read one process from /proc.

    Raises:
        SyscallError: ENOENT, ESRCH where it is gone.

    See Also:
        proc_pid_status(5), NSpid
    """
    facts = dict(line.split(":", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":" in line)
    command = command_of(pid, facts["Name"].strip())
    return Process(tuple(map(int, facts["NSpid"].split())), int(facts["PPid"]), command)


def read_split(pid: int, name: str) -> Split:
    """Look at a container from both sides.

    Args:
        pid: the host's number for the container's first process.
        name: what to call the container.

    Raises:
        SyscallError: ENOENT, ESRCH where it has ended.
    """
    theirs = namespace_inodes(pid)
    ours = namespace_inodes("self")
    processes = list(_processes())
    inside = tuple(each for each in processes if _pid_namespace(each.pids[0]) == theirs["pid"])
    notes = {1: "the first of all", os.getpid(): "this notebook", read_process(pid).parent: "its parent"}
    namespaces = tuple(Namespace(kind, ours[kind], theirs[kind]) for kind in MEANING if kind in ours and kind in theirs)
    host = tuple(
        each._replace(note=notes.get(each.pids[0], "")) for each in processes if each.pids[0] in notes or each in inside
    )
    return Split(name, host, len(processes), inside, namespaces)


def _processes() -> "list[Process]":
    found: list[Process] = []
    for entry in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            found.append(read_process(entry))
        except SyscallError:  # ended since the listing
            continue
    return found


def _pid_namespace(pid: int) -> int:
    try:
        return namespace_inodes(pid).get("pid", 0)
    except SyscallError:  # ended, or a process that we may not look at
        return 0


def split_view(pid: int, name: str) -> Figure:
    """Draw a container and its host side by side."""
    return draw(read_split(pid, name))


def draw(split: Split) -> Figure:
    """Draw what `read_split` has read."""
    inside = {each.pids[0] for each in split.inside}
    ours = [each for each in split.host if each.pids[0] not in inside][:_MOST]
    left = sorted([*ours, *split.inside[:_MOST]])
    right = list(split.inside[:_MOST])
    rows = max(len(left), len(right))
    height = _TOP + rows * _ROW + 2 * _PAD
    place = {each.pids[0]: index for index, each in enumerate(left)}
    parts = [
        _panel(0, _COLUMN, height, "this machine", f"{split.host_count} processes, some of them here"),
        _panel(_RIGHT, _COLUMN, height, f"inside {split.name}", "all that its ps can see"),
        *(_curve(place[each.pids[0]], index) for index, each in enumerate(right)),
        *(_row(0, index, each.pids[0], each) for index, each in enumerate(left)),
        *(_row(_RIGHT, index, each.pids[-1], each) for index, each in enumerate(right)),
    ]
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" style="max-width:100%;height:auto" role="img" '
        f'aria-label="the same processes on the host and inside {escape(split.name)}" font-family="{MONO}" '
        f'font-size="13">{"".join(parts)}</svg>'
    )
    return Figure(f'<div style="color:{INK}">{svg}{_namespaces(split)}</div>', _text(split, left, right))


def _panel(x: int, width: int, height: int, title: str, note: str) -> str:
    return (
        f'<rect x="{x + 1}" y="1" width="{width - 2}" height="{height - 2}" rx="10" fill="none" stroke="currentColor" '
        f'stroke-opacity=".25"/><text x="{x + _PAD}" y="26" font-size="15" font-weight="600" fill="currentColor" '
        f'font-family="system-ui, sans-serif">{escape(title)}</text><text x="{x + _PAD}" y="45" font-size="12" '
        f'fill="currentColor" fill-opacity=".6" font-family="system-ui, sans-serif">{escape(note)}</text>'
    )


def _middle(index: int) -> int:
    return _TOP + index * _ROW + _ROW // 2


def _row(x: int, index: int, pid: int, process: Process) -> str:
    y = _middle(index)
    looks = "" if process.note else f' fill="{BLUE}" font-weight="600"'
    faint = ' fill="currentColor" fill-opacity=".65"' if process.note else ""
    return (
        f'<text x="{x + _PAD + 52}" y="{y + 5}" text-anchor="end"{looks}{faint}>{pid}</text>'
        f'<text x="{x + _PAD + 64}" y="{y + 5}"{looks}{faint}>{escape(_shortened(process))}</text>'
    )


def _shortened(process: Process) -> str:
    """Return the command; of a bystander only its name, and what it is."""
    if process.note:
        return f"{process.command.split(' ')[0][:_NAME_WIDTH]}: {process.note}"
    return process.command if len(process.command) <= _COMMAND_WIDTH else f"{process.command[: _COMMAND_WIDTH - 1]}…"


def _curve(left: int, right: int) -> str:
    start, end = _middle(left), _middle(right)
    x1, x2 = _COLUMN - 8, _RIGHT + 8
    middle = (x1 + x2) // 2
    return (
        f'<path d="M{x1},{start} C{middle},{start} {middle},{end} {x2},{end}" fill="none" stroke="{BLUE}" '
        f'stroke-width="1.6"/><circle cx="{x1}" cy="{start}" r="3" fill="{BLUE}"/>'
        f'<circle cx="{x2}" cy="{end}" r="3" fill="{BLUE}"/>'
    )


def _namespaces(split: Split) -> str:
    cell = f"padding:.25em 1.2em .25em 0;border:none;border-bottom:1px solid {LINE};text-align:left"
    head = "".join(
        f'<th style="{cell};color:{FAINT};font-weight:600">{escape(name)}</th>'
        for name in ("namespace", "what it divides", "this machine", f"inside {split.name}", "")
    )
    rows = "".join(
        f'<tr style="background:none"><td style="{cell}"><b>{each.kind}</b></td>'
        f'<td style="{cell};color:{FAINT}">{MEANING[each.kind]}</td>'
        f'<td style="{cell};font-family:{MONO}">{each.host}</td>'
        f'<td style="{cell};font-family:{MONO}">{each.inside}</td>'
        f'<td style="{cell};color:{GREEN if each.is_own else AMBER};font-weight:600">'
        f"{'its own' if each.is_own else 'shared'}</td></tr>"
        for each in split.namespaces
    )
    return (
        '<table style="border-collapse:collapse;margin:.8em 0;font-size:.92em;background:none">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _text(split: Split, left: list[Process], right: list[Process]) -> str:
    inside = {each.pids[0]: each.pids[-1] for each in right}
    lines = [f"{'this machine':>14}   inside {split.name}"]
    for each in left:
        own = str(inside.get(each.pids[0], ""))
        lines.append(f"{each.pids[0]:>14}   {own:>6}   {_shortened(each)}")
    lines += [f"{each.kind:>14}   {each.host} {'≠' if each.is_own else '='} {each.inside}" for each in split.namespaces]
    return "\n".join(lines)
