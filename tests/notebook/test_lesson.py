"""What a lesson does on a machine that has what it needs, and on one that has not."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.support.cells import Cells
from tests.support.notebooks import sources, target
from tests.support.session import EngineRoot
from toolkit.notebook import lesson, session

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


@pytest.mark.needs("root", "overlay")
def test_what_an_earlier_run_left_is_removed(cells: Cells) -> None:
    cells.run("%container run -d --name leftover lab sleep 1000")
    other = cells.value("%container run -d --name other lab sleep 1000")
    assert lesson.needs_containers("leftover", "never-there")
    assert cells.value("%container ps -a").column("NAMES") == ["other"]
    other.remove(force=True)


def test_engine_that_cannot_be_opened_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_ROOT", "/proc/no/such/place")
    monkeypatch.setattr(session, "_engines", {})
    ready = lesson._try_container(())  # without the skipping that would outlive this test
    assert not ready
    assert "/proc/no" in ready.reason


@pytest.mark.needs("root", "overlay")
@pytest.mark.parametrize("source", sources(), ids=os.path.basename)
def test_lesson_reaches_its_end_where_containers_are_not_allowed(
    source: str, tmp_path: Path, engine_root: EngineRoot
) -> None:
    program = (
        "import sys, nbformat, nbclient\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "nbclient.NotebookClient(notebook, timeout=60).execute()\n"
        "nbformat.write(notebook, sys.argv[2])\n"
    )
    result = str(tmp_path / "result.ipynb")
    command = ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", program, target(source), result]
    roots = {"CONTAINER_ROOT": engine_root.root, "CONTAINER_RUN": engine_root.run}
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), **roots}
    subprocess.run(command, env=environment, check=True, timeout=120, capture_output=True)
    notebook = nbformat.read(result, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [output for output in outputs if output.output_type == "error"] == []
    texts = [output["data"]["text/plain"] for output in outputs if "data" in output]
    assert any("no containers here: " in text and "EPERM" in text for text in texts)
    assert sum(text.startswith("skipped: ") for text in texts) >= 5
