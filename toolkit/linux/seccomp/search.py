"""Which of many ranges does the loaded value lie in: a search tree of conditional jumps.

A list of segments, (first value, label), says where to go from each value up to
the next segment.  A single value amid a range costs one comparison for
equality, where cutting the range in three would cost two.
"""

from toolkit.linux.seccomp.bpf import JEQ, JGE, NEXT, Assembler

Segment = tuple[int, int]
_CHAIN = 6
"""How many comparisons for equality may follow one another before a cut in half pays."""


def merged(segments: list[Segment]) -> list[Segment]:
    """Return the segments without cuts that change nothing."""
    found: list[Segment] = []
    for start, label in segments:
        if not found or found[-1][1] != label:
            found.append((start, label))
    return found


def emit_search(asm: Assembler, segments: list[Segment]) -> None:
    """Emit the jumps that take the loaded value to the label of its segment."""
    ranges, singles = _singled_out(merged(segments))
    _emit(asm, ranges, singles)


def _singled_out(segments: list[Segment]) -> tuple[list[Segment], dict[int, int]]:
    """Take out each single value whose neighbours on both sides go to one label."""
    singles: dict[int, int] = {}
    ranges: list[Segment] = []
    position = 0
    while position < len(segments):
        start, label = segments[position]
        after = segments[position + 1] if position + 1 < len(segments) else None
        if ranges and after and after == (start + 1, ranges[-1][1]):
            singles[start] = label
            position += 2
        else:
            ranges.append((start, label))
            position += 1
    return ranges, singles


def _emit(asm: Assembler, ranges: list[Segment], singles: dict[int, int]) -> None:
    if len(ranges) == 1 and len(singles) <= _CHAIN:
        _emit_chain(asm, ranges[0][1], list(singles.items()))
        return
    cut = _middle(ranges, singles)
    left = [each for each in ranges if each[0] < cut]
    right = [(cut, left[-1][1]), *(each for each in ranges if each[0] > cut)]
    if any(start == cut for start, _ in ranges):
        right = [each for each in ranges if each[0] >= cut]
    left_singles = {value: label for value, label in singles.items() if value < cut}
    right_singles = {value: label for value, label in singles.items() if value >= cut}
    left_leaf = left[0][1] if len(left) == 1 and not left_singles else NEXT
    right_leaf = right[0][1] if len(right) == 1 and not right_singles else NEXT
    entry = right_leaf or asm.label()
    asm.jump(JGE, cut, entry, left_leaf)
    if not left_leaf:
        _emit(asm, left, left_singles)
    if not right_leaf:
        asm.place(entry)
        _emit(asm, right, right_singles)


def _emit_chain(asm: Assembler, label: int, singles: list[Segment]) -> None:
    if not singles:
        asm.goto(label)
        return
    for value, single in singles[:-1]:
        asm.jump(JEQ, value, single)
    asm.jump(JEQ, *singles[-1], label)


def _middle(ranges: list[Segment], singles: dict[int, int]) -> int:
    """Return where to cut, so that both sides hold about as much; between ranges where there are several."""
    values = sorted([*(start for start, _ in ranges[1:]), *singles])
    if len(ranges) == 1:
        return values[len(values) // 2]
    starts = [start for start, _ in ranges[1:]]
    return min(starts, key=lambda start: abs(sum(value < start for value in values) - len(values) / 2))
