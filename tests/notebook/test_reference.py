"""The reference is what the code says, and names everything that a learner is given."""

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
