"""--since and --until take what docker's take."""

import time

import pytest

from toolkit.cli.moment import parse_moment_ns
from toolkit.core.errors import InvalidError

NOW_NS = 1_764_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "moment_ns"),
    [
        ("42m", NOW_NS - 42 * 60 * 10**9),
        ("1h30m", NOW_NS - 5400 * 10**9),
        ("1.5h", NOW_NS - 5400 * 10**9),
        ("500ms", NOW_NS - 500 * 10**6),
        ("0s", NOW_NS),
        ("1764000000", NOW_NS),
        ("1764000000.5", NOW_NS + 500_000_000),
        ("1764000000.000000001", NOW_NS + 1),
        ("2025-11-24T16:00:00Z", NOW_NS),
        ("2025-11-24T16:00:00.25Z", NOW_NS + 250_000_000),
        ("2025-11-24T17:00:00+01:00", NOW_NS),
    ],
)
def test_moment_is_read(text: str, moment_ns: int) -> None:
    assert parse_moment_ns(text, NOW_NS) == moment_ns


def test_moment_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-1")
    time.tzset()
    try:
        assert parse_moment_ns("2025-11-24T17:00:00", NOW_NS) == NOW_NS
        assert parse_moment_ns("2025-11-24", NOW_NS) == NOW_NS - 17 * 3600 * 10**9
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "foo", "42x", "m", "-5m", "1h x", "2025-13-01", "1.2.3", "1764000000.x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="invalid time"):
        parse_moment_ns(text, NOW_NS)
