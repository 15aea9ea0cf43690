"""Packets of the domain name system: reading a question, writing an answer.

Pure, and only what a name server for containers takes: one question, addresses
and names in answers, EDNS.  What is forwarded goes through as it is, but for
its number.

See Also:
    RFC 1035, section 4; RFC 6891 (EDNS); RFC 2181, section 9 (what truncation means)
"""

import struct
from typing import NamedTuple

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

A, PTR, AAAA, OPT, ANY = 1, 12, 28, 41, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
QUERY = 0
HEADER_BYTES = 12
LEAST_UDP_BYTES = 512
"""What everybody takes without having said so."""
MOST_BYTES = 0xFFFF
_OWN_UDP_BYTES = 1232
"""What we say that we take: fits every path without being cut to pieces (DNS flag day 2020)."""
_RESPONSE, _AUTHORITATIVE, _TRUNCATED = 0x8000, 0x0400, 0x0200
_WANTS_RECURSION, _HAS_RECURSION, _CHECKING_DISABLED = 0x0100, 0x0080, 0x0010
_MOST_LABEL, _MOST_NAME = 63, 255
_POINTER = 0xC0
_MOST_RECORDS = 64
"""Of a question, beyond itself: EDNS is one, a signature another."""


class Question(NamedTuple):
    """What somebody asks."""

    number: int
    """The packet's, which the answer must bear."""
    flags: int
    name: str
    """In small letters, without the last dot: "web.front"; "" is the root.  What is not ASCII is a backslash escape."""
    kind: int
    family: int
    """The class: IN, nearly always."""
    asked: bytes
    """The question as it came, letter by letter: an answer repeats it."""
    udp_bytes: int = LEAST_UDP_BYTES
    """The largest answer that is taken in one packet."""
    edns_version: int = -1
    """-1: the packet had no EDNS."""

    @property
    def opcode(self) -> int:
        """What is wanted: QUERY, nearly always."""
        return self.flags >> 11 & 15

    @property
    def is_response(self) -> bool:
        """Whether this is no question at all, but somebody's answer."""
        return bool(self.flags & _RESPONSE)


def parse_question(data: bytes) -> Question:
    """Read a packet with a question.

    Raises:
        InvalidError: it is none.
    """
    if len(data) < HEADER_BYTES:
        raise InvalidError(f"no DNS: {len(data)} bytes")
    number, flags, questions, answers, authorities, extra = struct.unpack_from("!6H", data)
    if questions != 1 or answers + authorities + extra > _MOST_RECORDS:
        raise InvalidError(f"no question: {questions} questions, {answers + authorities + extra} records")
    name, at = _parse_name(data, HEADER_BYTES)
    if at + 4 > len(data):
        raise InvalidError("the question is cut off")
    kind, family = struct.unpack_from("!2H", data, at)
    made = Question(number, flags, name, kind, family, data[HEADER_BYTES : at + 4])
    return _with_edns(made, data, at + 4, answers + authorities + extra)


def _with_edns(question: Question, data: bytes, at: int, records: int) -> Question:
    """Look through what follows the question for what its sender takes."""
    for _record in range(records):
        at = _skip_name(data, at)
        if at + 10 > len(data):
            raise InvalidError("a record is cut off")
        kind, size, more, length = struct.unpack_from("!HHIH", data, at)
        at += 10 + length
        if at > len(data):
            raise InvalidError("a record is cut off")
        if kind == OPT:
            return question._replace(udp_bytes=max(size, LEAST_UDP_BYTES), edns_version=more >> 16 & 255)
    return question


def _parse_name(data: bytes, at: int) -> tuple[str, int]:
    """Return the name in a question, and where it ends; nothing stands before it that it could point to."""
    labels: list[str] = []
    begin = at
    while True:
        if at >= len(data):
            raise InvalidError("the name is cut off")
        length = data[at]
        at += 1
        if length == 0:
            break
        if length > _MOST_LABEL:
            raise InvalidError(f"a label of {length} bytes")  # or a pointer, which would be a loop here
        labels.append(_text(data[at : at + length]))
        at += length
        if at - begin >= _MOST_NAME:
            raise InvalidError("a name of more than 255 bytes")
    return ".".join(labels).lower(), at


def _text(label: bytes) -> str:
    """Return a label so that no two are the same text: a dot in it is none between two."""
    if label.isalnum():
        return label.decode()
    return "".join(chr(byte) if 32 < byte < 127 and byte not in b".\\" else f"\\{byte:03}" for byte in label)


def _skip_name(data: bytes, at: int) -> int:
    """Return where a name ends; where it points to does not matter, so it cannot lead us round in a circle."""
    while True:
        if at >= len(data):
            raise InvalidError("a name is cut off")
        length = data[at]
        if length & _POINTER == _POINTER:
            return at + 2
        if length > _MOST_LABEL:
            raise InvalidError(f"a label of {length} bytes")
        at += 1 + length
        if length == 0:
            return at


def encode_name(name: str) -> bytes:
    """Return a name as it stands in a packet.

    Raises:
        InvalidError: it is too long for one, or a part of it is.
    """
    labels = [label.encode() for label in name.split(".")] if name else []
    encoded = b"".join(bytes((len(label) & 255,)) + label for label in labels) + b"\0"
    if len(encoded) > _MOST_NAME or not all(0 < len(label) <= _MOST_LABEL for label in labels):
        raise InvalidError(f"no name for DNS: {name}")
    return encoded


def answer(
    question: Question,
    records: "Sequence[tuple[int, bytes]]" = (),
    *,
    code: int = NOERROR,
    ttl_s: int = 0,
    most_bytes: int = MOST_BYTES,
) -> bytes:
    """Return the packet that answers a question.

    Args:
        question: as it was asked.
        records: kind and content of each; all of them are of the name that was asked for.
        code: what is to be said: NOERROR, NXDOMAIN, ...
        ttl_s: how long the answer may be kept.
        most_bytes: what does not fit is left out, and the answer marked as truncated.
    """
    flags = _RESPONSE | _HAS_RECURSION | code & 15 | question.flags & (15 << 11 | _WANTS_RECURSION | _CHECKING_DISABLED)
    if code in (NOERROR, NXDOMAIN):
        flags |= _AUTHORITATIVE
    edns = b""
    if question.edns_version >= 0:
        edns = struct.pack("!BHHIH", 0, OPT, _OWN_UDP_BYTES, code >> 4 << 24, 0)
    parts: list[bytes] = []
    left = min(most_bytes, MOST_BYTES) - HEADER_BYTES - len(question.asked) - len(edns)
    for kind, content in records:
        part = struct.pack("!HHHIH", _POINTER << 8 | HEADER_BYTES, kind, IN, ttl_s, len(content)) + content
        left -= len(part)
        if left < 0:
            flags |= _TRUNCATED
            break
        parts.append(part)
    head = struct.pack("!6H", question.number, flags, 1, len(parts), 0, bool(edns))
    return b"".join((head, question.asked, *parts, edns))


def formerr(data: bytes) -> bytes:
    """Return the answer to what cannot be read, empty where not even its number can, or where it is an answer."""
    if len(data) < HEADER_BYTES or data[2] & 0x80:
        return b""
    number, flags = struct.unpack_from("!2H", data)
    return struct.pack("!6H", number, _RESPONSE | flags & (15 << 11 | _WANTS_RECURSION) | FORMERR, 0, 0, 0, 0)


def renumbered(data: bytes, number: int) -> bytes:
    """Return a packet with another number."""
    return struct.pack("!H", number) + data[2:]


def code_of(data: bytes) -> int:
    """Return what a packet that is an answer says: NOERROR, NXDOMAIN, ..."""
    return data[3] & 15


def answers(data: bytes, number: int, question: Question) -> bool:
    """Tell whether a packet is the answer to a question that was sent on with a number: that, and the same question.

    Case does not matter: some servers repeat a name in small letters.
    """
    if len(data) < HEADER_BYTES or struct.unpack_from("!H", data)[0] != number or not data[2] & 0x80:
        return False
    if data[4:6] == b"\0\0":  # a server that could not, or would not, read the question
        return code_of(data) in (FORMERR, SERVFAIL, NOTIMP, REFUSED)
    asked = data[HEADER_BYTES : HEADER_BYTES + len(question.asked)]
    return data[4:6] == b"\0\1" and asked.lower() == question.asked.lower()


def cut(data: bytes, question: Question, most_bytes: int) -> bytes:
    """Return somebody's answer, marked as truncated and without its records where it does not fit."""
    if len(data) <= most_bytes:
        return data
    flags = struct.unpack_from("!H", data, 2)[0] | _TRUNCATED
    return struct.pack("!6H", question.number, flags, 1, 0, 0, 0) + question.asked
