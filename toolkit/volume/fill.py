"""A new volume begins with what the image has in its place: all of it, or nothing yet.

The copy is made in a directory beside (_filling); when it is whole and on disk, its name changes (_filled), and its
entries move over.  A crash before that leaves an empty volume and rubbish, a crash after it what the next one to look
finishes.  Nobody who asks first (`finish`) ever sees a part.

The caller holds the volume's lock.
"""

import os

from toolkit.image.erase import erase
from toolkit.linux.copytree import copy_attributes, copy_tree
from toolkit.linux.disk import syncfs

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILLING, _FILLED = "_filling", "_filled"


class Place:
    """Where a volume is filled: its own directory, and one beside it on the same file system."""

    def __init__(self, data: str, beside: str, prefix: str = "") -> None:
        """Fill `data` from a directory in `beside`, which may be `data` itself: then the name gets a `prefix`."""
        self.data = data
        self._filling = f"{beside}/{prefix}{_FILLING}"
        self._filled = f"{beside}/{prefix}{_FILLED}"

    @classmethod
    def inside(cls, data: str) -> "Place":
        """Return the place of a volume that is a file system of its own: there is no other directory on it."""
        return cls(data, data, ".container-toolkit")

    def finish(self) -> None:
        """Bring over what a killed process had copied whole, take away what it had not; cheap where all is well."""
        if os.path.lexists(self._filling):
            erase(self._filling)
        if os.path.islink(self._filled):
            erase(self._filled)  # a container's own work, where this lies inside the volume
        elif os.path.exists(self._filled):
            self._move()

    def is_empty(self) -> bool:
        """Tell whether there is nothing in it (ext4's lost+found is something, as docker has it)."""
        return not any(
            name not in (os.path.basename(self._filling), os.path.basename(self._filled))
            for name in os.listdir(self.data)
        )

    def fill(self, source: int) -> bool:
        """Copy a directory into the volume if that is empty; tell whether it was.

        Args:
            source: a descriptor of the directory, O_PATH will do.

        Raises:
            OSError: ENOSPC; the volume is as it was.
        """
        self.finish()
        if not self.is_empty():
            return False
        try:
            self._copy(source)
        except BaseException:
            erase(self._filling)
            raise
        os.rename(self._filling, self._filled)
        self._move()
        return True

    def _copy(self, source: int) -> None:
        os.mkdir(self._filling, 0o700)
        target = os.open(self._filling, _DIRECTORY)
        here = os.open(".", _DIRECTORY, dir_fd=source)
        try:
            copy_tree(here, target)
            copy_attributes(here, target)
            found = os.fstat(here)
            os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
            syncfs(target)  # before its name says that it is whole
        finally:
            os.close(here)
            os.close(target)

    def _move(self) -> None:
        """Move what is whole into place; what somebody has written there meanwhile stays."""
        source, target = os.open(self._filled, _DIRECTORY), os.open(self.data, _DIRECTORY)
        try:
            found = os.fstat(source)
            for name in os.listdir(source):
                try:
                    os.lstat(name, dir_fd=target)
                except FileNotFoundError:
                    os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
            copy_attributes(source, target)
            os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
        finally:
            os.close(source)
            os.close(target)
        erase(self._filled)
