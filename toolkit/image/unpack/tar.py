"""Tar headers: ustar, pax with global headers, GNU long names, old V7 tar.

Names are bytes from beginning to end: a file name on Linux has no encoding.

See Also:
    POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header";
    GNU tar manual, "Basic Tar Format"; Go's archive/tar, which decides what
    docker accepts
"""

from struct import Struct
from typing import NamedTuple
from zlib import adler32

from toolkit.core.errors import CorruptLayerError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.image.unpack.stream import Stream

BLOCK = 512
REGULAR, HARDLINK, SYMLINK, CHARACTER, BLOCKDEV, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_CONTIGUOUS, _OLD_REGULAR = b"7", b"\0"
_PAX, _PAX_SOLARIS, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK = b"x", b"X", b"g", b"L", b"K"
_HEADERS = frozenset((_PAX, _PAX_SOLARIS, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK))
_FILES = frozenset((REGULAR, HARDLINK, SYMLINK, CHARACTER, BLOCKDEV, DIRECTORY, FIFO))
_SPECIAL_MAX_BYTES = 1 << 20  # as Go's archive/tar
_ZERO_BLOCK = bytes(BLOCK)
_SPACES_SUM = 8 * 0x20
_XATTR = b"SCHILY.xattr."
_NO_XATTRS: "dict[bytes, bytes]" = {}

# name mode uid gid size mtime chksum typeflag linkname magic version uname gname devmajor devminor prefix
_HEADER = Struct("100s8s8s8s12s12s8sc100s6s2s64x8s8s155s12x")


class Entry(NamedTuple):
    """One member of the archive."""

    name: bytes
    kind: bytes
    """REGULAR, HARDLINK, SYMLINK, CHARACTER, BLOCKDEV, DIRECTORY or FIFO."""
    mode: int
    """Permissions with set-user-id, set-group-id and sticky bit."""
    uid: int
    gid: int
    size: int
    """Bytes of content that follow; 0 for all but REGULAR."""
    mtime_ns: int
    target: bytes
    """Of a link."""
    major: int
    minor: int
    xattrs: "dict[bytes, bytes]"


def entries(stream: "Stream") -> "Iterator[Entry]":
    """Yield the members of an archive.

    The content of a member may be read from the stream while it is the current
    one; what is not read is skipped.

    Raises:
        CorruptLayerError: the archive is damaged or ends early.
        UnsupportedError: a member of a kind that layers do not have.
    """
    everywhere: dict[bytes, bytes] = {}
    special: dict[bytes, bytes] = {}
    while (block := _next_header(stream)) is not None:
        kind, size = block[156:157], _number(block[124:136])
        if kind in _HEADERS:
            _read_special(stream, kind, size, special, everywhere)
            continue
        entry = _entry(block, {**everywhere, **special} if special or everywhere else special)
        special = {}
        end = stream.position + (entry.size + BLOCK - 1) // BLOCK * BLOCK
        yield entry
        _skip_to(stream, end, entry)
    if special:
        raise CorruptLayerError("its tar ends after an extended header")


def _next_header(stream: "Stream") -> bytes | None:
    """Return the next header block; None at the end of the archive."""
    block = stream.read(BLOCK)
    if not block:
        return None  # without the two zero blocks: Go's reader allows it too
    if len(block) < BLOCK:
        raise CorruptLayerError("its tar ends early, in a header")
    if block[:1] == b"\0" and block == _ZERO_BLOCK:
        if stream.read(BLOCK).strip(b"\0"):
            raise CorruptLayerError("a zero block in the middle of its tar")
        return None
    _check_sum(block)
    return block


def _check_sum(block: bytes) -> None:
    # The low half of Adler-32 is 1 + the sum of the bytes modulo 65521 (RFC 1950), at a tenth of sum()'s cost.
    found = (adler32(block[156:], adler32(block[:148])) & 0xFFFF) - 1 + _SPACES_SUM
    stated = _number(block[148:156])
    if (found - stated) % 65521 == 0:
        return
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + _SPACES_SUM
    if signed != stated:  # some old programs add signed bytes
        raise CorruptLayerError("a tar header has the wrong checksum")


def _skip_to(stream: "Stream", end: int, entry: Entry) -> None:
    missing = end - stream.position
    if missing and stream.skip(missing) != missing:
        raise CorruptLayerError(f"its tar ends early, in {printable(entry.name)}")


def _number(field: bytes) -> int:
    """Read an octal number, or a binary one where the first bit is set (GNU, "base-256")."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=True)
        # The first bit is only the mark; the second is the sign.
        return value + (1 << (8 * len(field) - 1)) if not field[0] & 0x40 else value
    text = field.strip(b" \0").partition(b"\0")[0]
    if text.isdigit() and b"8" not in text and b"9" not in text:  # int() itself takes signs and underscores too
        return int(text, 8)
    if text:
        raise CorruptLayerError(f"a tar header has '{printable(text)}' where a number belongs")
    return 0


def _entry(block: bytes, pax: "dict[bytes, bytes]") -> Entry:
    """Make an entry of a header block and the extended headers before it."""
    name, mode, uid, gid, size, mtime, _, kind, target, magic, _, major, minor, prefix = _HEADER.unpack(block)
    name = name.partition(b"\0")[0]
    if magic == b"ustar\0" and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    if kind in (_OLD_REGULAR, _CONTIGUOUS):
        kind = DIRECTORY if name.endswith(b"/") else REGULAR
    if kind == b"S":
        raise _sparse(name)
    if kind not in _FILES:
        raise UnsupportedError(f"a tar member of type '{printable(kind)}' ({printable(name)})")
    length = _number(size) if kind == REGULAR else 0
    is_device = kind in (CHARACTER, BLOCKDEV)
    entry = Entry(
        name,
        kind,
        _number(mode) & 0o7777,
        _number(uid),
        _number(gid),
        length,
        _number(mtime) * 1_000_000_000,
        target.partition(b"\0")[0],
        _number(major) if is_device else 0,
        _number(minor) if is_device else 0,
        _NO_XATTRS,
    )
    return _checked(_extended(entry, pax) if pax else entry)


def _checked(entry: Entry) -> Entry:
    if not 0 <= entry.uid < 0xFFFFFFFF or not 0 <= entry.gid < 0xFFFFFFFF:
        raise CorruptLayerError(f"{printable(entry.name)} has the impossible owner {entry.uid}:{entry.gid}")
    if entry.size < 0:
        raise CorruptLayerError(f"{printable(entry.name)} has a negative size")
    return entry


def _extended(entry: Entry, pax: "dict[bytes, bytes]") -> Entry:
    """Return the entry with what extended headers say about it."""
    name = pax.get(b"path", entry.name)
    target = pax.get(b"linkpath", entry.target)
    if b"\0" in name or b"\0" in target:
        raise CorruptLayerError(f"a NUL byte in the name {printable(name)}")
    if b"GNU.sparse.major" in pax or b"GNU.sparse.map" in pax or b"GNU.sparse.size" in pax:
        raise _sparse(name)
    xattrs = {key.removeprefix(_XATTR): value for key, value in pax.items() if key.startswith(_XATTR)}
    return entry._replace(
        name=name,
        target=target,
        uid=_decimal(pax, b"uid", entry.uid),
        gid=_decimal(pax, b"gid", entry.gid),
        size=_decimal(pax, b"size", entry.size) if entry.kind == REGULAR else 0,
        mtime_ns=_time_ns(pax[b"mtime"]) if b"mtime" in pax else entry.mtime_ns,
        xattrs=xattrs or _NO_XATTRS,
    )


def _read_special(
    stream: "Stream", kind: bytes, size: int, special: "dict[bytes, bytes]", everywhere: "dict[bytes, bytes]"
) -> None:
    """Read a header that is about the members after it."""
    if not 0 <= size <= _SPECIAL_MAX_BYTES:
        raise CorruptLayerError(f"an extended tar header of {size} bytes")
    content = stream.read(size)
    padding = -size % BLOCK
    if len(content) < size or stream.skip(padding) < padding:
        raise CorruptLayerError("its tar ends early, in an extended header")
    if kind == _GNU_NAME:
        special[b"path"] = content.partition(b"\0")[0]
    elif kind == _GNU_LINK:
        special[b"linkpath"] = content.partition(b"\0")[0]
    else:
        _update(everywhere if kind == _PAX_GLOBAL else special, content)


def _update(records: "dict[bytes, bytes]", content: bytes) -> None:
    """Put pax records (length, space, key=value, line feed) into `records`; an empty value withdraws one."""
    at = 0
    while at < len(content):
        digits, space, _ = content[at : at + 20].partition(b" ")
        if not space or not digits.isdigit():
            raise CorruptLayerError("a damaged extended tar header")
        end = at + int(digits)
        key, equals, value = content[at + len(digits) + 1 : end].partition(b"=")
        if end > len(content) or not equals or not value.endswith(b"\n"):
            raise CorruptLayerError("a damaged extended tar header")
        if len(value) == 1 and not key.startswith(_XATTR):
            records.pop(key, None)
        else:
            records[key] = value[:-1]
        at = end


def _decimal(pax: "dict[bytes, bytes]", key: bytes, default: int) -> int:
    text = pax.get(key)
    if text is None:
        return default
    if not text.isdigit():
        raise CorruptLayerError(f"an extended tar header has '{printable(text)}' for {printable(key)}")
    return int(text)


def _time_ns(text: bytes) -> int:
    """Read seconds with a fraction of any length; exact, as a float would not be."""
    whole, _, fraction = text.partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or not (fraction.isdigit() or not fraction):
        raise CorruptLayerError(f"an extended tar header has '{printable(text)}' for mtime")
    value = int(digits) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    return -value if whole.startswith(b"-") else value


def _sparse(name: bytes) -> UnsupportedError:
    return UnsupportedError(f"a sparse tar member ({printable(name)})", hint="build the layer without --sparse")


def printable(name: bytes) -> str:
    """Return a name for a message of one line."""
    text = name.decode(errors="backslashreplace")
    return text if text.isprintable() else ascii(text)[1:-1]
