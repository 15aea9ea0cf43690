"""Steps that mount things inside the new root, and shut what would tell or do too much."""

import errno
import os
import stat
from typing import NamedTuple

from toolkit.linux import mount, rooted
from toolkit.linux.flags import quoted
from toolkit.linux.mountpoint import by_fd, flags_text, kept_flags
from toolkit.runtime.steps.base import INIT, OUTSIDE, step
from toolkit.runtime.steps.root import MOVE_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context


@step(
    OUTSIDE,
    "rootfs",
    why="Init is root in its user namespace only: files that root of the host keeps to itself must be handed to it.",
    see="open_tree(2)",
)
class CloneMounts(NamedTuple):
    """Take hold of the sources of bind mounts, for init to attach."""

    sources: tuple[str, ...]

    def calls(self) -> tuple[str, ...]:
        flags = "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_RECURSIVE"
        return tuple(f"open_tree(AT_FDCWD, {quoted(source)}, {flags})" for source in self.sources)

    def apply(self, context: "Context") -> None:
        for source in self.sources:
            context.handed.append(mount.open_tree(source, recursive=True))


@step(
    INIT, "rootfs", why="The container was asked to have this mounted.", see="mount(2), runtime-spec config.md Mounts"
)
class MountFilesystem(NamedTuple):
    """Mount something inside the new root."""

    destination: str
    fstype: str
    source: str
    flags: int
    data: str
    propagation: tuple[int, ...] = ()
    set_attrs: int = 0
    """Attributes for the whole tree, applied recursively (rro and its kind)."""
    purpose: str = ""
    """What the container needs it for, one sentence."""
    handed: int = -1
    """Which of the mounts that the outside has made this is (`CloneMounts`); -1: it is made here."""

    def calls(self) -> tuple[str, ...]:
        target = quoted(self.destination)
        is_bind = bool(self.flags & mount.MS_BIND)
        flags = self.flags & (mount.MS_BIND | mount.MS_REC) if is_bind else self.flags
        fstype = "NULL" if is_bind else quoted(self.fstype)
        first = f"mount({quoted(self.source)}, {target}, {fstype}, {flags_text(flags)}, {quoted(self.data or None)})"
        made = [first if self.handed < 0 else f'move_mount(SOURCE, "", {target}, "", {MOVE_FLAGS})']
        if is_bind and (wanted := self.flags & ~(mount.MS_BIND | mount.MS_REC)):
            made.append(f"mount(NULL, {target}, NULL, {flags_text(mount.MS_REMOUNT | mount.MS_BIND | wanted)}, NULL)")
        if is_bind and self.set_attrs:
            made.append(
                f'mount_setattr({target}, "", AT_RECURSIVE|AT_EMPTY_PATH, {{attr_set={self.set_attrs:#x}}}, 32)'
            )
        made += (f"mount(NULL, {target}, NULL, {flags_text(again)}, NULL)" for again in self.propagation)
        return tuple(made)

    def apply(self, context: "Context") -> None:
        is_bind = bool(self.flags & mount.MS_BIND)
        source = by_fd(context.handed[self.handed]) if self.handed >= 0 else self.source
        target = self._open_target(context.root_fd, is_file=is_bind and not os.path.isdir(source))
        first = self.flags & (mount.MS_BIND | mount.MS_REC) if is_bind else self.flags
        try:
            if self.handed >= 0:
                mount.move_mount(context.handed[self.handed], target)
            else:
                mount.mount(source, by_fd(target), None if is_bind else self.fstype, first, self.data or None)
        finally:
            os.close(target)
        if is_bind:
            self._finish_bind(context.root_fd)
        for flags in self.propagation:
            self._again(context.root_fd, flags)

    def _open_target(self, root_fd: int, *, is_file: bool) -> int:
        if is_file:
            return rooted.make_file(root_fd, self.destination)
        return rooted.make_directories(root_fd, self.destination)

    def _finish_bind(self, root_fd: int) -> None:
        """A bind mount takes its other flags only in a second call."""
        wanted = self.flags & ~(mount.MS_BIND | mount.MS_REC)
        if wanted:
            self._again(root_fd, mount.MS_REMOUNT | mount.MS_BIND | wanted)
        if self.set_attrs:
            fd = rooted.open_in_root(root_fd, self.destination)
            try:
                mount.mount_setattr(fd, "", recursive=True, set_attrs=self.set_attrs)
            finally:
                os.close(fd)

    def _again(self, root_fd: int, flags: int) -> None:
        fd = rooted.open_in_root(root_fd, self.destination)
        try:
            kept = kept_flags(by_fd(fd)) if flags & mount.MS_REMOUNT else 0
            mount.mount(None, by_fd(fd), None, flags | kept)
        finally:
            os.close(fd)


@step(
    INIT,
    "rootfs",
    why="/proc and /sys have files for the whole machine: reading them tells about the host.",
    see="runtime-spec config-linux.md Masked Paths",
)
class MaskPath(NamedTuple):
    """Hide a path of the kernel's that would tell or do too much."""

    path: str

    def calls(self) -> tuple[str, ...]:
        return (f'mount("/dev/null", {quoted(self.path)}, NULL, MS_BIND, NULL)',)

    def apply(self, context: "Context") -> None:
        try:
            fd = rooted.open_in_root(context.root_fd, self.path)
        except OSError as exc:
            if exc.errno in (errno.ENOENT, errno.ENOTDIR):
                return  # this kernel does not have it: nothing to hide
            raise
        try:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                mount.mount("tmpfs", by_fd(fd), "tmpfs", mount.MS_RDONLY, "size=0k,nr_inodes=1,mode=555")
            else:
                mount.mount("/dev/null", by_fd(fd), None, mount.MS_BIND)
        finally:
            os.close(fd)


@step(
    INIT,
    "rootfs",
    why="Writing there would change settings of the whole machine.",
    see="runtime-spec config-linux.md Readonly Paths",
)
class ReadonlyPath(NamedTuple):
    """Make a path of the kernel's readable but not writable."""

    path: str

    def calls(self) -> tuple[str, ...]:
        path = quoted(self.path)
        return (
            f"mount({path}, {path}, NULL, MS_BIND|MS_REC, NULL)",
            f"mount(NULL, {path}, NULL, MS_RDONLY|MS_REMOUNT|MS_BIND, NULL)",
        )

    def apply(self, context: "Context") -> None:
        try:
            fd = rooted.open_in_root(context.root_fd, self.path)
        except OSError as exc:
            if exc.errno in (errno.ENOENT, errno.ENOTDIR):
                return  # this kernel does not have it
            raise
        try:
            mount.mount(by_fd(fd), by_fd(fd), None, mount.MS_BIND | mount.MS_REC)
        finally:
            os.close(fd)
        fd = rooted.open_in_root(context.root_fd, self.path)
        try:
            kept = kept_flags(by_fd(fd))
            mount.mount(None, by_fd(fd), None, mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY | kept)
        finally:
            os.close(fd)
