"""Mounts: mount(2), umount2(2), pivot_root(2) and the attributes of a mount tree.

A target inside a container's root is never given as a path that the container
could redirect: `toolkit.linux.rooted` opens it and the mount goes to its
descriptor, as /proc/self/fd/N (CVE-2021-30465 is what happens otherwise).
"""

import ctypes
import errno
import os

from toolkit.linux.flags import flag_names, quoted
from toolkit.linux.libc import c_char_p, c_int, c_ulong, function, syscall
from toolkit.trace import span
from toolkit.trace.spelling import speller

# include/uapi/linux/mount.h
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_STRICTATIME = 0x1000000
MS_LAZYTIME = 0x2000000

MS_NAMES = {
    name: value
    for name, value in sorted(globals().items(), key=lambda item: item[1] if isinstance(item[1], int) else 0)
    if name.startswith("MS_")
}

MNT_FORCE = 0x1
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8
_UMOUNT_NAMES = {"MNT_FORCE": MNT_FORCE, "MNT_DETACH": MNT_DETACH, "UMOUNT_NOFOLLOW": UMOUNT_NOFOLLOW}

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000
_ATTR_NAMES = {
    name: value
    for name, value in sorted(globals().items(), key=lambda item: item[0] != "MOUNT_ATTR__ATIME")
    if name.startswith("MOUNT_ATTR_")
}

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
_AT_NAMES = {"AT_RECURSIVE": AT_RECURSIVE, "AT_EMPTY_PATH": AT_EMPTY_PATH}

_mount = function("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = function("umount2", c_char_p, c_int)

_MOUNT_HINTS = {
    errno.EPERM: "mounting needs CAP_SYS_ADMIN: run as root",
    errno.ENODEV: "this kernel does not have that file system",
    errno.ENOENT: "the source or the target does not exist",
    errno.ENOTDIR: "a directory can only be mounted on a directory, a file on a file",
}

_OVERLAY_HINTS = {
    **_MOUNT_HINTS,
    errno.EINVAL: "the writable layer cannot lie on this file system (another overlay, NFS, FAT ...): "
    "give the engine a root (CONTAINER_ROOT) on ext4, xfs, btrfs or a tmpfs",
}


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(source: str | None, target: str, fstype: str | None, flags: int = 0, data: str | None = None) -> None:
    """Attach a file system, or change one that is attached, at `target`.

    Raises:
        SyscallError: EPERM without CAP_SYS_ADMIN, ENODEV for an unknown file
            system, EINVAL for options that it does not take.

    See Also:
        mount(2)
    """
    hints = _OVERLAY_HINTS if fstype == "overlay" else _MOUNT_HINTS
    with span("mount.mount", (_MOUNT, source, target, fstype, flags, data), hints):
        _mount(_bytes(source), os.fsencode(target), _bytes(fstype), flags, _bytes(data))


def mount_text(source: str | None, target: str, fstype: str | None, flags: int, data: str | None) -> str:
    """Return the call as strace prints it."""
    words = (quoted(source), quoted(target), quoted(fstype), flag_names(flags, MS_NAMES), quoted(data))
    return f"mount({', '.join(words)})"


_MOUNT = speller(mount_text)


def umount(target: str, flags: int = 0) -> None:
    """Detach what is mounted on `target`.

    Raises:
        SyscallError: EBUSY while it is in use, EINVAL if nothing is mounted there.

    See Also:
        umount2(2)
    """
    hints = {errno.EBUSY: "something still uses it; MNT_DETACH does not wait"}
    with span("mount.umount", lambda: f"umount2({quoted(target)}, {flag_names(flags, _UMOUNT_NAMES)})", hints):
        _umount2(os.fsencode(target), flags)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root mount and park the old root on `put_old`.

    Raises:
        SyscallError: EBUSY if `new_root` lies on the current root mount (a
            plain directory usually does), EINVAL if it is not a mount point
            or its parent mount is shared.

    See Also:
        pivot_root(2)
    """
    call = f"pivot_root({quoted(new_root)}, {quoted(put_old)})"
    self_bind = f"bind-mount {new_root} onto itself first"
    with span("rootfs.pivot", call, {errno.EBUSY: self_bind, errno.EINVAL: self_bind}):
        syscall("pivot_root", os.fsencode(new_root), os.fsencode(put_old))


class _MountAttr(ctypes.Structure):
    """struct mount_attr, include/uapi/linux/mount.h."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def mount_setattr(
    directory_fd: int,
    path: str,
    *,
    recursive: bool = False,
    set_attrs: int = 0,
    clear_attrs: int = 0,
    userns_fd: int = -1,
) -> None:
    """Change the attributes of the mount at `path` (or of `directory_fd` itself if empty), of all below it too.

    Raises:
        SyscallError: EINVAL if `path` is not a mount point or an attribute is
            unknown; ENOSYS before Linux 5.12.

    See Also:
        mount_setattr(2)
    """
    flags = (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    where = "AT_FDCWD" if directory_fd == AT_FDCWD else str(directory_fd)
    set_text, clear_text = flag_names(set_attrs, _ATTR_NAMES), flag_names(clear_attrs, _ATTR_NAMES)
    at_flags = flag_names(flags, _AT_NAMES)
    fields = f"attr_set={set_text}, attr_clr={clear_text}, propagation=0, userns_fd={max(userns_fd, 0)}"
    call = f"mount_setattr({where}, {quoted(path)}, {at_flags}, {{{fields}}}, 32)"
    attr = _MountAttr(set_attrs, clear_attrs, 0, max(userns_fd, 0))
    hints = {errno.ENOSYS: "mount_setattr needs Linux 5.12"}
    if set_attrs & MOUNT_ATTR_IDMAP:
        hints[errno.EINVAL] = "its file system cannot show other owners, or is shown with others already"
    with span("mount.setattr", call, hints):
        syscall("mount_setattr", directory_fd, os.fsencode(path), flags, ctypes.byref(attr), ctypes.sizeof(attr))


OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
_TREE_NAMES = {
    "OPEN_TREE_CLONE": OPEN_TREE_CLONE,
    "OPEN_TREE_CLOEXEC": OPEN_TREE_CLOEXEC,
    "AT_RECURSIVE": AT_RECURSIVE,
    "AT_EMPTY_PATH": AT_EMPTY_PATH,
}


def open_tree(path: str, *, recursive: bool = False, directory_fd: int = AT_FDCWD) -> int:
    """Copy the mount that `path` lies on, detached from every name; return its descriptor.

    See Also:
        open_tree(2), Linux 5.2
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    where = "AT_FDCWD" if directory_fd == AT_FDCWD else str(directory_fd)
    call = f"open_tree({where}, {quoted(path)}, {flag_names(flags, _TREE_NAMES)})"
    with span("mount.open_tree", call, {errno.ENOENT: "the source does not exist"}) as here:
        return here.returns(syscall("open_tree", directory_fd, os.fsencode(path), flags))


def move_mount(tree_fd: int, target_fd: int) -> None:
    """Attach the detached mount `tree_fd` at the directory or file `target_fd`.

    See Also:
        move_mount(2), Linux 5.2
    """
    call = f'move_mount({tree_fd}, "", {target_fd}, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)'
    with span("mount.move", call, _MOUNT_HINTS):
        syscall("move_mount", tree_fd, b"", target_fd, b"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1


def fsopen(fstype: str) -> int:
    """Begin to configure a new file system; return its descriptor.

    See Also:
        fsopen(2), Linux 5.2
    """
    with span("mount.fsopen", f"fsopen({quoted(fstype)}, FSOPEN_CLOEXEC)", _MOUNT_HINTS) as here:
        return here.returns(syscall("fsopen", os.fsencode(fstype), FSOPEN_CLOEXEC))


def fsconfig_string(fs_fd: int, key: str, value: str) -> None:
    """Set an option of the file system that is being configured; a value has at most 255 bytes.

    Raises:
        SyscallError: EINVAL for a key or a value that the file system does not know.

    See Also:
        fsconfig(2)
    """
    call = f"fsconfig({fs_fd}, FSCONFIG_SET_STRING, {quoted(key)}, {quoted(value)}, 0)"
    with span("mount.fsconfig", call):
        syscall("fsconfig", fs_fd, FSCONFIG_SET_STRING, os.fsencode(key), os.fsencode(value), 0)


def fsconfig_flag(fs_fd: int, key: str) -> None:
    """Set an option that has no value.

    Raises:
        SyscallError: EINVAL for a key that the file system does not know.

    See Also:
        fsconfig(2)
    """
    with span("mount.fsconfig", f"fsconfig({fs_fd}, FSCONFIG_SET_FLAG, {quoted(key)}, NULL, 0)"):
        syscall("fsconfig", fs_fd, FSCONFIG_SET_FLAG, os.fsencode(key), None, 0)


def fsconfig_create(fs_fd: int) -> None:
    """Make the file system that has been configured.

    See Also:
        fsconfig(2)
    """
    with span("mount.fsconfig", f"fsconfig({fs_fd}, FSCONFIG_CMD_CREATE, NULL, NULL, 0)", _MOUNT_HINTS):
        syscall("fsconfig", fs_fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fs_fd: int) -> int:
    """Mount the file system that has been made, attached nowhere yet; return the mount's descriptor.

    See Also:
        fsmount(2)
    """
    with span("mount.fsmount", f"fsmount({fs_fd}, FSMOUNT_CLOEXEC, 0)", _MOUNT_HINTS) as here:
        return here.returns(syscall("fsmount", fs_fd, FSMOUNT_CLOEXEC, 0))


def unescaped(field: str) -> str:
    """Return a path as it is, from a field of /proc/PID/mountinfo, where space, tab, newline and backslash are octal.

    See Also:
        proc_pid_mountinfo(5)
    """
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
