"""/etc/ld.so.cache: which library name lies where, as ldconfig last found it.

The format is glibc's "new" one (elf/dl-cache.h), alone since glibc 2.32 and
before that behind the old one in the same file.
"""

import struct

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("=20sII20x")  # magic and version, number of entries, bytes of strings
_ENTRY = struct.Struct("=iIIIQ")  # flags, name, path, os version, hwcap


def parse_cache(content: bytes) -> dict[str, list[str]]:
    """Return the paths of each library name, best first; entries for special CPUs are left out.

    An unknown format gives nothing: the linker then searches its directories.
    """
    start = content.find(_MAGIC)
    if start < 0 or len(content) < start + _HEADER.size:
        return {}
    _, count, _ = _HEADER.unpack_from(content, start)
    found: dict[str, list[str]] = {}
    for index in range(count):
        offset = start + _HEADER.size + index * _ENTRY.size
        if offset + _ENTRY.size > len(content):
            break
        _, name, path, _, hwcap = _ENTRY.unpack_from(content, offset)
        if hwcap == 0:
            found.setdefault(_string(content, start + name), []).append(_string(content, start + path))
    return found


def _string(content: bytes, offset: int) -> str:
    return content[offset : content.index(b"\0", offset)].decode("utf-8", "surrogateescape")
