"""Putting right what a killed process of ours has left: by ownership, never by name patterns.

A container's run directory exists from its start to the end of its clean-up
and is locked by its monitor (or, for a moment, by whoever starts or recovers
it).  So a run directory that nobody has locked is work left undone, and the
lock also says who may do it.
"""

import json
import os

from toolkit.core import clock
from toolkit.core.errors import NotFoundError
from toolkit.linux import lock
from toolkit.runtime.meeting import ExitRecord
from toolkit.storage import overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.core.state import State
    from toolkit.engine.engine import Engine
    from toolkit.engine.paths import Paths

_LOST = ExitRecord(137, oom_killed=False, started_at="", finished_at="", error="the container's monitor was killed")


class Recovery:
    """Finds and does what was left undone in one engine's roots."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._paths: Paths = engine.paths
        self._state: State = engine.state

    def run(self) -> None:
        """Look at every run directory and at the trash; costs microseconds where all is well."""
        for ident in os.listdir(self._paths.running):
            self.recover(ident)
        for name in os.listdir(self._paths.trash):
            self.empty(f"{self._paths.trash}/{name}")

    def recover(self, ident: str, *, wait: bool = False) -> None:
        """Clean up after one container, unless someone looks after it.

        Args:
            ident: its id.
            wait: whoever looks after it is about to leave: wait for that.
        """
        fd = claim(self._paths.run_dir(ident), wait=wait)
        if fd < 0:
            return
        try:
            self.clean(ident)
        finally:
            os.close(fd)

    def clean(self, ident: str) -> None:
        """Do what a monitor does at the end; the caller holds the lock."""
        self._engine.cgroups.destroy(ident)
        exit_file = self._paths.exit_file(ident)
        if os.path.isdir(self._paths.container(ident)) and not os.path.exists(exit_file):
            now = clock.now()
            with open(f"{exit_file}.new", "w") as file:
                json.dump(_LOST._replace(started_at=now, finished_at=now)._asdict(), file)
            os.rename(f"{exit_file}.new", exit_file)
        try:
            doc = self._state.get("container", ident).doc
        except NotFoundError:
            doc = None
        if doc is None or doc["options"]["auto_remove"]:
            self.remove(ident)
        remove_run_dir(self._paths.run_dir(ident))

    def remove(self, ident: str) -> None:
        """Forget a container and delete its files: out of the way first, then out of the state, then from disk."""
        trash = f"{self._paths.trash}/{ident}"
        try:
            os.rename(self._paths.container(ident), trash)
        except FileNotFoundError:
            pass  # it was never started, or a removal was interrupted here
        self._state.delete("container", ident)
        self.empty(trash)

    @staticmethod
    def empty(path: str) -> None:
        """Delete a directory of the trash."""
        overlay.remove_tree(path)


def claim(run_dir: str, *, wait: bool = False) -> int:
    """Lock a run directory that nobody has locked; return its descriptor, or -1 if it is taken or gone."""
    try:
        fd = lock.open_directory(run_dir)
    except FileNotFoundError:
        return -1
    except OSError as exc:
        if isinstance(exc.__cause__, FileNotFoundError):
            return -1
        raise
    if wait:
        lock.wait_lock(fd)
    if (wait or lock.try_lock(fd)) and os.fstat(fd).st_nlink > 0:
        return fd
    os.close(fd)
    return -1


def remove_run_dir(run_dir: str) -> None:
    """Delete a run directory and the few files in it."""
    try:
        for name in os.listdir(run_dir):
            os.unlink(f"{run_dir}/{name}")
        os.rmdir(run_dir)
    except FileNotFoundError:
        pass  # its monitor was quicker
