"""Who may open which device: OCI's rules in their order, and for v2 the BPF program that holds them.

Version 1 has a controller for it, whose files take the rules as they are.
Version 2 has none: a BPF program on the group's directory answers each open
and mknod (toolkit.linux.bpf puts it there).  `effective` computes for it what v1's kernel code would have kept.

See Also:
    Documentation/admin-guide/cgroup-v1/devices.rst; "Device controller" in
    cgroup-v2.rst; runc, libcontainer/cgroups/devices
"""

import struct
from typing import NamedTuple

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.resources import Device

ANY = -1
_ACCESS = {"m": 1, "r": 2, "w": 4}
_KINDS = {"b": 1, "c": 2}
"""BPF_DEVCG_ACC_* and BPF_DEVCG_DEV_*, include/uapi/linux/bpf.h."""


class Devices(NamedTuple):
    """What a list of rules comes to."""

    allows_all: bool
    exceptions: dict[tuple[str, int, int], int]
    """(kind, major, minor), ANY for all, to the accesses that are otherwise."""


def effective(rules: "list[Device]") -> Devices:
    """Return what the rules come to, as v1's kernel code would keep them.

    Raises:
        InvalidError: a rule that denies part of what another one allows by a
            wildcard, which neither version can express.
    """
    allows_all, exceptions = False, dict[tuple[str, int, int], int]()
    for rule in rules:
        allow, kind = bool(rule.get("allow")), rule.get("type") or "a"
        if kind == "a":
            allows_all, exceptions = allow, {}
            continue
        key = (kind, _number(rule.get("major")), _number(rule.get("minor")))
        access = _access(rule.get("access") or "rwm")
        if allow != allows_all:
            exceptions[key] = exceptions.get(key, 0) | access
        elif key in exceptions:
            exceptions[key] &= ~access
        else:
            _check_not_wider(key, access, exceptions)
    return Devices(allows_all, {key: access for key, access in exceptions.items() if access})


def _number(number: int | None) -> int:
    return ANY if number is None or number < 0 else number


def _access(letters: str) -> int:
    access = 0
    for letter in letters:
        if letter not in _ACCESS:
            message = f'invalid device access: "{letters}"'
            raise InvalidError(message, hint='it is made of "r", "w" and "m" (mknod)')
        access |= _ACCESS[letter]
    return access


def _check_not_wider(key: tuple[str, int, int], access: int, exceptions: dict[tuple[str, int, int], int]) -> None:
    kind, major, minor = key
    for (other, any_major, any_minor), held in exceptions.items():
        covers = other == kind and any_major in (ANY, major) and any_minor in (ANY, minor)
        if covers and held & access:
            message = f"device rule {kind} {major}:{minor} contradicts a wider one before it"
            raise InvalidError(message, hint="cgroups cannot take a single device out of a wildcard")


# An eBPF instruction: code, registers (source << 4 | destination), offset, constant.
_Instruction = tuple[int, int, int, int]
_LDX_W, _AND32, _RSH32, _MOV32, _MOV32_X, _EXIT = 0x61, 0x54, 0x74, 0xB4, 0xBC, 0x95
_JNE, _JNE_X, _JEQ = 0x55, 0x5D, 0x15
_CONTEXT, _KIND, _WANTED, _MAJOR, _MINOR = 1, 2, 3, 4, 5


def program(rules: "list[Device]") -> bytes:
    """Return the BPF_PROG_TYPE_CGROUP_DEVICE program for the rules."""
    found = effective(rules)
    code: list[_Instruction] = [
        # struct bpf_cgroup_dev_ctx: access << 16 | kind, major, minor
        (_LDX_W, _CONTEXT << 4 | _KIND, 0, 0),
        (_AND32, _KIND, 0, 0xFFFF),
        (_LDX_W, _CONTEXT << 4 | _WANTED, 0, 0),
        (_RSH32, _WANTED, 0, 16),
        (_LDX_W, _CONTEXT << 4 | _MAJOR, 4, 0),
        (_LDX_W, _CONTEXT << 4 | _MINOR, 8, 0),
    ]
    for key, access in found.exceptions.items():
        code += _exception(key, access, allow=not found.allows_all)
    code += _verdict(allow=found.allows_all)
    return b"".join(struct.pack("=BBhi", *instruction) for instruction in code)


def _exception(key: tuple[str, int, int], access: int, *, allow: bool) -> list[_Instruction]:
    kind, major, minor = key
    tests: list[_Instruction] = [(_JNE, _KIND, 0, _KINDS[kind])]
    if access != 7:
        tests += [(_MOV32_X, _WANTED << 4 | _CONTEXT, 0, 0), (_AND32, _CONTEXT, 0, access)]
        # An open for reading and writing is let pass only by a rule for both, and stopped by a rule for either.
        tests.append((_JNE_X, _WANTED << 4 | _CONTEXT, 0, 0) if allow else (_JEQ, _CONTEXT, 0, 0))
    tests += [(_JNE, register, 0, number) for register, number in ((_MAJOR, major), (_MINOR, minor)) if number != ANY]
    body = [*tests, *_verdict(allow=allow)]
    jumps = (_JNE, _JNE_X, _JEQ)
    return [
        (code, registers, len(body) - position - 1 if code in jumps else offset, constant)
        for position, (code, registers, offset, constant) in enumerate(body)
    ]


def _verdict(*, allow: bool) -> list[_Instruction]:
    return [(_MOV32, 0, 0, int(allow)), (_EXIT, 0, 0, 0)]
