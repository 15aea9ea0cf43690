"""The driver "local": a directory below the engine's root, or a file system that is mounted there while it is used.

See Also:
    moby, volume/local/local_unix.go
"""

import errno
import os

from toolkit.core.errors import EngineError, InvalidError, StartError, UnsupportedError
from toolkit.core.units import parse_bytes
from toolkit.linux import mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_KNOWN = ("type", "o", "device", "size")
_NEEDED = {"type": ("device",), "device": ("type",), "o": ("device", "type")}
_FLAGS = {
    "ro": mount.MS_RDONLY,
    "nosuid": mount.MS_NOSUID,
    "nodev": mount.MS_NODEV,
    "noexec": mount.MS_NOEXEC,
    "sync": mount.MS_SYNCHRONOUS,
    "dirsync": mount.MS_DIRSYNC,
    "noatime": mount.MS_NOATIME,
    "nodiratime": mount.MS_NODIRATIME,
    "relatime": mount.MS_RELATIME,
    "strictatime": mount.MS_STRICTATIME,
    "bind": mount.MS_BIND,
    "rbind": mount.MS_BIND | mount.MS_REC,
}
_NO_FLAGS = ("rw", "suid", "dev", "exec", "async", "atime", "diratime", "defaults")
_PROPAGATION = {
    "private": mount.MS_PRIVATE,
    "rprivate": mount.MS_PRIVATE | mount.MS_REC,
    "shared": mount.MS_SHARED,
    "rshared": mount.MS_SHARED | mount.MS_REC,
    "slave": mount.MS_SLAVE,
    "rslave": mount.MS_SLAVE | mount.MS_REC,
}


def check_options(name: str, options: "Mapping[str, str]") -> None:
    """Refuse options that the driver does not have, or that lack another.

    Raises:
        InvalidError: with docker's words.
    """
    for key in options:
        if key not in _KNOWN:
            raise InvalidError(f'create {name}: invalid option: "{key}"', hint=f"known are {', '.join(_KNOWN)}")
    for key in options:
        for needed in _NEEDED.get(key, ()):
            if needed not in options:
                message = f'create {name}: missing required option: "{needed}"'
                raise InvalidError(message, hint=f"`{key}` says nothing without it")
    if "size" in options:
        parse_bytes(options["size"])
        if options.get("type", "tmpfs") != "tmpfs":
            message = f"create {name}: a size cannot be set for a volume of type {options['type']}"
            raise UnsupportedError(message, hint="what is mounted there has its own")


def is_mounted_by_driver(options: "Mapping[str, str]") -> bool:
    """Tell whether something has to be mounted before the volume can be used."""
    return "device" in options


def mount_volume(name: str, options: "Mapping[str, str]", target: str) -> None:
    """Mount what the options say on the volume's directory, on the host: containers share it.

    Raises:
        StartError: the kernel refuses.
    """
    fstype, device = options["type"], options["device"]
    flags, propagation, data = _parse(options.get("o", ""), fstype)
    if "size" in options:
        data.append(f"size={parse_bytes(options['size'])}")
    try:
        is_bind = bool(flags & mount.MS_BIND)
        first = flags & (mount.MS_BIND | mount.MS_REC) if is_bind else flags
        mount.mount(device, target, None if is_bind else fstype, first, ",".join(data) or None)
        try:
            if is_bind and flags != first:
                mount.mount(None, target, None, mount.MS_REMOUNT | mount.MS_BIND | (flags & ~mount.MS_REC))
            if propagation:
                mount.mount(None, target, None, propagation)
        except OSError:
            mount.umount(target, mount.MNT_DETACH)
            raise
    except OSError as exc:
        call = exc.message if isinstance(exc, EngineError) else str(exc)
        message = f"error while mounting volume '{target}': {call}"
        raise StartError(message, hint=f"see the options of volume {name}") from exc


def unmount_volume(target: str) -> None:
    """Take away what `mount_volume` has mounted; one that is not mounted is fine."""
    try:
        mount.umount(target, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def is_mounted(target: str) -> bool:
    """Tell whether something is mounted on a volume's directory."""
    with open("/proc/self/mountinfo") as listing:
        wanted = os.path.realpath(target)
        return any(mount.unescaped(line.split(" ", 5)[4]) == wanted for line in listing)


def _parse(text: str, fstype: str) -> tuple[int, int, list[str]]:
    """Sort options by who takes them: flags, propagation, and what the file system itself is told."""
    flags = propagation = 0
    data: list[str] = []
    for option in text.split(",") if text else ():
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option in _PROPAGATION:
            propagation = _PROPAGATION[option]
        elif option.startswith("addr=") and fstype.startswith(("nfs", "cifs")):
            data.append(f"addr={_address(option[5:])}")
        elif option not in _NO_FLAGS:
            data.append(option)
    return flags, propagation, data


def _address(host: str) -> str:
    """Return the address of a file server: the kernel takes no names.

    Raises:
        StartError: it has none.
    """
    import socket

    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as exc:
        raise StartError(f"error resolving passed in network volume address: {exc}", hint=f"look up {host}") from exc
