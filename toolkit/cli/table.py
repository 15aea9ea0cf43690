"""Lists as docker prints them: tables, --format templates, JSON lines.

A row is a dict from field name to text; a callable is a method (`.Label "x"`).
Cells come from users and images, so whatever could move a cursor is escaped.
"""

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

Row = dict[str, "Any"]
_MIN_WIDTH = 10
_GAP = 3
_TEMPLATE_ESCAPES = (("\\t", "\t"), ("\\n", "\n"))


def clean(text: str, keep: str = "") -> str:
    """Escape what is not printable, but for `keep`: a name must not be able to write on the user's screen."""
    if text.isprintable():
        return text
    from toolkit.cli.template.text import escape

    return "".join(char if char in keep else escape(char) for char in text)


def align(lines: "Sequence[Sequence[str]]", least: int = _MIN_WIDTH) -> str:
    """Lay cells out in columns as docker's tabwriter does: at least so wide, 3 apart, the last one as it is."""
    if not lines:
        return ""
    columns = max(map(len, lines))
    widths = [
        max([least, *(len(cells[column]) + _GAP for cells in lines if len(cells) > column + 1)])
        for column in range(columns)
    ]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=False))
        + (cells[-1] if cells else "")
        + "\n"
        for cells in lines
    )


def render_rows(
    rows: "Sequence[Row]",
    headers: "Mapping[str, str]",
    columns: "Sequence[str]",
    template: str = "",
) -> str:
    """Return the text of a list.

    Args:
        rows: a dict for each line.
        headers: the heading of each field that has one.
        columns: the fields of the default table.
        template: the value of --format: empty, "table", "table TEMPLATE", "json" or a template.

    Raises:
        InvalidError: the template does not parse, or names a field that is not there.
    """
    if template in ("", "table"):
        return align([[headers[name] for name in columns], *([clean(row[name]) for name in columns] for row in rows)])
    if template == "json":
        template = "{{json .}}"
    return _templated(rows, headers, template)


def render_ids(rows: "Sequence[Row]") -> str:
    """Return the text of a list with --quiet: the ids, a line each."""
    return "".join(row["ID"] + "\n" for row in rows)


def _templated(rows: "Sequence[Row]", headers: "Mapping[str, str]", template: str) -> str:
    from toolkit.cli.template import TemplateError, compile_template, render

    is_table = template.startswith("table ")
    for escaped, char in _TEMPLATE_ESCAPES:
        template = template.replace(escaped, char)
    try:
        compiled = compile_template(template.removeprefix("table ").strip() if is_table else template)
        lines = [render(compiled, dict(sorted(row.items()))) for row in rows]
        if not is_table:
            return "".join(clean(line, "\t\n") + "\n" for line in lines)
        methods = {name: _heading for name, value in (rows[0] if rows else {}).items() if callable(value)}
        headings = {**headers, **methods} if rows else _Headings(headers)
        lines.insert(0, render(compiled, headings, is_heading=True))
    except TemplateError as exc:
        raise InvalidError(f"failed to parse template: {exc}") from exc
    return align([clean(line, "\t\n").split("\t") for line in lines])


class _Headings(dict[str, "Any"]):
    """Headings where there is no row to learn the methods from."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> "Any":
        return _heading


def _heading(name: str = "") -> str:
    """Return the heading of a method's column: `.Label "com.example.the-name"` has "the name"."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def ellipsis(text: str, width: int) -> str:
    """Cut text to `width` characters, the last of which then is "…"."""
    return text if len(text) <= width else text[: width - 1] + "…"
