"""The files of one container: tar streams out of it and into it, and what it has changed."""

import functools
import os
import stat
import tarfile
from contextlib import nullcontext

from toolkit.core.errors import ConflictError, InvalidError
from toolkit.engine import users
from toolkit.engine.files.ids import outside
from toolkit.engine.files.pack import Packer
from toolkit.engine.files.stat import PathStat, base_name, open_parent, path_error, stat_path
from toolkit.engine.files.unpack import Owner, unpack
from toolkit.engine.files.view import opened
from toolkit.linux import rooted
from toolkit.linux.filesystemuser import file_system_user
from toolkit.storage import overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine
    from toolkit.engine.files.view import View
    from toolkit.storage.driver import Change, RootFilesystem

_ST_RDONLY = 1
_MOUNT_POINTS = frozenset(
    (
        *("/dev", "/dev/console", "/dev/mqueue", "/dev/pts", "/dev/shm", "/proc", "/sys", "/sys/fs", "/sys/fs/cgroup"),
        *("/etc/hostname", "/etc/hosts", "/etc/localtime", "/etc/resolv.conf"),
    )
)
"""What is made in a container's root only to mount something on it."""


class Files:
    """What can be done with a container's files from outside, whether it runs or not."""

    def __init__(self, engine: "Engine", container: "Container") -> None:
        """Work on `container`; nothing is opened yet."""
        self._engine = engine
        self._container = container

    def stat(self, path: str) -> PathStat:
        """Return what a path of the container is.

        Raises:
            NotFoundError: nothing.
            InvalidError: it ends in a slash and is no directory.
        """
        with opened(self._engine, self._container) as view:
            return stat_path(view, path, self._container.name)

    def get(self, path: str, out: "IO[bytes]") -> int:
        """Write a file or directory as a tar; return how many bytes of content it has.

        The tar's entries begin with the last part of the path; those of a path
        that ends in "/." with ".".

        Raises:
            NotFoundError: there is no such file.
            InvalidError: the path ends in a slash and is no directory.
        """
        with opened(self._engine, self._container) as view:
            parent, name = open_parent(view, path, self._container.name)
            try:
                os.stat(name, dir_fd=parent, follow_symlinks=False)  # before the tar has begun
                self._container.note("archive-path")
                return write_tar(out, lambda packer: packer.add(parent, name, base_name(path)), view)
            except OSError as exc:
                raise path_error(exc, path, self._container.name) from exc
            finally:
                os.close(parent)

    def put(
        self,
        path: str,
        stream: "IO[bytes]",
        *,
        rename: "Callable[[str], str]" = lambda name: name,
        may_replace_kind: bool = False,
        gives_to_user: bool = False,
    ) -> int:
        """Extract a tar into a directory of the container; return how many bytes of content came.

        Args:
            path: the directory; it must be there.
            stream: the tar.
            rename: gives its entries other paths.
            may_replace_kind: a file may take the place of a directory.
            gives_to_user: all files become those of the user that the container runs as, if it has one.

        Raises:
            NotFoundError: there is no such directory.
            ConflictError: the container's root is read-only.
            InvalidError: it is no directory, or the stream no tar.
        """
        with opened(self._engine, self._container, writes=True) as view:
            self._check_target(view, path)
            owner = Owner(view.uids, view.gids, self._user() if gives_to_user else None)
            self._container.note("extract-to-dir")
            with file_system_user(outside(view.uids, 0), outside(view.gids, 0)) if view.uids else nullcontext():
                return unpack(stream, view.root_fd, path, owner=owner, rename=rename, may_replace_kind=may_replace_kind)

    def _check_target(self, view: "View", path: str) -> None:
        container = self._container
        try:
            fd = rooted.open_in_root(view.root_fd, path)
        except OSError as exc:
            raise path_error(exc, path.rstrip("/") or "/", container.name) from exc
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise InvalidError("extraction point is not a directory", hint=f"name a directory instead of {path}")
            is_shut = bool(os.fstatvfs(fd).f_flag & _ST_RDONLY)
            if is_shut or (container.options.read_only and not container.pid):
                raise ConflictError("container rootfs is marked read-only", hint="copy to a tmpfs of it while it runs")
        finally:
            os.close(fd)

    def _user(self) -> tuple[int, int] | None:
        doc, options = self._container.doc, self._container.options
        name = options.user or doc["image_config"].get("User") or ""
        if not name:
            return None
        found = users.resolve(name, functools.partial(overlay.read_text, self._root()))
        return found.uid, found.gid

    def export(self, out: "IO[bytes]") -> int:
        """Write all that the container keeps on disk as a tar: its image and its changes, but nothing mounted in it."""
        with opened(self._engine, self._container, has_mounts=False) as view:
            self._container.note("export")
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=view.root_fd)
            try:
                names = sorted(os.listdir(fd), key=os.fsencode)
                return write_tar(out, lambda packer: packer.add_all(fd, names), view)
            finally:
                os.close(fd)

    def changes(self) -> "Sequence[Change]":
        """Return what the container has changed in its image: A added, C changed, D deleted."""
        return _of_the_container(tuple(overlay.changes(self._root())))

    def size(self) -> int:
        """Return how many bytes of content the container itself has written."""
        try:
            return overlay.size(self._root())
        except FileNotFoundError:
            return 0  # a directory vanished in this moment, or it was never started

    def _root(self) -> "RootFilesystem":
        layers = [self._engine.images.layer_path(diff_id) for diff_id in self._container.doc["diff_ids"]]
        return overlay.root_filesystem(layers, self._engine.paths.container(self._container.id), volatile=False)


def _of_the_container(changes: "Sequence[Change]") -> "Sequence[Change]":
    """Return the changes but for what the engine makes to mount on, and directories that changed by that alone."""
    hidden = {change.path for change in changes if change.kind == "A" and change.path in _MOUNT_POINTS}
    kept = [change for change in changes if change.path not in hidden]
    parents = {path.rpartition("/")[0] for path in hidden}
    return tuple(
        change
        for change in kept
        if change.path not in parents or any(other.path.startswith(f"{change.path}/") for other in kept)
    )


def write_tar(out: "IO[bytes]", fill: "Callable[[Packer], None]", view: "View | None" = None) -> int:
    """Write a tar of what `fill` adds; return the bytes of content in it.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    with tarfile.open(
        fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        packer = Packer(archive, view.uids if view else (), view.gids if view else ())
        fill(packer)
    return packer.content_bytes
