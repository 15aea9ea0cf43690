"""The keys that leave a container without stopping it: ctrl-p ctrl-q, or what the user prefers.

Pure: bytes in, bytes out.
"""

from toolkit.core.errors import InvalidError

DEFAULT_KEYS = "ctrl-p,ctrl-q"
_CONTROLS = {"ctrl-@": 0, "ctrl-[": 27, "ctrl-\\": 28, "ctrl-]": 29, "ctrl-^": 30, "ctrl-_": 31}


def parse_keys(text: str) -> bytes:
    r"""Read a sequence such as "ctrl-p,ctrl-q" or "a,ctrl-x".

    Raises:
        InvalidError: a part is neither one character nor ctrl- and a letter or one of @[\]^_.
    """
    return bytes(_key(part) for part in (text or DEFAULT_KEYS).split(","))


def _key(part: str) -> int:
    lowered = part.lower()
    if len(part) == 1 and part.isascii():
        return ord(part)
    if lowered in _CONTROLS:
        return _CONTROLS[lowered]
    letter = lowered.removeprefix("ctrl-")
    if lowered.startswith("ctrl-") and len(letter) == 1 and "a" <= letter <= "z":
        return ord(letter) - ord("a") + 1
    raise InvalidError(f"invalid detach keys: unknown character: '{part}'", hint="write them as ctrl-p,ctrl-q")


class KeyWatcher:
    """Looks for the sequence in what is typed, holding back what may be the beginning of it."""

    def __init__(self, keys: bytes) -> None:
        """Look for `keys`."""
        self._keys = keys
        self._seen = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return what to pass on, and whether the sequence is complete (what follows it is dropped)."""
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._seen]
            self._seen = 0
            if byte == self._keys[0]:
                self._seen = 1
            else:
                passed.append(byte)
        return bytes(passed), False
