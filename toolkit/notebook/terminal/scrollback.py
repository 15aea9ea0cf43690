"""The last bytes of a terminal, bounded, from which whoever comes later draws its screen again.

What was cut off at the front may have set modes that still hold (another
screen, bracketed paste, the region that scrolls); `replay` sets them first.
"""

import re

MAX_BYTES = 256 * 1024
_CHANGES = re.compile(rb"\x1bc|\x1b\[\?([\d;]+)([hl])|\x1b\[(\d*;?\d*)r|\x1b([=>])")
_SCREENS = (b"1049", b"1047", b"47")
"""Modes that choose the other screen, as full-screen programs do; the first also saves the cursor (xterm)."""


class Modes:
    """What control sequences have set and not taken back."""

    def __init__(self) -> None:
        self._private: dict[bytes, bytes] = {}
        self._region = b""
        self._keypad = b""

    def feed(self, data: bytes) -> None:
        """Note the changes in `data`, which begins and ends between two sequences."""
        for found in _CHANGES.finditer(data):
            numbers, switch, region, keypad = found.groups()
            if numbers is not None:
                for number in numbers.split(b";"):
                    self._private[number] = switch
            elif region is not None:
                self._region = region
            elif keypad is not None:
                self._keypad = keypad
            else:  # RIS: as when it was switched on
                self.__init__()  # type: ignore[misc]

    @property
    def is_other_screen(self) -> bool:
        """Whether a full-screen program has the screen."""
        return any(self._private.get(number) == b"h" for number in _SCREENS)

    def restore(self) -> bytes:
        """Return what sets all of it again; which screen it is comes first."""
        numbers = sorted(self._private, key=lambda number: number not in _SCREENS)
        parts = [b"\x1b[?%b%b" % (number, self._private[number]) for number in numbers]
        if self._region:
            parts.append(b"\x1b[%br" % self._region)
        if self._keypad:
            parts.append(b"\x1b%b" % self._keypad)
        return b"".join(parts)


class Scrollback:
    """The last `max_bytes` to twice that, and the modes of what came before."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._before = Modes()

    def feed(self, data: bytes) -> None:
        """Add what has come."""
        self._data += data
        if len(self._data) > 2 * self._max_bytes:
            place = self._data.find(b"\n", len(self._data) - self._max_bytes) + 1
            cut = place or len(self._data) - self._max_bytes
            self._before.feed(bytes(self._data[:cut]))
            del self._data[:cut]

    def replay(self) -> bytes:
        """Return what draws the screen again on an empty one."""
        return self._before.restore() + self._data

    @property
    def is_other_screen(self) -> bool:
        """Whether a full-screen program has the screen at this moment."""
        modes = Modes()
        modes.feed(self.replay())
        return modes.is_other_screen
