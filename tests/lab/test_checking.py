"""What a check comes to, whatever the student, the machine or the check itself does."""

import os
import stat
import time
from pathlib import Path

import pytest

from tests.support.labs import make_toy
from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.lab import definition, runner, task
from toolkit.lab.attempts import RECORD
from toolkit.lab.checking import Checker
from toolkit.lab.task import BROKEN, DONE, LACKING, LATE, OPEN, Result


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return make_toy(tmp_path / "work")


def check(work: Path, ident: str, *, counts: bool = True) -> Result:
    return Checker(str(work), definition.read(str(work))).check(ident, counts=counts)


def test_task_that_is_done_is_worth_its_points(work: Path) -> None:
    (work / "one").touch()
    result = check(work, "T.1")
    assert (result.state, result.points, result.hints) == (DONE, 2.0, ())


def test_what_was_expected_and_what_was_found_is_told(work: Path) -> None:
    result = check(work, "T.1")
    assert (result.state, result.points) == (OPEN, 0.0)
    assert [(claim.what, claim.expected, claim.observed) for claim in result.claims] == [
        ("the file one", "there", "missing")
    ]


def test_each_attempt_earns_one_more_hint(work: Path) -> None:
    results = [check(work, "T.1") for _ in range(4)]
    assert [result.attempt for result in results] == [1, 2, 3, 4]
    assert [len(result.hints) for result in results] == [1, 2, 3, 3]
    assert [result.more_hints for result in results] == [2, 1, 0, 0]
    assert results[2].hints[0] == "think of a file"


def test_looking_without_trying_earns_none(work: Path) -> None:
    assert check(work, "T.1", counts=False).hints == ()
    assert check(work, "T.1").attempt == 1


def test_part_of_a_task_is_worth_its_part(work: Path) -> None:
    (work / "one").touch()
    (work / "two").write_text("3")
    result = check(work, "T.2")
    assert (result.state, result.points, result.max_points) == (OPEN, 1.0, 3.0)


def test_out_of_order_names_what_comes_first_and_counts_no_attempt(work: Path) -> None:
    result = check(work, "T.2")
    assert result.first == "T.1 One"
    assert (result.attempt, result.hints) == (0, ())


def test_what_was_done_once_need_not_be_there_for_the_next_task(work: Path) -> None:
    (work / "one").touch()
    check(work, "T.1")
    (work / "one").unlink()
    assert check(work, "T.2").first == ""
    assert check(work, "T.1").reason == "This was done before, and is not there any more."


def test_check_that_crashes_is_its_own_fault_and_gives_nothing(work: Path) -> None:
    (work / "one").touch()
    (work / "crash").touch()
    result = check(work, "T.1")
    assert (result.state, result.points) == (BROKEN, 0.0)
    assert "ZeroDivisionError: on purpose (checks.py, line" in result.reason
    assert "no fault of yours" in result.cure


def test_check_that_looks_at_nothing_is_broken(work: Path) -> None:
    (work / "quiet").touch()
    assert check(work, "T.1").state == BROKEN


def test_check_that_hangs_is_stopped_at_its_limit(work: Path) -> None:
    (work / "hang").touch()
    began = time.monotonic()
    result = check(work, "T.1")
    assert time.monotonic() - began < 20
    assert result.state == LATE
    assert "stopped after 6 seconds" in result.reason


def test_what_the_machine_lacks_is_said_with_the_cure(work: Path) -> None:
    (work / "lack").touch()
    result = check(work, "T.1")
    assert (result.state, result.reason, result.cure) == (LACKING, "no such thing here", "buy one")
    assert result.attempt == 0


def test_need_that_is_no_feature_is_told(work: Path) -> None:
    text = (work / "checks.py").read_text().replace("NEEDS = ()", 'NEEDS = ("wings of wax",)')
    (work / "checks.py").write_text(text)
    assert "wings of wax" in runner.setup(str(work))[0][0]
    assert check(work, "T.1").state == LACKING


def test_record_that_a_student_has_broken_begins_anew(work: Path) -> None:
    for garbage in ("[]", "{", '{"attempts": 3, "done": {"a": 1}}', '{"attempts": {"T.1": "many"}}'):
        (work / RECORD).write_text(garbage)
        assert check(work, "T.1").attempt == 1


def test_directory_that_cannot_be_written_is_no_obstacle(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / RECORD).mkdir()  # root may write everywhere, but not a file over a directory
    assert check(work, "T.1").attempt == 1
    assert stat.S_ISDIR(os.stat(work / RECORD).st_mode)
    left = {path.name for path in work.iterdir()}
    assert left == {RECORD, "checks.py", "lab.py"}


def test_unknown_task_lists_those_that_there_are(work: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no task 'T\.9'.*T\.1, T\.2"):
        check(work, "T.9")


def test_checks_that_cannot_be_read_are_no_points_but_a_reason(work: Path) -> None:
    lab = definition.read(str(work))
    (work / "checks.py").write_text("this is no Python")
    result = Checker(str(work), lab).check("T.1")
    assert (result.state, result.points) == (BROKEN, 0.0)
    assert "SyntaxError" in result.reason


def test_checks_leave_no_compiled_copy(work: Path) -> None:
    check(work, "T.1")
    assert not (work / "__pycache__").exists()


def test_setup_makes_and_cleanup_takes_away(work: Path) -> None:
    assert runner.setup(str(work)) == []
    assert (work / "given").read_text() == "by setup"
    (work / "one").touch()
    assert runner.cleanup(str(work)) == []
    assert {path.name for path in work.iterdir()} == {"checks.py", "lab.py"}


def test_setup_that_fails_is_told_and_not_raised(work: Path) -> None:
    text = (work / "checks.py").read_text().replace('look.path("given"), "w"', '"/proc/no", "w"')
    (work / "checks.py").write_text(text)
    assert "/proc/no" in runner.setup(str(work))[0][0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("TITLE =", "NAME ="), "has no TITLE"),
        (('"T.2"', '"T.1"'), "two tasks T.1"),
        (('after=["T.1"]', 'after=["T.7"]'), "which does not come before"),
    ],
)
def test_checks_that_say_too_little_are_refused(work: Path, change: tuple[str, str], complaint: str) -> None:
    (work / "checks.py").write_text((work / "checks.py").read_text().replace(*change))
    with pytest.raises(InvalidError, match=complaint):
        definition.read(str(work))


@pytest.mark.parametrize(("points", "hints"), [(0, ["a"]), (1, [])])
def test_task_needs_points_and_hints(points: float, hints: list[str]) -> None:
    with pytest.raises(InvalidError, match=r"T\.0"):
        task("T.0", points=points, title="", hints=hints)
