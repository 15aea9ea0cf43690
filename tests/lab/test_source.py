"""The notebook of a lab: blank for students, solved for instructors, with metadata as nbgrader has them."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support.labs import make_toy, toy_notebook
from toolkit.core.errors import InvalidError
from toolkit.lab import catalogue, definition, source
from toolkit.lab.source import blanked

LABS = catalogue.directories()
_KEYS = {"schema_version", "grade", "solution", "locked", "task", "grade_id"}


@pytest.mark.parametrize(
    ("text", "blank"),
    [
        ("a = 1\n### BEGIN SOLUTION\na = 2\n### END SOLUTION", "a = 1\n# YOUR CODE HERE\nraise NotImplementedError()"),
        (
            "def f():\n    ### BEGIN SOLUTION\n    return 2\n    ### END SOLUTION",
            "def f():\n    # YOUR CODE HERE\n    raise NotImplementedError()",
        ),
        ("a\n### BEGIN HIDDEN TESTS\nb\n### END HIDDEN TESTS\nc", "a\nc"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_solutions_are_taken_out_as_nbgrader_does(text: str, blank: str) -> None:
    assert blanked(text, "lab.py") == blank


@pytest.mark.parametrize(
    "text",
    [
        "### BEGIN SOLUTION",
        "### END SOLUTION",
        "### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION",
        "### BEGIN SOLUTION\n### END HIDDEN TESTS",
    ],
)
def test_mark_without_its_counterpart_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="### "):
        blanked(text, "lab.py")


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("home", LABS, ids=lambda path: Path(path).name)
@pytest.mark.parametrize("is_solved", [True, False])
def test_metadata_are_what_nbgrader_validates(home: str, *, is_solved: bool) -> None:
    lab = definition.read(home)
    notebook = source.notebook(home, lab, is_solved=is_solved)
    nbformat.validate(notebook)
    marks = [cell.metadata["nbgrader"] for cell in _code(notebook)]
    for found in marks:  # nbgrader/nbgraderformat/v3.py
        assert set(found) - {"points"} == _KEYS
        assert found["schema_version"] == 3
        assert ("points" in found) == found["grade"]
        assert found["locked"] != found["solution"]
    names = [found["grade_id"] for found in marks]
    assert len(set(names)) == len(names)
    assert sum(found["points"] for found in marks if found["grade"]) == lab.points


@pytest.mark.parametrize("home", LABS, ids=lambda path: Path(path).name)
def test_blank_has_a_stub_in_each_solution_and_no_solution(home: str) -> None:
    lab = definition.read(home)
    solved = _code(source.notebook(home, lab, is_solved=True))
    blank = _code(source.notebook(home, lab, is_solved=False))
    assert len(solved) == len(blank)
    stubs = 0
    for one, other in zip(solved, blank, strict=True):
        if one.metadata["nbgrader"]["solution"]:
            assert "raise NotImplementedError()" in other.source
            assert "### " not in other.source
            stubs += 1
        else:
            assert one.source == other.source
    assert stubs >= 1


def test_no_magic_is_left_a_comment() -> None:
    for home in LABS:
        for cell in _code(source.notebook(home, definition.read(home), is_solved=True)):
            lines = [line.strip() for line in cell.source.splitlines()]
            assert [line for line in lines if line.startswith(("# %", "# !"))] == [], home


def test_notebook_is_the_same_each_time(tmp_path: Path) -> None:
    home = make_toy(tmp_path / "toy")
    assert toy_notebook(home, is_solved=False) == toy_notebook(home, is_solved=False)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('# %% check="T.2"', "# %%"), r"checks T\.1, and checks\.py has T\.1, T\.2"),
        (('# %% solution="two"', "# %%"), "not marked as a solution"),
        (('### BEGIN SOLUTION\npathlib.Path("two")', 'pathlib.Path("two")'), "has no ### BEGIN SOLUTION"),
    ],
)
def test_source_that_does_not_fit_its_checks_is_refused(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    home = make_toy(tmp_path / "toy")
    (home / "lab.py").write_text((home / "lab.py").read_text().replace(*change))
    with pytest.raises(InvalidError, match=complaint):
        toy_notebook(home, is_solved=True)
