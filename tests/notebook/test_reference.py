"""The reference is what the code says, and names everything that a learner is given."""

from xml.etree import ElementTree as ET

from tests.support import picture
from tests.support.reference import PATH, render
from toolkit.notebook import pictures


def test_reference_is_current() -> None:
    with open(PATH, encoding="utf-8") as file:
        assert file.read() == render(), "run: python -m tests.support.reference"


def test_every_picture_is_in_it() -> None:
    text = render()
    assert [name for name in pictures.__all__ if f"### `{name}(" not in text] == []


def test_parameters_and_errors_are_lists() -> None:
    text = render()
    assert "Raises:\n\n- NotFoundError: there is no container of that name." in text
    assert "- `.exec(*command, user='', env=None)`: Run one more command in it and wait" in text


def test_picture_is_a_drawing_of_a_split_view_that_needs_no_page() -> None:
    with open(picture.PATH, encoding="utf-8") as file:
        text = file.read()
    texts = [element.text for element in ET.fromstring(text).iter() if element.tag.endswith("text")]  # noqa: S314 - our own drawing
    assert {"this machine", "inside web", "sleep 500"} <= set(texts)
    assert "var(" not in text
    assert "prefers-color-scheme:dark" in text


def test_drawing_becomes_a_file_of_its_own() -> None:
    made = picture.standalone(
        '<div><svg font-family="var(--jp-code-font-family, x, monospace)"><text>a</text></svg></div>'
    )
    assert made.startswith('<svg xmlns="http://www.w3.org/2000/svg" font-family="x, monospace"><style>')
    assert ET.fromstring(made).find("{http://www.w3.org/2000/svg}text") is not None  # noqa: S314 - our own drawing
