"""Signals as people name them."""

import signal

from toolkit.core.errors import InvalidError


def signal_number(name: int | str) -> int:
    """Return the number of a signal: "SIGTERM", "term", "15", 15, "RTMIN+3".

    Raises:
        InvalidError: there is no such signal.
    """
    text = str(name).upper().removeprefix("SIG")
    number = 0
    if not text.isascii():
        text = ""  # digits of other scripts are digits to Python
    if text.isdecimal() and len(text) <= 3:
        number = int(text)
    elif text.startswith("RTMIN+") and text[6:].isdecimal():
        number = signal.SIGRTMIN + int(text[6:])
    elif text.startswith("RTMAX-") and text[6:].isdecimal():
        number = signal.SIGRTMAX - int(text[6:])
    elif text.isalnum():
        number = getattr(signal, f"SIG{text}", 0)
    if not 0 < int(number) <= signal.SIGRTMAX:
        raise InvalidError(f"invalid signal: {name}", hint="a name such as SIGTERM, or a number")
    return int(number)
