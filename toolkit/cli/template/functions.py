"""The functions that templates may call: text/template's own, and docker's.

Each takes and returns JSON's values.  FunctionError says what was wrong with the
arguments; the evaluator says where.  `and` and `or` are the evaluator's own,
because they must not evaluate what they do not need.
"""

from toolkit.cli.template.text import NIL_LIST, NO_VALUE, printf, show, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class FunctionError(Exception):
    """The function cannot do it with these arguments."""


class WrongTypeError(FunctionError):
    """An argument of a type that the function does not take."""


_MANY = 1 << 30
BUILT_IN = frozenset(("and", "or"))


def is_true(value: "Any") -> bool:
    """Tell whether `if` takes a value for true: not false, zero, nil or empty."""
    return value is not NO_VALUE and bool(value)


def _length(value: "Any") -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, dict | list | tuple):
        return len(value)
    if value is None or value is NO_VALUE:
        raise FunctionError("len of nil pointer")
    raise FunctionError(f"len of type {_kind(value)}")


def _index(value: "Any", *keys: "Any") -> "Any":
    for key in keys:
        if value is None or value is NO_VALUE:
            raise FunctionError("index of untyped nil")
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise FunctionError(f"value has type {_kind(key)}; should be string")
            value = value[key] if key in value else _zero(value)
        elif isinstance(value, str | list | tuple):
            value = _item(value, key)
        else:
            raise FunctionError(f"can't index item of type {_kind(value)}")
    return value


def _item(value: "str | list[Any] | tuple[Any, ...]", key: "Any") -> "Any":
    if not isinstance(key, int) or isinstance(key, bool):
        raise FunctionError(f"cannot index slice/array with type {_kind(key)}")
    if not 0 <= key < len(value):
        raise FunctionError(f"index out of range: {key}")
    return value.encode()[key] if isinstance(value, str) else value[key]


def _zero(mapping: "dict[str, Any]") -> "Any":
    """Return what Go has for a key that is not there: the zero of the map's own type."""
    kinds = {type(value) for value in mapping.values()}
    return [] if kinds == {list} else "" if kinds <= {str} else NO_VALUE


def _slice(value: "Any", *bounds: "Any") -> "Any":
    if not isinstance(value, str | list | tuple):
        raise FunctionError(f"can't slice item of type {_kind(value)}")
    bounds = tuple(map(_int, bounds))
    start = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(value)
    for bound in (start, end):
        if not 0 <= bound <= len(value):
            raise FunctionError(f"index out of range: {bound}")
    if start > end:
        raise FunctionError(f"invalid slice index: {start} > {end}")
    return value[start:end]


def _equal(first: "Any", *others: "Any") -> bool:
    if not others:
        raise FunctionError("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(one: "Any", other: "Any") -> bool:
    if one is None or one is NO_VALUE or other is None or other is NO_VALUE:
        return (one is None or one is NO_VALUE) and (other is None or other is NO_VALUE)
    kinds = {_basic(one), _basic(other)}
    if len(kinds) > 1 or isinstance(one, dict | list):
        raise FunctionError("incompatible types for comparison")
    return bool(one == other)


def _less(one: "Any", other: "Any") -> bool:
    kinds = {_basic(one), _basic(other)}
    if len(kinds) > 1:
        raise FunctionError("incompatible types for comparison")
    if kinds - {"int", "float64", "string"}:
        raise FunctionError("invalid type for comparison")
    return bool(one < other)


def _basic(value: "Any") -> str:
    return _kind(value)


def _kind(value: "Any") -> str:
    names = {bool: "bool", int: "int", float: "float64", str: "string", list: "[]interface {}", tuple: "[]string"}
    return names.get(type(value), "map[string]interface {}" if isinstance(value, dict) else "nil")


def _json(value: "Any") -> str:
    return to_json(_plain(value))


def _plain(value: "Any") -> "Any":
    if callable(value) or value is NO_VALUE or value is NIL_LIST:
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not callable(item)}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _join(items: "Any", separator: "Any") -> str:
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise WrongTypeError(f"wrong type for value; expected []string; got {_kind(items)}")
    return _text(separator).join(items)


def _text(value: "Any") -> str:
    if not isinstance(value, str):
        raise WrongTypeError(f"wrong type for value; expected string; got {_kind(value)}")
    return value


def _int(value: "Any") -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongTypeError(f"wrong type for value; expected int; got {_kind(value)}")
    return value


def _title(value: "Any") -> str:
    """Raise the first letter of each word and leave the others, as strings.Title."""
    text = _text(value)
    return "".join(
        char.upper() if not (number and (text[number - 1].isalnum() or text[number - 1] in "_'")) else char
        for number, char in enumerate(text)
    )


def _html(*values: "Any") -> str:
    text = _print(*values)
    for char, name in (("&", "&amp;"), ('"', "&#34;"), ("'", "&#39;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(char, name)
    return text


def _urlquery(*values: "Any") -> str:
    from urllib.parse import quote_plus

    return quote_plus(_print(*values), safe="~")


def _print(*values: "Any") -> str:
    """Join as fmt.Sprint: a space between two operands if neither is a string."""
    text = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            text += " "
        text += "<nil>" if value is None else show(value)
    return text


def _println(*values: "Any") -> str:
    return " ".join("<nil>" if value is None else show(value) for value in values) + "\n"


def _pad(text: "Any", before: "Any", after: "Any") -> str:
    return " " * _int(before) + _text(text) + " " * _int(after) if text else ""


def _not_less(one: "Any", other: "Any") -> bool:
    return not _less(one, other)


def _greater(one: "Any", other: "Any") -> bool:
    return _less(other, one)


def _not_greater(one: "Any", other: "Any") -> bool:
    return not _less(other, one)


def _differ(one: "Any", other: "Any") -> bool:
    return not _same(one, other)


def _not(value: "Any") -> bool:
    return not is_true(value)


def _lower(text: "Any") -> str:
    return _text(text).lower()


def _upper(text: "Any") -> str:
    return _text(text).upper()


def _printf(form: "Any", *values: "Any") -> str:
    return printf(_text(form), *values)


def _split(text: "Any", separator: "Any") -> list[str]:
    return _text(text).split(_text(separator)) if separator else list(_text(text))


def _truncate(text: "Any", length: "Any") -> str:
    return _text(text)[: _int(length)]


FUNCTIONS: "dict[str, tuple[Callable[..., Any], int, int]]" = {
    "eq": (_equal, 1, _MANY),
    "ge": (_not_less, 2, 2),
    "gt": (_greater, 2, 2),
    "html": (_html, 0, _MANY),
    "index": (_index, 1, _MANY),
    "join": (_join, 2, 2),
    "json": (_json, 1, 1),
    "le": (_not_greater, 2, 2),
    "len": (_length, 1, 1),
    "lower": (_lower, 1, 1),
    "lt": (_less, 2, 2),
    "ne": (_differ, 2, 2),
    "not": (_not, 1, 1),
    "pad": (_pad, 3, 3),
    "print": (_print, 0, _MANY),
    "printf": (_printf, 1, _MANY),
    "println": (_println, 0, _MANY),
    "slice": (_slice, 1, 4),
    "split": (_split, 2, 2),
    "title": (_title, 1, 1),
    "truncate": (_truncate, 2, 2),
    "upper": (_upper, 1, 1),
    "urlquery": (_urlquery, 0, _MANY),
}
"""Each function with the least and the greatest number of its arguments."""


def _same_text(text: "Any", *_rest: "Any") -> "Any":
    return text


HEADING_FUNCTIONS = {
    **FUNCTIONS,
    **dict.fromkeys(("join", "json", "lower", "split", "title", "truncate", "upper"), (_same_text, 1, 2)),
}
"""For the heading of a table, whose words a template for its cells must not change."""
