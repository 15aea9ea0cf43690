"""Steps that give the container a root of its own, and let go of the host's."""

import os

from toolkit.core.record import NamedTuple
from toolkit.linux import capability, file, mount, namespace, process, rooted
from toolkit.linux.flags import quoted
from toolkit.linux.mountpoint import by_fd, flags_text, kept_flags
from toolkit.runtime.steps.base import INIT, OUTSIDE, shut_imports, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context

MOVE_FLAGS = "MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH"
_MAX_DATA_BYTES = 4096
"""What mount(2) takes: a page, its last byte a NUL."""


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
        return (f'mount(NULL, "/", NULL, {flags_text(self.flags)}, NULL)',)

    def apply(self, context: "Context") -> None:
        mount.mount(None, "/", None, self.flags)


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
    """Empty: nothing can be written."""
    work: str
    options: tuple[str, ...]
    target: str

    def data(self) -> str:
        """Return the mount options as mount(2) takes them."""
        fixed = ["lowerdir=" + ":".join(_escaped(path) for path in self.lower)]
        if self.upper:
            fixed += [f"upperdir={_escaped(self.upper)}", f"workdir={_escaped(self.work)}"]
        return ",".join((*fixed, *self.options))

    def _fits(self) -> bool:
        return len(os.fsencode(self.data())) < _MAX_DATA_BYTES

    def _settings(self) -> list[tuple[str, str]]:
        """Return the same options one by one, which has no limit on their sum; a flag has no value."""
        lower = [("lowerdir+", path) for path in self.lower]
        more = [(key, value) for key, _sign, value in (option.partition("=") for option in self.options)]
        return [*lower, *([("upperdir", self.upper), ("workdir", self.work)] if self.upper else []), *more]

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
            f'move_mount(MOUNT, "", TARGET, "", {MOVE_FLAGS})',
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
    users: str = ""
    """Path of the user namespace; empty: that of the new process."""

    def calls(self) -> tuple[str, ...]:
        target = quoted(self.overlay[-1])
        return (
            "unshare(CLONE_NEWNS)",
            'mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL)',
            f"openat(AT_FDCWD, {quoted(self.users or '/proc/PID/ns/user')}, O_RDONLY|O_CLOEXEC)",
            f"open_tree(AT_FDCWD, {quoted(self.base)}, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)",
            'mount_setattr(TREE, "", AT_EMPTY_PATH, {attr_set=MOUNT_ATTR_IDMAP, userns_fd=USERNS}, 32)',
            f'move_mount(TREE, "", {target}, "", {MOVE_FLAGS})',
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
        users = file.open_file(self.users or f"/proc/{context.pid}/ns/user", os.O_RDONLY)
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
    INIT,
    "rootfs",
    why="The root was put together outside, where the power to do so is; here it gets its place.",
    see="move_mount(2)",
)
class AttachRoot(NamedTuple):
    """Attach the root file system that the outside has made."""

    target: str

    def calls(self) -> tuple[str, ...]:
        return (f'move_mount(MOUNT, "", {quoted(self.target)}, "", {MOVE_FLAGS})',)

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
        return (f"mount({quoted(self.path)}, {quoted(self.path)}, NULL, {flags_text(self.flags)}, NULL)",)

    def apply(self, context: "Context") -> None:
        mount.mount(self.path, self.path, None, self.flags)
        context.root_fd = file.open_file(self.path, os.O_PATH | os.O_DIRECTORY)


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
        path = by_fd(context.root_fd)
        mount.mount(None, path, None, mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY | kept_flags(path))


@step(
    INIT,
    "rootfs",
    why="pivot_root refuses a root whose parent mount is shared, and what is mounted on that would be seen outside.",
    see="pivot_root(2), mount_namespaces(7)",
)
class PrivateParent(NamedTuple):
    """Cut the mount that the root directory lies on off from the host's."""

    path: str

    def calls(self) -> tuple[str, ...]:
        return (f"mount(NULL, {quoted(self.path)}, NULL, MS_PRIVATE, NULL)",)

    def apply(self, context: "Context") -> None:
        mount.mount(None, self._mount_point(), None, mount.MS_PRIVATE)

    def _mount_point(self) -> str:
        """Return the nearest directory above (or `path` itself) that something is mounted on."""
        with open("/proc/self/mountinfo") as listing:
            points = {mount.unescaped(line.split(" ", 5)[4]) for line in listing}
        path = os.path.realpath(self.path)
        while path not in points and path != "/":
            path = os.path.dirname(path)
        return path


@step(
    INIT,
    "rootfs",
    why="Asked for with --no-pivot, where the host's root lies in memory (an initramfs) and cannot be pivoted from.",
    see="mount(2) MS_MOVE, chroot(2), switch_root(8)",
)
class MoveRoot(NamedTuple):
    """Move the new root over the old one and chroot into it."""

    def calls(self) -> tuple[str, ...]:
        return ("fchdir(ROOT)", 'mount(".", "/", NULL, MS_MOVE, NULL)', 'chroot(".")', 'chdir("/")')

    def apply(self, context: "Context") -> None:
        file.fchdir(context.root_fd)
        mount.mount(".", "/", None, mount.MS_MOVE)
        file.chroot(".")
        file.chdir("/")
        _let_go(context)


@step(
    INIT,
    "rootfs",
    why="A container that shares the host's mounts can be given another root only by name; it is no prison.",
    see="chroot(2)",
)
class ChangeRoot(NamedTuple):
    """Take a directory as the root."""

    path: str

    def calls(self) -> tuple[str, ...]:
        return (f"chroot({quoted(self.path)})", 'chdir("/")')

    def apply(self, context: "Context") -> None:
        file.chroot(self.path)
        file.chdir("/")


def _let_go(context: "Context") -> None:
    """Close what leads to the host: no name in /proc/self/fd leads to what is not the container's."""
    for fd in (context.root_fd, *context.handed):
        os.close(fd)
    context.root_fd = -1
    context.handed.clear()


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
            shut_imports()
        finally:
            os.close(old_root)
        _let_go(context)
