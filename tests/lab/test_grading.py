"""Submissions, executed and graded: what a student cannot do about the points, and what an instructor gets to know."""

import csv
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import leaks
from tests.support.labs import make_toy, toy_notebook, with_cell
from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.lab import report
from toolkit.lab.grade import Graded, Grader, read_submission
from toolkit.lab.student import write_notebook
from toolkit.lab.task import DONE, OPEN, Claim, Result

pytestmark = [pytest.mark.needs("root"), pytest.mark.timeout(180)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_toy(tmp_path / "labs" / "99_toy")


@pytest.fixture
def grader() -> Iterator[Grader]:
    before = leaks.snapshot()
    with Grader(cell_s=5, total_s=60) as made:
        yield made
    after = leaks.snapshot()
    assert (after.links, after.namespaces) == (before.links, before.namespaces)


def hand_in(tmp_path: Path, home: Path, name: str, *cells: tuple[int, str], is_solved: bool = False) -> str:
    notebook = toy_notebook(home, is_solved=is_solved)
    for before, text in cells:
        with_cell(notebook, before, text)
    return hand_in_notebook(tmp_path, name, notebook)


def hand_in_notebook(tmp_path: Path, name: str, notebook: Any) -> str:
    directory = tmp_path / "handed_in" / name
    directory.mkdir(parents=True)
    write_notebook(str(directory / "99_toy.ipynb"), notebook)
    return str(directory)


def points(graded: Graded) -> list[float]:
    return [result.points for result in graded.results]


def test_solved_gets_all_and_blank_gets_nothing(tmp_path: Path, home: Path, grader: Grader) -> None:
    solved = grader.grade(hand_in(tmp_path, home, "ada", is_solved=True), str(home))
    blank = grader.grade(hand_in(tmp_path, home, "bob"), str(home))
    assert (points(solved), points(blank)) == ([2, 3], [0, 0])
    assert (solved.student, solved.lab, solved.points, solved.max_points, solved.remark) == ("ada", "99_toy", 5, 5, "")


FORGERIES = {
    "text": "from IPython.display import publish_display_data\npublish_display_data({'text/plain': '100'})\nprint(100)",
    "names": "check = lambda ident: 100\nimport toolkit.notebook.lab\ntoolkit.notebook.lab.check = check",
    "record": "open('.lab.json', 'w').write('{\"done\": [\"T.1\", \"T.2\"]}')",
    "result": "import sys, toolkit.lab.runner\ntoolkit.lab.runner.check = None\nsys.modules['toolkit.lab.task'] = None",
    "executable": "import sys\nsys.executable = '/bin/true'",
    "checks": (
        "text = open('checks.py').read()\n"
        "open('checks.py', 'w').write(text.replace('return \"there\" if', 'return \"there\" if True or'))"
    ),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_forgery_gives_nothing(tmp_path: Path, home: Path, grader: Grader, kind: str) -> None:
    assert points(grader.grade(hand_in(tmp_path, home, kind, (2, FORGERIES[kind])), str(home))) == [0, 0]


def test_checks_of_the_students_are_not_the_graders(tmp_path: Path, home: Path, grader: Grader) -> None:
    directory = hand_in(tmp_path, home, "eve")
    (Path(directory) / "checks.py").write_text(
        (home / "checks.py").read_text().replace('"there", there', '"a", "a" or ')
    )
    assert points(grader.grade(directory, str(home))) == [0, 0]


def test_checks_that_a_notebook_replaces_are_put_back_and_never_written_through(
    tmp_path: Path, home: Path, grader: Grader
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    link = f"import os\nos.unlink('checks.py')\nos.symlink({str(precious)!r}, 'checks.py')"
    assert points(grader.grade(hand_in(tmp_path, home, "link", (1, link), is_solved=True), str(home))) == [2, 3]
    assert precious.read_text() == "mine"


def test_what_cannot_be_taken_away_is_told_and_costs_the_next_one_nothing(
    tmp_path: Path, home: Path, grader: Grader, monkeypatch: pytest.MonkeyPatch
) -> None:
    solved = hand_in(tmp_path, home, "ada", is_solved=True)
    with monkeypatch.context() as patch:
        patch.setattr("toolkit.lab.grade.shutil.rmtree", refuse)
        first = grader.grade(solved, str(home))
    assert "immutable" in first.remark
    assert points(grader.grade(solved, str(home))) == [2, 3]


def refuse(path: str) -> None:
    raise PermissionError(1, "immutable", path)


def test_noise_on_stderr_costs_nothing(tmp_path: Path, home: Path, grader: Grader) -> None:
    noise = "import os, sys\nprint('oh', file=sys.stderr)\nos.write(2, b'no')"
    directory = hand_in(tmp_path, home, "noisy", (1, noise), (3, noise), is_solved=True)
    assert points(grader.grade(directory, str(home))) == [2, 3]


def test_error_in_one_cell_does_not_end_the_others(tmp_path: Path, home: Path, grader: Grader) -> None:
    assert points(grader.grade(hand_in(tmp_path, home, "err", (1, "1 / 0"), is_solved=True), str(home))) == [2, 3]


def test_cell_that_hangs_ends_the_notebook_and_keeps_what_was_done(tmp_path: Path, home: Path, grader: Grader) -> None:
    directory = hand_in(tmp_path, home, "slow", (3, "while True:\n    pass"), is_solved=True)
    began = time.monotonic()
    graded = grader.grade(directory, str(home))
    assert time.monotonic() - began < 60
    assert points(graded) == [2, 0]
    assert graded.remark == "cell 5 took too long; the cells after it were not executed"


def test_kernel_that_ends_itself_is_told(tmp_path: Path, home: Path, grader: Grader) -> None:
    directory = hand_in(tmp_path, home, "dead", (3, "import os\nos._exit(0)"), is_solved=True)
    graded = grader.grade(directory, str(home))
    assert points(graded) == [2, 0]
    assert "ended the kernel" in graded.remark


def test_locked_cell_that_was_changed_or_deleted_is_checked_all_the_same(
    tmp_path: Path, home: Path, grader: Grader
) -> None:
    changed, deleted = (toy_notebook(home, is_solved=True) for _ in range(2))
    for cell in changed.cells:
        if "check(" in cell.source:
            cell.source = "print('nothing to see')"
    deleted.cells = [cell for cell in deleted.cells if "check(" not in cell.source]
    for name, notebook in (("changed", changed), ("deleted", deleted)):
        assert points(grader.grade(hand_in_notebook(tmp_path, name, notebook), str(home))) == [2, 3]


def test_what_a_student_leaves_behind_is_ended(tmp_path: Path, home: Path) -> None:
    tag = "7654321.5"
    leave = (
        "import os, subprocess\n"
        f"subprocess.Popen(['setsid', 'sleep', '{tag}'], env={{'PATH': os.environ['PATH']}}, start_new_session=True)\n"
        f"subprocess.Popen(['sleep', '{tag}'])\n"
        "os.makedirs('m')\n"
        "subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', 'm'], check=True)"
    )
    with Grader(cell_s=10) as grader:
        base = grader._base
        graded = grader.grade(hand_in(tmp_path, home, "messy", (1, leave), is_solved=True), str(home))
    assert (points(graded), graded.remark) == ([2, 3], "")
    assert [mount for mount in leaks.read_mounts() if mount.point.startswith(base)] == []
    assert not os.path.exists(base)
    assert [pid for pid in os.listdir("/proc") if pid.isdecimal() and tag in _command(pid)] == []


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.needs("overlay")
def test_container_under_any_name_is_gone_before_the_next_student(tmp_path: Path, home: Path, grader: Grader) -> None:
    start = "%load_ext toolkit\n%container run -d --name anything lab sleep 1000\nprint(open('/proc/uptime').read())"
    see = "%load_ext toolkit\nleft = %container ps -a\nopen('one', 'w') if left.column('NAMES') == [] else None"
    assert points(grader.grade(hand_in(tmp_path, home, "first", (1, start)), str(home))) == [0, 0]
    assert points(grader.grade(hand_in(tmp_path, home, "second", (2, see)), str(home))) == [2, 0]


def test_environment_is_as_before(tmp_path: Path) -> None:
    before = dict(os.environ)
    with Grader():
        assert os.environ["CONTAINER_ROOT"] != before["CONTAINER_ROOT"]
    assert dict(os.environ) == before


def test_submission_without_a_notebook_is_told(tmp_path: Path, home: Path, grader: Grader) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotFoundError, match="--lab"):
        grader.grade(str(empty))
    with pytest.raises(NotFoundError, match="no submission"):
        grader.grade(str(tmp_path / "nobody"))
    graded = grader.grade(str(empty), str(home))
    assert points(graded) == [0, 0]
    assert "cannot be read" in graded.remark


def test_garbage_is_told(tmp_path: Path, home: Path, grader: Grader) -> None:
    for name, text in (("a", "{"), ("b", '{"nbformat": 4}'), ("c", "[]"), ("d", "\x00\xff")):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "99_toy.ipynb").write_text(text)
        graded = grader.grade(str(directory), str(home))
        assert points(graded) == [0, 0]
        assert "cannot be read" in graded.remark


def test_submission_under_another_file_name_is_found_when_the_lab_is_named(tmp_path: Path, home: Path) -> None:
    directory = Path(hand_in(tmp_path, home, "renamed", is_solved=True))
    (directory / "99_toy.ipynb").rename(directory / "final_version_2.ipynb")
    from toolkit.lab import definition

    assert read_submission(str(directory), str(home), definition.read(str(home))).cells


GRADED = [
    Graded("ada", "99_toy", (Result("T.1", "One", 2, DONE), Result("T.2", "Two", 3, DONE)), 1.25),
    Graded(
        "=bob()",
        "99_toy",
        (
            Result("T.1", "One", 2, DONE),
            Result("T.2", "Two", 3, OPEN, (Claim("it", "2", "3", holds=False), Claim("x", "1", "1", True, 1.0))),  # noqa: FBT003
        ),
        2.0,
        "cell 3 took too long",
    ),
]


def rows(kind: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report.write(GRADED, kind))))


def test_summary_has_a_row_for_each_student() -> None:
    assert [(row["student"], row["points"], row["max_points"], row["done"]) for row in rows("summary")] == [
        ("ada", "5", "5", "2"),
        ("'=bob()", "3", "5", "1"),
    ]


def test_all_has_a_row_for_each_task_and_failed_those_that_are_not_done() -> None:
    assert [(row["student"], row["task"], row["points"]) for row in rows("all")] == [
        ("ada", "T.1", "2"),
        ("ada", "T.2", "3"),
        ("'=bob()", "T.1", "2"),
        ("'=bob()", "T.2", "1"),
    ]
    failed = rows("failed")
    assert [(row["task"], row["state"], row["missing"]) for row in failed] == [("T.2", "not yet", "it: 3 instead of 2")]
    assert failed[0]["remark"] == "cell 3 took too long"


def test_other_reports_are_refused() -> None:
    with pytest.raises(InvalidError, match="summary, all, failed"):
        report.write([], "nice")
