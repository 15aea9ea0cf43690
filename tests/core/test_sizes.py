"""Sizes as people type them: `parse_bytes` alone, with nothing but pytest, since the capstone lab is graded with it."""

import pytest

from toolkit.core.errors import InvalidError
from toolkit.core.units import parse_bytes

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("32b", 32),
        ("32kb", 32 * 1024),
        ("32Kib", 32 * 1024),
        ("512m", 512 * MIB),
        ("1.5g", 1536 * MIB),
        (".5k", 512),
        (" 1t ", 1024**4),
        ("1p", 1024**5),
    ],
)
def test_size_is_read_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "b", "m", "-1", "-1m", "1x", "1mm", "1 2", "inf", "nan", "1e400", "0x10", "one", "+1m"]
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidError, match="write it as 512m"):
        parse_bytes(text)
