"""What a container leaves when it ends, or when its start fails: the exit record, and the clearing up."""

import errno
import os
import sys
import time

from toolkit.core import clock, document
from toolkit.core.errors import AbortedError, EngineError, StartError, StorageFullError
from toolkit.linux import lock
from toolkit.linux.cgroup import members
from toolkit.runtime import channel, frames, journal, membership
from toolkit.runtime.meeting import ATTACH_SOCKET, CLAIM_FILE, STATUS_FILE, ExitRecord
from toolkit.runtime.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.sock import Socket

_RECORD_BYTES = 8192
_MAX_COUNTERS = 4096
_MAX_ERROR = 1000
"""Characters; in JSON each may take six bytes."""
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_CGROUP_REMOVAL_TRIES = 200
_CGROUP_REMOVAL_PAUSE_S = 0.005


def undo(request: Request, exc: EngineError, lock_fd: int, connection: "Socket") -> None:
    """Clear up after a start that failed and whose processes are dead; then tell why it did.

    Args:
        request: what was to be started.
        exc: why it was not.
        lock_fd: the lock of the run directory, or -1.
        connection: to whoever asked.
    """
    now = clock.now()
    remove_cgroups(request)
    if not isinstance(exc, AbortedError):
        why = str(exc)[:_MAX_ERROR]
        try:
            record(request, ExitRecord(exc.exit_code, oom_killed=False, started_at=now, finished_at=now, error=why))
        except OSError as full:
            sys.stderr.write(f"monitor: {request.id}: {full}: not recorded: {why}\n")  # whoever asked is told below
    elif request.exit_file:
        _unlink(f"{request.exit_file}.new")
    leave_run_dir(request)
    if lock_fd >= 0:
        os.close(lock_fd)
    frames.tell(connection, {"event": "failed"} | channel.failure(exc, -1))


def reserve(request: Request) -> None:
    """Take the space on disk that the exit record will need: a full disk must not lose how a container ended."""
    if request.exit_file:
        fd = os.open(f"{request.exit_file}.new", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(fd, 0, _RECORD_BYTES)
        finally:
            os.close(fd)


def record(request: Request, how: ExitRecord) -> None:
    """Write how it ended into the space that was taken, and let it be seen, whole."""
    if request.exit_file:
        fd = os.open(f"{request.exit_file}.new", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            content = document.encode(how._asdict())
            os.write(fd, content)
            os.ftruncate(fd, len(content))
        finally:
            os.close(fd)
        os.rename(f"{request.exit_file}.new", request.exit_file)


def explained(exc: EngineError | OSError) -> EngineError:
    """Return what a call that failed outside of the plan's steps means for the start."""
    if isinstance(exc, EngineError):
        return exc
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("no space left for the container's files", hint="free some space and try again")
    return StartError(f"the container cannot be looked after: {exc}", hint="see its files and limits")


def note_end(request: Request, how: ExitRecord) -> None:
    """Write the end into the journal of events."""
    if request.actor is None:
        return
    actor, code = request.actor, str(how.code)
    if "execID" in actor:
        journal.append(request.journal, journal.line("container", "exec_die", request.id, {**actor, "exitCode": code}))
        return
    ran_s = (clock.parse_ns(how.finished_at) - clock.parse_ns(how.started_at)) // 10**9
    attributes = {**actor, "exitCode": code, "execDuration": str(ran_s)}
    first = journal.line("container", "oom", request.id, actor) if how.oom_killed else b""
    lines = first + journal.line("container", "die", request.id, attributes)
    if request.exit_file:
        for event in membership.ended(os.path.dirname(request.exit_file), request.id):
            lines += journal.line(*event)
    for name, driver in request.volumes:
        lines += journal.line("volume", "unmount", name, {"container": request.id, "driver": driver})
    journal.append(request.journal, lines)


def was_oom_killed(request: Request) -> bool:
    """Tell whether the kernel killed something in the container's cgroup for lack of memory."""
    if not request.oom_file:
        return False
    try:
        fd = os.open(request.oom_file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _before, found, count = os.read(fd, _MAX_COUNTERS).partition(b"oom_kill ")
        finally:
            os.close(fd)
    except OSError:  # ENODEV, EMFILE, ...: how it ended matters more
        return False
    return bool(found) and count[:1] != b"0"


def remove_cgroups(request: Request) -> None:
    """Remove the container's groups; what its init left running in them goes first."""
    if request.undertaker:
        bury(request.undertaker)
    if not request.cgroups:
        return
    if request.holder and not _is_gone(request.holder):
        is_v1 = not os.path.exists(f"{request.holder}/cgroup.freeze")
        members.kill(request.holder, request.holder if is_v1 else "")
    for directory in request.cgroups:
        _remove_cgroup(directory)


def _is_gone(directory: str) -> bool:
    """Remove a group in which nobody is, as after nearly all ends; tell whether it is gone."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as exc:
        if exc.errno != errno.EBUSY:
            raise
        return False
    return True


def bury(undertaker: tuple[str, ...]) -> None:
    """Have another runtime take away what it has made; what it leaves in the groups goes next.

    Args:
        undertaker: the directory of its state, which goes too, and its command.
    """
    from toolkit.image.erase import erase

    state, *command = undertaker
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, null, target) for target in (0, 1, 2)]
        os.waitpid(os.posix_spawn(command[0], command, _ENVIRONMENT, file_actions=actions), 0)
    except OSError as exc:
        sys.stderr.write(f"monitor: {command[0]}: {exc}\n")  # it was removed meanwhile
    finally:
        os.close(null)
    erase(state)


def _remove_cgroup(directory: str) -> None:
    for _try in range(_CGROUP_REMOVAL_TRIES):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as exc:
            if exc.errno != errno.EBUSY:
                raise
            for child in members.children(directory):  # what the container has made in its own group
                _remove_cgroup(child)
            time.sleep(_CGROUP_REMOVAL_PAUSE_S)
        else:
            return
    sys.stderr.write(f"monitor: {directory} is still in use\n")


def claim_files(request: Request) -> int:
    """Return a descriptor that holds the container's files until its mounts are gone; who starts it again waits.

    -1 where they are gone: somebody is removing it.
    """
    try:
        fd = lock.open_directory(os.path.dirname(request.exit_file))
    except FileNotFoundError:
        return -1
    lock.wait_lock(fd)  # nobody else has it but for a moment
    return fd


def leave_run_dir(request: Request) -> None:
    """Take the runtime files away; with a successor the directory stays as its work order."""
    run_dir = request.run_dir
    if not run_dir:
        return
    names = (ATTACH_SOCKET, STATUS_FILE, f"{STATUS_FILE}.new")
    for name in names if request.successor else (*names, CLAIM_FILE):
        _unlink(f"{run_dir}/{name}")
    if not request.successor:
        _remove_run_dir(run_dir)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # the start failed before it was made, or had worked before it failed


def _remove_run_dir(run_dir: str) -> None:
    """Remove the directory, and first what somebody else has left in it (the mark of a paused container)."""
    try:
        os.rmdir(run_dir)
    except OSError as exc:
        if exc.errno != errno.ENOTEMPTY:
            raise
        for name in os.listdir(run_dir):
            os.unlink(f"{run_dir}/{name}")
        os.rmdir(run_dir)
