"""Who is who among the processes of one engine, found by kinship and by what they have open.

zygote
├── monitor of a container     holds the lock of the container's run directory
│   ├── starter                only during a start that needs one; it holds the lock until it hands over
│   └── init                   the container's first process
├── monitor in reserve
│   ├── keeper                   has borne the worker, and keeps its memory
│   └── worker in reserve        pid 1 of a pid namespace
└── monitor of the helper
    └── helper                   waits for those who need somebody outside
"""

import os
import time
from typing import NamedTuple

from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.linux.keeper import KEPT_FROM
from toolkit.runtime.zygote import MOST_PAIRS

_PATIENCE_S = 20.0


class Process(NamedTuple):
    """One process, as /proc has it."""

    pid: int
    parent: int
    comm: str
    state: str
    files: frozenset[str]


def look_at(pid: int | str) -> Process | None:
    """Return a process, or None if it has ended or may not be looked at (it has capabilities that we lack)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            head, _, tail = file.read().rpartition(")")
        state, parent = tail.split()[:2]
        files = frozenset(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return Process(int(pid), int(parent), head.partition("(")[2], state, files)


def _born(pid: str) -> str:
    """Return when a process was born, in ticks since the machine was; empty for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_dead(pid: int) -> bool:
    """Tell whether a process has ended, reaped or not."""
    found = look_at(pid)
    return found is None or found.state == "Z"


def _is_in_namespace_of(pid: int, other: int) -> bool:
    """Tell whether two processes are in the same pid namespace; one that has just ended is in none."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{other}/ns/pid")
    except OSError:
        return False


def _is_keeper(one: Process) -> bool:
    """Tell whether a process keeps a worker's memory; the worker has the same open, in a pid namespace of its own."""
    return os.path.exists(f"/proc/{one.pid}/fd/{KEPT_FROM}") and _is_in_namespace_of(one.pid, one.parent)


class Family:
    """The processes of one engine, those excepted that were there before this was made."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._base = os.path.dirname(engine.paths.root) + "/"
        self._others = {name: _born(name) for name in os.listdir("/proc") if name.isdecimal()}
        self.mounts = set(self.mounts_below())

    def mounts_below(self) -> list[str]:
        """Return the mounts of this namespace that name the engine's directories."""
        with open("/proc/self/mountinfo") as mounts:
            return [line for line in mounts if self._base in line]

    def _new(self) -> list[str]:
        """Return the pids of those who were not there at the beginning; a number may be another's by now."""
        names = [name for name in os.listdir("/proc") if name.isdecimal()]
        return [name for name in names if name not in self._others or self._others[name] != _born(name)]

    def members(self) -> dict[int, Process]:
        """Return all of them: whoever has something open below the engine's directories."""
        names = self._new()
        found = [process for name in names if (process := look_at(name)) is not None]
        return {
            process.pid: process
            for process in found
            if process.pid != os.getpid() and any(path.startswith(self._base) for path in process.files)
        }

    def zygote(self) -> int:
        """Return the zygote, once it has a pair in reserve."""
        return self.reserve()[0]

    def reserve(self) -> tuple[int, int, int]:
        """Return the zygote, and the monitor and worker that the next start will find: the pair that waits longest."""
        return self._waiting(is_helper=False)

    def helper(self) -> tuple[int, int, int]:
        """Return the zygote, and the monitor and worker that the next exec will find."""
        return self._waiting(is_helper=True)

    def _waiting(self, *, is_helper: bool) -> tuple[int, int, int]:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            members = self.members()
            for worker in sorted(members.values()):
                monitor = members.get(worker.parent)
                zygote = members.get(monitor.parent) if monitor else None
                if not monitor or not zygote or self._is_busy(monitor) or self._is_busy(worker):
                    continue
                if "anon_inode:[eventpoll]" not in worker.files:
                    continue  # it does not wait yet
                if _is_in_namespace_of(worker.pid, zygote.pid) == is_helper:
                    return zygote.pid, monitor.pid, worker.pid
            time.sleep(0.005)
        raise AssertionError(f"no zygote with a {'helper' if is_helper else 'pair'} in reserve")

    def keeper(self, worker: int) -> int:
        """Return the process that keeps a worker's memory: the worker's only sibling."""
        found = look_at(worker)
        assert found is not None
        with open(f"/proc/{found.parent}/task/{found.parent}/children") as children:
            (keeper,) = set(map(int, children.read().split())) - {worker}
        return keeper

    def _is_busy(self, process: Process) -> bool:
        return any(path.startswith(self._engine.paths.running + "/") for path in process.files)

    def holder(self, container: Container) -> int:
        """Return the process that holds the lock of a container: its monitor, or its starter during a start."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            holders = [pid for pid, process in self.members().items() if container.run_dir in process.files]
            if holders:
                return min(holders)
            time.sleep(0.005)
        raise AssertionError("nobody looks after it")

    def at_gate(self, container: Container) -> tuple[int, int, int]:
        """Return starter, monitor and init (0 before it is made) of a start that waits at a gate."""
        starter = self.holder(container)
        found = look_at(starter)
        assert found is not None
        names = self._new()
        children = [process for name in names if (process := look_at(name)) is not None]
        inits = [child.pid for child in children if child.parent == found.parent and child.pid != starter]
        return starter, found.parent, inits[0] if inits else 0

    def strays(self) -> list[str]:
        """Return the members that are neither the zygote nor of the pairs that it keeps in reserve, nor its helper."""
        members = self.members()
        # Whoever waits for a request has the engine's log as its stdout and nothing else of the engine's open.
        keep: set[int] = set()
        most = {False: MOST_PAIRS, True: 1}  # pairs; helpers
        keepers = {one.parent: one.pid for one in members.values() if _is_keeper(one)}
        for worker in sorted(members.values(), reverse=True):
            monitor = members.get(worker.parent)
            zygote = members.get(monitor.parent) if monitor else None
            if worker.pid in keepers.values():
                continue
            if monitor and zygote and not self._is_busy(monitor) and not self._is_busy(worker):
                is_helper = _is_in_namespace_of(worker.pid, zygote.pid)
                if most[is_helper]:
                    most[is_helper] -= 1
                    keep |= {worker.pid, monitor.pid, zygote.pid, keepers.get(monitor.pid, 0)}
        return [f"process {one.pid} {one.comm} {sorted(one.files)}" for pid, one in members.items() if pid not in keep]


def remains(family: Family, engine: Engine, container: Container) -> list[str]:
    """Return what is left on this machine of a container that does not run."""
    found = family.strays() if family.members() else []
    found += engine.cgroups._hierarchy.present(engine.cgroups.name(container.id))
    found += [line for line in family.mounts_below() if line not in family.mounts]
    found += [path for path in (container.run_dir,) if os.path.exists(path)]
    return found + os.listdir(engine.paths.trash)


def settle(family: Family, engine: Engine, container: Container, *, recover: bool = True) -> list[str]:
    """Have the next command clean up (or not), give the kernel a moment, and return what still remains."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        if recover:
            engine.recovery.run()
        found = remains(family, engine, container)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.01)
