"""The "new ASCII" cpio format, which the kernel unpacks as its first root.  Pure.

See Also:
    Documentation/driver-api/early-userspace/buffer-format.rst
"""

import stat
from typing import NamedTuple


class Entry(NamedTuple):
    """A file, directory or device node of the archive."""

    name: str
    mode: int
    """Type and permissions, as in st_mode."""
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    """Major and minor, of a device node."""


def directory(name: str) -> Entry:
    """Return the entry of a directory."""
    return Entry(name, stat.S_IFDIR | 0o755)


def file(name: str, data: bytes, mode: int = 0o644) -> Entry:
    """Return the entry of a regular file."""
    return Entry(name, stat.S_IFREG | mode, data)


def encode(entries: "list[Entry]") -> bytes:
    """Return the archive, whose length is a multiple of 512: another one may follow it."""
    whole = b"".join(_encode(number, entry) for number, entry in enumerate((*entries, Entry("TRAILER!!!", 0)), 1))
    return whole + bytes(-len(whole) % 512)


def _encode(inode: int, entry: Entry) -> bytes:
    name = entry.name.encode("utf-8", "surrogateescape") + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device of the file, device it stands for, length of the name, checksum
    numbers = (inode, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers) + name
    header += bytes(-len(header) % 4)
    return header + entry.data + bytes(-len(entry.data) % 4)
