"""Packets of the domain name system: what is read of them, and that nothing that comes can do harm."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.core.errors import InvalidError
from toolkit.network.dns import message

HEADER = struct.Struct("!6H")


def query(
    name: bytes = b"\3web\0", kind: int = message.A, *, number: int = 7, more: bytes = b"", extra: int = 0
) -> bytes:
    """Return a packet that asks for a name, as it is encoded."""
    return HEADER.pack(number, 0x0100, 1, 0, 0, extra) + name + struct.pack("!2H", kind, message.IN) + more


def edns(udp_bytes: int = 4096, version: int = 0) -> bytes:
    """Return the record by which a client says what it takes."""
    return struct.pack("!BHHIH", 0, message.OPT, udp_bytes, version << 16, 0)


def test_name_is_read_in_small_letters() -> None:
    asked = message.parse_question(query(b"\3WeB\5FrOnT\0"))
    assert (asked.name, asked.kind, asked.number, asked.udp_bytes) == ("web.front", message.A, 7, 512)
    assert asked.asked.startswith(b"\3WeB\5FrOnT\0")


def test_dot_inside_a_label_is_none_between_two() -> None:
    assert message.parse_question(query(b"\7a.front\0")).name == "a\\046front"


def test_edns_tells_how_much_is_taken_and_never_less_than_everybody_takes() -> None:
    assert message.parse_question(query(more=edns(1400), extra=1)).udp_bytes == 1400
    assert message.parse_question(query(more=edns(12), extra=1)).udp_bytes == 512
    assert message.parse_question(query(more=edns(version=3), extra=1)).edns_version == 3


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"", "0 bytes"),
        (query()[:11], "11 bytes"),
        (query(b"\3we"), "label of|cut off"),
        (query()[:-1], "cut off"),
        (query(b"\x40" + b"a" * 64 + b"\0"), "a label of 64 bytes"),
        (query(b"\xc0\x0c"), "a label of 192 bytes"),
        (query((b"\x3f" + b"a" * 63) * 4 + b"\0"), "more than 255 bytes"),
        (HEADER.pack(1, 0, 0, 0, 0, 0), "0 questions"),
        (HEADER.pack(1, 0, 2, 0, 0, 0) + b"\0\0\1\0\1" * 2, "2 questions"),
        (HEADER.pack(1, 0, 1, 0, 0, 65535) + b"\0\0\1\0\1", "65535 records"),
        (query(extra=1), "a name is cut off"),
        (query(more=b"\0\0\x29\0", extra=1), "a record is cut off"),
        (query(more=b"\0\0\x29\0\0\0\0\0\0\0\x09", extra=1), "a record is cut off"),
    ],
)
def test_what_is_no_question_is_refused(packet: bytes, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        message.parse_question(packet)


def test_name_of_255_bytes_is_read() -> None:
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert len(name) == 255
    assert len(message.parse_question(query(name)).name) == 253


@given(st.binary(max_size=600))
def test_no_packet_does_anything_but_be_read_or_be_refused(packet: bytes) -> None:
    try:
        asked = message.parse_question(packet)
    except InvalidError:
        answer = message.formerr(packet)
        assert answer == b"" or (answer[:2] == packet[:2] and message.code_of(answer) == message.FORMERR)
    else:
        assert packet[12:].startswith(asked.asked)


@given(st.binary(min_size=1, max_size=80), st.integers(0, 79), st.integers(0, 255))
def test_no_damage_to_a_question_does_harm(tail: bytes, at: int, byte: int) -> None:
    packet = bytearray(query(more=edns() + tail, extra=2))
    packet[at % len(packet)] = byte
    try:
        message.parse_question(bytes(packet))
    except InvalidError:
        pass


@given(st.lists(st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True), min_size=1, max_size=8))
def test_name_that_is_written_is_read_again(labels: list[str]) -> None:
    name = ".".join(labels)
    assert message.parse_question(query(message.encode_name(name))).name == name


@pytest.mark.parametrize("name", ["a" * 64, "a..b", ".".join(["a" * 60] * 5)])
def test_name_that_fits_no_packet_is_refused(name: str) -> None:
    with pytest.raises(InvalidError, match="no name for DNS"):
        message.encode_name(name)


def test_answer_that_does_not_fit_is_marked_and_shorter() -> None:
    asked = message.parse_question(query())
    records = [(message.A, bytes(4))] * 100
    answer = message.answer(asked, records, most_bytes=512)
    _number, flags, questions, answers, _authorities, _extra = HEADER.unpack_from(answer)
    assert flags & 0x0200
    assert (questions, len(answer) <= 512, answers < 100, answers > 20) == (1, True, True, True)
    assert not HEADER.unpack_from(message.answer(asked, records))[1] & 0x0200


def test_answer_to_a_question_with_edns_has_edns() -> None:
    asked = message.parse_question(query(more=edns(), extra=1))
    assert HEADER.unpack_from(message.answer(asked))[5] == 1
    assert message.answer(asked, code=message.BADVERS)[-6:-5] == b"\1"  # 16 is too large for the header: the upper bits


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (lambda data: data, True),
        (lambda data: data[:12] + data[12:].upper(), True),
        (lambda data: b"\0\1" + data[2:], False),
        (lambda data: data[:2] + b"\1\0" + data[4:], False),
        (lambda data: data[:12] + b"\3win" + data[16:], False),
        (lambda data: data[:4] + b"\0\0" + data[6:12], False),
        (lambda data: data[:11], False),
    ],
)
def test_only_the_answer_to_what_was_asked_counts(change: Callable[[bytes], bytes], *, counts: bool) -> None:
    asked = message.parse_question(query())
    assert message.answers(change(message.answer(asked)), 7, asked) is counts


def test_refusal_without_the_question_counts() -> None:
    refusal = HEADER.pack(7, 0x8000 | message.REFUSED, 0, 0, 0, 0)
    assert message.answers(refusal, 7, message.parse_question(query()))


def test_long_answer_of_others_is_cut_and_marked() -> None:
    asked = message.parse_question(query())
    whole = message.answer(asked, [(message.A, bytes(4))] * 100)
    cut = message.cut(whole, asked, 512)
    assert HEADER.unpack_from(cut)[1] & 0x0200
    assert (HEADER.unpack_from(cut)[3], len(cut)) == (0, 12 + len(asked.asked))
    assert message.cut(whole, asked, 4096) == whole
