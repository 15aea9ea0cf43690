"""Moments as --since and --until take them."""

import time

from toolkit.core.errors import InvalidError

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_SECOND = 10**9


def parse_moment_ns(text: str, now_ns: int | None = None) -> int:
    """Return the moment that `text` names, in nanoseconds since the epoch.

    Args:
        text: a time since now ("42m", "1h30m"), a date or time in RFC 3339 (local where it has no zone), or seconds
            since the epoch with a fraction or without.
        now_ns: what relative times start from; None: now.

    Raises:
        InvalidError: none of these.
    """
    for read in (_relative_ns, _epoch_ns, _date_ns):
        moment_ns = read(text, time.time_ns() if now_ns is None else now_ns)
        if moment_ns is not None:
            return moment_ns
    raise InvalidError(f"invalid time: '{text}'", hint="write it as 42m, 2026-11-24T15:00:00Z or seconds since 1970")


def _relative_ns(text: str, now_ns: int) -> int | None:
    import re

    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return now_ns - int(sum(float(number) * _UNITS[unit] for number, unit in parts))


def _epoch_ns(text: str, _now_ns: int) -> int | None:
    whole, _, fraction = text.partition(".")
    if not whole.isdecimal() or (fraction and not fraction.isdecimal()) or not text.isascii():
        return None
    return int(whole) * _SECOND + int(fraction.ljust(9, "0")[:9] or "0")


def _date_ns(text: str, _now_ns: int) -> int | None:
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = moment.astimezone() if moment.tzinfo is None else moment
    return int(seconds.replace(microsecond=0).timestamp()) * _SECOND + moment.microsecond * 1000
