"""Frames: what a stream of bytes is cut into, however it comes."""

import marshal
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.runtime import frames, steps
from toolkit.runtime.mountoptions import parse_options, propagation_flags
from toolkit.runtime.request import Request


def test_frame_is_dockers() -> None:
    assert frames.frame(frames.STDERR, b"hi") == b"\x02\0\0\0\0\0\0\x02hi"


@given(
    st.lists(st.tuples(st.integers(0, 4), st.binary(max_size=50)), max_size=8),
    st.integers(1, 30),
)
def test_frames_come_out_as_they_went_in(sent: list[tuple[int, bytes]], step: int) -> None:
    stream = b"".join(frames.frame(*one) for one in sent)
    reader = frames.FrameReader()
    received: list[tuple[int, bytes]] = []
    for first in range(0, len(stream), step):
        reader.feed(stream[first : first + step])
        while (one := reader.pop()) is not None:
            received.append(one)
    assert received == sent
    assert not reader.has_frame()


def test_frame_that_claims_too_much_is_refused() -> None:
    reader = frames.FrameReader()
    reader.feed(b"\x01\0\0\0\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="4294967295"):
        reader.pop()


@pytest.mark.parametrize("content", [b"", b"x", b"[]", b"1", b"null", b"\xff"])
def test_control_message_is_a_json_object(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        frames.parse_control(content)


def test_exactly_one_frame_is_read_and_the_next_is_left() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(frames.frame(0, b"one") + frames.frame(1, b"two") + b"\x01\0")
        assert frames.read_exactly_one(theirs) == (0, b"one")
        assert frames.read_exactly_one(theirs) == (1, b"two")
        ours.close()
        assert frames.read_exactly_one(theirs) is None  # cut in the middle


def test_one_who_is_gone_need_not_be_told() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        frames.tell(ours, {"event": "x"})


def test_request_travels() -> None:
    request = Request("id", tty=True, cgroups=("/a", "/b"), successor=("python", "-c"), exit_file="/e")
    assert Request.decode(request.encode()) == request


# Mount options

_RO, _NOSUID, _NODEV, _BIND, _REC = 1, 2, 4, 4096, 16384


@pytest.mark.parametrize(
    ("options", "flags", "data"),
    [
        ([], 0, ""),
        (["ro", "nosuid"], _RO | _NOSUID, ""),
        (["ro", "rw"], 0, ""),
        (["rw", "ro"], _RO, ""),
        (["rbind"], _BIND | _REC, ""),
        (["size=1m", "nodev", "mode=755"], _NODEV, "size=1m,mode=755"),
        (["defaults"], 0, ""),
    ],
)
def test_options_are_sorted_by_who_takes_them(options: list[str], flags: int, data: str) -> None:
    parsed = parse_options(options)
    assert (parsed.flags, parsed.data) == (flags, data)


def test_propagation_and_recursive_attributes_are_kept_apart() -> None:
    parsed = parse_options(["rbind", "rslave", "rro"])
    assert parsed.flags == _BIND | _REC
    assert parsed.propagation == (propagation_flags("rslave"),)
    assert parsed.set_attrs == 1


def test_propagation_is_recursive_slave_by_default() -> None:
    assert propagation_flags("") == propagation_flags("rslave")


def test_unknown_step_is_an_error_and_no_code() -> None:
    with pytest.raises(KeyError):
        steps.decode(marshal.dumps([("os.system", "true")]))
