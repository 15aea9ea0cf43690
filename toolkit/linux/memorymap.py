"""What the calling process has mapped.

See Also:
    proc_pid_maps(5), proc_pid_pagemap(5)
"""

import os

from toolkit.core.record import NamedTuple

MAPS, PAGEMAP = "/proc/self/maps", "/proc/self/pagemap"
_NAME_AT = 5
_ENTRY_BYTES = 8
_IN_SWAP_OR_PRESENT, _OF_FILE = 0xC0, 0x20
"""Bits 63, 62 and 61, in the last byte of an entry."""


class Mapping(NamedTuple):
    """One line of /proc/self/maps."""

    start: int
    end: int
    permissions: str
    """rwxp, a hyphen in the place of what is not allowed; s in the place of p if it is shared."""
    name: str
    line: bytes
    """The line up to the inode and the space behind it."""


def read() -> list[Mapping]:
    """Return all mappings, in order of their addresses.

    Raises:
        OSError: where /proc is not mounted.
    """
    with open(MAPS, "rb") as file:
        return [_parse(line) for line in file]


def _parse(line: bytes) -> Mapping:
    fields = line.split(None, _NAME_AT)
    start, _, end = fields[0].partition(b"-")
    name = fields[_NAME_AT].strip().decode(errors="replace") if len(fields) > _NAME_AT else ""
    return Mapping(int(start, 16), int(end, 16), fields[1].decode(), name, b" ".join(fields[:_NAME_AT]) + b" ")


def open_pages() -> int:
    """Open the table of this process's pages; return the descriptor.

    Raises:
        OSError: EACCES where this process may not look at itself.
    """
    return os.open(PAGEMAP, os.O_RDONLY | os.O_CLOEXEC)


def has_private(pages: int, mapping: Mapping, page_bytes: int) -> bool:
    """Tell whether a private mapping has pages that are not, or no longer, those of its file.

    Args:
        pages: what `open_pages` returned.
        mapping: of this process.
        page_bytes: the machine's.
    """
    size = (mapping.end - mapping.start) // page_bytes * _ENTRY_BYTES
    entries = os.pread(pages, size, mapping.start // page_bytes * _ENTRY_BYTES)
    last = set(entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES])
    return any(byte & _IN_SWAP_OR_PRESENT and not byte & _OF_FILE for byte in last)


def without(mapping: Mapping, hole: range) -> "list[tuple[int, int]]":
    """Return first and last addresses (the last is outside) of what is left of a mapping beside `hole`."""
    parts = ((mapping.start, min(mapping.end, hole.start)), (max(mapping.start, hole.stop), mapping.end))
    return [(start, end) for start, end in parts if start < end]
