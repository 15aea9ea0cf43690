"""Steps that mount things inside the new root, and shut what would tell or do too much."""

import errno
import os
import stat

from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.core.record import NamedTuple
from toolkit.linux import file, mount, namespace, process, rooted, signals
from toolkit.linux.copytree import copy_tree
from toolkit.linux.flags import quoted
from toolkit.linux.mountpoint import by_fd, flags_text, kept_flags, make_read_only
from toolkit.runtime.steps.base import INIT, OUTSIDE, step
from toolkit.runtime.steps.root import MOVE_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context

_PROC_ROOT = 1
"""The inode of a procfs's root directory: PROC_ROOT_INO, include/linux/proc_ns.h."""
_MAY_LIE_IN_PROC = frozenset(
    f"/proc/{name}"
    for name in (
        *("cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime"),
        *("sys/crypto/fips_enabled", "sys/kernel/ns_last_pid"),
    )
)
"""What lxcfs shows containers of their limits, as runc allows it."""


@step(
    OUTSIDE,
    "rootfs",
    why="Init is root in its user namespace only: files that root of the host keeps to itself must be handed to it.",
    see="open_tree(2)",
)
class CloneMounts(NamedTuple):
    """Take hold of the sources of bind mounts, for init to attach."""

    sources: tuple[str, ...]
    below: tuple[str, ...] = ()
    """Only these paths below each of the sources, as MountFilesystem's; empty: all of them whole."""

    def calls(self) -> tuple[str, ...]:
        flags = "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_RECURSIVE"
        made: list[str] = []
        for source, below in zip(self.sources, self.below or ("",) * len(self.sources), strict=True):
            if below:
                made += _calls_to_open_below(source, below)
                made.append(f'open_tree(SOURCE, "", {flags}|AT_EMPTY_PATH)')
            else:
                made.append(f"open_tree(AT_FDCWD, {quoted(source)}, {flags})")
        return tuple(made)

    def apply(self, context: "Context") -> None:
        for source, below in zip(self.sources, self.below or ("",) * len(self.sources), strict=True):
            if not below:
                context.handed.append(mount.open_tree(source, recursive=True))
                continue
            fd = _open_below(source, below)
            try:
                context.handed.append(mount.open_tree("", recursive=True, directory_fd=fd))
            finally:
                os.close(fd)


def _open_below(source: str, below: str) -> int:
    """Open a path below a directory that others may change meanwhile: no symlink in it leads out."""
    root = file.open_file(source, os.O_PATH | os.O_DIRECTORY)
    try:
        return rooted.open_in_root(root, below)
    except OSError as exc:
        if exc.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        message = f"cannot access path {below} of the volume: no such file or directory"
        raise NotFoundError(message, hint="make it first: a subpath is not made by being mounted") from exc
    finally:
        os.close(root)


def _calls_to_open_below(source: str, below: str) -> tuple[str, ...]:
    resolve = "RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT"
    return (
        f"openat(AT_FDCWD, {quoted(source)}, O_RDONLY|O_PATH|O_DIRECTORY|O_CLOEXEC)",
        f"openat2(ROOT, {quoted(below)}, {{flags=O_RDONLY|O_PATH|O_CLOEXEC, resolve={resolve}}}, 24)",
    )


@step(
    OUTSIDE,
    "rootfs",
    why="Files on the host keep their owners; the container sees them as its own people's.",
    see="mount_setattr(2) MOUNT_ATTR_IDMAP, runtime-spec config.md Mounts uidMappings",
)
class MapMount(NamedTuple):
    """Have one of the mounts that the outside has taken hold of show other owners."""

    handed: int
    """Which one."""
    uid_map: str
    gid_map: str
    recursive: bool

    def calls(self) -> tuple[str, ...]:
        flags = "AT_RECURSIVE|AT_EMPTY_PATH" if self.recursive else "AT_EMPTY_PATH"
        return (
            "clone3({flags=CLONE_NEWUSER|CLONE_PIDFD, exit_signal=SIGCHLD}, 88)",
            f'write("/proc/PID/uid_map", {quoted(self.uid_map)})',
            f'write("/proc/PID/gid_map", {quoted(self.gid_map)})',
            'openat(AT_FDCWD, "/proc/PID/ns/user", O_RDONLY|O_CLOEXEC)',
            f'mount_setattr(TREE, "", {flags}, {{attr_set=MOUNT_ATTR_IDMAP, userns_fd=USERNS}}, 32)',
        )

    def apply(self, context: "Context") -> None:
        users = _open_user_namespace(self.uid_map, self.gid_map)
        try:
            mount.mount_setattr(
                context.handed[self.handed],
                "",
                recursive=self.recursive,
                set_attrs=mount.MOUNT_ATTR_IDMAP,
                userns_fd=users,
            )
        finally:
            os.close(users)


def _open_user_namespace(uid_map: str, gid_map: str) -> int:
    """Make a user namespace with these maps; return its descriptor, which keeps it."""
    pid, pidfd = namespace.clone3(namespace.CLONE_NEWUSER)
    if pid == 0:
        signals.pause()
        os._exit(0)
    try:
        file.write_text(f"/proc/{pid}/uid_map", uid_map, "namespace.idmap")
        file.write_text(f"/proc/{pid}/gid_map", gid_map, "namespace.idmap")
        return file.open_file(f"/proc/{pid}/ns/user", os.O_RDONLY)
    finally:
        process.pidfd_send_signal(pidfd, signals.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)


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
    clear_attrs: int = 0
    """As `set_attrs`, to clear."""
    copies_up: bool = False
    """A tmpfs begins with what lies below it."""
    below: str = ""
    """Only this path below the source: it is opened without leaving that, and mounted by its descriptor."""
    wish: str = ""
    """What it is for, where the user asked for it."""

    def calls(self) -> tuple[str, ...]:
        target = quoted(self.destination)
        is_bind = bool(self.flags & mount.MS_BIND)
        flags = self.flags & (mount.MS_BIND | mount.MS_REC) if is_bind else self.flags
        fstype = "NULL" if is_bind else quoted(self.fstype)
        has_below = bool(self.below) and self.handed < 0
        source = '"/proc/self/fd/SOURCE"' if has_below else quoted(self.source)
        first = f"mount({source}, {target}, {fstype}, {flags_text(flags)}, {quoted(self.data or None)})"
        made = [*_calls_to_open_below(self.source, self.below)] if has_below else []
        made.append(first if self.handed < 0 else f'move_mount(SOURCE, "", {target}, "", {MOVE_FLAGS})')
        if is_bind and (wanted := self.flags & ~(mount.MS_BIND | mount.MS_REC)):
            made.append(f"mount(NULL, {target}, NULL, {flags_text(mount.MS_REMOUNT | mount.MS_BIND | wanted)}, NULL)")
        if self.set_attrs or self.clear_attrs:
            attrs = f"attr_set={self.set_attrs:#x}, attr_clr={self.clear_attrs:#x}"
            made.append(f'mount_setattr({target}, "", AT_RECURSIVE|AT_EMPTY_PATH, {{{attrs}}}, 32)')
        made += (f"mount(NULL, {target}, NULL, {flags_text(again)}, NULL)" for again in self.propagation)
        return tuple(made)

    def apply(self, context: "Context") -> None:
        below = _open_below(self.source, self.below) if self.below and self.handed < 0 else -1
        try:
            self._mount(context, by_fd(below) if below >= 0 else self.source)
        finally:
            if below >= 0:
                os.close(below)

    def _mount(self, context: "Context", source: str) -> None:
        is_bind = bool(self.flags & mount.MS_BIND)
        if self.handed >= 0:
            source = by_fd(context.handed[self.handed])
        data = self._all_data(context.root_fd)
        target = self._open_target(context.root_fd, is_file=is_bind and not os.path.isdir(source))
        first = self.flags & (mount.MS_BIND | mount.MS_REC) if is_bind else self.flags
        if self.copies_up:
            first &= ~mount.MS_RDONLY
        try:
            if self.wish or not self.purpose or self.destination == "/proc":  # the others are ours
                self._refuse_inside_proc(context.root_fd, target, source)
            if self.handed >= 0:
                mount.move_mount(context.handed[self.handed], target)
            else:
                mount.mount(source, by_fd(target), None if is_bind else self.fstype, first, data or None)
            if self.copies_up:
                self._copy_up(context.root_fd, target)
        finally:
            os.close(target)
        if is_bind or self.copies_up:
            self._set_flags(context.root_fd)
        if self.set_attrs or self.clear_attrs:
            self._set_attributes(context.root_fd)
        for flags in self.propagation:
            self._again(context.root_fd, flags)

    def _refuse_inside_proc(self, root_fd: int, target: int, source: str) -> None:
        """Refuse to lay something over what is masked, or over what programs believe (CVE-2019-16884).

        The image decides what a destination's symlinks say, so it is the place that counts and not the path.
        """
        if self.fstype == "proc" or self.destination in _MAY_LIE_IN_PROC:
            return
        try:
            proc = rooted.open_in_root(root_fd, "/proc")
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            return
        try:
            there, here = os.fstat(proc), os.fstat(target)
        finally:
            os.close(proc)
        if there.st_ino != _PROC_ROOT or here.st_dev != there.st_dev or os.fstat(root_fd).st_dev == there.st_dev:
            return
        if here.st_ino == _PROC_ROOT and self.flags & mount.MS_BIND and os.stat(source).st_ino == _PROC_ROOT:
            return  # another procfs in its place, the host's for one
        raise InvalidError(
            f'"{self.destination}" cannot be mounted because it is inside /proc', hint="choose another destination"
        )

    def _open_target(self, root_fd: int, *, is_file: bool) -> int:
        if is_file:
            return rooted.make_file(root_fd, self.destination)
        return rooted.make_directories(root_fd, self.destination)

    def _all_data(self, root_fd: int) -> str:
        """A file system in memory gets the mode of the directory that it hides, if there is one, as runc has it."""
        if self.fstype != "tmpfs" or "mode=" in self.data:
            return self.data
        try:
            fd = rooted.open_in_root(root_fd, self.destination)
        except OSError as exc:
            if exc.errno != errno.ENOENT:
                raise
            return self.data
        mode = f"mode={stat.S_IMODE(os.fstat(fd).st_mode):o}"
        os.close(fd)
        return f"{mode},{self.data}" if self.data else mode

    def _copy_up(self, root_fd: int, below: int) -> None:
        above = rooted.open_in_root(root_fd, self.destination, os.O_RDONLY | os.O_DIRECTORY)
        try:
            copy_tree(below, above)
        finally:
            os.close(above)

    def _set_flags(self, root_fd: int) -> None:
        """A bind mount takes its other flags only in a second call; so does one that had to be filled first."""
        wanted = self.flags & ~(mount.MS_BIND | mount.MS_REC)
        if wanted:
            self._again(root_fd, mount.MS_REMOUNT | mount.MS_BIND | wanted)

    def _set_attributes(self, root_fd: int) -> None:
        fd = rooted.open_in_root(root_fd, self.destination)
        try:
            mount.mount_setattr(fd, "", recursive=True, set_attrs=self.set_attrs, clear_attrs=self.clear_attrs)
        finally:
            os.close(fd)

    def _again(self, root_fd: int, flags: int) -> None:
        fd = rooted.open_in_root(root_fd, self.destination)
        try:
            kept = kept_flags(by_fd(fd)) if flags & mount.MS_REMOUNT else 0
            mount.mount(None, by_fd(fd), None, flags | kept)
        finally:
            os.close(fd)


def _open_null(root_fd: int) -> int:
    """Return a descriptor of the container's /dev/null, -1 if it has none."""
    try:
        fd = rooted.open_in_root(root_fd, "/dev/null")
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTDIR):
            return -1
        raise
    found = os.fstat(fd)
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3):
        return fd
    os.close(fd)
    return -1


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

    def _hide_file(self, root_fd: int, target: int) -> None:
        """Bind the container's own null, since its root could change the mode of the host's, for everybody.

        A container without one gets the host's, read-only: so it cannot be changed either.
        """
        null = _open_null(root_fd)
        try:
            mount.mount("/dev/null" if null < 0 else by_fd(null), by_fd(target), None, mount.MS_BIND)
        finally:
            if null >= 0:
                os.close(null)
        if null < 0:
            make_read_only(root_fd, self.path)

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
                self._hide_file(context.root_fd, fd)
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
