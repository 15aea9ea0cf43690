"""A full copy of the image for each container: no union at all, but it works on every file system.

Slow and large; the driver of last resort, and the proof that nothing outside
of `storage` knows about overlays.
"""

import os
import stat

from toolkit.image.erase import erase
from toolkit.image.whiteout import OVERLAY_XATTRS
from toolkit.storage.driver import Change, RootFilesystem
from toolkit.storage.merged import Level
from toolkit.storage.overlay import tree_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "vfs"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 26


def root_filesystem(layers: "Sequence[str]", directory: str, *, volatile: bool) -> RootFilesystem:
    """Describe the root of the container that keeps its files in `directory`.

    Args:
        layers: the image's unpacked layers, the lowest first.
        directory: the container's own directory.
        volatile: makes no difference here.
    """
    del volatile
    return RootFilesystem(tuple(reversed(layers)), "", "", (), f"{directory}/rootfs")


def prepare(root: RootFilesystem, attributes: "tuple[int, int, int] | None" = None) -> None:
    """Copy the image into the container's root, unless an earlier run did.

    Args:
        root: as `root_filesystem` described it.
        attributes: mode, uid and gid of the container's `/`, where the image says.
    """
    if os.path.isdir(root.path):
        return
    unfinished = f"{root.path}.unfinished"
    erase(unfinished)
    os.mkdir(unfinished, 0o755)
    target = os.open(unfinished, _DIRECTORY)
    try:
        with Level.open(root.lower) as image:
            _Copy().fill(image, target)
        if attributes is not None:
            os.fchown(target, *attributes[1:])
            os.fchmod(target, attributes[0])
    finally:
        os.close(target)
    os.rename(unfinished, root.path)


def changes(root: RootFilesystem) -> "Iterator[Change]":
    """Yield what the container changed, parents before children, in the order of names."""
    with Level.open([root.path]) as ours, Level.open(root.lower) as image:
        yield from _changes(ours, image, "")


def size(root: RootFilesystem) -> int:
    """Return the bytes of content that the container itself holds: all of its image too."""
    return tree_size(root.path)


class _Copy:
    """Copies a merged tree; remembers inodes, so that hard links stay links."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, int], str] = {}

    def fill(self, source: Level, target: int) -> None:
        """Copy all that a merged directory has into an open, empty one."""
        for name in sorted(source.names()):
            found = source.find(name)
            if found is None:
                continue
            fd, status = found
            if stat.S_ISDIR(status.st_mode):
                self._directory(source, name, target, fd, status)
            elif status.st_nlink == 1 or not self._linked(status, target, name):
                _copy_file(name, fd, target, status)
                _copy_attributes(name, fd, target, status)

    def _directory(self, source: Level, name: str, target: int, fd: int, status: os.stat_result) -> None:
        os.mkdir(name, 0o700, dir_fd=target)
        below = os.open(name, _DIRECTORY, dir_fd=target)
        try:
            with source.enter(name) as inside:
                self.fill(inside, below)
        finally:
            os.close(below)
        _copy_attributes(name, fd, target, status)

    def _linked(self, status: os.stat_result, target: int, name: str) -> bool:
        """Make a link to the copy of the same inode; tell whether there was one."""
        key = (status.st_dev, status.st_ino)
        first = self._first.get(key)
        if first is None:
            self._first[key] = os.path.join(os.readlink(f"/proc/self/fd/{target}"), name)
            return False
        os.link(first, name, dst_dir_fd=target, follow_symlinks=False)
        return True


def _copy_file(name: str, source: int, target: int, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    elif not stat.S_ISREG(status.st_mode):
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
    else:
        reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        try:
            writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
            try:
                _copy_content(reader, writer)
            finally:
                os.close(writer)
        finally:
            os.close(reader)


def _copy_content(reader: int, writer: int) -> None:
    while os.copy_file_range(reader, writer, _COPY_BYTES):
        pass


def _copy_attributes(name: str, source: int, target: int, status: os.stat_result) -> None:
    """Give a copy its owner, mode, extended attributes and times, in the order in which none undoes another."""
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    old, new = f"/proc/self/fd/{source}/{name}", f"/proc/self/fd/{target}/{name}"
    for key in os.listxattr(old, follow_symlinks=False):
        if not os.fsencode(key).startswith(OVERLAY_XATTRS):
            os.setxattr(new, key, os.getxattr(old, key, follow_symlinks=False), follow_symlinks=False)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _changes(ours: Level, image: Level, path: str) -> "Iterator[Change]":
    mine, theirs = ours.names(), image.names()
    for name in sorted(mine | theirs):
        here = f"{path}/{name}"
        new, old = ours.find(name), image.find(name)
        if new is None:
            yield Change("D", here)
        elif not stat.S_ISDIR(new[1].st_mode):
            if old is None or _differs(new[1], old[1]):
                yield Change("A" if old is None else "C", here)
        else:
            with ours.enter(name) as below, image.enter(name) as original:
                inner = list(_changes(below, original, here))
            if old is None or inner or _differs(new[1], old[1]):
                yield Change("A" if old is None else "C", here)
            yield from inner


def _differs(new: os.stat_result, old: os.stat_result) -> bool:
    """Tell whether a file is not the copy that was made of the image's; its time gives a change of content away."""
    size = 0 if stat.S_ISDIR(new.st_mode) else new.st_size - old.st_size
    return bool(size) or any(
        getattr(new, field) != getattr(old, field)
        for field in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_rdev")
    )
