"""Two judges of seccomp programs: a simulator of the kernel's BPF machine, and libseccomp as the oracle."""

import ctypes
import os
from collections.abc import Iterable
from typing import NamedTuple

from toolkit.linux.seccomp import bpf, rules
from toolkit.linux.seccomp.rules import Filter
from toolkit.linux.seccomp.table import AUDIT_ARCH

TOKENS = {"x86_64": 0xC000003E, "i386": 0x40000003, "x32": 0x4000003E, "aarch64": 0xC00000B7, "arm": 0x40000028}
"""SCMP_ARCH_*: the audit number, but for x32, which the kernel does not tell apart."""
_OPERATORS = {
    name: value
    for value, name in enumerate(
        (
            "SCMP_CMP_NE",
            "SCMP_CMP_LT",
            "SCMP_CMP_LE",
            "SCMP_CMP_EQ",
            "SCMP_CMP_GE",
            "SCMP_CMP_GT",
            "SCMP_CMP_MASKED_EQ",
        ),
        start=1,
    )
}
ENOSYS = rules.ERRNO | 38


class Call(NamedTuple):
    """What a filter sees of a system call."""

    number: int
    architecture: str
    arguments: tuple[int, ...] = (0, 0, 0, 0, 0, 0)


def simulate(program: list[bpf.Instruction], call: Call) -> int:
    """Return a program's verdict on a call, as the kernel would compute it."""
    words = [call.number, AUDIT_ARCH[call.architecture], 0, 0]
    for argument in call.arguments:
        words += [argument & 0xFFFFFFFF, argument >> 32]
    accumulator = position = 0
    while True:
        code, jt, jf, k = program[position]
        position += 1
        if code == bpf.LD_ABS:
            accumulator = words[k // 4]
        elif code == bpf.AND:
            accumulator &= k
        elif code == bpf.JA:
            position += k
        elif code == bpf.RET:
            return k
        else:
            holds = {
                bpf.JEQ: accumulator == k,
                bpf.JGT: accumulator > k,
                bpf.JGE: accumulator >= k,
                bpf.JSET: bool(accumulator & k),
            }[code]
            position += jt if holds else jf


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_uint),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


class Oracle:
    """libseccomp, through its C interface."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
        self._library.seccomp_api_set(6)

    def resolve(self, name: str, architecture: str) -> int:
        """Return a call's number; below 0 where the architecture lacks it, -1 where nobody has it."""
        found: int = self._library.seccomp_syscall_resolve_name_arch(
            ctypes.c_uint32(TOKENS[architecture]), name.encode()
        )
        return found

    def name(self, number: int, architecture: str) -> str | None:
        """Return the name of a number."""
        # It is the caller's to free; a test may leave a few kilobytes to the end of the process.
        found = self._library.seccomp_syscall_resolve_num_arch(
            ctypes.c_uint32(TOKENS[architecture]), ctypes.c_int(number)
        )
        return ctypes.string_at(found).decode() if found else None

    def known(self, profile: Filter) -> Filter:
        """Return the filter without the names that this libseccomp is too old for."""
        syscalls = [
            {**rule, "names": [name for name in rule["names"] if self.resolve(name, "x86_64") != -1]}
            for rule in profile["syscalls"]
        ]
        return Filter(**{**profile, "syscalls": syscalls})  # type: ignore[typeddict-item]  # rules without some names

    def compile(self, profile: Filter, native: str) -> list[bpf.Instruction]:
        """Return libseccomp's program for a filter, its rules added as runc adds them."""
        default = rules.default_action(profile)
        context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))
        assert context
        for name, token in TOKENS.items():
            present = self._library.seccomp_arch_exist(context, ctypes.c_uint32(token)) == 0
            wanted = name in rules.architectures(profile, native)
            if wanted and not present:
                assert self._library.seccomp_arch_add(context, ctypes.c_uint32(token)) == 0
            if present and not wanted:
                assert self._library.seccomp_arch_remove(context, ctypes.c_uint32(token)) == 0
        for rule in profile["syscalls"]:
            action = rules.action_value(rule["action"], rule.get("errnoRet"))
            if action != default:
                for name in rule["names"]:
                    for conditions in rules._conditions(rule):
                        self._add(context, action, self.resolve(name, "x86_64"), conditions)
        program = self._export(context)
        self._library.seccomp_release(context)
        return program

    def _add(self, context: ctypes.c_void_p, action: int, number: int, conditions: Iterable[rules.Condition]) -> None:
        found = [_Comparison(each.argument, _OPERATORS[each.op], each.value, each.wanted) for each in conditions]
        array = (_Comparison * max(len(found), 1))(*found)
        result = self._library.seccomp_rule_add_array(
            context, ctypes.c_uint32(action), ctypes.c_int(number), ctypes.c_uint(len(found)), array
        )
        # EEXIST: a rule without conditions covers it already.
        assert result in (0, -17), (result, number, found)

    def _export(self, context: ctypes.c_void_p) -> list[bpf.Instruction]:
        fd = os.memfd_create("program")
        try:
            assert self._library.seccomp_export_bpf(context, fd) == 0
            os.lseek(fd, 0, os.SEEK_SET)
            return bpf.decode(os.read(fd, 1 << 20))
        finally:
            os.close(fd)


def expected(program: list[bpf.Instruction], profile: Filter, call: Call) -> int:
    """Return runc's verdict: ENOSYS above the last number that the filter names, else libseccomp's."""
    if not rules.lets_pass(rules.default_action(profile)):
        last = rules.last_number(profile, call.architecture)
        if last is not None and call.number > last:
            return ENOSYS
    return simulate(program, call)
