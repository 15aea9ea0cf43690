"""What a path in a container is, as `docker cp` and the API's archive calls ask."""

import errno
import os
import stat
from typing import NamedTuple

from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.linux import rooted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.files.view import View


class PathStat(NamedTuple):
    """A file of a container."""

    name: str
    """The last part of the path."""
    size: int
    mode: int
    """As stat(2) has it."""
    mtime_ns: int
    link_target: str
    """Of a symlink: where it leads in the container, every other symlink on the way followed; else empty."""

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory; a symlink to one is none."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symlink."""
        return stat.S_ISLNK(self.mode)


def asserts_directory(path: str) -> bool:
    """Tell whether a path says that it is a directory: it ends in "/" or "/."."""
    return path.endswith(("/", "/.")) or path == "."


def split(path: str) -> tuple[str, str]:
    """Return the directory and the last part of a path of a container; "." for the last where the path ends so."""
    absolute = "/" + path.lstrip("/")
    name = absolute.rstrip("/").rpartition("/")[2]
    if name in ("", ".", ".."):
        return absolute, "."
    if asserts_directory(path):
        return absolute, "."
    return absolute.rpartition("/")[0] or "/", name


def base_name(path: str) -> str:
    """Return the name that a tar of `path` begins with."""
    if path.endswith("/.") or path == ".":
        return "."
    name = os.path.normpath("/" + path).rpartition("/")[2]
    return name or "."


def open_parent(view: "View", path: str, container: str) -> tuple[int, str]:
    """Open the directory that a path lies in; return it with the name therein.

    Symlinks on the way are followed as the container would; the last part is not.

    Raises:
        NotFoundError: there is no such directory.
        InvalidError: a part of the way is no directory.
    """
    if not path:
        raise InvalidError("the path in the container is empty", hint="write CONTAINER:PATH")
    if "\0" in path:
        raise InvalidError("the path in the container has a null byte in it")
    directory, name = split(path)
    try:
        return rooted.open_in_root(view.root_fd, directory, os.O_PATH | os.O_DIRECTORY), name
    except OSError as exc:
        raise path_error(exc, path, container) from exc


def path_error(exc: OSError, path: str, container: str) -> Exception:
    """Return docker's words for what is wrong with a path."""
    if exc.errno == errno.ENOENT:
        return NotFoundError(f"Could not find the file {path} in container {container}", hint="check the path")
    if exc.errno == errno.ENOTDIR:
        hint = "leave out the slash at its end" if asserts_directory(path) else "a part of the path is a file"
        return InvalidError(f"{path} in container {container}: not a directory", hint=hint)
    if exc.errno == errno.ELOOP:
        return InvalidError(f"{path} in container {container}: its symlinks go in a circle, or through /proc")
    return exc


def stat_path(view: "View", path: str, container: str) -> PathStat:
    """Return what a path of a container is.

    Raises:
        NotFoundError: nothing.
        InvalidError: it ends in a slash and is no directory.
    """
    parent, name = open_parent(view, path, container)
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        target = _target(view, path) if stat.S_ISLNK(found.st_mode) else ""
    except OSError as exc:
        raise path_error(exc, path, container) from exc
    finally:
        os.close(parent)
    return PathStat(base_name(path), found.st_size, found.st_mode, found.st_mtime_ns, target)


def _target(view: "View", path: str) -> str:
    """Return where a symlink leads, as a path from the container's root; what does not exist is taken as it stands."""
    links = 0
    while links < rooted.SYMLINK_LIMIT:
        directory, name = split(path)
        try:
            target = _read_link(view.root_fd, directory, name)
        except OSError as exc:
            if exc.errno in (errno.EINVAL, errno.ENOENT):
                return path
            raise
        path = "/" + os.path.normpath(target if target.startswith("/") else f"{directory}/{target}").lstrip("/")
        links += 1
    raise InvalidError(f"{path}: its symlinks go in a circle")


def _read_link(root_fd: int, directory: str, name: str) -> str:
    parent = rooted.open_in_root(root_fd, directory, os.O_PATH | os.O_DIRECTORY)
    try:
        return os.readlink(name, dir_fd=parent)
    finally:
        os.close(parent)
