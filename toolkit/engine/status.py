"""What a container is doing at this moment, read from its files: three or four system calls for each."""

import os
import time

from toolkit.core import clock, document
from toolkit.core.record import NamedTuple
from toolkit.linux import lock
from toolkit.runtime.meeting import PAUSED_FILE, STATUS_FILE, ExitRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.engine import Engine

CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
RESTARTING = "restarting"
EXITED = "exited"
_LOST_TO_REBOOT = 255
_DAMAGED = "the record of how the container ended is damaged"


class Status(NamedTuple):
    """What a container is doing."""

    state: str
    """CREATED, RUNNING, PAUSED, RESTARTING or EXITED, in docker's words."""
    pid: int = 0
    """Of its init, as the host sees it; 0 unless it runs."""
    started_at: str = ""
    exit: ExitRecord | None = None
    """How it ended last; None while it runs and where it never did."""

    @property
    def is_alive(self) -> bool:
        """Whether it has a first process: it runs or is paused."""
        return self.pid > 0

    @property
    def is_up(self) -> bool:
        """What docker calls running: it has a process, or waits to be started again."""
        return self.pid > 0 or self.state == RESTARTING


def read(engine: "Engine", ident: str) -> Status:
    """Return what a container is doing; clean up first if its monitor was killed."""
    run_dir = engine.paths.run_dir(ident)
    for _again in range(3):
        if not os.path.isdir(run_dir):
            break
        try:
            with open(f"{run_dir}/{STATUS_FILE}", "rb") as file:
                running = document.decode(file.read())
            if not is_monitored(run_dir):
                engine.recovery.recover(ident)
                continue
            return _status(engine, ident, running)
        except FileNotFoundError:
            if is_monitored(run_dir):
                break
            engine.recovery.recover(ident)  # whoever was starting it was killed
    if not os.path.isdir(engine.paths.container(ident)):
        return Status(CREATED)  # it was never started
    record = find_exit(engine, ident) or _lost(engine, ident, run_dir)
    return Status(CREATED) if record is None else Status(EXITED, 0, record.started_at, record)


def _status(engine: "Engine", ident: str, running: "dict[str, object]") -> Status:
    pid, started_at = int(str(running["pid"])), str(running["started_at"])
    if not pid:
        return Status(RESTARTING, 0, started_at, find_exit(engine, ident))
    is_paused = os.path.exists(f"{engine.paths.run_dir(ident)}/{PAUSED_FILE}")
    return Status(PAUSED if is_paused else RUNNING, pid, started_at)


def is_monitored(run_dir: str) -> bool:
    """Tell whether somebody looks after a container: whether its run directory is locked."""
    try:
        fd = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not lock.try_lock(fd, shared=True)
    finally:
        os.close(fd)


def find_exit(engine: "Engine", ident: str) -> ExitRecord | None:
    """Return how a container ended last; None where it has not, or is running again."""
    try:
        with open(engine.paths.exit_file(ident), "rb") as file:
            return ExitRecord(**document.decode(file.read()))
    except FileNotFoundError:
        return None
    except ValueError:  # a crash of the machine, or a limit on the size of files, has cut it short
        return ExitRecord(_LOST_TO_REBOOT, oom_killed=False, started_at="", finished_at="", error=_DAMAGED)


def _lost(engine: "Engine", ident: str, run_dir: str) -> ExitRecord | None:
    """Return the end of a container that ran when the whole machine went down; None: it was no such.

    The place for its exit record was taken when it started, and is empty; and
    its run directory, which everything but a reboot leaves, is not there.
    Docker's code for it is 255.
    """
    try:
        started_ns = os.stat(f"{engine.paths.exit_file(ident)}.new").st_mtime_ns
    except FileNotFoundError:
        return None
    if os.path.isdir(run_dir):
        return None  # it is just being started
    boot_ns = (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 10**9 * 10**9
    return find_exit(engine, ident) or ExitRecord(
        _LOST_TO_REBOOT,
        oom_killed=False,
        started_at=clock.format_ns(started_ns),
        finished_at=clock.format_ns(max(started_ns, boot_ns)),
        error="the machine went down while the container ran",
    )
