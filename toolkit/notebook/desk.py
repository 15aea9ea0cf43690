"""A folder of a lesson's own, which is thrown away with it.

Invariant: a folder that nobody holds is of a lesson whose kernel was killed; the
next lesson of that name removes it.  Who holds one has a lock on it, flock(2),
which ends with the process however that ends.
"""

import os
import shutil
import tempfile
from contextlib import suppress

from toolkit.linux.lock import try_lock

_PREFIX = "lesson-"


class Desk:
    """A new, empty folder; `close` removes it, and so does the end of the notebook's kernel."""

    def __init__(self, lesson: str) -> None:
        """Make one for a lesson, "03"; remove those of it that were left behind."""
        prefix = f"{_PREFIX}{lesson}-"
        _sweep(prefix)
        self._held = -1
        while self._held < 0:  # another kernel that sweeps may take a new one for one that was left
            self._made = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
            with suppress(FileNotFoundError):
                self._held = _hold(self._made.name)
        self.name = self._made.name
        """Its path."""

    def close(self) -> None:
        """Remove it with all that is in it; doing so twice is no harm."""
        self._made.cleanup()
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def __repr__(self) -> str:
        return self.name


def _sweep(prefix: str) -> None:
    """Remove the folders of this prefix that are ours and that nobody holds."""
    for entry in os.scandir(tempfile.gettempdir()):
        if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
            with suppress(OSError):  # somebody else was quicker
                _remove_if_left(entry.path)


def _remove_if_left(path: str) -> None:
    held = _hold(path)
    if held < 0:
        return
    try:
        if os.fstat(held).st_uid == os.geteuid():
            shutil.rmtree(path)
    finally:
        os.close(held)


def _hold(path: str) -> int:
    """Return a descriptor that locks a folder; -1 where another process holds it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if try_lock(fd):
        return fd
    os.close(fd)
    return -1
