"""Who is in a group, and what can be done to all of them at once.

Everything here takes the directory of one group; `Hierarchy` knows which.
"""

import errno
import os
import time

from toolkit.core.errors import SyscallError
from toolkit.linux import signals
from toolkit.linux.cgroup import files

_FREEZE_S = 10
_ROUNDS = 20


def children(directory: str) -> list[str]:
    """Return the groups directly below; none if the directory does not exist."""
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def tree(directory: str) -> list[str]:
    """Return the group and all groups below it, parents first."""
    found = [directory]
    for each in found:
        found += children(each)
    return found


def pids(directory: str, *, recursive: bool = True) -> list[int]:
    """Return the processes in the group, and in the groups below it; none if it does not exist."""
    found: list[int] = []
    for each in tree(directory) if recursive else [directory]:
        # A threaded group does not say: its processes are those of the group above it.
        found += (int(pid) for pid in (files.find(f"{each}/cgroup.procs") or "").split())
    return found


def is_frozen(directory: str, *, is_v2: bool) -> bool:
    """Return whether every process of the group has stopped."""
    if is_v2:
        return "frozen 1" in (files.find(f"{directory}/cgroup.events") or "")
    return files.read(f"{directory}/freezer.state").strip() == "FROZEN"


def freeze(directory: str, *, is_v2: bool, timeout_s: float) -> None:
    """Stop every process of the group where it stands, and wait until all have stopped.

    Raises:
        TimeoutError: a process in an uninterruptible call did not stop in time; the group is thawed.
    """
    try:
        _settle(directory, is_v2=is_v2, frozen=True, timeout_s=timeout_s)
    except TimeoutError:
        thaw(directory, is_v2=is_v2, timeout_s=timeout_s)
        raise


def thaw(directory: str, *, is_v2: bool, timeout_s: float) -> None:
    """Let every process of the group go on."""
    _settle(directory, is_v2=is_v2, frozen=False, timeout_s=timeout_s)


def _settle(directory: str, *, is_v2: bool, frozen: bool, timeout_s: float) -> None:
    path = f"{directory}/cgroup.freeze" if is_v2 else f"{directory}/freezer.state"
    value = str(int(frozen)) if is_v2 else ("FROZEN" if frozen else "THAWED")
    deadline = time.monotonic() + timeout_s
    pause_s = 0.0001
    files.write(path, value)
    while is_frozen(directory, is_v2=is_v2) != frozen:
        if time.monotonic() > deadline:
            message = f"the processes in {directory} did not {'stop' if frozen else 'go on'} in {timeout_s} s"
            raise TimeoutError(message)
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)
        if not is_v2:
            # v1 may stay at FREEZING until the state is written again.
            files.write(path, value)


def kill(directory: str, freezer: str) -> None:
    """Send SIGKILL to every process of the group, those that it is forking included.

    Args:
        directory: the group's directory in v2, or in any v1 hierarchy.
        freezer: its directory in the v1 freezer, for kernels without
            cgroup.kill (before Linux 5.14, or pure v1); empty where v2 is there.
    """
    if os.path.exists(f"{directory}/cgroup.kill"):
        files.write(f"{directory}/cgroup.kill", "1")
        return
    if not pids(directory):
        return
    where, is_v2 = freezer or directory, not freezer
    try:
        freeze(where, is_v2=is_v2, timeout_s=_FREEZE_S)
    except TimeoutError:
        # One is in an uninterruptible call and keeps all from being frozen: who forks on is caught in a later round.
        for _round in range(_ROUNDS):
            _signal_all(directory, signals.SIGKILL)
        return
    _signal_all(directory, signals.SIGKILL)  # none can fork on meanwhile
    thaw(where, is_v2=is_v2, timeout_s=10)


def _signal_all(directory: str, number: int) -> None:
    for pid in pids(directory):
        if pid <= 0:
            continue  # out of sight of our pid namespace; kill(2) would take it for "all of my process group"
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def remove_tree(directory: str, deadline: float) -> None:
    """Remove the group and all groups below it, waiting for processes that are just ending.

    Raises:
        SyscallError: EBUSY if processes are still in it at `deadline` (CLOCK_MONOTONIC).
    """
    pause_s = 0.0005
    while True:
        try:
            files.remove(directory)
        except SyscallError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        else:
            return
        for child in children(directory):
            remove_tree(child, deadline)
        # A process that was just killed leaves its group a moment later.
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)
