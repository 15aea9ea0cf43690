"""Tokens into a tree, as text/template/parse/parse.go does it.

The tree is made of tuples; evaluate.py walks it.  Names of functions and
variables are checked here, so a template that compiles only fails on values.
"""

from toolkit.cli.template.functions import BUILT_IN, FUNCTIONS
from toolkit.cli.template.lex import TemplateError, Token, lex, syntax_error, value_error
from toolkit.cli.template.text import unquote
from toolkit.core.record import NamedTuple

__all__ = ["TemplateError", "compile_template"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_KEYWORDS = frozenset(("if", "range", "with", "end", "else", "define", "template", "block", "break", "continue"))


class Constant(NamedTuple):
    """A string, number, boolean or nil."""

    value: "Any"
    at: int
    text: str


class Operand(NamedTuple):
    """A dot, a variable, a function's name or a parenthesis, and the fields that hang on it."""

    kind: str
    """dot, variable, function or pipe."""
    name: str
    pipe: "Pipe | None"
    fields: tuple[str, ...]
    at: int
    text: str


class Call(NamedTuple):
    """One stage of a pipeline: an operand and its arguments."""

    words: tuple[Constant | Operand, ...]
    text: str


class Pipe(NamedTuple):
    """A pipeline, and the variables that take its value."""

    calls: tuple[Call, ...]
    variables: tuple[str, ...]
    is_assignment: bool
    at: int
    text: str


class Text(NamedTuple):
    """Literal text."""

    text: str


class Show(NamedTuple):
    """Print a pipeline's value, unless it goes into a variable."""

    pipe: Pipe


class Block(NamedTuple):
    """if, range or with."""

    kind: str
    pipe: Pipe
    body: "tuple[Node, ...]"
    otherwise: "tuple[Node, ...]"


class Jump(NamedTuple):
    """break or continue."""

    kind: str


class Include(NamedTuple):
    """Render a named template in place."""

    name: str
    pipe: Pipe | None
    at: int
    text: str


Node = Text | Show | Block | Jump | Include


class Template(NamedTuple):
    """A template that can be rendered."""

    source: str
    body: tuple[Node, ...]
    named: "Mapping[str, tuple[Node, ...]]"


def compile_template(source: str) -> Template:
    """Read a template.

    Raises:
        TemplateError: in the words of Go's parser.
    """
    parser = _Parser(source)
    body, _ = parser.nodes(())
    return Template(source, body, parser.named)


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.named: dict[str, tuple[Node, ...]] = {}
        self._tokens = list(lex(source))
        self._next = 0
        self._variables = ["$"]
        self._range_depth = 0

    # Nodes

    def nodes(self, ends: tuple[str, ...]) -> tuple[tuple[Node, ...], str]:
        """Read nodes up to one of the keywords `ends`, which is consumed; return which it was."""
        found: list[Node] = []
        while self._next < len(self._tokens):
            token = self._take()
            if token.kind == "text":
                found.append(Text(token.text))
                continue
            word = self._peek_keyword()
            if word in ("end", "else"):
                if word not in ends:
                    expected = "expected end; found" if ends else "unexpected"
                    raise self._error(token, f"{expected} {{{{{word}}}}}")
                self._take()
                return tuple(found), word
            node = self._action(word)
            if node is not None:
                found.append(node)
        if ends:
            raise syntax_error(self.source, len(self.source), "unexpected EOF")
        return tuple(found), ""

    def _action(self, word: str) -> Node | None:
        if not word:
            return Show(self._pipe("command"))
        token = self._take()
        if word in ("if", "range", "with"):
            return self._block(word)
        if word in ("break", "continue"):
            if not self._range_depth:
                raise self._error(token, f"{{{{{word}}}}} outside {{{{range}}}}")
            self._close(word)
            return Jump(word)
        start = self._peek().start
        name = self._string(word)
        if word == "define":
            self._close("define")
            self._define(name)
            return None
        pipe = self._pipe(word) if self._peek().kind != "close" else None
        if pipe is None:
            self._take()
        if word == "block":
            self._define(name)
        return Include(name, pipe, start, f"{{{{{word} {self.source[start : self._tokens[self._next - 1].start]}}}}}")

    def _define(self, name: str) -> None:
        outer, self._variables = self._variables, ["$"]
        self.named[name], _ = self.nodes(("end",))
        self._close("end")
        self._variables = outer

    def _block(self, kind: str) -> Block:
        known = len(self._variables)
        pipe = self._pipe(kind)
        self._range_depth += kind == "range"
        body, end = self.nodes(("else", "end"))
        self._range_depth -= kind == "range"
        otherwise: tuple[Node, ...] = ()
        if end == "else":
            chained = self._peek_keyword() if kind != "range" else ""
            if chained == kind:
                self._take()
                otherwise = (self._block(kind),)
                del self._variables[known:]
                return Block(kind, pipe, body, otherwise)
            self._close("else")
            otherwise, _ = self.nodes(("end",))
        self._close("end")
        del self._variables[known:]
        return Block(kind, pipe, body, otherwise)

    # Pipelines

    def _pipe(self, context: str, end: str = "close") -> Pipe:
        start = self._peek().start
        names, is_assignment = self._declaration(context)
        calls = [self._call(context, end)]
        while self._peek().kind == "pipe":
            self._take()
            calls.append(self._call(context, end))
        closing = self._take()
        for call in calls[1:]:
            if isinstance(call.words[0], Constant):
                raise self._error(closing, f"non executable command in pipeline stage {calls.index(call) + 1}")
        if not is_assignment:
            self._variables.extend(names)
        return Pipe(tuple(calls), names, is_assignment, start, self.source[start : closing.start].strip())

    def _declaration(self, context: str) -> tuple[tuple[str, ...], bool]:
        """Read `$x :=`, `$x =` or, in a range, `$i, $x :=`."""
        kinds = [token.kind for token in self._tokens[self._next : self._next + 4]]
        if kinds == ["variable", "comma", "variable", "comma"]:
            raise self._error(self._peek(), f"too many declarations in {context}")
        if kinds[:2] in (["variable", "declare"], ["variable", "assign"]):
            count = 1
        elif (
            context == "range"
            and kinds[:3] == ["variable", "comma", "variable"]
            and kinds[3:] in (["declare"], ["assign"])
        ):
            count = 2
        else:
            return (), False
        tokens = [self._take() for _ in range(2 * count)]
        names = tuple(token.text for token in tokens[::2])
        is_assignment = tokens[-1].kind == "assign"
        if is_assignment:
            for token in tokens[::2]:
                self._check_variable(token)
        return names, is_assignment

    def _call(self, context: str, end: str) -> Call:
        words: list[Constant | Operand] = []
        start = self._peek().start
        while (token := self._peek()).kind not in ("pipe", end):
            if token.kind in ("close", "right"):
                raise self._error(token, "unclosed left paren" if token.kind == "close" else "unexpected right paren")
            if words and not token.is_spaced and token.kind != "left":
                raise self._error(token, f"unexpected {_shown(token)} in operand")
            words.append(self._operand(context))
        if not words:
            raise self._error(token, f"missing value for {context}")
        if len(words) == 1 and words[0].text == "nil":
            raise self._at(words[0].at, "nil", "nil is not a command")
        last = self._tokens[self._next - 1]
        return Call(tuple(words), self.source[start : last.start + len(last.text)])

    def _operand(self, context: str) -> Constant | Operand:
        token = self._take()
        start, text = token.start, token.text
        if token.kind == "field":
            return self._chain("dot", "", None, start, (text[1:],))
        if token.kind == "dot":
            return Operand("dot", "", None, (), start, ".")
        if token.kind == "variable":
            self._check_variable(token)
            return self._chain("variable", text, None, start)
        if token.kind == "left":
            return self._chain("pipe", "", self._pipe("parenthesized pipeline", "right"), start)
        if token.kind == "name":
            return self._name(token)
        constant = _constant(token)
        if constant is None:
            raise self._error(token, f"unexpected {_shown(token)} in {context}")
        return constant

    def _name(self, token: Token) -> Constant | Operand:
        words = {"true": True, "false": False, "nil": None}
        if token.text in words:
            return Constant(words[token.text], token.start, token.text)
        if token.text not in FUNCTIONS and token.text not in BUILT_IN:
            raise self._error(token, f'function "{token.text}" not defined')
        return Operand("function", token.text, None, (), token.start, token.text)

    def _chain(self, kind: str, name: str, pipe: Pipe | None, start: int, fields: tuple[str, ...] = ()) -> Operand:
        at = start
        while (token := self._peek()).kind == "field" and not token.is_spaced:
            if at == start:
                at = token.start  # Go's position of a chain is that of the first link that hangs on it
            fields = (*fields, self._take().text[1:])
        last = self._tokens[self._next - 1]
        return Operand(kind, name, pipe, fields, at, self.source[start : last.start + len(last.text)])

    # Tokens

    def _take(self) -> Token:
        token = self._peek()
        self._next += 1
        return token

    def _peek(self) -> Token:
        if self._next >= len(self._tokens):
            raise syntax_error(self.source, len(self.source), "unexpected EOF")
        return self._tokens[self._next]

    def _peek_keyword(self) -> str:
        token = self._peek()
        return token.text if token.kind == "name" and token.text in _KEYWORDS else ""

    def _close(self, context: str) -> None:
        token = self._take()
        if token.kind != "close":
            raise self._error(token, f"unexpected {_shown(token)} in {context}")

    def _string(self, context: str) -> str:
        token = self._take()
        if token.kind != "string":
            raise self._error(token, f"unexpected {_shown(token)} in {context} clause")
        return unquote(token.text)

    def _check_variable(self, token: Token) -> None:
        if token.text not in self._variables:
            raise self._error(token, f'undefined variable "{token.text}"')

    def _error(self, token: Token, message: str) -> TemplateError:
        return syntax_error(self.source, token.start, message)

    def _at(self, at: int, text: str, message: str) -> TemplateError:
        return value_error(self.source, at, text, message)


def _shown(token: Token) -> str:
    return f"<{token.text}>" if token.kind in ("field", "variable", "name") else f'"{token.text}"'


def _constant(token: Token) -> Constant | None:
    if token.kind == "string":
        return Constant(unquote(token.text), token.start, token.text)
    if token.kind == "char":
        return Constant(ord(unquote('"' + token.text[1:-1] + '"')), token.start, token.text)
    if token.kind != "number":
        return None
    try:
        return Constant(int(token.text, 0), token.start, token.text)
    except ValueError:
        return Constant(float(token.text), token.start, token.text)
