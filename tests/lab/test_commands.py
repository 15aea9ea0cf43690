"""`container lab`: what a student and an instructor type."""

import io
import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.labs import make_toy, toy_notebook
from toolkit.cli.main import run
from toolkit.lab import catalogue
from toolkit.lab.student import write_notebook


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


def lab(*words: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    outcome = run(["lab", *words], stdout=out, stderr=err, is_tty=False)
    return Ran(outcome.exit_code, out.getvalue(), err.getvalue())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_toy(tmp_path / "labs" / "99_toy")


@pytest.fixture
def work(tmp_path: Path, home: Path) -> Path:
    assert lab("start", str(home), str(tmp_path / "work")).code == 0
    return tmp_path / "work"


def test_list_shows_each_lab_with_its_points() -> None:
    listed = json.loads("[" + ",".join(lab("list", "--format", "json").out.split("\n")[:-1]) + "]")
    assert [row["Name"] for row in listed] == [Path(path).name for path in catalogue.directories()]
    assert {row["Points"] for row in listed} == {"10"}
    assert "Survive the memory hog" in lab("ls").out


def test_start_makes_a_blank_copy_that_is_set_up(work: Path) -> None:
    assert {path.name for path in work.iterdir()} == {".lab.json", "99_toy.ipynb", "checks.py", "given"}
    assert "raise NotImplementedError()" in (work / "99_toy.ipynb").read_text()
    assert "SOLUTION" not in (work / "99_toy.ipynb").read_text()


def test_start_solved_keeps_the_marks_for_nbgrader(tmp_path: Path, home: Path) -> None:
    ran = lab("start", "--solved", str(home), str(tmp_path / "source"))
    assert ran.out.startswith("Two files: 5 points, about 1 minutes\nOpen ")
    assert "### BEGIN SOLUTION" in (tmp_path / "source" / "99_toy.ipynb").read_text()


def test_start_refuses_a_directory_that_is_there(work: Path, home: Path) -> None:
    (work / "99_toy.ipynb").write_text("my work")
    ran = lab("start", str(home), str(work))
    assert ran.code == 1
    assert "exists" in ran.err
    assert "container lab reset" in ran.err
    assert (work / "99_toy.ipynb").read_text() == "my work"


def test_wrong_name_lists_the_labs(tmp_path: Path) -> None:
    ran = lab("start", "nine", str(tmp_path / "x"))
    assert ran.code == 1
    for path in catalogue.directories():
        assert Path(path).name in ran.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["1", "01", "container_in_40_lines", "01_container_in_40_lines"])
def test_lab_goes_by_number_or_name(name: str) -> None:
    assert Path(catalogue.find(name)).name == "01_container_in_40_lines"


def test_check_says_what_is_there_now(work: Path) -> None:
    ran = lab("check", str(work))
    assert ran.code == 1
    assert "T.1 One: not yet, 0 of 2 points" in ran.out
    assert "first comes T.1 One" in ran.out
    assert ran.out.endswith("0 of 5 points\n")
    assert "hint" not in ran.out
    (work / "one").touch()
    (work / "two").write_text("2\n")
    ran = lab("check", str(work))
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "5 of 5 points")


def test_check_of_one_task_is_an_attempt(work: Path) -> None:
    assert "hint 1: think of a file\n" in lab("check", str(work), "T.1").out
    assert "hint 2: call it one\n" in lab("check", str(work), "T.1").out


def test_check_elsewhere_says_so(tmp_path: Path) -> None:
    ran = lab("check", str(tmp_path))
    assert ran.code == 1
    assert "no lab in" in ran.err


def test_reset_keeps_the_notebook_and_nothing_else(work: Path) -> None:
    (work / "99_toy.ipynb").write_text("my work")
    (work / "one").touch()
    (work / "mine").mkdir()
    lab("check", str(work), "T.2")
    ran = lab("reset", str(work))
    assert ran.code == 0, ran.err
    assert "99_toy.ipynb.bak" in ran.out
    assert (work / "99_toy.ipynb.bak").read_text() == "my work"
    assert "YOUR CODE HERE" in (work / "99_toy.ipynb").read_text()
    names = {path.name for path in work.iterdir()}
    assert names == {".lab.json", "99_toy.ipynb", "99_toy.ipynb.bak", "checks.py", "given"}
    lab("reset", str(work))
    assert (work / "99_toy.ipynb.bak").read_text() == "my work"
    assert (work / "99_toy.ipynb.2.bak").exists()


def test_reset_deletes_nothing_of_a_directory_that_no_start_has_made(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.lab.catalogue.directories", lambda: [str(home)])
    mine = tmp_path / "home_of_ada"
    mine.mkdir()
    (mine / "99_toy.ipynb").write_text("my work")
    (mine / "thesis.tex").write_text("three years")
    assert lab("reset", str(mine)).code == 0
    assert (mine / "thesis.tex").read_text() == "three years"
    assert (mine / "99_toy.ipynb.bak").read_text() == "my work"
    assert "YOUR CODE HERE" in (mine / "99_toy.ipynb").read_text()


@pytest.mark.needs("root")
def test_reset_by_a_link_deletes_nothing_through_a_mount(tmp_path: Path, work: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("three years")
    (work / "rootfs").mkdir()
    subprocess.run(["mount", "--bind", str(precious), str(work / "rootfs")], check=True)
    try:
        (tmp_path / "link").symlink_to(tmp_path)
        assert lab("reset", str(tmp_path / "link" / "work")).code == 0
        assert not (work / "rootfs").exists()
    finally:
        subprocess.run(["umount", str(work / "rootfs")], check=False, capture_output=True)
    assert (precious / "thesis.tex").read_text() == "three years"


def test_reset_of_what_is_no_lab_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    ran = lab("reset", str(tmp_path))
    assert ran.code == 1
    assert "no copy of a lab" in ran.err
    assert (tmp_path / "precious").exists()


@pytest.mark.needs("root")
@pytest.mark.timeout(180)
def test_grade_writes_a_table_and_goes_on_after_what_is_no_submission(tmp_path: Path, home: Path) -> None:
    for name, is_solved in (("ada", True), ("bob", False)):
        (tmp_path / name).mkdir()
        write_notebook(str(tmp_path / name / "99_toy.ipynb"), toy_notebook(home, is_solved=is_solved))
    target = str(tmp_path / "grades.csv")
    directories = [str(tmp_path / name) for name in ("ada", "nobody", "bob")]
    ran = lab("grade", "--lab", str(home), "--report", "summary", "--output", target, *directories)
    assert (ran.code, ran.out) == (1, "")
    assert "T.2 3/3" in ran.err
    lines = Path(target).read_text().splitlines()
    assert [line.split(",")[:4] for line in lines[1:]] == [["ada", "99_toy", "5", "5"], ["bob", "99_toy", "0", "5"]]


def test_unknown_report_is_refused_before_anything_runs(tmp_path: Path) -> None:
    ran = lab("grade", "--report", "nice", str(tmp_path))
    assert ran.code == 125
    assert "summary, all, failed" in ran.err
