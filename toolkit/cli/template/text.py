"""How Go writes values: fmt's %v, %q and friends, and string literals."""

import math
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_QUOTED = {value: "\\" + key for key, value in _ESCAPES.items() if key != "'"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_VERB = re.compile(r"%([-+# 0]*)(\*|\d+)?(?:\.(\d+))?([a-zA-Z%]?)")


class NoValue:
    """What a missing key of a map is: printed as `<no value>`, false, without fields."""


NO_VALUE = NoValue()


class NilList(list["Any"]):
    """Go's nil slice: printed as [], null in JSON, empty otherwise."""


NIL_LIST = NilList()


def unquote(literal: str) -> str:
    """Return the string that a Go literal stands for."""
    if literal[0] == "`":
        return literal[1:-1]

    def replace(found: "re.Match[str]") -> str:
        for digits, base in ((found[1], 16), (found[2], 16), (found[3], 16), (found[4], 8)):
            if digits:
                return chr(int(digits, base))
        return _ESCAPES.get(found[5], found[0])

    return _ESCAPE.sub(replace, literal[1:-1])


def quote(text: str) -> str:
    """Write a string as Go's strconv.Quote does; nothing in it can move a cursor any more."""
    return '"' + "".join(_QUOTED.get(char) or escape(char) for char in text) + '"'


def escape(char: str) -> str:
    """Return a printable character as it is, any other as Go's escape."""
    if char.isprintable():
        return char
    number = ord(char)
    if number < 0x80 or 0xDC80 <= number <= 0xDCFF:  # the latter: a byte that was no UTF-8
        return f"\\x{number & 0xFF:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def to_json(value: "Any", indent: int | None = None) -> str:
    """Write a value as JSON for people: what is not printable is escaped, what is stays readable."""
    import json

    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    if text.replace("\n", "").isprintable():
        return text
    # json.dumps itself lets C1 controls (CSI in one byte) and changes of the direction of writing pass.
    return "".join(char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in text)


def show(value: "Any") -> str:
    """Write a value as fmt.Print does."""
    return "<no value>" if value is None or value is NO_VALUE else _nested(value)


def _nested(value: "Any") -> str:
    if value is None or value is NO_VALUE:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return show_float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_nested(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_nested, value)) + "]"
    return str(value)


def show_float(value: float) -> str:
    """Write a float as Go's %v: the shortest digits, with an exponent below 1e-4 and from 1e6 on."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    power = int(f"{value:.16e}".partition("e")[2])
    if -4 <= power < 6:
        return repr(value).removesuffix(".0")
    shortest = next(text for size in range(17) if float(text := f"{value:.{size}e}") == value)
    return f"{shortest.partition('e')[0]}e{power:+03d}"


def printf(form: str, *values: "Any") -> str:
    """Write values as fmt.Sprintf does, with the verbs v, s, q, d, x, X, o, b, c, t, e, f, g, T and %."""
    rest = list(values)

    def replace(found: "re.Match[str]") -> str:
        flags, width, precision, verb = found.groups()
        if verb == "%":
            return "%"
        if not verb:
            return "%!(NOVERB)"
        if width == "*":
            width = str(rest.pop(0)) if rest else ""
        if not rest:
            return f"%!{verb}(MISSING)"
        text = _verb(verb, rest.pop(0), flags, precision)
        return _pad(text, flags, int(width or 0), is_number=verb in "dxXobefg")

    text = _VERB.sub(replace, form)
    if rest:
        extra = ", ".join(f"{_type(value)}={_nested(value)}" for value in rest)
        text += f"%!(EXTRA {extra})"
    return text


def _pad(text: str, flags: str, width: int, *, is_number: bool) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and is_number:
        return text.zfill(width)
    return text.rjust(width)


def _verb(verb: str, value: "Any", flags: str, precision: str | None) -> str:
    if verb == "v":
        return _nested(value)
    if verb == "T":
        return _type(value)
    cut = None if precision is None else int(precision)
    text = None
    if isinstance(value, bool):
        text = _nested(value) if verb == "t" else None
    elif isinstance(value, int):
        text = _int_verb(verb, value, flags)
    elif isinstance(value, float):
        text = _float_verb(verb, value, flags, 6 if cut is None else cut)
    elif isinstance(value, str):
        text = _string_verb(verb, value, cut)
    elif verb == "s":
        text = _nested(value)
    return f"%!{verb}({_type(value)}={_nested(value)})" if text is None else text


def _int_verb(verb: str, value: int, flags: str) -> str | None:
    if verb == "c":
        return chr(value)
    sign = "+" if "+" in flags else ""
    return format(value, f"{sign}{'#' if '#' in flags else ''}{verb}") if verb in "dxXob" else None


def _float_verb(verb: str, value: float, flags: str, precision: int) -> str | None:
    return format(value, f"{'+' if '+' in flags else ''}.{precision}{verb}") if verb in "eEfFgG" else None


def _string_verb(verb: str, value: str, cut: int | None) -> str | None:
    if verb in "xX":
        digits = value.encode("utf-8", "surrogateescape").hex()
        return digits.upper() if verb == "X" else digits
    return {"s": value[:cut], "q": quote(value[:cut])}.get(verb)


def _type(value: "Any") -> str:
    names = {bool: "bool", int: "int", float: "float64", str: "string"}
    return names.get(type(value), "<nil>" if value is None else "interface {}")
