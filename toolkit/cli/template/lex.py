"""Text into tokens, as text/template/parse/lex.go does it.

A token knows where it began (for messages) and whether a space came before
it, because `.a.b` is one operand and `.a .b` is two.
"""

import re

from toolkit.core.errors import InvalidError
from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


class TemplateError(InvalidError):
    """A template that does not parse, or does not fit the value it is rendered with."""


class Token(NamedTuple):
    """One word of a template."""

    kind: str
    """text, open, close, field, variable, name, string, char, number, dot, or the symbol itself."""
    text: str
    start: int
    is_spaced: bool
    """White space stands before it."""


_SPACE = " \t\r\n"
_ACTION = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<field>\.[A-Za-z_\u0080-\U0010ffff][\w]*)
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*)?\.?\d[\d_]*\.?(?:[eE][+-]?\d+)?))
    |(?P<dot>\.)
    |(?P<variable>\$\w*)
    |(?P<name>[A-Za-z_\u0080-\U0010ffff]\w*)
    |(?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
    |(?P<char>'(?:\\.|[^'\\\n])+')
    |(?P<declare>:=)|(?P<assign>=)|(?P<pipe>\|)|(?P<comma>,)|(?P<left>\()|(?P<right>\))""",
    re.VERBOSE,
)


def line_of(source: str, at: int) -> int:
    """Return the line number of a position, counted from 1."""
    return source.count("\n", 0, at) + 1


def syntax_error(source: str, at: int, message: str) -> TemplateError:
    """Return an error in Go's form: template: :LINE: message."""
    return TemplateError(f"template: :{line_of(source, at)}: {message}")


def value_error(source: str, at: int, text: str, message: str) -> TemplateError:
    """Return an error in the form of Go's execution: with the column, and the operand that failed."""
    column = at - (source.rfind("\n", 0, at) + 1)
    return TemplateError(f'template: :{line_of(source, at)}:{column}: executing "" at <{text}>: {message}')


def lex(source: str) -> "Iterator[Token]":
    """Yield the tokens of a template; text that a trim marker eats is gone already.

    Raises:
        TemplateError: an action, a comment or a string that does not end, or a character that fits nowhere.
    """
    at = 0
    is_trimmed = False
    while True:
        begin = source.find("{{", at)
        text = source[at:] if begin < 0 else source[at:begin]
        if is_trimmed:
            text = text.lstrip(_SPACE)
        inside = begin + 2
        trims_left = begin >= 0 and source[inside : inside + 1] == "-" and source[inside + 1 : inside + 2] in (*_SPACE,)
        if trims_left:
            text = text.rstrip(_SPACE)
            inside += 2
        if text:
            yield Token("text", text, at, is_spaced=False)
        if begin < 0:
            return
        if source.startswith("/*", inside):
            at, is_trimmed = _comment(source, inside)
            continue
        yield Token("open", "{{", begin, is_spaced=False)
        at = yield from _action(source, inside)
        is_trimmed = source[at - 3 : at - 2] == "-" and source[at - 4 : at - 3] in (*_SPACE,)


def _comment(source: str, at: int) -> tuple[int, bool]:
    end = source.find("*/", at)
    if end < 0:
        raise syntax_error(source, at, "unclosed comment")
    end += 2
    for close, is_trimmed in ((" -}}", True), ("}}", False)):
        if source.startswith(close, end):
            return end + len(close), is_trimmed
    raise syntax_error(source, at, "comment ends before closing delimiter")


def _action(source: str, at: int) -> "Generator[Token, None, int]":
    """Yield an action's tokens up to its close; return where the text goes on."""
    is_spaced = False
    kind = ""
    while True:
        if source.startswith("}}", at):
            yield Token("close", "}}", at, is_spaced)
            return at + 2
        if is_spaced and source.startswith("-}}", at):
            yield Token("close", "-}}", at, is_spaced)
            return at + 3
        found = _ACTION.match(source, at)
        if found is None:
            raise _bad(source, at, after=kind)
        kind = found.lastgroup or ""
        if kind != "space":
            yield Token(kind, found[0], at, is_spaced)
        is_spaced = kind == "space"
        at = found.end()


def _bad(source: str, at: int, after: str) -> TemplateError:
    rest = source[at:]
    if not rest:
        return syntax_error(source, at, "unclosed action")
    if rest[0] == '"':
        return syntax_error(source, at, "unterminated quoted string")
    if rest[0] == "`":
        return syntax_error(source, at, "unterminated raw quoted string")
    if rest[0] == "'":
        return syntax_error(source, at, "unterminated character constant")
    char = f"U+{ord(rest[0]):04X} {rest[0]!r}"
    is_in_word = after in ("field", "variable", "name")
    return syntax_error(
        source, at, f"bad character {char}" if is_in_word else f"unrecognized character in action: {char}"
    )
