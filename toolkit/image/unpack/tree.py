"""The directory that a layer is unpacked into: everything goes through descriptors of it.

Invariant: no call here follows a symlink, and none takes a path with a slash:
`directories` finds the parent, and the rest is one name in it.
"""

import errno
import os
import stat
from typing import NamedTuple

from toolkit.core.errors import CorruptLayerError, EngineError, PrivilegeError, StorageFullError, UnsafePathError
from toolkit.image import whiteout
from toolkit.image.erase import erase
from toolkit.image.unpack import tar
from toolkit.image.unpack.directories import IMPLIED_MODE, Directories, clean
from toolkit.image.unpack.tar import Entry, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.image.unpack.stream import Stream

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS = 0o7000
_MAJOR_MAX, _MINOR_MAX = 1 << 12, 1 << 20  # include/linux/kdev_t.h


_IMPOSSIBLE = (errno.ENAMETOOLONG, errno.ENOENT, errno.EINVAL, errno.ERANGE)
"""What only a name, a target or an attribute that cannot exist leads to."""


class Totals(NamedTuple):
    """What was written."""

    entries: int
    size: int
    """Bytes of content of all files."""
    has_root: bool
    """The archive says how the root directory itself looks."""
    ignored_xattrs: int
    """Extended attributes that this file system does not take."""


class Tree:
    """A directory that entries are written into, one after the other."""

    def __init__(self, root_fd: int) -> None:
        """Write below `root_fd`, an empty directory that nobody else writes to; the umask must be 0."""
        os.fchmod(root_fd, IMPLIED_MODE)
        self._directories = Directories(root_fd)
        self._late: dict[bytes, Entry] = {}
        """Directories by real path: their attributes and times come last."""
        self._owner = (os.geteuid(), os.getegid())
        self._inherits = False
        """There are set-group-id directories, so new files may get another group than this process's."""
        self._whiteouts: list[tuple[bytes, bytes]] = []
        """Real path of the directory, and name."""
        self._entries = self._size = self._ignored_xattrs = 0

    def close(self) -> None:
        """Close the descriptors of directories below the root."""
        self._directories.close()

    def write(self, entry: Entry, stream: "Stream") -> None:
        """Write one entry, replacing what an earlier one put there.

        Raises:
            UnsafePathError: its path leads out of the layer.
            CorruptLayerError: it cannot be made, as a link to nothing cannot.
            PrivilegeError: a device node without CAP_MKNOD.
            OSError: ENOSPC and the like.
        """
        self._entries += 1
        path = clean(entry.name)
        parent, _, name = path.rpartition(b"/")
        if name.startswith(whiteout.PREFIX) or path.startswith(whiteout.AUFS_PREFIX):
            self._white_out(path, parent, name)
        elif entry.kind == tar.REGULAR and path:
            self._write_file(entry, parent, name, stream)
        elif entry.kind == tar.DIRECTORY:
            self._write_directory(entry, parent, name)
        elif not path:
            raise CorruptLayerError("the root of the layer is not a directory")
        elif entry.kind == tar.HARDLINK:
            self._write_hardlink(entry, path, parent, name)
        else:
            self._write_special(entry, parent, name)

    def finish(self) -> Totals:
        """Give directories their attributes and times, which writing into them would have changed."""
        self._drop_vain_whiteouts()
        for real, entry in self._late.items():
            fd = self._directories.open(real)[0]
            if entry.xattrs:
                self._set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        return Totals(self._entries, self._size, b"" in self._late, self._ignored_xattrs)

    # One method for each kind of entry

    def _write_file(self, entry: Entry, parent: bytes, name: bytes, stream: "Stream") -> None:
        mode = entry.mode & ~_SPECIAL_BITS
        try:
            fd = os.open(name, _CREATE, mode, dir_fd=self._directories.open(parent)[0])
        except FileExistsError:
            self._remove(parent, name)
            fd = os.open(name, _CREATE, mode, dir_fd=self._directories.open(parent)[0])
        try:
            if entry.size:
                self._size += stream.copy(entry.size, fd)
            if self._inherits or (entry.uid, entry.gid) != self._owner:
                os.fchown(fd, entry.uid, entry.gid)
            if entry.mode & _SPECIAL_BITS:
                os.fchmod(fd, entry.mode)  # after fchown, which clears them
            if entry.xattrs:
                self._set_xattrs(fd, entry)  # after fchown and write, which clear security.capability
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _write_directory(self, entry: Entry, parent: bytes, name: bytes) -> None:
        if name:
            self._make_directory(parent, name)
        fd, real = self._directories.open(parent + b"/" + name if parent else name)
        if (entry.uid, entry.gid) != self._owner or self._inherits:
            os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        if entry.mode & stat.S_ISGID:
            self._inherits = True
        self._late[real] = entry

    def _make_directory(self, parent: bytes, name: bytes) -> None:
        """Make sure that `name` itself is a directory, not a symlink to one."""
        directory = self._directories.open(parent)[0]
        try:
            os.mkdir(name, IMPLIED_MODE, dir_fd=directory)
        except FileExistsError:
            found = os.lstat(name, dir_fd=directory)
            if not stat.S_ISDIR(found.st_mode):
                self._remove(parent, name)
                self._directories.replace(*self._directories.open(parent), name, found)

    def _write_hardlink(self, entry: Entry, path: bytes, parent: bytes, name: bytes) -> None:
        target = clean(entry.target)
        target_parent, _, target_name = target.rpartition(b"/")
        source = os.dup(self._directories.open(target_parent)[0])
        try:
            os.stat(target_name, dir_fd=source, follow_symlinks=False)
            if target == path:
                return  # a link to itself that exists: GNU tar lets it pass
            self._make(parent, name, lambda fd: _link(target_name, source, name, fd))
        except (FileNotFoundError, PermissionError) as exc:
            why = "not in this layer" if exc.errno == errno.ENOENT else "a directory"
            raise CorruptLayerError(
                f"{printable(path)} is a hard link to {printable(entry.target)}, which is {why}"
            ) from exc
        finally:
            os.close(source)

    def _write_special(self, entry: Entry, parent: bytes, name: bytes) -> None:
        """Make a symlink, a device node or a fifo."""
        if entry.kind == tar.SYMLINK:
            self._make(parent, name, lambda fd: os.symlink(entry.target, name, dir_fd=fd))
        else:
            self._make(parent, name, lambda fd: _mknod(entry, name, fd))
        directory = self._directories.open(parent)[0]
        if (entry.uid, entry.gid) != self._owner or self._inherits:
            os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
        if entry.mode & _SPECIAL_BITS and entry.kind != tar.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=directory)
        if entry.xattrs:
            self._set_xattrs(b"/proc/self/fd/%d/%s" % (directory, name), entry)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=directory, follow_symlinks=False)

    def _make(self, parent: bytes, name: bytes, make: "Callable[[int], None]") -> None:
        """Call `make` with the parent's descriptor, once more if something is in the way."""
        try:
            make(self._directories.open(parent)[0])
        except FileExistsError:
            self._remove(parent, name)
            make(self._directories.open(parent)[0])

    def _white_out(self, path: bytes, parent: bytes, name: bytes) -> None:
        """Hide what lower layers have; what this layer itself has stays, whichever came first."""
        if name == whiteout.OPAQUE:
            fd, real = self._directories.open(parent)
            whiteout.set_opaque(fd)
            self._directories.opaque.add(real)
            return
        if path.startswith(whiteout.AUFS_PREFIX):
            return  # book-keeping of aufs, which docker skips too
        hidden = name.removeprefix(whiteout.PREFIX)
        if hidden in (b"", b".", b".."):
            raise UnsafePathError(f"the whiteout {printable(path)} would hide what is not in its directory")
        directory, real = self._directories.open(parent)
        try:
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=directory)
            self._whiteouts.append((real, hidden))
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(hidden, dir_fd=directory).st_mode):
                self._directories.set_opaque(directory, real, hidden)

    def _drop_vain_whiteouts(self) -> None:
        """Remove whiteouts where the layer hides the whole directory anyway.

        The overlay lists the names in a directory that only one layer has as
        they are: there a whiteout would be a name without a file.
        """
        for real, name in self._whiteouts if self._directories.opaque else ():
            parts = real.split(b"/")
            if any(b"/".join(parts[:depth]) in self._directories.opaque for depth in range(len(parts) + 1)):
                fd = self._directories.open(real)[0]
                if _is_whiteout_at(fd, name):
                    os.unlink(name, dir_fd=fd)

    # Attributes

    def _set_xattrs(self, where: "int | bytes", entry: Entry) -> None:
        """Set extended attributes, except the overlay's own, which would redirect or hide."""
        for key, value in entry.xattrs.items():
            if key.startswith(whiteout.OVERLAY_XATTRS):
                continue
            try:
                os.setxattr(where, key, value, follow_symlinks=isinstance(where, int))
            except OSError as exc:
                # user.* is for files and directories alone; some file systems have none (docker ignores both).
                if exc.errno != errno.ENOTSUP and not (exc.errno == errno.EPERM and key.startswith(b"user.")):
                    raise
                self._ignored_xattrs += 1

    # Replacing

    def _forget(self, gone: bytes) -> None:
        """Withdraw what was still to be done in a directory that is no more."""

        def stays(path: bytes) -> bool:
            return path != gone and not path.startswith(gone + b"/")

        self._late = {path: entry for path, entry in self._late.items() if stays(path)}
        self._whiteouts = [(path, name) for path, name in self._whiteouts if stays(path)]
        self._directories.opaque = set(filter(stays, self._directories.opaque))

    def _remove(self, parent: bytes, name: bytes) -> None:
        """Remove what an earlier entry made.  Descriptors from before are not valid any more."""
        fd, real = self._directories.open(parent)
        mode = os.lstat(name, dir_fd=fd).st_mode
        erase(name, fd)
        gone = real + b"/" + name if real else name
        if stat.S_ISDIR(mode):
            self._forget(gone)
        if stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            self._directories.close()  # a path that led through it leads elsewhere now


def explained(exc: OSError, name: bytes) -> EngineError:
    """Return what it means that a member could not be written."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("no space left on the device that holds the layers", hint="free some space, pull again")
    if exc.errno in _IMPOSSIBLE:
        return CorruptLayerError(f"no file can be made of its member {printable(name)} ({exc.strerror})")
    code = errno.errorcode.get(exc.errno or 0, str(exc.errno))
    if exc.errno in (errno.EPERM, errno.EACCES):
        hint = "unpacking needs root, with its capabilities, and a file system that keeps owners"
        return PrivilegeError(f"cannot write {printable(name)}: {code} ({exc.strerror})", hint=hint)
    hint = "look whether the disk that holds the layers is sound"
    return EngineError(f"cannot write {printable(name)}: {code} ({exc.strerror})", hint=hint)


def _is_whiteout_at(dir_fd: int, name: bytes) -> bool:
    try:
        return whiteout.is_whiteout(os.lstat(name, dir_fd=dir_fd))
    except FileNotFoundError:
        return False  # a later member replaced it


def _link(target: bytes, target_fd: int, name: bytes, dir_fd: int) -> None:
    os.link(target, name, src_dir_fd=target_fd, dst_dir_fd=dir_fd, follow_symlinks=False)


def _mknod(entry: Entry, name: bytes, dir_fd: int) -> None:
    kinds = {tar.CHARACTER: stat.S_IFCHR, tar.BLOCKDEV: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}
    if not (0 <= entry.major < _MAJOR_MAX and 0 <= entry.minor < _MINOR_MAX):
        raise CorruptLayerError(f"{printable(name)} is the impossible device {entry.major}:{entry.minor}")
    try:
        os.mknod(
            name, kinds[entry.kind] | entry.mode & ~_SPECIAL_BITS, os.makedev(entry.major, entry.minor), dir_fd=dir_fd
        )
    except PermissionError as exc:
        raise PrivilegeError(
            f"no permission to make the device node {printable(name)}", hint="the image needs root to be unpacked"
        ) from exc
