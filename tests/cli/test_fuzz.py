"""Whatever is typed: an answer or an error that was meant, never a crash."""

import io
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import toolkit.cli
from toolkit.cli.detach import KeyWatcher
from toolkit.cli.flags import HelpRequestedError, UsageError, parse
from toolkit.cli.run_flags import RUN_FLAGS, container_options
from toolkit.cli.template import FreeMap, TemplateError, compile_template, render
from toolkit.cli.template.text import printf, quote, unquote

FLAG_WORDS = [f"--{flag.name}" for flag in RUN_FLAGS] + [f"-{flag.short}" for flag in RUN_FLAGS if flag.short]
VALUES = [
    "",
    "=",
    "x",
    "-1",
    "1.5g",
    "a=b",
    "/t:size=1m",
    "nofile=1:2",
    "true",
    "host",
    "ctrl-p,ctrl-q",
    "\x1b[0m",
    "ü",
]
words = st.lists(
    st.sampled_from(FLAG_WORDS + VALUES + ["--", "-", "--help", "-it", "-eA=b", "--rm=false", "lab"])
    | st.text(max_size=8),
    max_size=8,
)


@given(words)
def test_any_words_are_options_or_a_usage_error(argv: list[str]) -> None:
    with suppress(UsageError, HelpRequestedError):
        parsed = parse(RUN_FLAGS, argv, interspersed=False)
        if parsed.args:
            container_options(parsed)


@given(
    st.lists(
        st.sampled_from(["--", "-x", "--zork", "help", "container", "image", "foo", "-h", "--version", ""]), max_size=4
    )
)
def test_any_words_before_a_command_are_answered_in_one_line_or_by_help(argv: list[str]) -> None:
    out, err = io.StringIO(), io.StringIO()
    outcome = toolkit.cli.run(argv, stdout=out, stderr=err)
    assert outcome.exit_code in (0, 1, 125)
    assert bool(err.getvalue()) == (outcome.exit_code != 0)


PIECES = [
    "{{", "}}", "{{-", "-}}", ".", ".a", ".m.k", "$", "$x", ":=", "=", "|", "(", ")", "/*", "*/", ",", "1",
    "2.5", "`raw`", "'c'", "nil", "true", "text", "range", "if", "else", "end", "with", "define", "template",
    "break", "continue", "index", "len", "printf", "and", "or", "eq", "json", "join", "slice", "upper", '"t"',
    '"%d %s"', "\n", " ",
]  # fmt: skip
VALUE: dict[str, Any] = {"a": 1, "list": ["x", "y"], "m": FreeMap(k="v"), "s": "text", "none": None}
templates = st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.text(max_size=20)


def assert_answered(source: str) -> None:
    """Render a template; what comes of it is text or a TemplateError that says where."""
    try:
        text = render(compile_template(source), VALUE)
    except TemplateError as exc:
        text = str(exc).removeprefix("template: :")
        if text == str(exc):
            raise
    assert isinstance(text, str)


@settings(max_examples=500)
@given(templates)
def test_any_template_is_text_or_a_template_error(source: str) -> None:
    assert_answered(source)


@settings(max_examples=500)
@given(
    st.lists(
        st.sampled_from(
            ["index", "slice", "len", "eq", "lt", "join", "split", "truncate", "pad", "printf", "json", "title"]
        ),
        min_size=1,
        max_size=1,
    ),
    st.lists(
        st.sampled_from([".", ".a", ".list", ".m", ".s", ".none", "1", "-1", '"x"', "2.5", "true", "nil"]), max_size=4
    ),
)
def test_any_call_with_any_arguments_is_text_or_a_template_error(name: list[str], arguments: list[str]) -> None:
    assert_answered("{{" + " ".join(name + arguments) + "}}")


@given(st.text())
def test_quoted_text_is_printable_and_comes_back(text: str) -> None:
    quoted = quote(text)
    assert quoted.isprintable()
    assert unquote(quoted) == text


@given(st.text(max_size=10), st.lists(st.integers() | st.floats() | st.text() | st.booleans() | st.none(), max_size=3))
def test_printf_takes_anything(form: str, values: list[Any]) -> None:
    assert isinstance(printf(form, *values), str)


@given(st.binary(min_size=1, max_size=3), st.lists(st.binary(max_size=6), max_size=5))
def test_detach_keys_lose_no_other_byte(keys: bytes, chunks: list[bytes]) -> None:
    watcher = KeyWatcher(keys)
    passed = b""
    for chunk in chunks:
        data, is_complete = watcher.feed(chunk)
        passed += data
        if is_complete:
            assert keys in b"".join(chunks)
            return
    typed = b"".join(chunks)
    assert typed.startswith(passed)
    assert keys.startswith(typed[len(passed) :])
