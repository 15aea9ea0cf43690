"""Capabilities: the pieces that root's power was cut into, and what a container keeps of them.

A set of capabilities is an int, bit n standing for capability number n, as the
kernel itself keeps it; names appear only at the borders (`parse`, `names`).
Deciding (`tweak`) is pure; the deeds at the end of the file are made in the
container's init, in this order: drop_bounding, set_keepcaps, setuid,
capset, raise_ambient.
"""

import errno
import os
import struct

from toolkit.core.errors import InvalidError, SyscallError, UnsupportedError
from toolkit.core.record import NamedTuple
from toolkit.linux.flags import flag_names
from toolkit.linux.libc import c_int, c_ulong, function, syscall
from toolkit.trace import span
from toolkit.trace.spelling import speller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""Every capability, at the index that is its number (include/uapi/linux/capability.h)."""

ALL = (1 << len(NAMES)) - 1
_NUMBERS = {name: number for number, name in enumerate(NAMES)}


def parse(names: "Iterable[str]") -> int:
    """Return the set that `names` name: "CHOWN", "cap_chown" or "ALL", in any case.

    Raises:
        InvalidError: a name that is no capability.
    """
    mask = 0
    for name in names:
        upper = name.upper()
        if upper in ("ALL", "CAP_ALL"):
            mask |= ALL
            continue
        full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
        if full not in _NUMBERS:
            message = f'unknown capability: "{full}"'
            raise InvalidError(message, hint="capabilities(7) lists them; ALL names every one")
        mask |= 1 << _NUMBERS[full]
    return mask


def names(mask: int) -> list[str]:
    """Return the full names of the capabilities in `mask`, lowest number first.

    A bit beyond those known here (a newer kernel) is named by its number, as strace does.
    """
    bits = (bit for bit in range(mask.bit_length()) if mask >> bit & 1)
    return [NAMES[bit] if bit < len(NAMES) else f"CAP_{bit}" for bit in bits]


DEFAULT = parse(
    (
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    )
)
"""What a container has unless told otherwise: docker's fourteen (moby, oci/caps/defaults.go)."""


def tweak(
    add: "Iterable[str]" = (),
    drop: "Iterable[str]" = (),
    *,
    privileged: bool = False,
    available: int = ALL,
    default: int = DEFAULT,
) -> int:
    """Return the set a container gets, as docker computes it from its options.

    `--cap-add ALL` wins over `--cap-drop ALL`, and `--privileged` over both.

    Args:
        add: the values of --cap-add.
        drop: the values of --cap-drop.
        privileged: everything that is available.
        available: what this host can give, `bounding_set()`; the result is
            never more than that.
        default: what the options start from.

    Raises:
        InvalidError: a name that is no capability.
        UnsupportedError: --cap-add of one that this host does not have.

    See Also:
        moby, oci/caps/utils.go, TweakCapabilities
    """
    added, dropped = list(add), list(drop)
    adds_all, drops_all = _names_all(added), _names_all(dropped)
    add_mask = parse(name for name in added if not _names_all([name]))
    drop_mask = parse(name for name in dropped if not _names_all([name]))
    if privileged:
        return available
    if missing := add_mask & ~available:
        message = f"this host cannot give a container {', '.join(names(missing))}"
        raise UnsupportedError(message, hint="it is missing from the bounding set of the engine itself")
    if adds_all:
        return available & ~drop_mask
    if drops_all:
        return add_mask
    return (default & ~drop_mask | add_mask) & available


def _names_all(capabilities: list[str]) -> bool:
    return any(name.upper() in ("ALL", "CAP_ALL") for name in capabilities)


class CapabilitySets(NamedTuple):
    """The five sets of one process."""

    inheritable: int
    permitted: int
    effective: int
    bounding: int
    ambient: int


def decode_status(status: str) -> CapabilitySets:
    """Return the sets in the text of a /proc/PID/status."""
    found = {line[:6]: int(line[7:], 16) for line in status.splitlines() if line.startswith("Cap")}
    return CapabilitySets(found["CapInh"], found["CapPrm"], found["CapEff"], found["CapBnd"], found["CapAmb"])


def read_sets(pid: int | str = "self") -> CapabilitySets:
    """Return the sets of a process.

    Raises:
        SyscallError: ENOENT if there is no such process.

    See Also:
        proc_pid_status(5)
    """
    path = f"/proc/{pid}/status"
    with span("capability.read", f'openat(AT_FDCWD, "{path}", O_RDONLY|O_CLOEXEC)') as here:
        fd = here.returns(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        with open(fd, encoding="ascii") as file:
            return decode_status(file.read())


def bounding_set() -> int:
    """Return what this process may hand on at all; `--privileged` gives exactly this."""
    return read_sets().bounding


def last_cap() -> int:
    """Return the highest capability number that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


# The deeds.  See capabilities(7), prctl(2), include/uapi/linux/prctl.h.

_prctl = function("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_GET_SECUREBITS, _PR_SET_SECUREBITS = 27, 28
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE, _PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
_VERSION_3 = 0x20080522

SECBIT_NOROOT = 1 << 0
SECBIT_NOROOT_LOCKED = 1 << 1
SECBIT_NO_SETUID_FIXUP = 1 << 2
SECBIT_NO_SETUID_FIXUP_LOCKED = 1 << 3
SECBIT_KEEP_CAPS = 1 << 4
SECBIT_KEEP_CAPS_LOCKED = 1 << 5
SECBIT_NO_CAP_AMBIENT_RAISE = 1 << 6
SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED = 1 << 7
_SECBITS = {name: value for name, value in list(globals().items()) if name.startswith("SECBIT_")}

_EPERM = {errno.EPERM: "run as root, or with the capability CAP_SETPCAP"}


def _spell(mask: int) -> str:
    return "|".join(f"1<<{name}" for name in names(mask)) or "0"


def capset(effective: int, permitted: int, inheritable: int = 0) -> None:
    """Give the calling thread these three sets.

    The inheritable set stays empty unless told otherwise: with anything in it,
    a file in the image with inheritable capabilities would hand them to a user
    who is not root (CVE-2022-24769).

    Raises:
        SyscallError: EPERM for a permitted capability that it does not have now.

    See Also:
        capset(2)
    """
    header = struct.pack("=Ii", _VERSION_3, 0)
    low_high = [mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in (effective, permitted, inheritable)]
    with span("capability.set", (_CAPSET, effective, permitted, inheritable), _EPERM):
        syscall("capset", header, struct.pack("=6I", *low_high))


def capset_text(effective: int, permitted: int, inheritable: int = 0) -> str:
    """Return the call as strace prints it."""
    sets = f"effective={_spell(effective)}, permitted={_spell(permitted)}, inheritable={_spell(inheritable)}"
    return f"capset({{version=_LINUX_CAPABILITY_VERSION_3, pid=0}}, {{{sets}}})"


_CAPSET = speller(capset_text)


def drop_bounding(keep: int) -> None:
    """Drop every capability that is not in `keep` from the bounding set, for good.

    Needs no file, since init calls it after pivot_root, where the container
    may have no /proc: a kernel that lacks one of the capabilities says EINVAL,
    and one that has more than are known here is asked number by number.

    Raises:
        SyscallError: EPERM without CAP_SETPCAP.

    See Also:
        PR_CAPBSET_DROP in prctl(2)
    """
    for number, name in enumerate(NAMES):
        if not keep >> number & 1 and not _drop_from_bounding(number, name):
            return
    number = len(NAMES)
    while _is_known(number):
        if not keep >> number & 1:
            _drop_from_bounding(number, f"{number:#x} /* CAP_??? */")
        number += 1


def _drop_from_bounding(number: int, name: str) -> bool:
    """Drop one capability; return False if the kernel has none of this number, nor then of a higher one."""
    try:
        with span("capability.bound", lambda: f"prctl(PR_CAPBSET_DROP, {name})", _EPERM):
            _prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    except SyscallError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def _is_known(number: int) -> bool:
    try:
        _prctl(_PR_CAPBSET_READ, number, 0, 0, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def clear_ambient() -> None:
    """Empty the ambient set: what is executed next starts with nothing by inheritance."""
    with span("capability.ambient", "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)"):
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def raise_ambient(mask: int) -> None:
    """Add `mask` to the ambient set, so that a program started by a plain user keeps it.

    Raises:
        SyscallError: EPERM where the permitted or the inheritable set lacks one.

    See Also:
        PR_CAP_AMBIENT in prctl(2)
    """
    hints = {errno.EPERM: "an ambient capability must be permitted and inheritable first"}
    for number in range(mask.bit_length()):
        if mask >> number & 1:
            name = NAMES[number] if number < len(NAMES) else str(number)
            call = f"prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {name}, 0, 0)"
            with span("capability.ambient", call, hints):
                _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)


def set_no_new_privs() -> None:
    """Make every later execve unable to raise privileges (setuid, file capabilities), for good.

    See Also:
        PR_SET_NO_NEW_PRIVS in prctl(2); Documentation/userspace-api/no_new_privs.rst
    """
    with span("capability.no_new_privs", "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)"):
        _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def no_new_privs() -> bool:
    """Return whether this thread has given up new privileges."""
    return bool(_prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))


def set_keepcaps(keep: bool) -> None:  # noqa: FBT001 - the one value that the call takes
    """Keep the permitted set over the change from root to another user, or do not."""
    with span("capability.keep", f"prctl(PR_SET_KEEPCAPS, {int(keep)})"):
        _prctl(_PR_SET_KEEPCAPS, int(keep), 0, 0, 0)


def set_securebits(bits: int) -> None:
    """Set how uid 0 and capabilities go together for this thread.

    Raises:
        SyscallError: EPERM without CAP_SETPCAP, or for a bit that is locked.

    See Also:
        "The securebits flags" in capabilities(7)
    """
    with span("capability.securebits", f"prctl(PR_SET_SECUREBITS, {flag_names(bits, _SECBITS)})", _EPERM):
        _prctl(_PR_SET_SECUREBITS, bits, 0, 0, 0)


def securebits() -> int:
    """Return the securebits of this thread."""
    bits: int = _prctl(_PR_GET_SECUREBITS, 0, 0, 0, 0)
    return bits
