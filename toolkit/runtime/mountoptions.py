"""Mount options as the OCI spec and mount(8) write them, turned into what mount(2) takes; pure."""

from toolkit.core.record import NamedTuple
from toolkit.linux import mount as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SET = {
    "ro": m.MS_RDONLY,
    "nosuid": m.MS_NOSUID,
    "nodev": m.MS_NODEV,
    "noexec": m.MS_NOEXEC,
    "sync": m.MS_SYNCHRONOUS,
    "remount": m.MS_REMOUNT,
    "mand": m.MS_MANDLOCK,
    "dirsync": m.MS_DIRSYNC,
    "nosymfollow": m.MS_NOSYMFOLLOW,
    "noatime": m.MS_NOATIME,
    "nodiratime": m.MS_NODIRATIME,
    "bind": m.MS_BIND,
    "rbind": m.MS_BIND | m.MS_REC,
    "silent": m.MS_SILENT,
    "relatime": m.MS_RELATIME,
    "strictatime": m.MS_STRICTATIME,
    "lazytime": m.MS_LAZYTIME,
}
_CLEAR = {
    "rw": m.MS_RDONLY,
    "suid": m.MS_NOSUID,
    "dev": m.MS_NODEV,
    "exec": m.MS_NOEXEC,
    "async": m.MS_SYNCHRONOUS,
    "nomand": m.MS_MANDLOCK,
    "symfollow": m.MS_NOSYMFOLLOW,
    "atime": m.MS_NOATIME,
    "diratime": m.MS_NODIRATIME,
    "loud": m.MS_SILENT,
    "norelatime": m.MS_RELATIME,
    "nostrictatime": m.MS_STRICTATIME,
    "nolazytime": m.MS_LAZYTIME,
    "defaults": 0,
}
_PROPAGATION = {
    "private": m.MS_PRIVATE,
    "shared": m.MS_SHARED,
    "slave": m.MS_SLAVE,
    "unbindable": m.MS_UNBINDABLE,
    "rprivate": m.MS_PRIVATE | m.MS_REC,
    "rshared": m.MS_SHARED | m.MS_REC,
    "rslave": m.MS_SLAVE | m.MS_REC,
    "runbindable": m.MS_UNBINDABLE | m.MS_REC,
}
_RECURSIVE_SET = {
    "rro": m.MOUNT_ATTR_RDONLY,
    "rnosuid": m.MOUNT_ATTR_NOSUID,
    "rnodev": m.MOUNT_ATTR_NODEV,
    "rnoexec": m.MOUNT_ATTR_NOEXEC,
    "rnodiratime": m.MOUNT_ATTR_NODIRATIME,
    "rnoatime": m.MOUNT_ATTR_NOATIME,
    "rstrictatime": m.MOUNT_ATTR_STRICTATIME,
    "rnosymfollow": m.MOUNT_ATTR_NOSYMFOLLOW,
}


_ATIME = m.MOUNT_ATTR__ATIME
_RECURSIVE_CLEAR = {
    "rrw": m.MOUNT_ATTR_RDONLY,
    "rsuid": m.MOUNT_ATTR_NOSUID,
    "rdev": m.MOUNT_ATTR_NODEV,
    "rexec": m.MOUNT_ATTR_NOEXEC,
    "rdiratime": m.MOUNT_ATTR_NODIRATIME,
    "rsymfollow": m.MOUNT_ATTR_NOSYMFOLLOW,
    # How access times are kept is one value, of which relatime is 0: it is cleared before it is set.
    "rrelatime": _ATIME,
    "rnorelatime": _ATIME,
    "ratime": _ATIME,
    "rnoatime": _ATIME,
    "rstrictatime": _ATIME,
    "rnostrictatime": _ATIME,
}
MAPPED = "idmap"
MAPPED_WITH_ALL_BELOW = "ridmap"
COPIED_UP = "tmpcopyup"


class MountOptions(NamedTuple):
    """What a list of options comes to."""

    flags: int
    propagation: tuple[int, ...]
    set_attrs: int
    """MOUNT_ATTR_* to set on the whole tree."""
    data: str
    """What the file system itself is told."""
    clear_attrs: int = 0
    """MOUNT_ATTR_* to clear on the whole tree."""
    idmap: str = ""
    """MAPPED or MAPPED_WITH_ALL_BELOW."""
    copies_up: bool = False
    """A tmpfs begins with what lies below it."""


def parse_options(options: "Iterable[str]") -> MountOptions:
    """Sort mount options by who takes them; a later one wins over an earlier."""
    flags = 0
    set_attrs = clear_attrs = 0
    idmap = ""
    copies_up = False
    propagation: list[int] = []
    data: list[str] = []
    for option in options:
        if option in _SET:
            flags |= _SET[option]
        elif option in _CLEAR:
            flags &= ~_CLEAR[option]
        elif option in _PROPAGATION:
            propagation.append(_PROPAGATION[option])
        elif option in _RECURSIVE_SET or option in _RECURSIVE_CLEAR:
            added, taken = _RECURSIVE_SET.get(option, 0), _RECURSIVE_CLEAR.get(option, 0)
            set_attrs = set_attrs & ~taken | added
            clear_attrs = clear_attrs & ~(added & ~_ATIME) | taken
        elif option in (MAPPED, MAPPED_WITH_ALL_BELOW):
            idmap = option
        elif option == COPIED_UP:
            copies_up = True
        else:
            data.append(option)
    return MountOptions(flags, tuple(propagation), set_attrs, ",".join(data), clear_attrs, idmap, copies_up)


def propagation_flags(name: str) -> int:
    """Return the flags of a propagation such as "rslave"; recursive and slave where it is empty."""
    return _PROPAGATION.get(name or "rslave", m.MS_SLAVE | m.MS_REC)


def names() -> list[str]:
    """Return every option that is understood here; others go to the file system itself."""
    tables = (_SET, _CLEAR, _PROPAGATION, _RECURSIVE_SET, _RECURSIVE_CLEAR)
    return sorted({name for table in tables for name in table} | {MAPPED, MAPPED_WITH_ALL_BELOW, COPIED_UP})
