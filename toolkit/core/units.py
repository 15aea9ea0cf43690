"""Sizes and counts as people type them on docker's command line."""

from toolkit.core.errors import InvalidError

_SUFFIXES = "bkmgtp"
_NANO = 1_000_000_000


def parse_bytes(text: str) -> int:
    """Read a size such as 512m, 1.5g or 1073741824: bytes, in powers of 1024.

    The grammar is docker's (github.com/docker/go-units, RAMInBytes): a number,
    an optional suffix b, k, m, g, t or p, then an optional "b" or "ib".

    Raises:
        InvalidError: `text` is not a size, or is negative.
    """
    lowered = text.strip().lower()
    body = lowered
    for tail in ("ib", "b"):
        if body.endswith(tail) and len(body) > len(tail) and body[-len(tail) - 1] in "kmgtp":
            body = body[: -len(tail)]
            break
    factor = 1
    if body and body[-1] in _SUFFIXES:
        factor = 1024 ** _SUFFIXES.index(body[-1])
        body = body[:-1]
    try:
        value = float(body)
        size = int(value * factor)
    except (ValueError, OverflowError):
        value, size = -1.0, -1
    if value < 0 or not (body[:1].isdigit() or body[:1] == "."):
        raise InvalidError(f"invalid size: '{text}'", hint="write it as 512m, 1.5g or a number of bytes")
    return size


def parse_cpus(text: str) -> int:
    """Read a number of CPUs such as 0.5: billionths of a CPU (docker's NanoCpus).

    Raises:
        InvalidError: `text` is not a positive decimal number.
    """
    from decimal import Decimal, InvalidOperation

    try:
        nano = Decimal(text) * _NANO
        if nano.is_finite() and nano >= 0 and nano == int(nano):
            return int(nano)
    except (InvalidOperation, ValueError):
        pass
    raise InvalidError(f"invalid number of CPUs: '{text}'", hint="write it as 0.5 or 2")


def format_bytes(size: float) -> str:
    """Write a size as docker's image tables do: decimal units, three digits."""
    return _scaled(size, 1000.0, ("B", "kB", "MB", "GB", "TB", "PB"))


def format_binary_bytes(size: float) -> str:
    """Write a size as docker's stats do: binary units, four digits."""
    return _scaled(size, 1024.0, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), digits=4)


def _scaled(size: float, base: float, names: tuple[str, ...], digits: int = 3) -> str:
    index = 0
    while float(f"{size:.{digits}g}") >= base and index < len(names) - 1:
        size /= base
        index += 1
    return f"{size:.{digits}g}{names[index]}"


def format_duration(seconds: float) -> str:
    """Write an age as docker's tables do: "About a minute", "3 hours", "2 weeks"."""
    if seconds < 1:
        return "Less than a second"
    hours = int(seconds / 3600 + 0.5)
    for count, limit, one, many in (
        (int(seconds), 60, "1 second", "seconds"),
        (int(seconds / 60), 60, "About a minute", "minutes"),
        (hours, 48, "About an hour", "hours"),
    ):
        if count < limit:
            return one if count == 1 else f"{count} {many}"
    for limit_h, unit_h, many in ((14 * 24, 24, "days"), (60 * 24, 7 * 24, "weeks"), (730 * 24, 30 * 24, "months")):
        if hours < limit_h:
            return f"{hours // unit_h} {many}"
    return f"{int(seconds / 3600) // (365 * 24)} years"
