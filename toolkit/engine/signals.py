"""Signals as people name them."""

from toolkit.core.errors import InvalidError
from toolkit.linux import signals


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
        number = signals.SIGRTMIN + int(text[6:])
    elif text.startswith("RTMAX-") and text[6:].isdecimal():
        number = signals.SIGRTMAX - int(text[6:])
    else:
        number = signals.number(text)
    if not 0 < number <= signals.SIGRTMAX:
        raise InvalidError(f"invalid signal: {name}", hint="a name such as SIGTERM, or a number")
    return number
