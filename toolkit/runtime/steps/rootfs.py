"""Steps that give the container a file system of its own."""

import errno
import os
import stat
from typing import NamedTuple

from toolkit.core.errors import InvalidError
from toolkit.linux import capability, file, mount, namespace, process, rooted
from toolkit.linux.flags import flag_names, quoted
from toolkit.runtime.steps.base import INIT, OUTSIDE, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context

_KEPT_ON_REMOUNT = (
    (0x1, mount.MS_RDONLY),
    (0x2, mount.MS_NOSUID),
    (0x4, mount.MS_NODEV),
    (0x8, mount.MS_NOEXEC),
    (0x400, mount.MS_NOATIME),
    (0x800, mount.MS_NODIRATIME),
    (0x1000, mount.MS_RELATIME),
)
"""statvfs flags and the mount flags that say the same (include/linux/statfs.h)."""


_KIND_NAMES = {"c": "S_IFCHR", "u": "S_IFCHR", "b": "S_IFBLK", "p": "S_IFIFO"}


def _names(flags: int) -> str:
    return flag_names(flags, mount.MS_NAMES)


def _by_fd(fd: int) -> str:
    return f"/proc/self/fd/{fd}"


def _locked_flags(path: str) -> int:
    """Return the flags that a user namespace may not clear when it remounts `path`."""
    present = os.statvfs(path).f_flag
    return sum(flag for bit, flag in _KEPT_ON_REMOUNT if present & bit)


@step(
    INIT,
    "rootfs",
    why="The copy of the host's mounts is still connected to the original: what is mounted here would appear there.",
    see="mount_namespaces(7)",
)
class SetPropagation(NamedTuple):
    """Keep the container's mounts from showing up on the host."""

    flags: int

    def calls(self) -> tuple[str, ...]:
        return (f'mount(NULL, "/", NULL, {flag_names(self.flags, mount.MS_NAMES)}, NULL)',)

    def apply(self, context: "Context") -> None:
        mount.mount(None, "/", None, self.flags)


_MOVE_FLAGS = "MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH"
_MAX_DATA_BYTES = 4096
"""What mount(2) takes: a page, its last byte a NUL."""


@step(
    INIT,
    "rootfs",
    why="The layers stay as they are and are shared; every change lands in the upper directory.",
    see="overlayfs(5), docs.kernel.org/filesystems/overlayfs.html",
)
class MountOverlay(NamedTuple):
    """Lay the image's layers over each other, with the container's own writable layer on top."""

    lower: tuple[str, ...]
    upper: str
    work: str
    options: tuple[str, ...]
    target: str

    def data(self) -> str:
        """Return the mount options as mount(2) takes them."""
        lower = ":".join(_escaped(path) for path in self.lower)
        fixed = (f"lowerdir={lower}", f"upperdir={_escaped(self.upper)}", f"workdir={_escaped(self.work)}")
        return ",".join(fixed + self.options)

    def _fits(self) -> bool:
        return len(os.fsencode(self.data())) < _MAX_DATA_BYTES

    def _settings(self) -> list[tuple[str, str]]:
        """Return the same options one by one, which has no limit on their sum; a flag has no value."""
        lower = [("lowerdir+", path) for path in self.lower]
        more = [(key, value) for key, _sign, value in (option.partition("=") for option in self.options)]
        return [*lower, ("upperdir", self.upper), ("workdir", self.work), *more]

    def calls(self) -> tuple[str, ...]:
        if self._fits():
            return (f'mount("overlay", {quoted(self.target)}, "overlay", 0, {quoted(self.data())})',)
        settings = (
            f"fsconfig(FS, FSCONFIG_SET_{'STRING' if value else 'FLAG'}, {quoted(key)}, {quoted(value or None)}, 0)"
            for key, value in self._settings()
        )
        return (
            'fsopen("overlay", FSOPEN_CLOEXEC)',
            *settings,
            "fsconfig(FS, FSCONFIG_CMD_CREATE, NULL, NULL, 0)",
            "fsmount(FS, FSMOUNT_CLOEXEC, 0)",
            f'move_mount(MOUNT, "", TARGET, "", {_MOVE_FLAGS})',
        )

    def apply(self, context: "Context") -> None:
        if self._fits():
            mount.mount("overlay", self.target, "overlay", 0, self.data())
        else:
            self._mount_by_pieces()
        context.root_fd = file.open_file(self.target, os.O_PATH | os.O_DIRECTORY)

    def _mount_by_pieces(self) -> None:
        """An image of many layers: mount(2) takes no more than a page of options."""
        target = file.open_file(self.target, os.O_PATH | os.O_DIRECTORY)
        fs = mount.fsopen("overlay")
        try:
            for key, value in self._settings():
                mount.fsconfig_string(fs, key, value) if value else mount.fsconfig_flag(fs, key)
            mount.fsconfig_create(fs)
            tree = mount.fsmount(fs)
            mount.move_mount(tree, target)
            os.close(tree)
        finally:
            os.close(fs)
            os.close(target)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


@step(
    OUTSIDE,
    "rootfs",
    why="The files on disk belong to the host's ids; seen through an id-mapped mount they belong to the container's.",
    see="mount_setattr(2) MOUNT_ATTR_IDMAP, user_namespaces(7)",
)
class MakeMappedOverlay(NamedTuple):
    """Lay the layers over each other as the container's user namespace is to see them, for init to attach."""

    base: str
    """The directory that all the layers lie below."""
    overlay: tuple[tuple[str, ...], str, str, tuple[str, ...], str]
    """As the fields of MountOverlay."""
    owner: tuple[int, int]
    """The host's uid and gid of the container's root."""

    def calls(self) -> tuple[str, ...]:
        target = quoted(self.overlay[-1])
        return (
            "unshare(CLONE_NEWNS)",
            'mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL)',
            'openat(AT_FDCWD, "/proc/PID/ns/user", O_RDONLY|O_CLOEXEC)',
            f"open_tree(AT_FDCWD, {quoted(self.base)}, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)",
            'mount_setattr(TREE, "", AT_EMPTY_PATH, {attr_set=MOUNT_ATTR_IDMAP, userns_fd=USERNS}, 32)',
            f'move_mount(TREE, "", {target}, "", {_MOVE_FLAGS})',
            f"setresuid({self.owner[0]}, {self.owner[0]}, {self.owner[0]})",
            *self._mapped().calls(),
            "setresuid(0, 0, 0)",
            f"open_tree(AT_FDCWD, {target}, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)",
        )

    def _mapped(self) -> MountOverlay:
        """The same overlay, its paths leading through the mapped mount."""
        lower, upper, work, options, target = self.overlay
        through = [path.replace(self.base, target, 1) for path in (*lower, upper, work)]
        return MountOverlay(tuple(through[:-2]), through[-2], through[-1], options, target)

    def apply(self, context: "Context") -> None:
        target = self.overlay[-1]
        namespace.unshare(namespace.CLONE_NEWNS)  # this process is about to end: so is what it mounts
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
        users = file.open_file(f"/proc/{context.pid}/ns/user", os.O_RDONLY)
        tree = mount.open_tree(self.base)
        mount.mount_setattr(tree, "", set_attrs=mount.MOUNT_ATTR_IDMAP, userns_fd=users)
        where = file.open_file(target, os.O_PATH | os.O_DIRECTORY)
        mount.move_mount(tree, where)
        for fd in (users, tree, where):
            os.close(fd)
        self._mount_as_owner(context)
        os.close(context.root_fd)
        context.root_fd = -1
        context.handed.append(mount.open_tree(target))

    def _mount_as_owner(self, context: "Context") -> None:
        """Mount as the container's root, with the powers of the host's.

        overlayfs writes to the upper directory as whoever mounted it, and who
        is not in the map cannot write through a mapped mount (EOVERFLOW).
        """
        powers = capability.read_sets()
        capability.set_keepcaps(True)
        process.setresgid(self.owner[1])
        process.setresuid(self.owner[0])
        capability.capset(powers.effective, powers.permitted, powers.inheritable)
        try:
            self._mapped().apply(context)
        finally:
            process.setresuid(0)
            process.setresgid(0)
            capability.capset(powers.effective, powers.permitted, powers.inheritable)


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
    INIT,
    "rootfs",
    why="The root was put together outside, where the power to do so is; here it gets its place.",
    see="move_mount(2)",
)
class AttachRoot(NamedTuple):
    """Attach the root file system that the outside has made."""

    target: str

    def calls(self) -> tuple[str, ...]:
        return (f'move_mount(MOUNT, "", {quoted(self.target)}, "", {_MOVE_FLAGS})',)

    def apply(self, context: "Context") -> None:
        where = file.open_file(self.target, os.O_PATH | os.O_DIRECTORY)
        mount.move_mount(context.handed[0], where)
        os.close(where)
        context.root_fd = file.open_file(self.target, os.O_PATH | os.O_DIRECTORY)


@step(
    INIT,
    "rootfs",
    why="pivot_root takes mount points only, and a directory becomes one by being mounted on itself.",
    see="pivot_root(2)",
)
class BindRoot(NamedTuple):
    """Make the root directory a mount of its own."""

    path: str
    flags: int

    def calls(self) -> tuple[str, ...]:
        return (
            f"mount({quoted(self.path)}, {quoted(self.path)}, NULL, {flag_names(self.flags, mount.MS_NAMES)}, NULL)",
        )

    def apply(self, context: "Context") -> None:
        mount.mount(self.path, self.path, None, self.flags)
        context.root_fd = file.open_file(self.path, os.O_PATH | os.O_DIRECTORY)


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
        first = f"mount({quoted(self.source)}, {target}, {fstype}, {_names(flags)}, {quoted(self.data or None)})"
        made = [first if self.handed < 0 else f'move_mount(SOURCE, "", {target}, "", {_MOVE_FLAGS})']
        if is_bind and (wanted := self.flags & ~(mount.MS_BIND | mount.MS_REC)):
            made.append(f"mount(NULL, {target}, NULL, {_names(mount.MS_REMOUNT | mount.MS_BIND | wanted)}, NULL)")
        if is_bind and self.set_attrs:
            made.append(
                f'mount_setattr({target}, "", AT_RECURSIVE|AT_EMPTY_PATH, {{attr_set={self.set_attrs:#x}}}, 32)'
            )
        made += (f"mount(NULL, {target}, NULL, {_names(again)}, NULL)" for again in self.propagation)
        return tuple(made)

    def apply(self, context: "Context") -> None:
        is_bind = bool(self.flags & mount.MS_BIND)
        source = _by_fd(context.handed[self.handed]) if self.handed >= 0 else self.source
        target = self._open_target(context.root_fd, is_file=is_bind and not os.path.isdir(source))
        first = self.flags & (mount.MS_BIND | mount.MS_REC) if is_bind else self.flags
        try:
            if self.handed >= 0:
                mount.move_mount(context.handed[self.handed], target)
            else:
                mount.mount(source, _by_fd(target), None if is_bind else self.fstype, first, self.data or None)
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
            kept = _locked_flags(_by_fd(fd)) if flags & mount.MS_REMOUNT else 0
            mount.mount(None, _by_fd(fd), None, flags | kept)
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
                mount.mount("tmpfs", _by_fd(fd), "tmpfs", mount.MS_RDONLY, "size=0k,nr_inodes=1,mode=555")
            else:
                mount.mount("/dev/null", _by_fd(fd), None, mount.MS_BIND)
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
            mount.mount(_by_fd(fd), _by_fd(fd), None, mount.MS_BIND | mount.MS_REC)
        finally:
            os.close(fd)
        fd = rooted.open_in_root(context.root_fd, self.path)
        try:
            kept = _locked_flags(_by_fd(fd))
            mount.mount(None, _by_fd(fd), None, mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY | kept)
        finally:
            os.close(fd)


@step(
    INIT,
    "rootfs",
    why="The root is about to become read-only: later the directory could not be made any more.",
    see="openat2(2), RESOLVE_IN_ROOT",
)
class MakeWorkingDirectory(NamedTuple):
    """Make the directory that the program starts in, where the image lacks it."""

    path: str

    def calls(self) -> tuple[str, ...]:
        return (f"mkdir({quoted(self.path)}, 0755)",)

    def apply(self, context: "Context") -> None:
        os.close(rooted.make_directories(context.root_fd, self.path))


@step(
    INIT,
    "rootfs",
    why="Asked for with --read-only: the program can write only where something writable is mounted.",
    see="mount(2) MS_REMOUNT",
)
class ReadonlyRoot(NamedTuple):
    """Make the root file system read-only."""

    def calls(self) -> tuple[str, ...]:
        return ('mount(NULL, "/", NULL, MS_RDONLY|MS_REMOUNT|MS_BIND, NULL)',)

    def apply(self, context: "Context") -> None:
        path = _by_fd(context.root_fd)
        mount.mount(None, path, None, mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY | _locked_flags(path))


@step(
    INIT,
    "rootfs",
    why="Unlike chroot this changes the root mount itself: once the old one is detached no path leads back.",
    see='pivot_root(2), NOTES: pivot_root(".", ".")',
)
class PivotRoot(NamedTuple):
    """Make the new root `/` and let go of the old one."""

    def calls(self) -> tuple[str, ...]:
        return (
            "fchdir(ROOT)",
            'pivot_root(".", ".")',
            "fchdir(OLD_ROOT)",
            'mount(NULL, ".", NULL, MS_REC|MS_SLAVE, NULL)',
            'umount2(".", MNT_DETACH)',
            'chdir("/")',
        )

    def apply(self, context: "Context") -> None:
        old_root = file.open_file("/", os.O_PATH | os.O_DIRECTORY)
        try:
            file.fchdir(context.root_fd)
            mount.pivot_root(".", ".")
            file.fchdir(old_root)
            mount.mount(None, ".", None, mount.MS_SLAVE | mount.MS_REC)
            mount.umount(".", mount.MNT_DETACH)
            file.chdir("/")
        finally:
            os.close(old_root)
        for fd in (context.root_fd, *context.handed):  # no name in /proc/self/fd leads to what is not the container's
            os.close(fd)
        context.root_fd = -1
        context.handed.clear()


@step(
    INIT,
    "rootfs",
    why="/dev is empty: without null, zero and urandom hardly any program runs, and no disk may be among them.",
    see="mknod(2), runtime-spec config-linux.md Default Devices",
)
class MakeDevices(NamedTuple):
    """Make the device nodes that every program expects."""

    devices: tuple[tuple[str, str, int, int, int, int, int], ...]
    """Path, type (c, b or p), major, minor, mode, uid, gid."""

    def calls(self) -> tuple[str, ...]:
        return tuple(
            f"mknod({quoted(path)}, {_KIND_NAMES.get(kind, kind)}|0{mode:o}, {file.makedev_text(major, minor)})"
            for path, kind, major, minor, mode, _uid, _gid in self.devices
        )

    def apply(self, context: "Context") -> None:
        mask = process.umask(0)
        try:
            for path, kind, major, minor, mode, uid, gid in self.devices:
                self.make_one(context.root_fd, path, kind, major, minor, mode, uid, gid)
        finally:
            process.umask(mask)

    @staticmethod
    def make_one(root_fd: int, path: str, kind: str, major: int, minor: int, mode: int, uid: int, gid: int) -> None:
        parent, _, name = path.rpartition("/")
        bits = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}.get(kind)
        if bits is None:
            raise InvalidError(f"device {path} has the unknown type '{kind}'", hint="c, b, u or p")
        directory = rooted.make_directories(root_fd, parent)
        try:
            file.mknod(name, bits | mode, major, minor, directory)
            if uid or gid:
                file.chown(name, uid, gid, directory)
        finally:
            os.close(directory)


@step(
    INIT,
    "rootfs",
    why="A user namespace may not make device nodes, but it may see the host's harmless ones.",
    see="user_namespaces(7), mknod(2)",
)
class BindDevices(NamedTuple):
    """Lend the container the host's own device nodes."""

    paths: tuple[str, ...]

    def calls(self) -> tuple[str, ...]:
        return tuple(f"mount({quoted(path)}, {quoted(path)}, NULL, MS_BIND, NULL)" for path in self.paths)

    def apply(self, context: "Context") -> None:
        for path in self.paths:
            fd = rooted.make_file(context.root_fd, path)
            try:
                mount.mount(path, _by_fd(fd), None, mount.MS_BIND)
            finally:
                os.close(fd)


@step(
    INIT,
    "rootfs",
    why="/dev/stdin and its kind are links into /proc: each process finds its own.",
    see="runtime-spec config-linux.md /dev symbolic links",
)
class LinkDevices(NamedTuple):
    """Make the usual links in /dev."""

    links: tuple[tuple[str, str], ...]
    """Name below /dev, what it points to."""

    def calls(self) -> tuple[str, ...]:
        return tuple(f'symlink({quoted(target)}, "/dev/{name}")' for name, target in self.links)

    def apply(self, context: "Context") -> None:
        directory = rooted.open_in_root(context.root_fd, "/dev", os.O_PATH | os.O_DIRECTORY)
        try:
            for name, target in self.links:
                try:
                    file.symlink(target, name, directory)
                except OSError as exc:
                    if exc.errno != errno.EEXIST:  # a bind-mounted /dev has its own
                        raise
        finally:
            os.close(directory)


@step(
    INIT,
    "rootfs",
    why="Asked for with --sysctl; only settings that a namespace keeps for itself are allowed.",
    see="sysctl(8), proc_sys(5)",
)
class WriteSysctls(NamedTuple):
    """Change kernel settings that belong to the container's own namespaces."""

    values: tuple[tuple[str, str], ...]

    def calls(self) -> tuple[str, ...]:
        return tuple(f"write({quoted(_sysctl_path(key))}, {quoted(value)})" for key, value in self.values)

    def apply(self, context: "Context") -> None:
        for key, value in self.values:
            file.write_text(_sysctl_path(key), value, "sysctl.write")


def _sysctl_path(key: str) -> str:
    return "/proc/sys/" + key.replace(".", "/")
