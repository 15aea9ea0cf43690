"""Finding the directories of a layer that is being unpacked.

Invariant: no call here follows a symlink.  Names are resolved by hand, one
component at a time and inside the root, as a process with that root would; an
entry below a symlink of its own layer therefore lands where it would land in
the container, and never outside (moby does it with chroot, containerd with
fs.RootPath).
"""

import errno
import os
import stat

from toolkit.core.errors import CorruptLayerError, UnsafePathError
from toolkit.image import whiteout
from toolkit.image.unpack.tar import printable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SYMLINKS_MAX = 40  # the kernel's own limit, include/linux/namei.h
_OPEN_MAX = 256
_PATH_MAX = 4096
IMPLIED_MODE = 0o755
"""Of a directory that members lie in, but that is no member itself."""


class Directories:
    """The directories below a root, opened when they are needed and made where they are missing."""

    def __init__(self, root_fd: int) -> None:
        self._root = (root_fd, b"")
        self._open: dict[bytes, tuple[int, bytes]] = {}
        """Path of a directory: its descriptor and its path without symlinks.  The latest used comes last."""
        self.opaque: set[bytes] = set()
        """Those that hide what lower layers have in them, by their paths without symlinks."""

    def close(self) -> None:
        """Close the descriptors of directories below the root; also after one of them was replaced."""
        for fd, _ in self._open.values():
            os.close(fd)
        self._open.clear()

    def open(self, path: bytes) -> tuple[int, bytes]:
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
        here = self.open(path[:cut]) if cut >= 0 else self._root
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
            os.mkdir(name, IMPLIED_MODE, dir_fd=fd)
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
            self.replace(fd, real, name, found)
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
            target = _read_link(part, self.open(b"/".join(here))[0])
            if target is None:
                here.append(part)
                continue
            links += 1
            if links > _SYMLINKS_MAX:
                raise CorruptLayerError(f"too many levels of symbolic links at {printable(real + b'/' + name)}")
            if target.startswith(b"/"):
                here = []
            todo += reversed(target.split(b"/"))
        fd, path = self.open(b"/".join(here))
        return os.dup(fd), path

    def _remember(self, path: bytes, fd: int, real: bytes) -> tuple[int, bytes]:
        if len(self._open) >= _OPEN_MAX:
            oldest = next(iter(self._open))
            os.close(self._open.pop(oldest)[0])
        self._open[path] = (fd, real)
        return fd, real

    def set_opaque(self, directory: int, real: bytes, name: bytes) -> None:
        """Let the directory `name` hide what lower layers have in it."""
        self.opaque.add(real + b"/" + name if real else name)
        fd = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            whiteout.set_opaque(fd)
        finally:
            os.close(fd)

    def replace(self, directory: int, real: bytes, name: bytes, found: os.stat_result) -> None:
        """Make a directory where `found` was; if that hid something below it, so does the directory."""
        os.mkdir(name, IMPLIED_MODE, dir_fd=directory)
        if whiteout.is_whiteout(found):
            self.set_opaque(directory, real, name)


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
