"""The wall clock as the engine writes it down: RFC 3339 with nanoseconds, UTC."""

import time

ZERO = "0001-01-01T00:00:00Z"  # what Docker's API says for "never"
_NS = 1_000_000_000


def now() -> str:
    """Return the present moment, for example 2026-11-24T14:58:35.123456789Z."""
    return format_ns(time.time_ns())


def format_ns(moment_ns: int) -> str:
    """Write nanoseconds since the epoch as RFC 3339 with all nine digits."""
    seconds, rest_ns = divmod(moment_ns, _NS)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest_ns:09d}Z"


def parse_ns(text: str) -> int:
    """Read what `format_ns` wrote: nanoseconds since the epoch.

    Raises:
        ValueError: `text` is not a UTC time in RFC 3339.
    """
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return _seconds(whole) * _NS + int(fraction.ljust(9, "0")[:9] or "0")


def _seconds(text: str) -> int:
    """Read 2026-11-24T14:58:35, of any day, without an import: strptime's are 6 ms, and a monitor's memory."""
    digits = text.replace("-", "").replace(":", "").replace("T", "")
    if text[4:17:3] == "--T::" and len(text) == 19 and digits.isdecimal() and digits.isascii() and len(digits) == 14:
        year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
        hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:])
        if _is_date(year, month, day) and hour < 24 and minute < 60 and second < 60:
            return ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    raise ValueError(f"{text!r} is no moment like 2026-11-24T14:58:35")


def _is_date(year: int, month: int, day: int) -> bool:
    return 1 <= month <= 12 and day >= 1 and _days(year, month, day) < _days(year + month // 12, month % 12 + 1, 1)


def _days(year: int, month: int, day: int) -> int:
    """Count the days from 1970 to a date, with years that begin in March (H. Hinnant, days_from_civil)."""
    year -= month <= 2
    month = (month + 9) % 12
    return year * 365 + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719469
