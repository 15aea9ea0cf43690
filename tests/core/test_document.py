"""Our JSON is the standard library's, to the byte, with and without its C code."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolkit.core import document

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
    max_leaves=30,
)


@given(_VALUES)
@example({"a": [1, 2.5, None, True, "\ud800 ü \u2028 \x00"], "": {}})
def test_encoded_to_the_byte_as_json_does(value: Any) -> None:
    assert document.encode(value) == json.dumps(value).encode()


@given(_VALUES)
def test_decoded_as_json_does(value: Any) -> None:
    text = json.dumps(value, indent=1)
    assert document.decode(text) == json.loads(text)
    assert document.decode(f"\n\t {text}\r\n".encode()) == json.loads(text)


@given(_VALUES)
def test_decoded_as_json_does_where_text_is_not_ascii(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert document.decode(text) == json.loads(text)


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn\\u \x00\n', max_size=20) | st.text(max_size=20))
@example('{"a"')
@example('"abc')
@example("[1,")
@example('{"a":1,}')
@example('"\\u12"')
@example("1 2")
@example("Infinit")
@example("\ufeff1")
@example("")
@example("1" * 5000)
def test_what_json_refuses_is_a_value_error(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - each interpreter has its own words
            document.decode(text)
    else:
        found = document.decode(text)
        assert found == expected or (math.isnan(found) and math.isnan(expected))


def test_numbers_that_are_none_are_read_and_written_as_json_does() -> None:
    assert document.decode("[Infinity, -Infinity]") == [math.inf, -math.inf]
    assert document.encode([math.nan, math.inf]) == b"[NaN, Infinity]"


def test_bytes_that_are_no_utf8_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        document.decode(b'"\xff"')


def test_what_json_has_no_word_for_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="bytes"):
        document.encode({"a": b""})


def test_too_deep_is_a_recursion_error() -> None:
    with pytest.raises(RecursionError):
        document.decode("[" * 100_000)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RecursionError):
        document.encode(loop)


@given(st.text())
def test_quoted_as_it_stands_in_a_document(text: str) -> None:
    assert document.quote(text) == json.dumps(text, ensure_ascii=False)


_WITHOUT_C = """
import sys
sys.modules["_json"] = None
sys.path.insert(0, {root!r})
from toolkit.core import document
assert "json" in sys.modules
try:
    document.decode("[1,")
except ValueError:
    print(document.encode(document.decode(b'{{"a": [1, null, "\\xc3\\xbc"]}}')).decode(), document.quote('"'))
"""
_MALFORMED = """
import sys
sys.path.insert(0, {root!r})
from toolkit.core import document
sys.meta_path.clear()
for text in ('[1,', '{{"a"', '"x', 'nul', '', '{{"a":1,}}'):
    try:
        document.decode(text)
    except ValueError:
        print("refused")
"""


def _in_a_bare_interpreter(code: str) -> str:
    root = sys.modules["toolkit"].__path__[0].removesuffix("/toolkit")
    command = [sys.executable, "-I", "-S", "-c", code.format(root=root)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_works_where_the_interpreter_has_no_c_code_for_json() -> None:
    assert _in_a_bare_interpreter(_WITHOUT_C) == '{"a": [1, null, "\\u00fc"]} "\\""\n'


def test_malformed_is_a_value_error_where_nothing_can_be_imported_any_more() -> None:
    assert _in_a_bare_interpreter(_MALFORMED).split() == ["refused"] * 6
