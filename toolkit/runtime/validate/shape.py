"""What a JSON value must look like: each check takes a value and its path, and returns the value, or raises.

Checks are made of checks; objects and lists are copied, so that what comes out
can be trusted while the document is anybody's.
"""

from typing import Any

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Check = Callable[[Any, str], Any]
    """Value and path in, trusted value out."""

_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
}
_SHOWN = 60


def wrong(path: str, what: str, hint: str = "") -> InvalidError:
    """Return the error that something is wrong with the field at `path`."""
    return InvalidError(_printable(f"{path or 'config.json'}: {what}"), hint=hint)


def _printable(text: str) -> str:
    """Return a text in one line, and without what a terminal would obey: much of it is the document's own."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def shown(value: Any) -> str:
    """Return a value as a message can hold it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _expect(value: Any, kind: type, path: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = _NAMES.get(type(value), type(value).__name__)
        raise wrong(path, f"{found} where {_NAMES[kind]} is expected")


def string(value: Any, path: str) -> str:
    """Check a string that the kernel can take: no NUL, and characters that can be encoded."""
    _expect(value, str, path)
    if "\0" in value:
        raise wrong(path, "a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise wrong(path, "half of a surrogate pair, which is no character") from exc
    return str(value)


def filled(value: Any, path: str) -> str:
    """Check a string that is not empty."""
    if not string(value, path):
        raise wrong(path, "it is empty")
    return str(value)


def absolute(value: Any, path: str) -> str:
    """Check an absolute path."""
    if not string(value, path).startswith("/"):
        raise wrong(path, f"'{value}' is not an absolute path", "begin it with /")
    return str(value)


def boolean(value: Any, path: str) -> bool:
    """Check true or false."""
    _expect(value, bool, path)
    return bool(value)


def number(low: int, high: int) -> "Check":
    """Return a check of a whole number in a range, its ends included."""

    def check(value: Any, path: str) -> int:
        _expect(value, int, path)
        if not low <= value <= high:
            raise wrong(path, f"{shown(value)} is not between {low} and {high}")
        return int(value)

    return check


def one_of(*names: str) -> "Check":
    """Return a check of a string that must be one of a few."""

    def check(value: Any, path: str) -> str:
        if string(value, path) not in names:
            raise wrong(
                path, f"unknown value {shown(value)}", f"one of {', '.join(name or 'nothing' for name in names)}"
            )
        return str(value)

    return check


def array(item: "Check", most: int = 1 << 20) -> "Check":
    """Return a check of a list."""

    def check(value: Any, path: str) -> list[Any]:
        _expect(value, list, path)
        if len(value) > most:
            raise wrong(path, f"{len(value)} entries, and at most {most} are possible")
        return [item(each, f"{path}[{position}]") for position, each in enumerate(value)]

    return check


def mapping(item: "Check", key: "Check" = string) -> "Check":
    """Return a check of an object whose keys are the document's own."""

    def check(value: Any, path: str) -> dict[str, Any]:
        _expect(value, dict, path)
        return {
            key(name, f"{path}[{shown(name)}]"): item(each, f"{path}[{shown(name)}]")
            for name, each in value.items()
            if each is not None
        }

    return check


def record(fields: "Mapping[str, Check]", needed: "Sequence[str]" = ()) -> "Check":
    """Return a check of an object with known fields; others are let pass."""

    def check(value: Any, path: str) -> dict[str, Any]:
        _expect(value, dict, path)
        prefix = f"{path}." if path else ""
        for name in needed:
            if value.get(name) is None:
                raise wrong(prefix + name, "it is missing")
        return {
            name: fields[name](each, prefix + name) if name in fields else each
            for name, each in value.items()
            if each is not None
        }

    return check
