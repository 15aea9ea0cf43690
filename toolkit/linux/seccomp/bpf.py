"""A BPF assembler: labels instead of distances, and jumps of any length.

A conditional jump of classic BPF reaches 255 instructions; one that must go
further gets a "trampoline", an unconditional jump right behind it, which
reaches anywhere.  Every label lies ahead of the jumps to it: the kernel's
checker refuses loops.

See Also:
    Documentation/networking/filter.rst; include/uapi/linux/bpf_common.h
"""

import struct
from typing import NamedTuple

LD_ABS = 0x20  # BPF_LD | BPF_W | BPF_ABS
JA = 0x05  # BPF_JMP | BPF_JA
JEQ = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JGT = 0x25
JGE = 0x35
JSET = 0x45
RET = 0x06  # BPF_RET | BPF_K
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
REACH = 255
MAX_INSTRUCTIONS = 4096
NEXT = 0
"""The label of the instruction that follows."""


class Instruction(NamedTuple):
    """struct sock_filter: an operation, its two jump distances and its constant."""

    code: int
    jt: int
    jf: int
    k: int


class _Line(NamedTuple):
    code: int
    k: int
    true: int
    false: int


class Assembler:
    """Collects instructions and labels; `assemble` turns them into a program."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._labels = 1
        self._places: dict[int, int] = {}

    def label(self) -> int:
        """Return a label that is not placed yet."""
        self._labels += 1
        return self._labels

    def place(self, label: int) -> None:
        """Let `label` be the next instruction."""
        self._places[label] = len(self._lines)

    def load(self, offset: int) -> None:
        """Load the 32-bit word at `offset` of struct seccomp_data."""
        self._lines.append(_Line(LD_ABS, offset, NEXT, NEXT))

    def mask(self, bits: int) -> None:
        """Keep only `bits` of what is loaded."""
        self._lines.append(_Line(AND, bits, NEXT, NEXT))

    def jump(self, code: int, k: int, true: int = NEXT, false: int = NEXT) -> None:
        """Compare what is loaded with `k`, and go to one of two labels."""
        self._lines.append(_Line(code, k, true, false))

    def goto(self, label: int) -> None:
        """Go to `label`."""
        self._lines.append(_Line(JA, 0, label, NEXT))

    def ret(self, value: int) -> None:
        """End with `value`."""
        self._lines.append(_Line(RET, value, NEXT, NEXT))

    def assemble(self) -> bytes:
        """Return the program."""
        far: set[tuple[int, bool]] = set()
        while True:
            starts = self._starts(far)
            needed = {key for key, distance in self._distances(starts) if distance > REACH}
            if needed <= far:
                return encode(self._emit(starts, far))
            far |= needed

    def _starts(self, far: set[tuple[int, bool]]) -> list[int]:
        starts = [0]
        for number in range(len(self._lines)):
            starts.append(starts[-1] + 1 + ((number, True) in far) + ((number, False) in far))
        return starts

    def _target(self, number: int, label: int, starts: list[int]) -> int:
        return starts[number + 1 if label == NEXT else self._places[label]]

    def _distances(self, starts: list[int]) -> "list[tuple[tuple[int, bool], int]]":
        found: list[tuple[tuple[int, bool], int]] = []
        for number, line in enumerate(self._lines):
            if line.code in (JEQ, JGT, JGE, JSET):
                for side, label in ((True, line.true), (False, line.false)):
                    distance = self._target(number, label, starts) - starts[number] - 1
                    found.append(((number, side), distance))
        return found

    def _emit(self, starts: list[int], far: set[tuple[int, bool]]) -> list[Instruction]:
        program: list[Instruction] = []
        for number, line in enumerate(self._lines):
            here = starts[number]
            if line.code == JA:
                program.append(Instruction(JA, 0, 0, self._target(number, line.true, starts) - here - 1))
            elif line.code not in (JEQ, JGT, JGE, JSET):
                program.append(Instruction(line.code, 0, 0, line.k))
            else:
                program += self._emit_jump(number, line, starts, far)
        return program

    def _emit_jump(self, number: int, line: _Line, starts: list[int], far: set[tuple[int, bool]]) -> list[Instruction]:
        here = starts[number]
        trampolines: list[Instruction] = []
        distances: list[int] = []
        for side, label in ((True, line.true), (False, line.false)):
            target = self._target(number, label, starts)
            if (number, side) in far:
                distances.append(len(trampolines))
                position = here + 1 + len(trampolines)
                trampolines.append(Instruction(JA, 0, 0, target - position - 1))
            else:
                distances.append(target - here - 1)
        return [Instruction(line.code, distances[0], distances[1], line.k), *trampolines]


def encode(program: list[Instruction]) -> bytes:
    """Return the bytes of a program, in this machine's byte order."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def decode(program: bytes) -> list[Instruction]:
    """Return the instructions of a program."""
    return [Instruction._make(fields) for fields in struct.iter_unpack("=HBBI", program)]


_SPELLED = {JEQ: "==", JGT: ">", JGE: ">=", JSET: "&"}


def listing(program: bytes) -> list[str]:
    """Return one readable line for each instruction, with absolute jump targets."""
    lines: list[str] = []
    for number, (code, jt, jf, k) in enumerate(decode(program)):
        if code in _SPELLED:
            text = f"if (A {_SPELLED[code]} {k:#x}) goto {number + 1 + jt} else goto {number + 1 + jf}"
        else:
            text = {LD_ABS: f"A = data[{k}]", JA: f"goto {number + 1 + k}", AND: f"A &= {k:#x}", RET: f"return {k:#x}"}[
                code
            ]
        lines.append(f"{number:4} {text}")
    return lines
