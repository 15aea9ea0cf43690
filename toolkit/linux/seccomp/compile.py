"""A filter's rules to a BPF program: the same program for the same rules, byte for byte.

The system call number is found by a search tree over ranges of numbers that
meet the same fate, which makes docker's profile about 240 instructions where
libseccomp's list of comparisons has 1,200.  Verdicts are libseccomp's: the
tests run both programs and compare.
"""

from toolkit.core.errors import InvalidError
from toolkit.linux.seccomp import bpf, rules
from toolkit.linux.seccomp.bpf import JEQ, JGE, JSET, NEXT, Assembler
from toolkit.linux.seccomp.search import emit_search
from toolkit.linux.seccomp.table import AUDIT_ARCH, X32_BIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from toolkit.linux.seccomp.rules import Case, Condition, Filter
    from toolkit.linux.seccomp.search import Segment

    Test = tuple[Condition, ...]
    """Conditions on one argument, one of which must hold."""

_NR, _ARCH, _ARGS = 0, 4, 16
"""Offsets in struct seccomp_data (include/uapi/linux/seccomp.h)."""
_ENOSYS = rules.ERRNO | 38
_LOW = 0xFFFFFFFF
_MASKED = "SCMP_CMP_MASKED_EQ"
_NARROW = frozenset(("i386", "x32", "arm"))
"""Architectures of whose arguments only the lower half is compared, as libseccomp does."""


def compile_filter(profile: "Filter", architecture: str) -> bytes:
    """Return the program for `linux.seccomp`, for the processes of one machine.

    Args:
        profile: OCI's object; docker's own format must be resolved first.
        architecture: "x86_64" or "aarch64", the machine's.

    Raises:
        InvalidError: what the object says does not exist, or does not fit into a program.
    """
    program = _Compiler(profile, architecture).compile()
    length = len(program) // 8
    if length > bpf.MAX_INSTRUCTIONS:
        message = f"the seccomp filter needs {length} instructions, and the kernel takes {bpf.MAX_INSTRUCTIONS}"
        raise InvalidError(message, hint="use fewer conditions on arguments")
    return program


class _Compiler:
    """The state of one compilation: the code so far, and the labels of what is still to be placed."""

    def __init__(self, profile: "Filter", native: str) -> None:
        self.profile = profile
        self.default = rules.default_action(profile)
        self.architectures = rules.architectures(profile, native)
        self.asm = Assembler()
        self.returns: dict[int, int] = {}
        self.shared: dict[tuple[tuple[Case, ...], bool], int] = {}

    def compile(self) -> bytes:
        entries = {AUDIT_ARCH[name]: self.asm.label() for name in self.architectures}
        self.asm.load(_ARCH)
        for audit, label in entries.items():
            self.asm.jump(JEQ, audit, label)
        self.asm.ret(rules.KILL_THREAD)
        for audit, label in entries.items():
            self.asm.place(label)
            self.asm.load(_NR)
            self._numbers([name for name in self.architectures if AUDIT_ARCH[name] == audit])
        for (cases, is_narrow), label in self.shared.items():
            self.asm.place(label)
            self._cases(cases, is_narrow=is_narrow)
        self._place_returns()
        return self.asm.assemble()

    def _numbers(self, names: list[str]) -> None:
        """Emit the tables of one audit architecture: one, or x86_64's and x32's, told apart by a bit."""
        if AUDIT_ARCH[names[0]] != AUDIT_ARCH["x86_64"]:
            self._table(names[0])
            return
        x32 = self.asm.label()
        self.asm.jump(JGE, X32_BIT, x32)
        self._table("x86_64" if "x86_64" in names else None)
        self.asm.place(x32)
        self._table("x32" if "x32" in names else None)

    def _table(self, name: str | None) -> None:
        if name is None:
            self.asm.ret(rules.KILL_THREAD)
            return
        emit_search(self.asm, self._segments(name))
        # Each table returns through instructions of its own: they are near.
        self._place_returns()

    def _segments(self, name: str) -> "list[Segment]":
        decisions = rules.decisions(self.profile, name)
        default = self._return(self.default)
        starts = {0: default}
        for number in sorted(decisions):
            starts[number] = self._fate(decisions[number], is_narrow=name in _NARROW)
            starts[number + 1] = default
        last = rules.last_number(self.profile, name)
        if last is not None and not rules.lets_pass(self.default):
            starts[last + 1] = self._return(_ENOSYS)
        return sorted(starts.items())

    def _fate(self, cases: "tuple[Case, ...]", *, is_narrow: bool) -> int:
        if not cases[0].conditions:
            return self._return(cases[0].action)
        return self.shared.setdefault((cases, is_narrow), self.asm.label())

    def _return(self, value: int) -> int:
        if value not in self.returns:
            self.returns[value] = self.asm.label()
        return self.returns[value]

    def _place_returns(self) -> None:
        for value, label in self.returns.items():
            self.asm.place(label)
            self.asm.ret(value)
        self.returns = {}

    # Conditions on arguments

    def _cases(self, cases: "tuple[Case, ...]", *, is_narrow: bool) -> None:
        """Emit the cases of one call in their order; what none of them takes gets the default."""
        for action, tests in _alternatives(cases):
            failed = self.asm.label()
            for position, test in enumerate(tests):
                is_last = position + 1 == len(tests)
                passed = self._return(action) if is_last else self.asm.label()
                self._test(test, passed, failed, is_narrow=is_narrow)
                if not is_last:
                    self.asm.place(passed)
            self.asm.place(failed)
        self.asm.goto(self._return(self.default))

    def _test(self, test: "Test", passed: int, failed: int, *, is_narrow: bool) -> None:
        low = _ARGS + 8 * test[0].argument
        if test[0].op == _MASKED:
            self._masked(test[0], low, passed, failed, is_narrow=is_narrow)
        elif is_narrow:
            self.asm.load(low)
            emit_search(self.asm, [(start, passed if holds else failed) for start, holds in _pieces(test, _LOW)])
        else:
            self._wide(_pieces(test, _LOW << 32 | _LOW), low, passed, failed)

    def _wide(self, pieces: list[tuple[int, bool]], low: int, passed: int, failed: int) -> None:
        """Emit a search in 64 bits: first the upper half, then the lower where that is not enough."""
        by_high: dict[int, int] = {}
        inner: list[tuple[int, list[Segment]]] = []
        current = failed
        for high in sorted({start >> 32 for start, _ in pieces}):
            cuts = [(start & _LOW, passed if holds else failed) for start, holds in pieces if start >> 32 == high]
            if cuts[0][0]:
                cuts.insert(0, (0, current))
            current = cuts[-1][1]
            if len(cuts) > 1:
                by_high[high] = self.asm.label()
                inner.append((by_high[high], cuts))
            else:
                by_high[high] = current
            if high < _LOW:
                by_high[high + 1] = current
        self.asm.load(low + 4)
        emit_search(self.asm, sorted(by_high.items()))
        for label, cuts in inner:
            self.asm.place(label)
            self.asm.load(low)
            emit_search(self.asm, cuts)

    def _masked(self, condition: "Condition", low: int, passed: int, failed: int, *, is_narrow: bool) -> None:
        wanted = condition.wanted & condition.value
        halves = [(low, condition.value & _LOW, wanted & _LOW)]
        if not is_narrow:
            halves.append((low + 4, condition.value >> 32, wanted >> 32))
        for offset, mask, value in halves:
            if mask:
                self.asm.load(offset)
                if value == 0:
                    going_on = self.asm.label()
                    self.asm.jump(JSET, mask, failed, going_on)
                    self.asm.place(going_on)
                else:
                    if mask != _LOW:
                        self.asm.mask(mask)
                    self.asm.jump(JEQ, value, NEXT, failed)
        self.asm.goto(passed)


def _alternatives(cases: "tuple[Case, ...]") -> "list[tuple[int, list[Test]]]":
    """Return (action, tests that must all pass); neighbours that only differ in one argument's value are one."""
    found: list[tuple[int, list[Test]]] = []
    for action, conditions in cases:
        single = conditions[0] if len(conditions) == 1 and conditions[0].op != _MASKED else None
        if single is not None:
            position = _mergeable(found, action, single.argument)
            if position is not None:
                found[position] = (action, [(*found[position][1][0], single)])
                continue
        found.append((action, [(condition,) for condition in conditions]))
    return found


def _mergeable(found: "list[tuple[int, list[Test]]]", action: int, argument: int) -> int | None:
    for position in range(len(found) - 1, -1, -1):
        other, tests = found[position]
        if other != action:
            return None
        if len(tests) == 1 and tests[0][0].argument == argument and tests[0][0].op != _MASKED:
            return position
    return None


def _pieces(test: "Test", highest: int) -> list[tuple[int, bool]]:
    """Return where the conditions' union begins to hold and ceases to, from 0 up."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(interval for condition in test for interval in _intervals(condition, highest)):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    cuts = {0: False}
    for first, last in merged:
        cuts[first] = True
        cuts[last + 1] = False
    return sorted((start, holds) for start, holds in cuts.items() if start <= highest)


def _intervals(condition: "Condition", highest: int) -> "Iterable[tuple[int, int]]":
    """Return the ranges, ends included, in which a condition holds."""
    value = condition.value & highest
    ranges = {
        "SCMP_CMP_EQ": [(value, value)],
        "SCMP_CMP_NE": [(0, value - 1), (value + 1, highest)],
        "SCMP_CMP_LT": [(0, value - 1)],
        "SCMP_CMP_LE": [(0, value)],
        "SCMP_CMP_GT": [(value + 1, highest)],
        "SCMP_CMP_GE": [(value, highest)],
    }[condition.op]
    return [(first, last) for first, last in ranges if first <= last]
