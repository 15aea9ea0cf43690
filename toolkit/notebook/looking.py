"""One question, asked outside and inside of a container by really running a command: what is the same on both sides?

Inside, it is an exec; where the image lacks the program, the host's runs in
the container's namespace of that kind, or the engine reads /proc, and what was
done is said.
"""

import os
import re
import resource
import shlex
import subprocess
from typing import NamedTuple

from toolkit.core.errors import ConflictError, EngineError, StartError, SyscallError
from toolkit.linux import procfs
from toolkit.linux.enter import run_in
from toolkit.linux.mount import unescaped
from toolkit.linux.namespace import namespace_inodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.engine.container import Container

_TIMEOUT_S = 5.0
_MOST_OTHERS = 12
_THREAD = re.compile(r"^ *\d+ +\d+ +\S+ +\[.*\]$")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Line(NamedTuple):
    """A line of a command's output."""

    text: str
    key: str = ""
    """What it is about, the same on both sides for the same process or file system; empty: nothing that is on both."""


class Side(NamedTuple):
    """What a command said on one side."""

    lines: tuple[Line, ...]
    note: str = ""
    """What is to be said of it: what was left out, or how else it was found out."""

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(line.text for line in self.lines)


class Look(NamedTuple):
    """The same command on both sides."""

    topic: str
    command: str
    outside: Side
    inside: Side
    cost_s: float
    """CPU time, in seconds: what the programs outside took, and once more for those inside."""

    @property
    def shared(self) -> frozenset[str]:
        """What is to be seen on both sides."""
        sides = (frozenset(line.key for line in side.lines if line.key) for side in (self.outside, self.inside))
        outside, inside = sides
        return outside & inside


class Topic(NamedTuple):
    """A question."""

    name: str
    same: str
    """What it means that a line is marked on both sides."""
    commands: tuple[tuple[str, ...], ...]
    """Each is run by itself."""
    keys: "Callable[[Container, int, list[str], bool], list[Line]]"
    """Finds out what each line is about: container, its pid, the lines, whether they are the inside's."""
    instead: "Callable[[int, tuple[str, ...]], str] | None"
    """Finds the answer where the image lacks the program; None: there is no other way."""
    changes: "Callable[[Container, int], object] | None" = None
    """Cheaply returns something that differs when the answer may; None: nobody knows without asking."""


def look(container: "Container", topic: Topic) -> Look:
    """Ask on both sides.

    Raises:
        ConflictError: the container does not run.
    """
    pid = container.pid
    if not pid:
        raise ConflictError(
            f"container {container.name} is not running", hint=f"start it: container start {container.name}"
        )
    before_s = _children_s()
    outside = [line for command in topic.commands for line in _labelled(topic, command, _outside(command))]
    cost_s = 2 * (_children_s() - before_s)
    found, notes = list[str](), list[str]()
    for command in topic.commands:
        text, note = _inside(container, pid, command, topic)
        found += _labelled(topic, command, text)
        notes += [note] if note else []
    sides = _marked(container, pid, topic, outside, found)
    shown = "; ".join(shlex.join(command) for command in topic.commands)
    return Look(topic.name, shown, _shortened(sides[0]), Side(sides[1], " ".join(notes)), cost_s)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _labelled(topic: Topic, command: tuple[str, ...], text: str) -> list[str]:
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return [f"{command[0]:<10}{line}" for line in lines] if len(topic.commands) > 1 else lines


def _marked(
    container: "Container", pid: int, topic: Topic, outside: list[str], inside: list[str]
) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """Find out what each line is about; a key that only one side has is none."""
    sides = [topic.keys(container, pid, outside, False), topic.keys(container, pid, inside, True)]  # noqa: FBT003 - by place, as the type has it
    both = {line.key for line in sides[0]} & {line.key for line in sides[1]}
    kept = [tuple(line if line.key in both else line._replace(key="") for line in side) for side in sides]
    return kept[0], kept[1]


def _shortened(lines: tuple[Line, ...]) -> Side:
    """Leave out most of what only this machine has, the kernel's own threads first, but for the heading."""
    plain = [index for index, line in enumerate(lines) if not line.key]
    threads = [index for index in plain if _THREAD.search(lines[index].text)]
    left_out = {*threads, *[index for index in plain if index not in threads][1 + _MOST_OTHERS :]}
    note = f"and {len(left_out)} more lines" if left_out else ""
    return Side(tuple(line for index, line in enumerate(lines) if index not in left_out), note)


def _outside(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_TIMEOUT_S,
            check=False, env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except FileNotFoundError:
        return f"{command[0]}: this machine has no such program"
    except subprocess.TimeoutExpired:
        return f"{command[0]}: no answer in {_TIMEOUT_S:.0f} s"
    return done.stdout.decode(errors="replace")


def _inside(container: "Container", pid: int, command: tuple[str, ...], topic: Topic) -> tuple[str, str]:
    """Return what the command says in there, and how else it was found out."""
    from toolkit.engine import ExecOptions

    try:
        with container.exec(ExecOptions(command, env=("LC_ALL=C.UTF-8",), user="0")) as attachment:
            return b"".join(chunk.data for chunk in attachment).decode(errors="replace"), ""
    except StartError as exc:
        if topic.instead is None:
            return "", f"{command[0]}: {exc.message}"
    except ConflictError:
        raise
    except EngineError as exc:
        return "", str(exc)
    try:
        text = topic.instead(pid, command)
    except EngineError as exc:
        return "", str(exc)
    return text, f"The image has no {command[0]}: this is how it looks from outside, by its namespaces and /proc."


# Processes


def _ps_keys(container: "Container", _pid: int, lines: list[str], is_inside: bool) -> list[Line]:  # noqa: FBT001 - as Topic.keys
    numbers = {_inner(pid) if is_inside else str(pid): pid for pid in container.pids()}
    marked: list[Line] = []
    for line in lines:
        if line.endswith(" ".join(_PS)):
            continue  # the one that asks
        number = line.split(maxsplit=1)[0]
        marked.append(Line(line, f"process {numbers[number]}" if number in numbers else ""))
    return marked


def _inner(pid: int) -> str:
    """Return a process's number in the innermost namespace that it is in; empty where it has ended."""
    try:
        found = re.search(r"^NSpid:.*?(\d+)$", procfs.read(f"/proc/{pid}/status"), re.MULTILINE)
    except SyscallError:
        return ""
    return found[1] if found else ""


def _ps_from_proc(pid: int, _command: tuple[str, ...]) -> str:
    from toolkit.notebook.figures.split import read_process

    there = namespace_inodes(pid)["pid"]
    lines = ["    PID COMMAND"]
    for name in sorted(filter(str.isdecimal, os.listdir("/proc")), key=int):
        try:
            if namespace_inodes(name)["pid"] == there:
                seen = read_process(name)
                lines.append(f"{seen.pids[-1]:>7} {seen.command}")
        except (SyscallError, KeyError):
            continue  # it has ended, or may not be looked at
    return "\n".join(lines)


def _processes_now(container: "Container", _pid: int) -> object:
    return container.pids(), [name for name in os.listdir("/proc") if name.isdecimal()]


# Mounts


def _mountinfo(pid: int | str) -> list[list[str]]:
    return [line.split() for line in procfs.read(f"/proc/{pid}/mountinfo").splitlines()]


def _devices(pid: int | str) -> dict[str, str]:
    """Return the number of the file system at each mount point; of those that are mounted on each other, the last."""
    return {unescaped(fields[4]): fields[2] for fields in _mountinfo(pid)}


def _mount_keys(_container: "Container", pid: int, lines: list[str], is_inside: bool) -> list[Line]:  # noqa: FBT001 - as Topic.keys
    devices = _devices(pid if is_inside else "self")
    found = (re.search(r" on (.+) type ", line) for line in lines)
    return [
        Line(line, f"file system {devices[at[1]]}" if at and at[1] in devices else "")
        for line, at in zip(lines, found, strict=True)
    ]


def _mounts_from_proc(pid: int, _command: tuple[str, ...]) -> str:
    rows = _mountinfo(pid)
    places = [fields.index("-") for fields in rows]
    return "\n".join(
        f"{fields[at + 2]} on {unescaped(fields[4])} type {fields[at + 1]} ({fields[5]})"
        for fields, at in zip(rows, places, strict=True)
    )


def _mounts_now(_container: "Container", pid: int) -> object:
    return procfs.read("/proc/self/mountinfo"), procfs.read(f"/proc/{pid}/mountinfo")


def _df_keys(_container: "Container", pid: int, lines: list[str], is_inside: bool) -> list[Line]:  # noqa: FBT001 - as Topic.keys
    devices = _devices(pid if is_inside else "self")
    ends = (line.rsplit(maxsplit=1)[-1] for line in lines)
    return [
        Line(line, f"file system {devices[end]}" if end in devices else "")
        for line, end in zip(lines, ends, strict=True)
    ]


# Names and networks


def _same_text(_container: "Container", _pid: int, lines: list[str], _is_inside: bool) -> list[Line]:  # noqa: FBT001 - as Topic.keys
    return [Line(line, line) for line in lines]


def _in_namespace(kind: str) -> "Callable[[int, tuple[str, ...]], str]":
    """Return how to run the host's program in one namespace of the container."""
    return lambda pid, command: run_in({kind: pid}, command, timeout_s=_TIMEOUT_S).output


def _net_keys(_container: "Container", pid: int, lines: list[str], is_inside: bool) -> list[Line]:  # noqa: FBT001 - as Topic.keys
    """A device is the same only where the network namespace is."""
    inode = namespace_inodes(pid if is_inside else "self").get("net", 0)
    return [Line(line, f"{inode} {line}") for line in lines]


def _name(pid: int, command: tuple[str, ...]) -> str:
    if command[0] == "id":
        facts = dict(line.split(":\t", 1) for line in procfs.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        return f"uid={facts['Uid'].split()[0]} gid={facts['Gid'].split()[0]}"
    return _in_namespace("uts")(pid, command)


_PS = ("ps", "-eo", "pid,ppid,user,args")
TOPICS = (
    Topic("processes", "the same process", (_PS,), _ps_keys, _ps_from_proc, _processes_now),
    Topic("mounts", "the same file system", (("mount",),), _mount_keys, _mounts_from_proc, _mounts_now),
    Topic("names", "the same on both sides", (("hostname",), ("id",), ("uname", "-sr")), _same_text, _name),
    Topic("network", "the same device", (("ip", "-brief", "link"), ("ip", "-brief", "addr")), _net_keys,
          _in_namespace("net")),
    Topic("disks", "the same file system", (("df", "-h"),), _df_keys, None),
)  # fmt: skip
"""What can be asked."""
