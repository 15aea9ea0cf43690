"""The directory that a layer is unpacked into: everything goes through descriptors of it.

Invariant: no call here follows a symlink.  Names are resolved by hand, one
component at a time and inside the root, as a process with that root would; an
entry below a symlink of its own layer therefore lands where it would land in
the container, and never outside (moby does it with chroot, containerd with
fs.RootPath).
"""

import errno
import os
import stat
from typing import NamedTuple

from toolkit.core.errors import CorruptLayerError, EngineError, PrivilegeError, StorageFullError, UnsafePathError
from toolkit.image import whiteout
from toolkit.image.erase import erase
from toolkit.image.unpack import tar
from toolkit.image.unpack.tar import Entry, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.image.unpack.stream import Stream

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SYMLINKS_MAX = 40  # the kernel's own limit, include/linux/namei.h
_OPEN_MAX = 256
_PATH_MAX = 4096
_IMPLIED_MODE = 0o755
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
        os.fchmod(root_fd, _IMPLIED_MODE)
        self._root = (root_fd, b"")
        self._open: dict[bytes, tuple[int, bytes]] = {}
        """Path of a directory: its descriptor and its path without symlinks.  The latest used comes last."""
        self._late: dict[bytes, Entry] = {}
        """Directories by real path: their attributes and times come last."""
        self._owner = (os.geteuid(), os.getegid())
        self._inherits = False
        """There are set-group-id directories, so new files may get another group than this process's."""
        self._entries = self._size = self._ignored_xattrs = 0

    def close(self) -> None:
        """Close the descriptors of directories below the root."""
        for fd, _ in self._open.values():
            os.close(fd)
        self._open.clear()

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
        for real, entry in self._late.items():
            fd = self._directory(real)[0]
            if entry.xattrs:
                self._set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        return Totals(self._entries, self._size, b"" in self._late, self._ignored_xattrs)

    # One method for each kind of entry

    def _write_file(self, entry: Entry, parent: bytes, name: bytes, stream: "Stream") -> None:
        mode = entry.mode & ~_SPECIAL_BITS
        try:
            fd = os.open(name, _CREATE, mode, dir_fd=self._directory(parent)[0])
        except FileExistsError:
            self._remove(parent, name)
            fd = os.open(name, _CREATE, mode, dir_fd=self._directory(parent)[0])
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
        fd, real = self._directory(parent + b"/" + name if parent else name)
        if (entry.uid, entry.gid) != self._owner or self._inherits:
            os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        if entry.mode & stat.S_ISGID:
            self._inherits = True
        self._late[real] = entry

    def _make_directory(self, parent: bytes, name: bytes) -> None:
        """Make sure that `name` itself is a directory, not a symlink to one."""
        directory = self._directory(parent)[0]
        try:
            os.mkdir(name, _IMPLIED_MODE, dir_fd=directory)
        except FileExistsError:
            found = os.lstat(name, dir_fd=directory)
            if not stat.S_ISDIR(found.st_mode):
                self._remove(parent, name)
                self._replace_by_directory(self._directory(parent)[0], name, found)

    def _replace_by_directory(self, directory: int, name: bytes, found: os.stat_result) -> None:
        """Make a directory where `found` was; if that hid something below it, so does the directory."""
        os.mkdir(name, _IMPLIED_MODE, dir_fd=directory)
        if whiteout.is_whiteout(found):
            self._set_opaque(directory, name)

    def _write_hardlink(self, entry: Entry, path: bytes, parent: bytes, name: bytes) -> None:
        target = clean(entry.target)
        target_parent, _, target_name = target.rpartition(b"/")
        source = os.dup(self._directory(target_parent)[0])
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
        directory = self._directory(parent)[0]
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
            make(self._directory(parent)[0])
        except FileExistsError:
            self._remove(parent, name)
            make(self._directory(parent)[0])

    def _white_out(self, path: bytes, parent: bytes, name: bytes) -> None:
        """Hide what lower layers have; what this layer itself has stays, whichever came first."""
        if name == whiteout.OPAQUE:
            whiteout.set_opaque(self._directory(parent)[0])
            return
        if path.startswith(whiteout.AUFS_PREFIX):
            return  # book-keeping of aufs, which docker skips too
        hidden = name.removeprefix(whiteout.PREFIX)
        if hidden in (b"", b".", b".."):
            raise UnsafePathError(f"the whiteout {printable(path)} would hide what is not in its directory")
        directory = self._directory(parent)[0]
        try:
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=directory)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(hidden, dir_fd=directory).st_mode):
                self._set_opaque(directory, hidden)

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

    def _set_opaque(self, directory: int, name: bytes) -> None:
        fd = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            whiteout.set_opaque(fd)
        finally:
            os.close(fd)

    # Finding directories

    def _directory(self, path: bytes) -> tuple[int, bytes]:
        """Return a directory's descriptor, valid until the next call of this kind, and its path without symlinks."""
        if not path:
            return self._root
        found = self._open.pop(path, None)
        if found is None:
            return self._descend(path)
        self._open[path] = found
        return found

    def _descend(self, path: bytes) -> tuple[int, bytes]:
        """Open a directory from the nearest open one above it, making what is missing."""
        cut = len(path)
        while (cut := path.rfind(b"/", 0, cut)) >= 0 and path[:cut] not in self._open:
            pass
        here = self._directory(path[:cut]) if cut >= 0 else self._root
        while cut < len(path):
            start = cut + 1
            cut = path.find(b"/", start)
            cut = len(path) if cut < 0 else cut
            here = self._enter(here, path[start:cut], path[:cut])
        return here

    def _enter(self, parent: tuple[int, bytes], name: bytes, path: bytes) -> tuple[int, bytes]:
        fd, real = parent
        try:
            here = os.open(name, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            os.mkdir(name, _IMPLIED_MODE, dir_fd=fd)
            here = os.open(name, _DIRECTORY, dir_fd=fd)
        except NotADirectoryError:
            found = os.lstat(name, dir_fd=fd)
            if stat.S_ISLNK(found.st_mode):
                return self._remember(path, *self._follow(real, name))
            if not whiteout.is_whiteout(found):
                raise CorruptLayerError(
                    f"there are entries below {printable(path)}, which is not a directory"
                ) from None
            os.unlink(name, dir_fd=fd)
            self._replace_by_directory(fd, name, found)
            here = os.open(name, _DIRECTORY, dir_fd=fd)
        return self._remember(path, here, real + b"/" + name if real else name)

    def _follow(self, real: bytes, name: bytes) -> tuple[int, bytes]:
        """Resolve the symlink `name` in `real` as if the layer were the root; return a new descriptor."""
        here = real.split(b"/") if real else []
        todo, links = [name], 0
        while todo:
            part = todo.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                del here[-1:]
                continue
            target = _read_link(part, self._directory(b"/".join(here))[0])
            if target is None:
                here.append(part)
                continue
            links += 1
            if links > _SYMLINKS_MAX:
                raise CorruptLayerError(f"too many levels of symbolic links at {printable(real + b'/' + name)}")
            if target.startswith(b"/"):
                here = []
            todo += reversed(target.split(b"/"))
        fd, path = self._directory(b"/".join(here))
        return os.dup(fd), path

    def _remember(self, path: bytes, fd: int, real: bytes) -> tuple[int, bytes]:
        if len(self._open) >= _OPEN_MAX:
            oldest = next(iter(self._open))
            os.close(self._open.pop(oldest)[0])
        self._open[path] = (fd, real)
        return fd, real

    def _remove(self, parent: bytes, name: bytes) -> None:
        """Remove what an earlier entry made.  Descriptors from before are not valid any more."""
        fd, real = self._directory(parent)
        mode = os.lstat(name, dir_fd=fd).st_mode
        erase(name, fd)
        gone = real + b"/" + name if real else name
        if stat.S_ISDIR(mode):
            for path in [path for path in self._late if path == gone or path.startswith(gone + b"/")]:
                del self._late[path]
        if stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            self.close()  # a path that led through it leads elsewhere now


def clean(name: bytes) -> bytes:
    """Return a member's path without ".", ".." and superfluous slashes; relative, empty for the root itself.

    An absolute name is relative to the layer's root, as for docker.

    Raises:
        UnsafePathError: it leads out of the layer.
        CorruptLayerError: it is longer than any path can be.
    """
    name = name.strip(b"/")
    if len(name) >= _PATH_MAX:
        raise CorruptLayerError(f"a member's name has {len(name)} bytes")
    if b"//" not in name and b"/." not in name and not name.startswith(b"."):
        return name
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise UnsafePathError(f"the path {printable(name)} leads out of its layer")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def explained(exc: OSError, name: bytes) -> EngineError:
    """Return what it means that a member could not be written."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("no space left on the device that holds the layers", hint="free some space, pull again")
    if exc.errno in _IMPOSSIBLE:
        return CorruptLayerError(f"no file can be made of its member {printable(name)} ({exc.strerror})")
    code = errno.errorcode.get(exc.errno or 0, str(exc.errno))
    return EngineError(f"cannot write {printable(name)}: {code} ({exc.strerror})")


def _read_link(name: bytes, dir_fd: int) -> bytes | None:
    """Return a symlink's target; None if there is no symlink of this name."""
    try:
        return os.readlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno == errno.EINVAL:
            return None
        raise


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
