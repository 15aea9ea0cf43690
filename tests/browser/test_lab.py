"""The notebooks in a real JupyterLab in a real browser, as a student sees them."""

import pathlib

import pytest

from tests.browser.conftest import OpenCells, OpenNotebook
from tests.support.nested import REPOSITORY

pytestmark = [pytest.mark.needs("root", "overlay", "chromium"), pytest.mark.timeout(300)]

NOTEBOOKS = sorted(pathlib.Path(REPOSITORY, "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_without_error_in_jupyterlab(open_notebook: OpenNotebook, path: pathlib.Path) -> None:
    notebook = open_notebook(path.name)
    notebook.run_all()
    notebook.screenshot(path.stem)
    assert notebook.complaints == []


def test_failed_cell_and_console_error_are_seen(open_cells: OpenCells) -> None:
    notebook = open_cells("from IPython.display import Javascript\nJavascript('console.error(\"oh no\")')", "1 / 0")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        notebook.run_all()
    assert "oh no" in notebook.take_complaints()


def test_one_cell_is_run_and_its_output_is_seen(open_cells: OpenCells) -> None:
    notebook = open_cells("1 + 1", "print('second')")
    notebook.run_cell(1)
    assert notebook.text(1) == "second"
    assert notebook.prompts() == ["[ ]:", "[1]:"]


def test_theme_is_the_one_asked_for(open_cells: OpenCells) -> None:
    notebook = open_cells("1", theme="dark")
    background = "getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor"
    dark = notebook.page.evaluate(background)
    notebook.use_theme("light")
    assert dark != notebook.page.evaluate(background) == "rgb(255, 255, 255)"


def test_kernel_is_restarted_and_forgets(open_cells: OpenCells) -> None:
    notebook = open_cells("known = 1", "'known' in globals()")
    notebook.run_cell(0)
    notebook.run_cell(1)
    assert notebook.text(1) == "True"
    notebook.restart_kernel()
    notebook.run_cell(1)
    assert notebook.text(1) == "False"


def test_page_is_loaded_again_and_the_kernel_goes_on(open_cells: OpenCells) -> None:
    notebook = open_cells("known = 1", "known")
    notebook.run_cell(0)
    notebook.reload()
    notebook.run_cell(1)
    assert notebook.text(1) == "1"


def test_there_are_notebooks_to_open() -> None:
    assert NOTEBOOKS
