"""JSON without the module `json`, which brings `re` and `enum` with it: 1 MB that each monitor would be a copy of.

The work is done by the same code in C that `json` uses, called as it calls it;
where an interpreter has no such code, or another, `json` is used after all.
What comes out is the same to the byte, and what goes in means the same; of
bytes only UTF-8 is understood.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SPACE = " \t\n\r"
_OPTIONS = (False, False, True)
"""Keys as they come, none of them skipped; NaN is written."""


class _Rules:
    """What is said to the decoder: how `json` has it when nothing else is asked for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__


def _refuse(value: object) -> None:
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _native() -> "tuple[Callable[[Any], str], Callable[[str], str], Callable[[str], Any]] | None":
    """Return the writer of values, the writer of strings and the reader that are written in C, if they are there."""
    try:
        from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

        chunks = make_encoder(None, _refuse, encode_basestring_ascii, None, ": ", ", ", *_OPTIONS)
        scan = make_scanner(_Rules)  # type: ignore[arg-type]  # as the library has it: anything with these attributes
        if "".join(chunks({"a": [1]}, 0)) != '{"a": [1]}' or scan('{"a": [1]}', 0) != ({"a": [1]}, 10):
            return None
    except (ImportError, TypeError, AttributeError):  # another interpreter's, or none
        return None
    return lambda value: "".join(chunks(value, 0)), encode_basestring, lambda text: _read(scan, text)


def _read(scan: "Callable[[str, int], tuple[Any, int]]", text: str) -> "Any":
    text = text.strip(_SPACE)
    try:
        value, end = scan(text, 0)
    except (
        SystemError,
        ImportError,
        StopIteration,
    ):  # it wants to raise an error of `json`, which is not there
        raise ValueError(f"no JSON: {text[:80]!r}") from None
    if end != len(text):
        raise ValueError(f"more than one JSON value: {text[:80]!r}")
    return value


def _of_library() -> "tuple[Callable[[Any], str], Callable[[str], str], Callable[[str], Any]]":
    import json
    from json.encoder import encode_basestring

    return json.dumps, encode_basestring, json.loads


_write, quote, _parse = _native() or _of_library()
"""`quote` returns a string as it stands in a document, with its quotes; what is not ASCII stays as it is."""


def encode(value: "Any") -> bytes:
    """Return a value of dictionaries, lists, tuples, strings, numbers, booleans and None as a JSON text, in ASCII.

    Raises:
        TypeError: there is something else in it.
        RecursionError: it is too deep, or contains itself.
    """
    return _write(value).encode()


def decode(data: "bytes | str") -> "Any":
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none, or is not UTF-8.
        RecursionError: it is too deep.
    """
    return _parse(data if isinstance(data, str) else data.decode("utf-8", "surrogatepass"))
