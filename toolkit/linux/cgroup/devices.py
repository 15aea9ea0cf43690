"""Who may open which device: OCI's rules in their order, and for v2 the BPF program that holds them.

In both, the last rule that matches counts.  Version 1 has a controller for it,
whose files take the rules one by one and keep exceptions to a default: a rule
that takes part of a wildcard back changes nothing there and is refused here
(`check_v1`).  Version 2 has none: a BPF program on the group's directory
answers each open and mknod (toolkit.linux.bpf puts it there).

See Also:
    Documentation/admin-guide/cgroup-v1/devices.rst; "Device controller" in
    cgroup-v2.rst; runc, libcontainer/cgroups/devices
"""

import struct

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.resources import Device

ANY = -1
_Numbers = tuple[str, int, int]
"""Kind, major and minor, ANY for all."""
_ACCESS = {"m": 1, "r": 2, "w": 4}
_KINDS = {"b": 1, "c": 2}
"""BPF_DEVCG_ACC_* and BPF_DEVCG_DEV_*, include/uapi/linux/bpf.h."""


def check_v1(rules: "list[Device]") -> None:
    """Refuse what v1 would take without a word and not do.

    Raises:
        InvalidError: a rule that takes back part of what one before it, with
            other numbers, has allowed or denied; an access that is not made of "rwm".
    """
    allows_all, exceptions = False, dict[_Numbers, int]()
    for rule in rules:
        allow, kind = bool(rule.get("allow")), _kind(rule)
        if kind == "a":
            allows_all, exceptions = allow, {}
            continue
        key = (kind, _number(rule.get("major")), _number(rule.get("minor")))
        access = _access(rule.get("access") or "rwm")
        if allow != allows_all:
            exceptions[key] = exceptions.get(key, 0) | access
            continue
        for other, held in exceptions.items():
            if other != key and held & access and _overlap(key, other):
                message = f"device rule {kind} {key[1]}:{key[2]} contradicts {other[0]} {other[1]}:{other[2]} before it"
                raise InvalidError(message.replace("-1", "*"), hint="cgroup v1 cannot take a part out of a wildcard")
        exceptions[key] = exceptions.get(key, 0) & ~access


def _overlap(one: "_Numbers", other: "_Numbers") -> bool:
    return one[0] == other[0] and all(
        ANY in pair or pair[0] == pair[1] for pair in zip(one[1:], other[1:], strict=True)
    )


def _kind(rule: "Device") -> str:
    kind = rule.get("type") or "a"
    if kind != "a" and kind not in _KINDS:
        message = f'invalid device type: "{kind}"'
        raise InvalidError(message, hint='a rule is for "b" (block), "c" (character) or "a" (all) devices')
    return kind


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


# An eBPF instruction: code, registers (source << 4 | destination), offset, constant.
_Instruction = tuple[int, int, int, int]
_LDX_W, _AND32, _RSH32, _MOV32, _MOV32_X, _EXIT = 0x61, 0x54, 0x74, 0xB4, 0xBC, 0x95
_JNE, _JEQ = 0x55, 0x15
_SCRATCH, _KIND, _WANTED, _MAJOR, _MINOR = 1, 2, 3, 4, 5
"""Registers; the first comes with the address of the context."""


def program(rules: "list[Device]") -> bytes:
    """Return the BPF_PROG_TYPE_CGROUP_DEVICE program for the rules; without any, nothing may be opened.

    It reads them backwards and strikes off what each allows of what is wanted:
    done when nothing is left, refused by a rule that denies some of the rest.
    So each kind of access is decided by the last rule that names it, holes in
    wildcards included, which v1 cannot express.  (runc refuses those.)

    Raises:
        InvalidError: an access that is not made of "rwm", a type that is not "a", "b" or "c".

    See Also:
        runtime-spec, config-linux.md, "Allowed Device list"; runc, libcontainer/cgroups/devices
    """
    code: list[_Instruction] = [
        # struct bpf_cgroup_dev_ctx: access << 16 | kind, major, minor
        (_LDX_W, _SCRATCH << 4 | _KIND, 0, 0),
        (_AND32, _KIND, 0, 0xFFFF),
        (_LDX_W, _SCRATCH << 4 | _WANTED, 0, 0),
        (_RSH32, _WANTED, 0, 16),
        (_LDX_W, _SCRATCH << 4 | _MAJOR, 4, 0),
        (_LDX_W, _SCRATCH << 4 | _MINOR, 8, 0),
    ]
    allows_rest = False
    for rule in reversed(rules):
        if _kind(rule) == "a":
            allows_rest = bool(rule.get("allow"))
            break  # it decides about all that the rules after it leave open
        code += _rule(rule)
    code += _verdict(allow=allows_rest)
    return b"".join(struct.pack("=BBhi", *instruction) for instruction in code)


def _rule(rule: "Device") -> list[_Instruction]:
    """Return one rule, which falls through where it leaves something open."""
    access, allow = _access(rule.get("access") or "rwm"), bool(rule.get("allow"))
    numbers = ((_MAJOR, _number(rule.get("major"))), (_MINOR, _number(rule.get("minor"))))
    body: list[_Instruction] = [(_JNE, _KIND, 0, _KINDS[_kind(rule)])]
    body += [(_JNE, register, 0, number) for register, number in numbers if number != ANY]
    if allow:
        body += [(_AND32, _WANTED, 0, 7 & ~access), (_JNE, _WANTED, 0, 0)]
    else:
        body += [(_MOV32_X, _WANTED << 4 | _SCRATCH, 0, 0), (_AND32, _SCRATCH, 0, access), (_JEQ, _SCRATCH, 0, 0)]
    body += _verdict(allow=allow)
    return [
        (code, registers, len(body) - position - 1 if code in (_JNE, _JEQ) else offset, constant)
        for position, (code, registers, offset, constant) in enumerate(body)
    ]


def _verdict(*, allow: bool) -> list[_Instruction]:
    return [(_MOV32, 0, 0, int(allow)), (_EXIT, 0, 0, 0)]
