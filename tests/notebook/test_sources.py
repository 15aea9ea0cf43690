"""The notebooks: generated from their sources, without outputs, and true to the promise of an assertion."""

import json
import os

import nbformat
import pytest

from tests.support.notebooks import render, sources, target

_MOST_COLUMNS = 105
"""JupyterLab shows so many on a screen that is 1300 pixels wide, with its file browser open."""
pytestmark = pytest.mark.parametrize("source", sources(), ids=os.path.basename)


def test_notebook_is_what_its_source_says(source: str) -> None:
    with open(target(source), encoding="utf-8") as file:
        assert file.read() == render(source), "run: python -m tests.support.notebooks"


def test_notebook_is_stripped(source: str) -> None:
    notebook = nbformat.read(target(source), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []


def test_source_is_python_to_every_tool(source: str) -> None:
    with open(source, encoding="utf-8") as file:
        compile(file.read(), source, "exec")


def test_no_line_of_code_is_cut_off_on_the_screen(source: str) -> None:
    code = [cell for cell in nbformat.reads(render(source), as_version=4).cells if cell.cell_type == "code"]
    lines = [line for cell in code for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > _MOST_COLUMNS] == []


def test_each_lesson_asserts_expects_and_gives_exercises(source: str) -> None:
    with open(target(source), encoding="utf-8") as file:
        cells = json.load(file)["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    code = [text for cell, text in zip(cells, texts, strict=True) if cell["cell_type"] == "code"]
    prose = "\n".join(text for cell, text in zip(cells, texts, strict=True) if cell["cell_type"] == "markdown")
    assert sum("assert " in text for text in code) >= 5
    assert prose.count("*Expect") >= 5
    assert "## Try it yourself" in prose
    assert "## To read" in prose
