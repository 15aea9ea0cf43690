"""bpf(2), as far as cgroup v2 needs it: programs that say which devices a group may open.

Imported by the process that makes a container's cgroup: kept small.
"""

import ctypes
import errno
import os
import struct

from toolkit.linux.libc import syscall
from toolkit.trace import span

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_TYPE_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_HINTS = {
    errno.EPERM: "run as root, with CAP_SYS_ADMIN (or CAP_BPF and CAP_NET_ADMIN) in the host's user namespace",
    errno.EINVAL: "the kernel was built without CONFIG_CGROUP_BPF",
    errno.ENOSYS: "the kernel was built without CONFIG_BPF_SYSCALL",
}


def attach_device_program(directory: str, code: bytes) -> None:
    """Have the kernel ask the program whenever a process of the group opens or makes a device.

    Programs of the groups above are asked too, and each must allow.  The
    program lives as long as the group does.

    Args:
        directory: the group's directory in v2.
        code: what `cgroup.devices.program` returned.

    Raises:
        SyscallError: EPERM without the right to load programs.

    See Also:
        BPF_PROG_LOAD and BPF_PROG_ATTACH in bpf(2)
    """
    fd = load_device_program(code)
    try:
        group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            attr = struct.pack("=IIII", group, fd, _ATTACH_TYPE_CGROUP_DEVICE, _ALLOW_MULTI)
            with span("cgroup.devices", _attach_text(directory, group, fd), _HINTS):
                syscall("bpf", _PROG_ATTACH, attr, len(attr))
        finally:
            os.close(group)
    finally:
        os.close(fd)


def replace_device_programs(directory: str, code: bytes) -> None:
    """Put the program on the group and take away all that were on it, such as an update of its rules needs.

    The new one is there before an old one goes, and every one must allow: at
    no moment may more be opened than by one of them.

    Raises:
        SyscallError: as `attach_device_program`.
    """
    group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        old = device_programs(group)
        attach_device_program(directory, code)
        for each in old:
            _detach(group, each)
    finally:
        os.close(group)


_MOST = 64
"""BPF_CGROUP_MAX_PROGS, include/linux/bpf-cgroup-defs.h."""


def device_programs(group: int) -> list[int]:
    """Return the kernel's numbers of the device programs on the group itself, in the order in which it asks them.

    See Also:
        BPF_PROG_QUERY in bpf(2)
    """
    ids = (ctypes.c_uint32 * _MOST)()
    # target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
    attr = ctypes.create_string_buffer(
        struct.pack("=IIIIQI4x", group, _ATTACH_TYPE_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), _MOST)
    )
    with span("cgroup.devices", f"bpf(BPF_PROG_QUERY, {{query={{target_fd={group}}}}}, 32)", _HINTS):
        syscall("bpf", _PROG_QUERY, attr, 32)
    count: int = struct.unpack_from("=I", attr, 24)[0]
    return list(ids[:count])


def _detach(group: int, ident: int) -> None:
    attr = struct.pack("=III", ident, 0, 0)
    with span("cgroup.devices", f"bpf(BPF_PROG_GET_FD_BY_ID, {{prog_id={ident}}}, 12)", _HINTS) as getting:
        fd = getting.returns(syscall("bpf", _PROG_GET_FD_BY_ID, attr, len(attr)))
    try:
        attr = struct.pack("=III", group, fd, _ATTACH_TYPE_CGROUP_DEVICE)
        with span("cgroup.devices", f"bpf(BPF_PROG_DETACH, {{target_fd={group}, attach_bpf_fd={fd}}}, 12)", _HINTS):
            syscall("bpf", _PROG_DETACH, attr, len(attr))
    finally:
        os.close(fd)


def attach_device_program_text(directory: str, code_bytes: int) -> tuple[str, str]:
    """Return both calls as strace prints them, but for numbers that are known only later."""
    return _load_text(code_bytes // 8), _attach_text(directory, "FD", "FD")


def _attach_text(directory: str, group: int | str, fd: int | str) -> str:
    return (
        f"bpf(BPF_PROG_ATTACH, {{target_fd={group}<{directory}>, attach_bpf_fd={fd}, "
        "attach_type=BPF_CGROUP_DEVICE, attach_flags=BPF_F_ALLOW_MULTI}, 16)"
    )


def _load_text(count: int) -> str:
    return (
        f"bpf(BPF_PROG_LOAD, {{prog_type=BPF_PROG_TYPE_CGROUP_DEVICE, insn_cnt={count}, insns=0x0, "
        'license="Apache-2.0"}, 48)'
    )


def load_device_program(code: bytes) -> int:
    """Hand a BPF_PROG_TYPE_CGROUP_DEVICE program to the kernel, which checks it; return its descriptor.

    Raises:
        SyscallError: EPERM without the right to load programs, EINVAL without CONFIG_CGROUP_BPF.

    See Also:
        BPF_PROG_LOAD in bpf(2)
    """
    instructions, license_name = ctypes.c_char_p(code), ctypes.c_char_p(b"Apache-2.0")
    count = len(code) // 8
    addresses = _address(instructions), _address(license_name)
    # Then log_level, log_size, log_buf, kern_version, prog_flags, all 0.
    attr = struct.pack("=IIQQ24x", _PROG_TYPE_CGROUP_DEVICE, count, *addresses)
    with span("cgroup.devices", _load_text(count), _HINTS) as loading:
        return loading.returns(syscall("bpf", _PROG_LOAD, attr, len(attr)))


def _address(pointer: ctypes.c_char_p) -> int:
    return ctypes.c_void_p.from_buffer(pointer).value or 0
