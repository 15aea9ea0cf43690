"""What a lesson does on a machine that has what it needs, and on one that has not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.support.cells import Cells
from tests.support.nested import REPOSITORY
from tests.support.notebooks import sources, target
from tests.support.recordings import recordable
from toolkit.core.errors import UnsupportedError
from toolkit.linux.probe import Feature
from toolkit.notebook import lesson, recorded_cells, session
from toolkit.notebook.recorded_cells import Recording, key
from toolkit.vm import parts


@pytest.fixture(autouse=True)
def _all_cells_run_again(shell: InteractiveShell) -> Iterator[None]:
    """Leave nothing of a lesson's course in the session's one shell."""
    yield
    lesson._stop_skipping(shell)


NEEDS = "from toolkit.notebook import lesson\nlesson.needs_containers()"


@pytest.mark.needs("root", "overlay")
def test_ready_where_containers_run(cells: Cells) -> None:
    ready = cells.value(NEEDS)
    assert ready
    assert ready.took_ms > 0
    assert "ready" in ready._repr_html_()


def test_cells_are_skipped_where_they_do_not(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "_try_container", lambda _names: lesson.Ready("no <root>", 0.0))
    ready = cells.value(NEEDS)
    assert not ready
    assert "no &lt;root&gt;" in ready._repr_html_()
    shown = cells.run("assert False, 'this needs a container'")
    assert shown.error is None
    assert shown.bundles[0]["text/plain"] == "skipped: no <root>"
    assert "no &lt;root&gt;" in shown.bundles[0]["text/html"]
    monkeypatch.setattr(lesson, "_try_container", lambda _names: lesson.Ready("", 1.0))
    cells.run(NEEDS)
    assert cells.value("40 + 2") == 42


def test_programs_complain_in_english_whatever_the_machines_language(
    cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson, "_try_container", lambda _names: lesson.Ready("", 1.0))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LC_MESSAGES", "de_DE.UTF-8")
    monkeypatch.setenv("LC_CTYPE", "fr_FR.UTF-8")
    cells.run(NEEDS)
    told = subprocess.run(["locale"], capture_output=True, text=True, check=True).stdout
    assert "LC_MESSAGES=C\n" in told
    assert "LC_CTYPE=de_DE.UTF-8\n" in told
    assert told.endswith("LC_ALL=\n")


@pytest.mark.needs("root", "overlay")
def test_what_an_earlier_run_left_is_removed(cells: Cells) -> None:
    cells.run("%container run -d --name leftover lab sleep 1000")
    other = cells.value("%container run -d --name other lab sleep 1000")
    assert lesson.needs_containers("leftover", "never-there")
    assert cells.value("%container ps -a").column("NAMES") == ["other"]
    other.remove(force=True)


@pytest.mark.needs("root", "overlay")
def test_what_this_kernel_has_left_half_made_is_given_up(cells: Cells) -> None:
    mine, other = (cells.value(f"%container step run --name {name} lab true") for name in ("gated", "other"))
    mine.run_until("pivot_root")
    other.next()
    assert lesson.needs_containers("gated")
    assert (mine.state, other.state) == ("gone", "half-made")
    assert cells.value("%container ps -a").column("NAMES") == ["other"]
    other.abort()


def test_engine_that_cannot_be_opened_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_ROOT", "/proc/no/such/place")
    monkeypatch.setattr(session, "_engines", {})
    ready = lesson._try_container(())  # without the skipping that would outlive this test
    assert not ready
    assert "/proc/no" in ready.reason


OUTPUT = {"text/plain": "as it was", "text/html": "<b>as it was</b>"}
RECORDING = Recording("2026-11-28", "6.1", "x86_64, cgroup v2", {key("x = live()"): [OUTPUT]})


@pytest.fixture
def without_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "_try_container", lambda _names: lesson.Ready("not root"))
    monkeypatch.setattr(recorded_cells, "load", lambda _name: RECORDING)


def test_part_whose_needs_cannot_be_found_out_is_skipped(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "_try_container", lambda _names: lesson.Ready("", 1.0))
    cells.run(NEEDS)
    monkeypatch.setattr(lesson, "_features", find_out_nothing)
    assert cells.value("lesson.needs('limits on memory')").reason == "not found out; try it again"


def find_out_nothing() -> None:
    raise UnsupportedError("not found out", hint="try it again")


WALK = "walk = lesson.walk('lab true', recording='03_walk')\nwalk.run_until('pivot_root')\nwalk"


@pytest.mark.usefixtures("without_containers")
def test_walk_is_a_recording_where_there_are_no_containers(cells: Cells) -> None:
    cells.run("from toolkit.notebook import lesson\nlesson.needs_containers(recording='any')")
    walk = cells.value(WALK)
    assert not walk.is_live
    assert walk.steps[walk.index].name == "PivotRoot"
    before = len(walk.mounts())
    walk.next()
    assert 0 < len(walk.mounts()) < before
    assert walk.recording.header.command == "container step run lab true"
    assert "recording of 20" in walk.figure().html


@pytest.mark.needs("root", "overlay")
def test_walk_is_a_container_where_there_are(cells: Cells) -> None:
    cells.run(NEEDS)
    walk = cells.value(WALK)
    assert walk.is_live
    assert walk.steps[walk.index].name == "PivotRoot"
    assert walk.finish().wait() == 0
    walk.abort()  # as the lesson's last cell does, wherever the learner has pressed to
    assert walk.state == "exited"


@pytest.mark.usefixtures("without_containers")
def test_recorded_cell_is_shown_and_labelled(cells: Cells) -> None:
    shown = cells.run("from toolkit.notebook import lesson\nlesson.needs_containers(recording='any')")
    assert "The cells below show a recording" in repr(shown.value)
    shown = cells.run("x = live()  ")
    assert shown.error is None
    assert shown.bundles[0]["text/plain"] == "recording, made on 2026-11-28 under Linux 6.1 (x86_64, cgroup v2)"
    assert shown.bundles[1:] == [OUTPUT]


@pytest.mark.usefixtures("without_containers")
def test_cell_of_ones_own_is_run_beside_a_recording(cells: Cells) -> None:
    cells.run("from toolkit.notebook import lesson\nlesson.needs_containers(recording='any')")
    shown = cells.run("print(40 + 2)")
    assert shown.stdout == "42\n"
    assert "not part of the recording" in shown.bundles[0]["text/plain"]


def test_broken_recording_is_told_and_cells_are_skipped(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "_try_container", lambda _names: lesson.Ready("not root"))
    ready = cells.value("from toolkit.notebook import lesson\nlesson.needs_containers(recording='no-such')")
    assert "not root (there is no recording recordings/no-such.jsonl" in ready.reason
    assert "skipped: not root" in cells.run("1 / 0").bundles[0]["text/plain"]


FEATURES = (
    Feature("limits on", "memory", "bytes", "not mounted", "mount it"),
    Feature("limits on", "pids", "processes", "", ""),
)


def test_part_that_lacks_something_is_skipped_and_the_next_is_not(
    cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson, "_features", lambda: FEATURES)
    monkeypatch.setattr(lesson, "_course", lesson.Course())
    ready = cells.value("from toolkit.notebook import lesson\nlesson.needs('limits on memory')")
    assert repr(ready).startswith("no limits on memory here: not mounted; mount it\n")
    assert cells.run("1 / 0").bundles[0]["text/plain"] == "skipped: not mounted; mount it"
    assert repr(cells.value("lesson.needs('limits on pids')")) == "ready: limits on pids"
    assert cells.value("40 + 2") == 42


def test_feature_that_nobody_knows_is_an_error(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "_features", lambda: FEATURES)
    monkeypatch.setattr(lesson, "_course", lesson.Course())
    with pytest.raises(ValueError, match="no 'limits on memroy'; it knows: limits on memory, limits on pids"):
        lesson.needs("limits on memroy")


def test_missing_parts_of_a_machine_are_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "_course", lesson.Course())
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(parts, "_SYSTEM_PATH", "/nowhere")
    ready = lesson.needs(lesson.VIRTUAL_MACHINE)
    assert "apt-get install" in ready.reason or "x86_64 only" in ready.reason


@pytest.mark.needs("root")
@pytest.mark.parametrize("source", sources(), ids=os.path.basename)
def test_lesson_reaches_its_end_as_nobody_and_shows_recordings(source: str, tmp_path: Path) -> None:
    program = (
        "import sys, nbformat, nbclient\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "nbclient.NotebookClient(notebook, timeout=60).execute()\n"
        "nbformat.write(notebook, 'result.ipynb')\n"
    )
    nobody = [sys.executable, "-m", "tests.support.unprivileged", str(tmp_path)]
    command = [*nobody, sys.executable, "-c", program, target(source)]
    tmp_path.parent.chmod(0o755)
    subprocess.run(command, env={**os.environ, "PYTHONPATH": REPOSITORY}, check=True, timeout=120, capture_output=True)
    notebook = nbformat.read(tmp_path / "result.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [output for output in outputs if output.output_type == "error"] == []
    texts = [output["data"]["text/plain"] for output in outputs if "data" in output]
    assert any("no containers here: " in text and "made on 20" in text for text in texts)
    assert sum(text.startswith("recording, made on ") for text in texts) == len(recordable(notebook))
    assert not any(text.startswith("skipped: ") for text in texts)
