"""A tree and a value into text, as text/template/exec.go does it.

Objects come as dicts.  In a plain dict (a Go struct) an unknown key is an
error, since it is a typing mistake; in a `FreeMap` (labels, ports, ...) it is
`<no value>`, since the key is the user's own.  A callable value is a method.
"""

from toolkit.cli.template.functions import FUNCTIONS, HEADING_FUNCTIONS, FunctionError, WrongTypeError, is_true
from toolkit.cli.template.lex import TemplateError, value_error
from toolkit.cli.template.parse import Block, Call, Constant, Include, Jump, Node, Operand, Pipe, Show, Template, Text
from toolkit.cli.template.text import NO_VALUE, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_MAX_DEPTH = 100  # Go's is 100,000; each costs Python two frames of its 1,000


class FreeMap(dict[str, "Any"]):
    """A map whose keys are the user's: one that is missing has no value."""


class _BreakError(Exception):
    pass


class _ContinueError(Exception):
    pass


_JUMPS = {"break": _BreakError, "continue": _ContinueError}


def render(template: Template, value: "Any", *, is_heading: bool = False) -> str:
    """Return the template's text for `value`.

    Args:
        template: what to render.
        value: the dot, and `$`.
        is_heading: `value` has a table's headings, which functions such as `upper` leave alone.

    Raises:
        TemplateError: in the words of Go's text/template, with line, column and the failing operand.
    """
    run = _Run(template, HEADING_FUNCTIONS if is_heading else FUNCTIONS)
    run.nodes(template.body, value)
    return "".join(run.parts)


class _Run:
    def __init__(self, template: Template, functions: "Mapping[str, Any]") -> None:
        self._functions = functions
        self.parts: list[str] = []
        self._template = template
        self._scope: list[tuple[str, Any]] = []
        self._depth = 0

    def nodes(self, body: tuple[Node, ...], dot: "Any") -> None:
        if not self._scope:
            self._scope.append(("$", dot))
        for node in body:
            if isinstance(node, Text):
                self.parts.append(node.text)
            elif isinstance(node, Show):
                value = self._pipe(node.pipe, dot)
                if not node.pipe.variables:
                    self.parts.append(show(value))
            elif isinstance(node, Block):
                self._block(node, dot)
            elif isinstance(node, Jump):
                raise _JUMPS[node.kind]
            else:
                self._include(node, dot)

    def _block(self, node: Block, dot: "Any") -> None:
        mark = len(self._scope)
        if node.kind == "range":
            self._range(node, dot, mark)
        else:
            value = self._pipe(node.pipe, dot)
            if is_true(value):
                self.nodes(node.body, value if node.kind == "with" else dot)
            else:
                self.nodes(node.otherwise, dot)
        del self._scope[mark:]

    def _range(self, node: Block, dot: "Any", mark: int) -> None:
        pipe = node.pipe
        items = list(self._items(self._pipe(pipe._replace(variables=()), dot), pipe))
        for key, value in items:
            names = pipe.variables
            pairs = ((names[0], value),) if len(names) == 1 else tuple(zip(names, (key, value), strict=False))
            for name, item in pairs:
                self._bind(name, item, is_assignment=pipe.is_assignment)
            try:
                self.nodes(node.body, value)
            except _BreakError:
                break
            except _ContinueError:
                pass
            finally:
                del self._scope[mark:]
        if not items:
            self.nodes(node.otherwise, dot)

    def _items(self, value: "Any", pipe: Pipe) -> "Iterable[tuple[Any, Any]]":
        if isinstance(value, dict):
            return ((key, value[key]) for key in sorted(value))
        if isinstance(value, list | tuple):
            return enumerate(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return ((number, number) for number in range(value))
        if value is None or value is NO_VALUE:
            return ()
        raise self._error(pipe.calls[-1].words[0].at, pipe.text, f"range can't iterate over {show(value)}")

    def _include(self, node: Include, dot: "Any") -> None:
        value = None if node.pipe is None else self._pipe(node.pipe, dot)
        if node.name not in self._template.named:
            raise self._error(node.at, node.text, f'template "{node.name}" not defined')
        if self._depth >= _MAX_DEPTH:
            raise self._error(node.at, node.name, f"exceeded maximum template depth ({_MAX_DEPTH})")
        outer, self._scope = self._scope, []
        self._depth += 1
        self.nodes(self._template.named[node.name], value)
        self._depth -= 1
        self._scope = outer

    # Pipelines

    def _pipe(self, pipe: Pipe, dot: "Any") -> "Any":
        extra: tuple[Any, ...] = ()
        value: Any = None
        for call in pipe.calls:
            value = self._call(call, dot, extra)
            extra = (value,)
        for name in pipe.variables:
            self._bind(name, value, is_assignment=pipe.is_assignment)
        return value

    def _bind(self, name: str, value: "Any", *, is_assignment: bool) -> None:
        if is_assignment:
            for number in range(len(self._scope) - 1, -1, -1):
                if self._scope[number][0] == name:
                    self._scope[number] = (name, value)
                    return
        self._scope.append((name, value))

    def _call(self, call: Call, dot: "Any", extra: "tuple[Any, ...]") -> "Any":
        first, *words = call.words
        if isinstance(first, Operand) and first.kind == "function":
            if first.name in ("and", "or"):
                return self._logic(first, words, dot, extra)
            return self._function(first, call.text, (*(self._operand(word, dot) for word in words), *extra))
        value = self._operand(first, dot, bare=False)
        if callable(value):
            arguments = (*(self._operand(word, dot) for word in words), *extra)
            return self._method(first, value, arguments)
        if not words and not extra:
            return value
        if isinstance(first, Operand) and first.fields:
            raise self._error(first.at, first.text, f"{first.fields[-1]} is not a method but has arguments")
        raise self._error(first.at, first.text, f"can't give argument to non-function {first.text}")

    def _logic(self, first: Operand, words: "list[Constant | Operand]", dot: "Any", extra: "tuple[Any, ...]") -> "Any":
        """Evaluate up to the operand that decides: `and` stops at the first false, `or` at the first true."""
        if not words and not extra:
            raise self._error(first.at, first.text, f"wrong number of args for {first.name}: want at least 1 got 0")
        value: Any = None
        for word in words:
            value = self._operand(word, dot)
            if is_true(value) == (first.name == "or"):
                return value
        return extra[0] if extra else value

    def _function(self, operand: Operand, text: str, arguments: "tuple[Any, ...]") -> "Any":
        function, low, high = self._functions[operand.name]
        count = len(arguments)
        if not low <= count <= high:
            want = low if low == high else f"at least {low}"
            message = f"wrong number of args for {operand.name}: want {want} got {count}"
            raise self._error(operand.at, operand.text, message)
        try:
            return function(*arguments)
        except WrongTypeError as exc:
            raise self._error(operand.at, operand.text, str(exc)) from exc
        except FunctionError as exc:
            raise self._error(operand.at, text, f"error calling {operand.name}: {exc}") from exc

    def _method(self, operand: Constant | Operand, method: "Any", arguments: "tuple[Any, ...]") -> "Any":
        try:
            return method(*arguments)
        except TypeError as exc:
            message = f"wrong number of args for {operand.text.rpartition('.')[2]}: got {len(arguments)}"
            raise self._error(operand.at, operand.text, message) from exc

    def _operand(self, word: Constant | Operand, dot: "Any", *, bare: bool = True) -> "Any":
        """Return an operand's value; a method is called where it stands `bare`, as an argument."""
        if isinstance(word, Constant):
            return word.value
        if word.kind == "function":
            return self._call(Call((word,), word.text), dot, ())
        value = dot
        if word.kind == "variable":
            value = next(item for name, item in reversed(self._scope) if name == word.name)
        elif word.pipe is not None:
            value = self._pipe(word.pipe, dot)
        for name in word.fields:
            value = self._field(word, value() if callable(value) else value, name)
        return value() if bare and callable(value) else value

    def _field(self, word: Operand, value: "Any", name: str) -> "Any":
        if value is NO_VALUE:
            return NO_VALUE
        if not isinstance(value, dict):
            problem = "nil pointer evaluating" if value is None else f"can't evaluate field {name} in type"
            raise self._error(word.at, word.text, f"{problem} interface {{}}{'.' + name if value is None else ''}")
        if name in value:
            return value[name]
        if isinstance(value, FreeMap):
            return NO_VALUE
        key = next((key for key in value if key.lower() == name.lower()), None) if name[:1].isupper() else None
        if key is None:
            raise self._error(word.at, word.text, f'map has no entry for key "{name}"')
        return value[key]  # .ID is Go's name for JSON's "Id", .NanoCPUs for "NanoCpus"

    def _error(self, at: int, text: str, message: str) -> TemplateError:
        return value_error(self._template.source, at, text, message)
