"""What one layer may grow to."""

from toolkit.core.record import NamedTuple


class Limits(NamedTuple):
    """A layer that exceeds one of these is a decompression bomb."""

    max_bytes: int = 100 << 30
    """Uncompressed, the tar's own headers included."""
    max_entries: int = 10_000_000
    max_ratio: int = 200
    """Uncompressed to compressed bytes; counts from `ratio_free_bytes` on."""
    ratio_free_bytes: int = 4 << 30
