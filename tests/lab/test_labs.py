"""Each lab on the real kernel: the solved one passes every task, the blank one none, and nothing is left."""

import json
import os
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import nbformat
import pytest

from tests.support import leaks
from tests.support.labs import Cell, nbval
from tests.support.session import EngineRoot
from toolkit.lab import catalogue, definition, runner, source, student
from toolkit.lab.grade import Grader
from toolkit.lab.student import write_notebook
from toolkit.lab.task import OPEN
from toolkit.linux import capability

HOMES = catalogue.directories()
pytestmark = pytest.mark.timeout(300)
on_the_kernel = pytest.mark.needs("root", "overlay", "cgroup:memory", "cgroup:pids", "ns:pid", "ns:mnt", "ns:uts")
each_lab = pytest.mark.parametrize("home", HOMES, ids=lambda path: Path(path).name)


@pytest.fixture
def engine_here(engine_root: EngineRoot, monkeypatch: pytest.MonkeyPatch) -> EngineRoot:
    monkeypatch.setenv("CONTAINER_ROOT", engine_root.root)
    monkeypatch.setenv("CONTAINER_RUN", engine_root.run)
    return engine_root


def left_of(before: leaks.Snapshot, directory: str) -> list[str]:
    """Return what a lab in a directory has left: processes, mounts, groups, links, and containers of the engine."""
    from toolkit.engine import Engine
    from toolkit.lab.remains import mounts_in, processes_of

    with Engine.open() as engine:
        containers = [f"container {each.name}" for each in engine.containers.list(all=True)]
        seen = {str(event["Actor"]["ID"]) for event in engine.events.past()}
    now = leaks.snapshot()
    return [
        *containers,
        *(f"process {pid}" for pid in processes_of(directory)),
        *(f"mount {point}" for point in mounts_in(directory)),
        *(f"cgroup {path}" for path in now.cgroups if os.path.basename(path) in seen),
        *(f"link {name}" for name in now.links - before.links),
    ]


@on_the_kernel
@each_lab
def test_solved_lab_passes_every_task_and_leaves_nothing(home: str, tmp_path: Path, engine_here: EngineRoot) -> None:
    copy = student.start(home, str(tmp_path / "work"), is_solved=True)
    assert copy.obstacles == ()
    before = leaks.snapshot()
    notebook = nbformat.read(copy.notebook, as_version=4)
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    if "check(" not in notebook.cells[code[-1]].source:
        notebook.cells = notebook.cells[: code[-1]]  # the last cell takes away what the lab has made: here we do
    nbformat.write(notebook, copy.notebook)
    began = time.monotonic()
    ran = nbval(Path(copy.notebook), LAB_STRICT="1")
    took_s = time.monotonic() - began
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count(" passed") == 1
    assert took_s < 8 * copy.lab.run_s  # that is on a machine which has nothing else to do
    assert runner.cleanup(copy.directory) == []
    assert left_of(before, copy.directory) == []


@on_the_kernel
def test_blank_lab_passes_no_task(tmp_path: Path) -> None:
    before = leaks.snapshot()
    with Grader(cell_s=30) as grader:
        for home in HOMES:
            lab = definition.read(home)
            directory = tmp_path / Path(home).name
            directory.mkdir()
            notebook = source.notebook(home, lab, is_solved=False)
            write_notebook(str(directory / f"{Path(home).name}.ipynb"), notebook)
            graded = grader.grade(str(directory))
            states = {result.task: (result.state, result.points) for result in graded.results}
            assert states == {task.ident: (OPEN, 0.0) for task in lab.tasks}
            assert graded.remark == ""
    after = leaks.snapshot()
    assert after.links == before.links
    assert [mount for mount in leaks.read_mounts() if "container-lab-" in mount.point] == []


@on_the_kernel
def test_solved_labs_get_full_points(tmp_path: Path) -> None:
    homes = [home for home in HOMES if Path(home).name[:2] in ("01", "07")]
    with Grader() as grader:
        for home in homes:
            copy = student.start(home, str(tmp_path / Path(home).name), is_solved=True)
            graded = grader.grade(copy.directory)
            assert (graded.points, graded.remark) == (copy.lab.points, "")
            runner.cleanup(copy.directory)


@each_lab
def test_lab_says_what_a_learner_needs_to_know(home: str) -> None:
    lab = definition.read(home)
    assert lab.points == 10
    assert 10 <= lab.minutes <= 120
    for task in lab.tasks:
        assert 2 <= len(task.hints) <= 3, task.ident
        assert (task.check.__doc__ or "").endswith(".")
    cells = source.notebook(home, lab, is_solved=False).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert "**You need**" in prose
    assert "**It takes**" in prose
    assert prose.count("xpect") >= 3
    assert "## Go on from here" in prose
    assert "## To read" in prose
    for number in range(1, len(lab.tasks) + 1):
        assert f"## Task {number}: " in prose or f"## Task {number}" in prose


@pytest.mark.needs("root", "overlay")
def test_errand_needs_what_the_check_says(tmp_path: Path, engine_here: EngineRoot) -> None:
    home = next(home for home in HOMES if "drop_until" in home)
    script = Path(home, "errand.sh").read_text()
    names = ["CHOWN", "FOWNER", "DAC_OVERRIDE", "SETUID"]
    text = Path(home, "checks.py").read_text()
    assert all(f'"{name}"' in text for name in names)

    def works(kept: tuple[str, ...]) -> bool:
        options = ContainerOptions(
            "lab", ("sh", "-c", script), cap_drop=("ALL",), cap_add=kept, auto_remove=False, name="errand"
        )
        container = engine.containers.create(options)
        try:
            container.start()
            return container.wait() == 0
        finally:
            container.remove(force=True)

    from toolkit.engine import ContainerOptions, Engine

    with Engine.open() as engine:
        assert works(tuple(names))
        assert not any(works(fewer) for fewer in combinations(names, len(names) - 1))
    assert capability.parse(names) == capability.parse(names) & capability.DEFAULT


@on_the_kernel
def test_machine_without_privileges_gets_cards_that_say_so(tmp_path: Path) -> None:
    home = next(home for home in HOMES if "memory_hog" in home)
    work = tmp_path / "work"
    work.mkdir()
    student.copy_checks(home, str(work))
    program = (
        "import json, sys\nfrom tests.support.labs import execute\nimport nbformat\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "print(json.dumps(execute(notebook, sys.argv[2])))"
    )
    lab = definition.read(home)
    write_notebook(str(work / "lab.ipynb"), source.notebook(home, lab, is_solved=False))
    command = [
        "setpriv",
        "--bounding-set=-sys_admin",
        sys.executable,
        "-c",
        program,
        str(work / "lab.ipynb"),
        str(work),
    ]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=200)
    cells = [Cell(*each) for each in json.loads(ran.stdout.splitlines()[-1])]
    assert "something is in the way" in cells[0].html
    assert "EPERM" in cells[0].html
    cards = [cell for cell in cells if "check(" in cell.source]
    assert len(cards) == len(lab.tasks)
    assert {cell.text for cell in cards} == {"0"}
    assert all("not on this machine" in cell.html and "What helps" in cell.html for cell in cards)
