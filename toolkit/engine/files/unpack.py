"""A tar stream to files in a directory below a root, none of which lands outside of it.

What is in the way is replaced, but a directory never by a file nor a file by a
directory (moby, pkg/archive, NoOverwriteDirNonDir).
"""

import errno
import os
import stat
import tarfile
from typing import NamedTuple

from toolkit.core.errors import ConflictError, EngineError, InvalidError, StorageFullError, UnsafePathError
from toolkit.engine.files.ids import outside
from toolkit.linux import rooted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from toolkit.engine.files.ids import IdMap

_XATTR = "SCHILY.xattr."
_COPY_BYTES = 1 << 20
_NO_POWERS = 0o1777
_SPECIAL = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO}


class Owner(NamedTuple):
    """Who gets the files."""

    uids: "IdMap" = ()
    gids: "IdMap" = ()
    everybody: tuple[int, int] | None = None
    """One uid and gid for all, as the container sees them; None: those in the tar."""
    keeps: bool = False
    """Nobody is given anything: the files are whose this process is, without the powers that they gave their owner
    (set-user-id, file capabilities): as chown(2) takes them away, and because a container may have set them."""


def unpack(
    stream: "IO[bytes]",
    root_fd: int,
    directory: str,
    *,
    owner: Owner = Owner(),  # noqa: B008 - a value without a state
    rename: "Callable[[str], str]" = lambda name: name,
    may_replace_kind: bool = False,
) -> int:
    """Extract a tar below `directory`; return how many bytes of content came.

    Args:
        stream: the tar, plain or compressed with gzip, bzip2 or xz.
        root_fd: what no path leaves.
        directory: where to, a path from the root.
        owner: who gets the files.
        rename: gives an entry another path.
        may_replace_kind: a file may take the place of a directory.

    Raises:
        InvalidError: it is no tar, or ends early.
        UnsafePathError: an entry that would lie outside of the directory.
        ConflictError: a file is where a directory is to be, or the other way round.
        StorageFullError: no space is left.
    """
    unpacker = _Unpacker(root_fd, directory, owner, may_replace_kind=may_replace_kind)
    try:
        with tarfile.open(fileobj=stream, mode="r|*", encoding="utf-8", errors="surrogateescape") as archive:
            for info in archive:
                unpacker.take(archive, info, rename)
        return unpacker.finish()
    except (tarfile.TarError, EOFError) as exc:
        raise InvalidError(f"error processing tar file: {exc}", hint="give a whole tar") from exc
    except EngineError:
        raise
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError("no space left where the files go", hint="free some space and try again") from exc
        raise
    finally:
        unpacker.close()


class _Unpacker:
    def __init__(self, root_fd: int, directory: str, owner: Owner, *, may_replace_kind: bool) -> None:
        self._root_fd = root_fd
        self._directory = directory.rstrip("/")
        self._owner = owner
        self._may_replace_kind = may_replace_kind
        self._parent = ("", -1)
        self._directories: list[tuple[str, tarfile.TarInfo]] = []
        self._content_bytes = 0

    def take(self, archive: tarfile.TarFile, info: tarfile.TarInfo, rename: "Callable[[str], str]") -> None:
        """Make the file that an entry describes."""
        path = _inside(rename(info.name))
        if info.islnk():
            info.linkname = _inside(rename(info.linkname))
        parent_path, _, name = path.rpartition("/")
        parent = self._open_parent(parent_path)
        if not name:
            return  # the directory itself: it is there, and stays as it is
        if not self._make_way(parent, name, info):
            self._make(archive, info, parent, name)
        if info.isdir():
            self._directories.append((path, info))
        if not info.islnk():
            self._set_attributes(info, parent, name)

    def finish(self) -> int:
        """Give the directories their times, which making files in them has changed."""
        for path, info in reversed(self._directories):
            parent_path, _, name = path.rpartition("/")
            _set_times(info, self._open_parent(parent_path), name)
        return self._content_bytes

    def close(self) -> None:
        """Let go of the directory that was used last."""
        if self._parent[1] >= 0:
            os.close(self._parent[1])
        self._parent = ("", -1)

    def _open_parent(self, path: str) -> int:
        """Open a directory below the target, making what is missing; the last one is kept open."""
        if self._parent[1] < 0 or self._parent[0] != path:
            self.close()
            self._parent = (path, rooted.make_directories(self._root_fd, f"{self._directory}/{path}"))
        return self._parent[1]

    def _make_way(self, parent: int, name: str, info: tarfile.TarInfo) -> bool:
        """Remove what is in the way; tell whether a directory may stay as it is."""
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        is_directory = stat.S_ISDIR(found.st_mode)
        if is_directory and info.isdir():
            return True
        where = f"{self._directory}/{name}"
        if not self._may_replace_kind and is_directory:
            raise ConflictError(f'cannot overwrite directory "{where}" with non-directory "{info.name}"')
        if not self._may_replace_kind and info.isdir():
            raise ConflictError(f'cannot overwrite non-directory "{where}" with directory "{info.name}"')
        if _is_mounted_on(parent, name):
            # The kernel would let us: from another mount namespace it unmounts what is there (Linux 3.18).
            raise ConflictError(f'cannot replace "{where}": something is mounted on it', hint="write to it from inside")
        if is_directory:
            from toolkit.image.erase import erase

            erase(f"/proc/self/fd/{parent}/{name}")
        else:
            os.unlink(name, dir_fd=parent)
        return False

    def _make(self, archive: tarfile.TarFile, info: tarfile.TarInfo, parent: int, name: str) -> None:
        if info.isdir():
            os.mkdir(name, 0o700, dir_fd=parent)
        elif info.issym():
            os.symlink(info.linkname, name, dir_fd=parent)
        elif info.islnk():
            self._link(info, parent, name)
        elif info.type in _SPECIAL:
            os.mknod(name, _SPECIAL[info.type] | 0o600, os.makedev(info.devmajor, info.devminor), dir_fd=parent)
        elif info.isreg():
            self._write(archive, info, parent, name)

    def _link(self, info: tarfile.TarInfo, parent: int, name: str) -> None:
        directory, _, first = info.linkname.rpartition("/")
        where = rooted.open_in_root(self._root_fd, f"{self._directory}/{directory}", os.O_PATH | os.O_DIRECTORY)
        try:
            os.link(first, name, src_dir_fd=where, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(where)

    def _write(self, archive: tarfile.TarFile, info: tarfile.TarInfo, parent: int, name: str) -> None:
        source = archive.extractfile(info)
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
        with open(fd, "wb") as file:
            while source is not None and (chunk := source.read(_COPY_BYTES)):
                file.write(chunk)
                self._content_bytes += len(chunk)

    def _set_attributes(self, info: tarfile.TarInfo, parent: int, name: str) -> None:
        """Owner, extended attributes, mode, times: in the order in which none undoes another."""
        owner = self._owner
        if not owner.keeps:
            uid, gid = owner.everybody or (info.uid, info.gid)
            os.chown(name, outside(owner.uids, uid), outside(owner.gids, gid), dir_fd=parent, follow_symlinks=False)
        if info.issym():
            _set_times(info, parent, name)
            return
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            path = f"/proc/self/fd/{handle}"
            _set_xattrs(info, path, "user." if owner.keeps else "")
            os.chmod(path, info.mode & (_NO_POWERS if owner.keeps else 0o7777))
        finally:
            os.close(handle)
        _set_times(info, parent, name)


def _is_mounted_on(parent: int, name: str) -> bool:
    """Tell whether a file is the root of a mount: it is on another one than the directory that it is in."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        return _mount_id(handle) != _mount_id(parent)
    finally:
        os.close(handle)


def _mount_id(fd: int) -> str:
    """Return the id of the mount that a descriptor is on; see proc_pid_fdinfo(5)."""
    with open(f"/proc/self/fdinfo/{fd}") as file:
        return next(line.split()[1] for line in file if line.startswith("mnt_id:"))


def _inside(name: str) -> str:
    """Return the path of an entry below the target, "" for the target itself.

    Raises:
        UnsafePathError: it leads out.
    """
    path = os.path.normpath(name.lstrip("/") or ".")
    if path == ".." or path.startswith("../"):
        raise UnsafePathError(f'invalid path in the tar: "{name}" is outside of the target', hint="do not use this tar")
    return "" if path == "." else path


def _set_xattrs(info: tarfile.TarInfo, path: str, only: str) -> None:
    for key, value in info.pax_headers.items():
        if key.startswith(_XATTR + only):
            try:
                os.setxattr(path, key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
            except OSError as exc:
                if exc.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise  # the file system has none of these, or they are for others to set


def _set_times(info: tarfile.TarInfo, parent: int, name: str) -> None:
    exact = info.pax_headers.get("mtime", "")
    seconds, _, fraction = exact.partition(".")
    mtime_ns = int(info.mtime) * 1_000_000_000
    if seconds.isdecimal() and fraction.isdecimal():
        mtime_ns = int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
    try:
        os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        pass  # a running container removed it in this moment
