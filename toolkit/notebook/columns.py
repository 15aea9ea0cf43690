"""The command line's aligned tables, read back: what a cell shows is what the command printed."""

import re
from typing import NamedTuple

_HEADING = re.compile(r"[A-Z%][A-Z /%]*?(?=\s{2,}|$)")


class Printed(NamedTuple):
    """A table as text columns."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def read_columns(text: str) -> Printed | None:
    """Cut a table at the columns where its headings begin; None where `text` is no table."""
    lines = text.splitlines()
    if not lines or lines[0] != lines[0].upper():
        return None
    headings = list(_HEADING.finditer(lines[0]))
    if len(headings) < 2 or headings[0].start() != 0:
        return None
    names = tuple(found[0].strip() for found in headings)
    starts = [found.start() for found in headings]
    ends: list[int | None] = [*starts[1:], None]
    rows = tuple(
        {name: line[start:end].strip() for name, start, end in zip(names, starts, ends, strict=True)}
        for line in lines[1:]
    )
    return Printed(names, rows)
