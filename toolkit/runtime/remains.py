"""What a container leaves when it ends, or when its start fails: the exit record, and the clearing up."""

import errno
import json
import os
import socket
import sys
import time

from toolkit.core import clock
from toolkit.core.errors import EngineError
from toolkit.runtime import channel, frames
from toolkit.runtime.meeting import ATTACH_SOCKET, STATUS_FILE, ExitRecord
from toolkit.runtime.request import Request

_CGROUP_REMOVAL_TRIES = 200
_CGROUP_REMOVAL_PAUSE_S = 0.005


def undo(request: Request, exc: EngineError, lock_fd: int, connection: socket.socket) -> None:
    """Clear up after a start that failed and whose processes are dead; then tell why it did.

    Args:
        request: what was to be started.
        exc: why it was not.
        lock_fd: the lock of the run directory, or -1.
        connection: to whoever asked.
    """
    now = clock.now()
    remove_cgroups(request)
    record(request, ExitRecord(exc.exit_code, oom_killed=False, started_at=now, finished_at=now, error=str(exc)))
    leave_run_dir(request)
    if lock_fd >= 0:
        os.close(lock_fd)
    frames.tell(connection, {"event": "failed"} | channel.failure(exc, -1))


def record(request: Request, how: ExitRecord) -> None:
    """Write how it ended to disk."""
    if request.exit_file:
        write_whole(request.exit_file, json.dumps(how._asdict()))


def write_whole(path: str, text: str) -> None:
    """Write a file so that it is seen whole or not at all."""
    temporary = f"{path}.new"
    with open(temporary, "w") as file:
        file.write(text)
    os.rename(temporary, path)


def was_oom_killed(request: Request) -> bool:
    """Tell whether the kernel killed something in the container's cgroup for lack of memory."""
    if not request.oom_file:
        return False
    try:
        with open(request.oom_file) as counters:
            return any(line.startswith("oom_kill ") and int(line.split()[1]) > 0 for line in counters)
    except FileNotFoundError:
        return False


def remove_cgroups(request: Request) -> None:
    """Remove the container's groups; what its init left running in them goes first."""
    if not request.cgroups:
        return
    if request.kill_file:
        try:
            with open(request.kill_file, "w") as kill:
                kill.write("1")
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ENODEV):
                raise
    for directory in request.cgroups:
        _remove_cgroup(directory)


def _remove_cgroup(directory: str) -> None:
    for _try in range(_CGROUP_REMOVAL_TRIES):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as exc:
            if exc.errno != errno.EBUSY:
                raise
            time.sleep(_CGROUP_REMOVAL_PAUSE_S)
        else:
            return
    sys.stderr.write(f"monitor: {directory} is still in use\n")


def leave_run_dir(request: Request) -> None:
    """Take the runtime files away; with a successor the directory stays as its work order."""
    run_dir = request.run_dir
    if not run_dir:
        return
    for name in (ATTACH_SOCKET, STATUS_FILE, f"{STATUS_FILE}.new"):
        try:
            os.unlink(f"{run_dir}/{name}")
        except FileNotFoundError:
            pass  # the start failed before it was made, or had worked before it failed
    if not request.successor:
        os.rmdir(run_dir)
