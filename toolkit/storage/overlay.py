"""overlayfs: the layers stay shared and unchanged, changes land in an upper directory.

See Also:
    docs.kernel.org/filesystems/overlayfs.html
"""

import errno
import os
import stat

from toolkit.linux import rooted
from toolkit.storage.driver import RootFilesystem

_MAX_TEXT_BYTES = 1024 * 1024


def root_filesystem(layers: "list[str]", directory: str, *, volatile: bool) -> RootFilesystem:
    """Describe the root of the container that keeps its files in `directory`.

    Args:
        layers: the image's unpacked layers, the lowest first.
        directory: the container's own directory.
        volatile: whether the changes may be lost in a crash of the machine;
            saves a sync of the whole file system at the end.
    """
    options = ("volatile",) if volatile else ()
    return RootFilesystem(tuple(reversed(layers)), f"{directory}/upper", f"{directory}/work", options)


def prepare(root: RootFilesystem) -> None:
    """Make the upper and work directories, or make those of an earlier run usable again."""
    _make_upper(root)
    _make(root.work, 0o700)
    try:
        os.rmdir(f"{root.work}/work/incompat/volatile")  # else the kernel refuses an upper that may have lost data
        os.rmdir(f"{root.work}/work/incompat")
    except FileNotFoundError:
        pass  # it was not volatile, or was not mounted before


def _make_upper(root: RootFilesystem) -> None:
    """The upper directory is what the container sees as `/`: it gets the mode and owner of the image's."""
    if _make(root.upper, 0o755) and root.lower:
        top = os.stat(root.lower[0])
        os.chown(root.upper, top.st_uid, top.st_gid)
        os.chmod(root.upper, stat.S_IMODE(top.st_mode))


def _make(path: str, mode: int) -> bool:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return False
    return True


def read_text(root: RootFilesystem, path: str) -> str:
    """Return a text file of the container as it would see it, "" where it has none.

    Looks into the layers from the top down, so that nothing needs to be
    mounted; a symlink is followed inside its layer only.
    """
    for layer in (root.upper, *root.lower):
        found = _read_in_layer(layer, path)
        if found is not None:
            return found
    return ""


def _read_in_layer(layer: str, path: str) -> str | None:
    """Return the file's text, "" where this layer deletes it, None where it does not say."""
    try:
        directory = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None  # a container that was never started has no upper yet
    try:
        fd = rooted.open_in_root(directory, path, os.O_PATH)
        try:
            kind = os.fstat(fd).st_mode
            if not stat.S_ISREG(kind):
                return ""
            with open(f"/proc/self/fd/{fd}", errors="replace") as file:
                return file.read(_MAX_TEXT_BYTES)
        finally:
            os.close(fd)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    finally:
        os.close(directory)


def remove_tree(path: str) -> None:
    """Delete a directory and all in it, never following a symlink out of it; one that is gone is fine."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _empty(directory)
    finally:
        os.close(directory)
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass  # another process removes the same


def _empty(directory: int) -> None:
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        try:
            if is_directory:
                child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
                try:
                    _empty(child)
                finally:
                    os.close(child)
                os.rmdir(name, dir_fd=directory)
            else:
                os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass  # another process removes the same
