"""The wall clock (toolkit/core/clock.py)."""

import datetime as dt
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.core import clock


def test_moment_is_written_with_nine_digits_and_z() -> None:
    assert clock.format_ns(1_795_532_315_000_000_001) == "2026-11-24T14:58:35.000000001Z"


@given(st.integers(min_value=0, max_value=4_102_444_800 * 10**9))
def test_moment_that_was_written_is_read_back(moment_ns: int) -> None:
    assert clock.parse_ns(clock.format_ns(moment_ns)) == moment_ns


def test_moment_without_fraction_is_read() -> None:
    assert clock.parse_ns("1970-01-01T00:00:10Z") == 10 * 10**9


def test_never_is_read() -> None:
    first = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert clock.parse_ns(clock.ZERO) == int((first - epoch).total_seconds()) * 10**9


def test_now_is_the_present_in_utc() -> None:
    before = time.time_ns()
    assert before <= clock.parse_ns(clock.now()) <= time.time_ns()


@pytest.mark.parametrize("date", ["2026-01-31", "2026-11-29", "2026-12-31", "2024-02-29", "2000-02-29"])
def test_last_days_of_a_month_are_read_like_the_others(date: str) -> None:
    """They once took strptime, whose import cost a monitor 8 ms and its memory, on three days of a month."""
    program = (
        f"import sys; from toolkit.core import clock; clock.parse_ns('{date}T23:59:59.5Z'); "
        "print(*{'_strptime', 'calendar', 'datetime'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
    moment = dt.datetime.fromisoformat(f"{date}T23:59:59+00:00")
    assert clock.parse_ns(f"{date}T23:59:59Z") == int(moment.timestamp()) * 10**9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-24",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-11-31T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T14:58:35.12x4Z",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        clock.parse_ns(text)
