"""`%container step run`, `explain run` and `replay` in a cell: objects that can be asked and that show themselves."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.support.cells import Cells
from tests.support.family import is_dead
from tests.support.patience import wait_until
from toolkit.core.errors import InvalidError, UnsupportedError
from toolkit.notebook.errors import CommandError
from toolkit.notebook.stepping import Stepper

pytestmark = pytest.mark.needs("root", "overlay")


@pytest.fixture
def stepper(cells: Cells) -> Iterator[Stepper]:
    made = cells.value("%container step run --hostname half lab sh -c 'echo done; exit 3'")
    assert isinstance(made, Stepper)
    with made:
        yield made


def test_value_waits_before_the_first_step_and_nothing_is_printed(cells: Cells) -> None:
    ran = cells.run("s = %container step run lab true\ns.state, s.index, s.is_live")
    assert ran.value == ("half-made", 0, True)
    assert "gives up" not in ran.stdout + ran.stderr
    assert "NewProcess" not in ran.stdout + ran.stderr
    assert cells.run("s.abort()\ns.state").value == "gone"


def test_methods_are_those_of_the_engine(stepper: Stepper) -> None:
    stepper.run_until("pivot_root")
    assert "HOSTNAME" not in stepper.inside("ls /").output
    assert stepper.inside("hostname").output == "half\n"
    done = stepper.next()
    assert "pivot_root" in repr(done)
    assert {each.point for each in stepper.mounts()} >= {"/", "/proc", "/dev"}
    assert stepper.finish().wait() == 3
    assert stepper.output == "done\n"


def test_what_the_last_step_changed_is_marked_in_the_table(stepper: Stepper) -> None:
    stepper.run_until("MountOverlay")
    stepper.next()
    html = stepper.mounts()._repr_html_()
    assert html.count(">new<") == 1
    assert "overlay" in html


def test_recording_of_a_walk_is_replayed_with_the_same_answers(
    cells: Cells, stepper: Stepper, tmp_path: pathlib.Path
) -> None:
    stepper.run_until("PivotRoot")
    seen = [list(stepper.mounts()), list(stepper.namespaces()), list(stepper.capabilities())]
    stepper.finish().wait()
    path = str(tmp_path / "walk.jsonl")
    stepper.save(path)
    replayed = cells.run(f"r = %container replay {path}\nr").value
    assert not replayed.is_live
    replayed.run_until("pivot_root")
    assert [list(replayed.mounts()), list(replayed.namespaces()), list(replayed.capabilities())] == seen
    with pytest.raises(UnsupportedError, match="nothing can be run in a recording"):
        replayed.inside("ps")
    with pytest.raises(InvalidError, match="no step of this plan"):
        replayed.run_until("nosuch")
    replayed.finish()
    assert (replayed.state, replayed.exit_code) == ("exited", 3)


def test_record_keeps_the_walk_when_it_ends(cells: Cells, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "walk.jsonl"
    cells.run(f"s = %container step run --record {path} lab true\ns.run_until(5)")
    assert not path.exists()
    cells.run("s.abort()")
    assert len(cells.run(f"r = %container replay {path}\nr").value.recording.events) >= 4


def test_explained_run_is_worth_its_recording(cells: Cells, tmp_path: pathlib.Path) -> None:
    ran = cells.run("t = %container explain run --rm lab echo hello\nt")
    assert ran.stdout.startswith("hello\n")
    assert (ran.stdout + ran.stderr).count("calls took") == 1  # by the value, and not by the command too
    assert any("pivot_root" in event.call for event in ran.value.events)
    path = str(tmp_path / "run.jsonl")
    ran.value.save(path)
    assert cells.run(f"u = %container replay {path}\nu").value.events == ran.value.events


def test_wrong_file_ends_the_cell_in_one_line(cells: Cells, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x"
    path.write_text("{}\n")
    with pytest.raises(CommandError, match="line 1: this is not a recording"):
        cells.value(f"%container replay {path}")


def test_stepper_that_is_overwritten_leaves_nothing(cells: Cells) -> None:
    cells.value("s = %container step run --name once lab true\n_ = s.run_until('pivot_root')")
    pid = cells.value("s.pid")
    cells.value("del s, _\nimport gc\ncollected = gc.collect()")
    wait_until(lambda: is_dead(pid), 5)
