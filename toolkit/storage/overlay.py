"""overlayfs: the layers stay shared and unchanged, changes land in an upper directory.

See Also:
    docs.kernel.org/filesystems/overlayfs.html
"""

import os
import stat
from functools import cache, lru_cache

from toolkit.core.errors import UnsupportedError
from toolkit.image.erase import erase
from toolkit.image.whiteout import is_opaque, is_whiteout
from toolkit.storage.driver import Change, RootFilesystem
from toolkit.storage.merged import Level, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["NAME", "changes", "prepare", "read_text", "remove_tree", "root_filesystem", "size"]

NAME = "overlay"
LOWER_MAX = 500
"""fs/overlayfs/params.h, OVL_MAX_STACK."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Each would make of an upper directory something that is no layer: a rename that
# only points to the old place, or a file without its content.
_UNWANTED = ("redirect_dir", "metacopy")
_PARAMETERS = "/sys/module/overlay/parameters"


def root_filesystem(layers: "Sequence[str]", directory: str, *, volatile: bool) -> RootFilesystem:
    """Describe the root of the container that keeps its files in `directory`.

    Args:
        layers: the image's unpacked layers, the lowest first.
        directory: the container's own directory.
        volatile: whether the changes may be lost in a crash of the machine;
            saves a sync of the whole file system at the end.

    Raises:
        UnsupportedError: more layers than the kernel stacks.
    """
    if len(layers) > LOWER_MAX:
        raise UnsupportedError(
            f"the image has {len(layers)} layers, and overlayfs stacks {LOWER_MAX}", hint="squash some of them"
        )
    options = (*_switched_off(), *(("volatile",) if volatile else ()))
    return RootFilesystem(_visible(tuple(layers)), f"{directory}/upper", f"{directory}/work", options)


def prepare(root: RootFilesystem, attributes: "tuple[int, int, int] | None" = None) -> None:
    """Make the upper and work directories, or make those of an earlier run usable again.

    Args:
        root: as `root_filesystem` described it.
        attributes: mode, uid and gid of the container's `/`; None: as the
            topmost layer that says so has them.
    """
    _make_upper(root, attributes)
    if not _make(root.work, 0o700):
        erase(f"{root.work}/work/incompat/volatile")  # else the kernel refuses an upper that may have lost data


def changes(root: RootFilesystem) -> "Iterator[Change]":
    """Yield what the container changed, parents before children, in the order of names."""
    try:
        upper = os.open(root.upper, _DIRECTORY)
    except FileNotFoundError:
        return  # it was never started
    try:
        with Level.open(root.lower) as lower:
            yield from _changes(upper, lower, "")
    finally:
        os.close(upper)


def size(root: RootFilesystem) -> int:
    """Return the bytes of content that the container itself holds."""
    return tree_size(root.upper)


def tree_size(path: str) -> int:
    """Return the bytes of content of all files below a directory, each inode once."""
    total = 0
    seen: set[int] = set()
    for _, _, names, fd in os.fwalk(path):
        for name in names:
            found = os.lstat(name, dir_fd=fd)
            if stat.S_ISREG(found.st_mode) and found.st_ino not in seen:
                seen.add(found.st_ino)
                total += found.st_size
    return total


def remove_tree(path: str) -> None:
    """Delete a directory and all in it, never following a symlink out of it; one that is gone is fine."""
    erase(path)


@cache
def _switched_off() -> tuple[str, ...]:
    """Return the options that switch off what this kernel has on by default and no layer may have."""
    found: list[str] = []
    for name in _UNWANTED:
        try:
            with open(f"{_PARAMETERS}/{name}") as file:
                if file.read(1) == "Y":
                    found.append(f"{name}=off")
        except FileNotFoundError:
            continue  # this kernel does not have it
    return tuple(found)


@lru_cache(maxsize=256)
def _visible(layers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the layers, topmost first, down to one whose root hides all below: the kernel does not look there."""
    lower: list[str] = []
    for layer in reversed(layers):
        lower.append(layer)
        try:
            fd = os.open(layer, _DIRECTORY)
        except FileNotFoundError:
            continue  # the mount will name it
        try:
            if is_opaque(fd):
                break
        finally:
            os.close(fd)
    return tuple(lower)


def _make_upper(root: RootFilesystem, attributes: "tuple[int, int, int] | None") -> None:
    """The upper directory is what the container sees as `/`: it gets the mode and owner of the image's."""
    if not _make(root.upper, 0o755):
        return
    mode, uid, gid = attributes or _root_attributes(root.lower)
    os.chown(root.upper, uid, gid)
    os.chmod(root.upper, mode)


@lru_cache(maxsize=256)
def _root_attributes(lower: tuple[str, ...]) -> tuple[int, int, int]:
    """Return what the topmost layer that says something about its root says."""
    from toolkit.image.layers import read_info

    for layer in lower:
        try:
            found = read_info(layer).root
        except FileNotFoundError:
            top = os.stat(layer)  # a directory that is no layer of a store speaks for itself
            return stat.S_IMODE(top.st_mode), top.st_uid, top.st_gid
        if found is not None:
            return found
    return 0o755, 0, 0


def _make(path: str, mode: int) -> bool:
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return False
    return True


def _changes(upper: int, lower: Level, path: str) -> "Iterator[Change]":
    for name in sorted(os.listdir(upper)):
        here = f"{path}/{name}"
        try:
            found = os.lstat(name, dir_fd=upper)
        except FileNotFoundError:
            continue  # a running container removed it in this moment
        below = lower.find(name)
        if is_whiteout(found):
            if below is not None:
                yield Change("D", here)
        elif not stat.S_ISDIR(found.st_mode):
            yield Change("A" if below is None else "C", here)
        else:
            yield from _directory_changes(upper, lower, name, here, found, None if below is None else below[1])


def _directory_changes(
    upper: int, lower: Level, name: str, here: str, found: os.stat_result, below: os.stat_result | None
) -> "Iterator[Change]":
    """Yield a directory's changes; docker lists it too if only something in it changed."""
    fd = os.open(name, _DIRECTORY, dir_fd=upper)
    try:
        with lower.enter(name) as inside:
            hides = is_opaque(fd)
            inner = list(_opaque_changes(fd, inside, here) if hides else _changes(fd, inside, here))
    finally:
        os.close(fd)
    if below is None:
        yield Change("A", here)
    elif inner or _attributes(found) != _attributes(below):
        yield Change("C", here)
    yield from inner


def _opaque_changes(upper: int, lower: Level, path: str) -> "Iterator[Change]":
    """Yield the changes of a directory that was deleted and made again."""
    new = set(os.listdir(upper))
    gone = [Change("D", f"{path}/{name}") for name in lower.names() - new]
    yield from sorted([*_changes(upper, lower, path), *gone], key=lambda change: change.path.split("/"))


def _attributes(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns
