"""Running something dangerous in a real container, so that the machine survives it.

- What it runs in is a container of --rm, whose own monitor ends it after some seconds, whatever becomes of this
  notebook.
- Around it lies a control group of ours with a limit on memory and on processes, so that a container without
  limits has these.
- What it writes is read up to a limit.
"""

import contextlib
import os
import select
import time
import zlib
from typing import Any, NamedTuple

from toolkit.core.errors import ConflictError, EngineError, NotFoundError, SyscallError, UnsupportedError
from toolkit.linux import cgroup, lock, procfs
from toolkit.notebook import listening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from toolkit.engine import Engine
    from toolkit.engine.attachment import Attachment
    from toolkit.engine.container import Container
    from toolkit.linux.cgroup.resources import Resources
    from toolkit.runtime.steps import Step

    Alter = Callable[[tuple[Step, ...]], tuple[Step, ...]]

MOST_MEMORY_BYTES = 384 << 20
MOST_PIDS = 300
_LONGEST_S = 10
_MAX_OUTPUT_BYTES = 32 * 1024
_LOOK_S = 0.05
_GATE = ("sh", "-c", 'read -r _ && exec "$@" < /dev/null', "sh")
"""Waits for a line, then becomes the command: until it comes, the process can be looked at from outside."""


class Ran(NamedTuple):
    """What came of a trial, and what was seen from outside while it lasted."""

    exit_code: int
    output: str
    took_s: float
    is_late: bool
    """It was ended since it took too long, or wrote too much."""
    is_oom_killed: bool
    peak_memory_bytes: int
    peak_pids: int
    refused_forks: int
    oom_kills: int
    status: str
    """/proc/PID/status of its first process, read by the host just before that became the command."""
    refused: tuple[str, ...] = ()
    """The calls that the kernel did not permit, as strace prints them; empty where nobody listened."""


def run(
    engine: "Engine", command: "Sequence[str]", *, alter: "Alter | None" = None, listens: bool = False, **options: Any
) -> Ran:
    """Run a command in a throw-away container and wait for it.

    Args:
        engine: whose container it is.
        command: the program and its arguments.
        alter: makes another plan of the container's plan, as one without a defence.
        listens: have the host's strace listen to it, where there is one.
        options: fields of ContainerOptions.

    Raises:
        EngineError: the container could not be made; nothing is left of it.
    """
    from toolkit.engine import ContainerOptions
    from toolkit.engine import Engine as Opened

    with _bounded(engine) as parent, Opened(engine.paths) as own:
        own.launcher.alter = alter
        wanted = ContainerOptions(
            "lab", (*_GATE, *command), cgroup_parent=parent, auto_remove=True, timeout_s=_LONGEST_S, open_stdin=True,
            stdin_once=True, network="none", **options,
        )  # fmt: skip
        container = own.containers.create(wanted, will_start=True)
        try:
            return _watch(container, listens=listens)
        finally:
            with contextlib.suppress(NotFoundError, ConflictError):
                container.remove(force=True)


@contextlib.contextmanager
def _bounded(engine: "Engine") -> "Generator[str]":
    """Have the group around trials in a `with` block; whoever leaves last takes it away.

    Raises:
        UnsupportedError: this machine can limit neither processes nor memory: nothing is tried on it.
    """
    hierarchy = cgroup.detect()
    parent = parent_of(engine)
    fd = os.open(_lock_of(engine), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock.wait_lock(fd, shared=True)
        try:
            hierarchy.create(parent, bounds(hierarchy.controllers()))
            yield parent
        finally:
            lock.unlock(fd)
            if lock.try_lock(fd):
                hierarchy.remove(parent)
    finally:
        os.close(fd)


def sweep(engine: "Engine") -> None:
    """Take away the group that trials have left whose notebook was killed; where others are under way it is theirs."""
    try:
        fd = os.open(_lock_of(engine), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if lock.try_lock(fd):
            with contextlib.suppress(SyscallError):  # what was left may live for some seconds yet
                cgroup.detect().remove(parent_of(engine), timeout_s=0)
    finally:
        os.close(fd)


def _lock_of(engine: "Engine") -> str:
    return f"{engine.paths.run}/arena.lock"


def parent_of(engine: "Engine") -> str:
    """Return the group around all trials of an engine."""
    return f"/container-toolkit-arena-{zlib.crc32(engine.paths.root.encode()):08x}"


def bounds(controllers: frozenset[str]) -> "Resources":
    """Return the limits around all trials.

    Raises:
        UnsupportedError: one of the two cannot be had here.
    """
    missing = sorted({"memory", "pids"} - controllers)
    if missing:
        message = (
            f"this machine has no cgroup controller {' and no '.join(missing)}, so nothing dangerous is tried on it"
        )
        raise UnsupportedError(message, hint="`container doctor` says how to get it")
    return {"memory": {"limit": MOST_MEMORY_BYTES}, "pids": {"limit": MOST_PIDS}}


class _Seen:
    """The most that was seen of a container's use."""

    def __init__(self, container: "Container") -> None:
        self._container = container
        self.memory_bytes = self.pids = self.refused = self.kills = 0

    def look(self) -> None:
        """Look once; a container that has ended has nothing to show."""
        try:
            stats = self._container.stats()
        except (ConflictError, NotFoundError):
            return
        if stats.memory is not None:
            self.memory_bytes = max(self.memory_bytes, stats.memory.usage_bytes, stats.memory.peak_bytes or 0)
            self.kills = max(self.kills, stats.memory.oom_kills)
        if stats.pids is not None:
            self.pids = max(self.pids, stats.pids.current)
            self.refused = max(self.refused, stats.pids.failures)


def _watch(container: "Container", *, listens: bool) -> Ran:
    start_s = time.monotonic()
    attachment = container.start(attach=True)
    assert attachment is not None
    seen = _Seen(container)
    with attachment, listening.to(container.pid if listens else 0) as heard:
        status = _status(container.pid)
        attachment.write_stdin(b"\n")
        attachment.close_stdin()
        output, is_late = _read(attachment, container, seen, start_s + _LONGEST_S - 1)
        code = attachment.exit_code
    return Ran(
        exit_code=-1 if code is None else code,
        output=output,
        took_s=time.monotonic() - start_s,
        is_late=is_late,
        is_oom_killed=attachment.oom_killed,
        peak_memory_bytes=seen.memory_bytes,
        peak_pids=seen.pids,
        refused_forks=seen.refused,
        oom_kills=max(seen.kills, int(attachment.oom_killed)),
        status=status,
        refused=tuple(heard),
    )


def _status(pid: int) -> str:
    try:
        return procfs.read(f"/proc/{pid}/status") if pid else ""
    except SyscallError:  # it has ended already
        return ""


def _read(attachment: "Attachment", container: "Container", seen: _Seen, deadline_s: float) -> tuple[str, bool]:
    """Read to the end, and look at the container meanwhile; end it where it takes too long or writes too much."""
    content, is_late = b"", False
    while True:
        if not attachment.has_output() and not select.select([attachment.fileno()], [], [], _LOOK_S)[0]:
            seen.look()
        else:
            chunk = attachment.read()
            if chunk is None:
                break
            content += chunk.data
        if not is_late and (time.monotonic() > deadline_s or len(content) > _MAX_OUTPUT_BYTES):
            is_late = True
            with contextlib.suppress(EngineError):
                container.kill()
    return content[:_MAX_OUTPUT_BYTES].decode(errors="replace"), is_late
