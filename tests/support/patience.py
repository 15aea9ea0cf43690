"""Waiting in tests: for what others do, some seconds at most."""

import time
from collections.abc import Callable

_PAUSE_S = 0.005


def wait_until(is_so: Callable[[], object], patience_s: float) -> None:
    """Wait until something is so; fail where it is not in `patience_s` seconds."""
    deadline_s = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline_s, f"it did not come to be so in {patience_s:g} s"
        time.sleep(_PAUSE_S)
