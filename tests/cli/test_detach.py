"""The detach keys: read as docker writes them, found wherever they are typed, held back until they cannot be it."""

from typing import Any

import pytest

from toolkit.cli.detach import KeyWatcher, parse_keys
from toolkit.core.errors import InvalidError


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b"\x10\x11"),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("Ctrl-A,d", b"\x01d"),
        ("a", b"a"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", bytes((0, 27, 28, 29, 30, 31))),
    ],
)
def test_sequence_is_read(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-zz", "ctrl-", "ctrl-1", "ab", "a,", "é"])
def test_bad_sequence_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="invalid detach keys: unknown character"):
        parse_keys(text)


@pytest.mark.parametrize(
    ("chunks", "passed", "is_complete"),
    [
        ([b"ls\r"], b"ls\r", False),
        ([b"\x10\x11"], b"", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"ab\x10\x11cd"], b"ab", True),
        ([b"\x10"], b"", False),
        ([b"\x10x"], b"\x10x", False),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x10\x10", b"\x11"], b"\x10", True),
        ([b"\x11\x10"], b"\x11", False),
    ],
)
def test_keys_are_found_and_all_others_pass(chunks: list[bytes], passed: bytes, is_complete: Any) -> None:
    watcher = KeyWatcher(b"\x10\x11")
    results = [watcher.feed(chunk) for chunk in chunks]
    assert b"".join(data for data, _ in results) == passed
    assert results[-1][1] is is_complete
