"""Sizes, counts and ages (toolkit/core/units.py)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.core.errors import InvalidError
from toolkit.core.units import format_binary_bytes, format_bytes, format_duration, parse_bytes, parse_cpus

MIB = 1024 * 1024


@given(st.integers(min_value=0, max_value=2**50))
def test_plain_number_of_bytes_is_itself(size: int) -> None:
    assert parse_bytes(str(size)) == size


@pytest.mark.parametrize(("text", "nano"), [("1", 10**9), ("0.5", 5 * 10**8), ("1.000000001", 10**9 + 1), ("0", 0)])
def test_cpus_are_read_as_billionths(text: str, nano: int) -> None:
    assert parse_cpus(text) == nano


@pytest.mark.parametrize("text", ["", "-1", "inf", "nan", "1.0000000001", "two", "1,5"])
def test_what_is_no_number_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match=r"write it as 0\.5 or 2"):
        parse_cpus(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (77_800_000, "77.8MB"), (1_234_567_890, "1.23GB"), (999_960_000, "1GB")],
)
def test_size_is_written_with_three_digits(size: int, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (1023, "1023B"), (1024, "1KiB"), (1536 * MIB, "1.5GiB")])
def test_binary_size_is_written_with_four_digits(size: int, text: str) -> None:
    assert format_binary_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (125, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (2 * 3600, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_age_is_written_as_dockers_tables_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
