"""A lab as a student works on it: cards, hints that grow, and a kernel that is restarted in the middle."""

import pathlib

import pytest

from tests.browser.conftest import OpenNotebook
from tests.browser.jupyter import Server
from tests.browser.notebook import Notebook
from tests.support.session import EngineRoot
from toolkit.lab import student
from toolkit.lab.remains import processes_of

pytestmark = [pytest.mark.needs("root", "overlay", "ns:pid", "ns:mnt", "chromium"), pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _engine(module_engine_root: EngineRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_ROOT", module_engine_root.root)
    monkeypatch.setenv("CONTAINER_RUN", module_engine_root.run)


def start(server: Server, name: str, *, is_solved: bool) -> tuple[str, str]:
    """Make a copy of lab 1; return its directory, and its notebook's path as the server names it."""
    copy = student.start("1", str(pathlib.Path(server.directory, name)), is_solved=is_solved)
    return copy.directory, str(pathlib.Path(copy.notebook).relative_to(server.directory))


def checks_of(notebook: Notebook) -> list[int]:
    """Return the indexes of the code cells that check."""
    count = len(notebook.prompts())
    return [index for index in range(count) if 'check("' in notebook.cell(index).inner_text()]


def test_solved_lab_shows_green_cards(open_notebook: OpenNotebook, server: Server) -> None:
    directory, path = start(server, "solved", is_solved=True)
    notebook = open_notebook(path)
    notebook.run_all()
    notebook.screenshot("lab-1-solved")
    cards = checks_of(notebook)
    assert len(cards) == 5
    for index in cards:
        assert "done" in notebook.text(index)
    assert list(processes_of(directory)) == []


def test_hints_grow_and_what_comes_first_is_named(open_notebook: OpenNotebook, server: Server) -> None:
    _, path = start(server, "blank", is_solved=False)
    notebook = open_notebook(path, theme="dark")
    first, second = checks_of(notebook)[:2]
    notebook.run_cell(0)
    assert "Process number 1" in notebook.text(0)
    notebook.run_cell(first)
    assert "Hint 1" in notebook.text(first)
    assert "Hint 2" not in notebook.text(first)
    notebook.run_cell(first)
    assert "Hint 2" in notebook.text(first)
    notebook.run_cell(second)
    assert "First comes L1.1 A name of its own" in notebook.text(second)
    notebook.screenshot("lab-1-begin-dark", output=0)
    notebook.screenshot("lab-1-hints-dark", output=first)
    notebook.screenshot("lab-1-first-dark", output=second)
    notebook.use_theme("light")
    notebook.screenshot("lab-1-hints-light", output=first)


def test_kernel_restarted_in_the_middle_leaves_nothing_after_the_first_cell(
    open_notebook: OpenNotebook, server: Server
) -> None:
    directory, path = start(server, "restarted", is_solved=True)
    notebook = open_notebook(path)
    first = checks_of(notebook)[0]
    for index in range(first + 1):
        notebook.run_cell(index)
    assert "done" in notebook.text(first)
    assert list(processes_of(directory)) != []
    notebook.restart_kernel()
    notebook.run_cell(0)
    assert "ready" in notebook.text(0)
    assert list(processes_of(directory)) == []
