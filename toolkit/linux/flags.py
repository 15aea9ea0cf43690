"""Flags as strace prints them: their names joined by |, what is left in hex."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def flag_names(value: int, names: "Mapping[str, int]", zero: str = "0") -> str:
    """Return the names of the bits that are set in `value`.

    Args:
        value: the flags.
        names: each name and its bits; composite names first, so that they win.
        zero: what to print where no bit is set.
    """
    key = (id(names), value, zero)
    known = _KNOWN.get(key)
    if known is None:
        known = _KNOWN[key] = (_spell(value, names, zero), names)
    return known[0]


_KNOWN: "dict[tuple[int, int, str], tuple[str, Mapping[str, int]]]" = {}
"""Texts by table, value and zero, of which few occur; a table is kept so that its id stays its own."""


def _spell(value: int, names: "Mapping[str, int]", zero: str) -> str:
    found: list[str] = []
    for name, bits in names.items():
        if bits and value & bits == bits:
            found.append(name)
            value &= ~bits
    if value or not found:
        found.append(hex(value) if value else zero)
    return "|".join(found)


def quoted(text: str | None) -> str:
    """Return a C string literal, or NULL."""
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
