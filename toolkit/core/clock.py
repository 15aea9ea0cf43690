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
    import calendar

    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * _NS + int(fraction.ljust(9, "0")[:9] or "0")
