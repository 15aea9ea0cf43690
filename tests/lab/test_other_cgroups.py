"""Lessons and labs to their ends where limits are not as on this machine: on v1 alone, and in the guest on v2 alone.

The second takes half an hour in emulation, on a machine that does nothing else:
what a lab checks may take its program 30 seconds, and no longer.  So it is for
--all-lessons; what the engine does on v2 is tested in every run.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from tests.support import plain_v1
from tests.support.labs import nbval
from tests.support.nested import REPOSITORY
from tests.support.notebooks import DIRECTORY
from tests.support.session import EngineRoot
from toolkit.engine.engine import Engine
from toolkit.lab import catalogue, runner, student

_HOMES = {Path(home).name: home for home in catalogue.directories()}
_LESSONS = sorted(path.stem for path in Path(DIRECTORY).glob("*.ipynb"))
_STARTUP_S = 600
"""Until a kernel is there, in emulation."""
Prepare = Callable[[str], str]


@pytest.fixture
def prepared(tmp_path: Path, engine_root: EngineRoot, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Give a function that returns the path of a lesson's notebook, or of a fresh copy of a solved lab."""
    monkeypatch.setenv("CONTAINER_ROOT", engine_root.root)
    monkeypatch.setenv("CONTAINER_RUN", engine_root.run)

    def prepare(name: str) -> str:
        if name not in _HOMES:
            return os.path.abspath(f"{DIRECTORY}/{name}.ipynb")
        return student.start(_HOMES[name], str(tmp_path / "work"), is_solved=True).notebook

    return prepare


def finish(notebook: str) -> None:
    """Take away what a lab has left; what a lesson leaves is for the session's own check."""
    if os.path.basename(os.path.dirname(notebook)) == "work":
        assert runner.cleanup(os.path.dirname(notebook)) == []


@pytest.mark.needs("overlay", *plain_v1.NEEDS)
@pytest.mark.parametrize("name", ["06_cgroups", "07_tame_the_fork_bomb"])
def test_it_reaches_its_end_on_v1_alone(prepared: Prepare, name: str) -> None:
    notebook = prepared(name)
    ran = nbval(Path(notebook), through=plain_v1.argv, LAB_STRICT="1")
    assert ran.returncode == 0, ran.stdout
    finish(notebook)


@pytest.mark.all_lessons
@pytest.mark.needs("in-guest", "root", "v2", "cgroup2:memory", "cgroup2:cpu", "cgroup2:pids")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [*_LESSONS, *_HOMES])
def test_it_reaches_its_end_on_v2_alone(prepared: Prepare, target: Engine, name: str) -> None:
    path = prepared(name)
    notebook: Any = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": os.path.dirname(path)}}
    client = nbclient.NotebookClient(notebook, timeout=None, startup_timeout=_STARTUP_S, resources=resources)
    client.execute(env={**os.environ, "PYTHONPATH": REPOSITORY, "LAB_STRICT": "1"})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    texts = [output["data"].get("text/plain", "") for output in outputs if "data" in output]
    assert [text for text in texts if text.startswith(("skipped: ", "recording, made on "))] == []
    finish(path)
