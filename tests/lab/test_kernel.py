"""Checks in a real kernel: the card, the points, and students who do what students do."""

import os
import re
from pathlib import Path

import pytest

from tests.support.labs import Cell, execute, make_toy, nbval, toy_notebook, with_cell
from toolkit.lab.student import write_notebook

pytestmark = pytest.mark.timeout(180)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_toy(tmp_path / "work")


def run(work: Path, *cells: tuple[int, str], is_solved: bool = True) -> list[Cell]:
    notebook = toy_notebook(work, is_solved=is_solved)
    for before, text in cells:
        with_cell(notebook, before, text)
    return execute(notebook, str(work))


def checks(cells: list[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.source.endswith(('check("T.1")', 'check("T.2")'))]


def test_text_is_the_points_and_html_the_card(work: Path) -> None:
    first, second = checks(run(work))
    assert (first.text, second.text) == ("2", "3")
    assert "T.1 One" in first.html
    assert "2 of 2 points" in first.html
    assert (first.stderr, first.error) == ("", "")


def test_blank_shows_cards_with_hints_and_raises_nothing_in_them(work: Path) -> None:
    cells = run(work, is_solved=False)
    assert sum(cell.error == "NotImplementedError" for cell in cells) == 2
    first, second = checks(cells)
    assert (first.text, first.error, first.stderr) == ("0", "", "")
    assert "think of a file" in first.html
    assert "call it one" not in first.html
    assert "First comes <b>T.1 One</b>" in second.html


def test_name_of_the_students_shadows_no_check(work: Path) -> None:
    shadows = "check = lambda ident: print('100')\nlab = None\nprint = None"
    assert [cell.text for cell in checks(run(work, (2, shadows)))] == ["2", "3"]
    assert [cell.text for cell in checks(run(work, (2, shadows), is_solved=False))] == ["0", "0"]


def test_kernel_that_has_moved_or_lies_to_itself_changes_nothing(work: Path) -> None:
    lies = "import os\nos.path.exists = lambda path: True\nos.stat = None"
    assert [cell.text for cell in checks(run(work, (2, lies), is_solved=False))] == ["0", "0"]


def test_kernel_in_another_directory_is_told_where_to_open(work: Path) -> None:
    first = checks(run(work, (2, "import os\nos.chdir('/')")))[0]
    assert first.text == "0"
    assert "container lab start" in first.html


def test_first_cell_shows_the_tasks(work: Path) -> None:
    begun = run(work)[0]
    assert begun.text.splitlines() == [
        "Two files: 5 points, about 1 minutes",
        "  T.1 One (2 points)",
        "  T.2 Two (3 points)",
    ]
    assert "ready" in begun.html


def test_strict_run_ends_at_what_is_not_done(work: Path) -> None:
    for is_solved, failed in ((True, 0), (False, 2)):
        path = work / "lab.ipynb"
        write_notebook(str(path), toy_notebook(work, is_solved=is_solved))
        ran = nbval(path, LAB_STRICT="1")
        assert _COLOUR.sub("", ran.stdout).count("NotDoneError: T.") == failed, ran.stdout
        assert (ran.returncode == 0) == is_solved


def test_without_strict_a_check_lets_the_run_go_on(work: Path) -> None:
    path = work / "lab.ipynb"
    notebook = toy_notebook(work, is_solved=False)
    notebook.cells = [cell for cell in notebook.cells if "NotImplementedError" not in cell.source]
    write_notebook(str(path), notebook)
    ran = nbval(path, LAB_STRICT="")
    assert ran.returncode == 0, ran.stdout


def test_what_the_notebook_has_started_ends_with_the_lab(work: Path) -> None:
    start = "import subprocess\nonce = subprocess.Popen(['sleep', '1234.5'], start_new_session=True)\nonce.pid"
    stop = "from toolkit.notebook import lab as kit\nkit.stop_programs()\nonce.wait(timeout=5)"
    cells = run(work, (1, start), (2, stop))
    assert cells[2].text == "-9"
    assert not os.path.exists(f"/proc/{cells[1].text}")


def test_program_of_functions_runs_and_one_that_fails_says_why(work: Path) -> None:
    text = (
        "def hello():\n    ### BEGIN SOLUTION\n    print('hello', os.getpid())\n    ### END SOLUTION\n\n\n"
        "def fail():\n    raise KeyError('on purpose')\n\n\n"
        "lab.write_program('p.py', hello, fail)\nlab.run_program('p.py')"
    )
    shown = run(work, (1, text))[1]
    assert "p.py has ended with exit code 1" in shown.text
    assert "KeyError: 'on purpose'" in shown.text
    assert "### " not in (work / "p.py").read_text()
    assert "hello" in (work / "p.log").read_text()
