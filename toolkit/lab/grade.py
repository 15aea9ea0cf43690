"""A submission, executed from its first cell to its last, and graded where a check stands.

The student's kernel runs the student's cells, and nothing else: a check is
asked by the grader's own process, so nothing that the notebook has replaced,
printed or left in memory can decide about points.  The kernel is killed at its
time limit; what it has started goes with it, and so does the engine that it
used.  Student code runs with the grader's rights: grade in a machine that may
break (`container vm run`, or any other virtual machine).
"""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from typing import Any, NamedTuple, Self, cast

from toolkit.core.errors import EngineError, InvalidError, NotFoundError
from toolkit.lab import catalogue, definition, runner, source, student
from toolkit.lab.remains import take_away
from toolkit.lab.task import BROKEN, OPEN, Result
from toolkit.linux.process import set_child_subreaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from toolkit.lab.definition import Definition
    from toolkit.lab.task import Task

CELL_S, TOTAL_S = 60.0, 600.0
"""How long one cell of a student's may take, and all of them."""
_VARIABLES = {"CONTAINER_ROOT": "root", "CONTAINER_RUN": "run", "JUPYTER_RUNTIME_DIR": "jupyter"}
"""What tells programs where to keep their things, and where the grader has them keep them."""


class Graded(NamedTuple):
    """One submission."""

    student: str
    """The name of the directory that was handed in."""
    lab: str
    results: tuple[Result, ...]
    """One for each task of the lab, in its order."""
    took_s: float
    remark: str = ""
    """What the instructor should know: the notebook was stopped, could not be read, left something behind."""

    @property
    def points(self) -> float:
        """All that it is worth."""
        return sum(result.points for result in self.results)

    @property
    def max_points(self) -> float:
        """All that there is."""
        return sum(result.max_points for result in self.results)


class Grader:
    """Grades submissions one after the other, in an engine of its own that is gone afterwards."""

    def __init__(
        self, *, cell_s: float = CELL_S, total_s: float = TOTAL_S, told: "Callable[[str], None]" = lambda _line: None
    ) -> None:
        """Prepare to grade.

        Args:
            cell_s: how long one cell may take.
            total_s: how long all of them may.
            told: gets a line for each thing that is done.
        """
        self._cell_s = cell_s
        self._total_s = total_s
        self._told = told

    def __enter__(self) -> Self:
        self._before = {name: os.environ.get(name) for name in _VARIABLES}
        self._base = tempfile.mkdtemp(prefix="container-lab-")
        os.environ.update({name: f"{self._base}/{place}" for name, place in _VARIABLES.items()})
        os.mkdir(f"{self._base}/root", 0o711)
        with open(f"{self._base}/root/daemon.json", "w") as file:
            file.write('{"bridge": "none"}')  # an engine that is thrown away must leave no bridge on the machine
        self._own = frozenset(_children())
        set_child_subreaper(1)  # what a student's kernel leaves behind becomes ours to end
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self._empty_engine(is_last=True)
        finally:
            set_child_subreaper(0)
            for name, value in self._before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
            try:
                shutil.rmtree(self._base)
            except OSError as exc:  # the grades are worth more than an empty /tmp
                self._told(f"left behind: {exc}")

    def _empty_engine(self, *, is_last: bool = False) -> None:
        """Remove every container of the grader's engine, whoever has made it and under whatever name."""
        if os.path.isdir(f"{self._base}/run"):
            from toolkit.engine import Engine

            engine = Engine.open()
            for container in engine.containers.list(all=True):
                container.remove(force=True)
            engine.shutdown() if is_last else engine.close()
        self._reap()

    def _reap(self) -> None:
        """End whatever has become a child of ours through its parents' end."""
        while left := _children() - self._own:
            for child in left:
                os.kill(child, signal.SIGKILL)  # until it is waited for, its number is its own
                os.waitpid(child, 0)

    def grade(self, directory: str, lab: str = "") -> Graded:
        """Grade one submission.

        Args:
            directory: what the student has handed in.
            lab: which lab it is of, as `catalogue.find` takes it; empty: as its notebook is named.

        Raises:
            NotFoundError: there is no such directory, or no lab can be told from it.
        """
        if not os.path.isdir(directory):
            raise NotFoundError(f"no submission in {directory}", hint="name the directories that were handed in")
        home = catalogue.find(lab) if lab else find_lab(directory)
        plan = definition.read(home)
        name = os.path.basename(os.path.abspath(directory))
        start_s = time.monotonic()
        # Of its own for each: what one student leaves there, and cannot be taken away, is no other's.
        work = os.path.join(tempfile.mkdtemp(prefix="work-", dir=self._base), os.path.basename(home))
        os.makedirs(work)
        try:
            student.copy_checks(home, work)
            results, remark = self._execute(directory, home, work, plan)
        finally:
            left = self._clean(home, work)
        remark = "; ".join(filter(None, [remark, *left]))
        return Graded(name, os.path.basename(home), results, time.monotonic() - start_s, remark)

    def _clean(self, home: str, work: str) -> list[str]:
        left = [reason for reason, _cure in runner.cleanup(work, home=home)]
        try:
            take_away(work)
            self._empty_engine()
            shutil.rmtree(os.path.dirname(work))
        except (EngineError, OSError) as exc:
            left.append(str(exc))
        return left

    def _execute(self, directory: str, home: str, work: str, lab: "Definition") -> tuple[tuple[Result, ...], str]:
        obstacles = runner.setup(work, home=home)
        if obstacles:
            return tuple(_untried(lab)), obstacles[0][0]
        try:
            notebook = read_submission(directory, home, lab)
        except (OSError, InvalidError) as exc:
            return tuple(_untried(lab)), f"its notebook cannot be read: {exc}"
        execution = _Execution(self._base, home, work, lab, self._told)
        remark = execution.run(notebook, self._cell_s, self._total_s)
        return tuple(execution.results[task.ident] for task in lab.tasks), remark


def _untried(lab: "Definition") -> "Iterator[Result]":
    return (Result(task.ident, task.title, task.points, OPEN) for task in lab.tasks)


def find_lab(directory: str) -> str:
    """Return the directory of the lab that a submission is of, by the name of its notebook.

    Raises:
        NotFoundError: it has none of that name.
    """
    names = [name.removesuffix(".ipynb") for name in sorted(os.listdir(directory)) if name.endswith(".ipynb")]
    known = {os.path.basename(path): path for path in catalogue.directories()}
    found = [known[name] for name in names if name in known]
    if len(found) != 1:
        hint = "name the lab with --lab"
        raise NotFoundError(f"{directory} has no notebook that is named as a lab is", hint=hint)
    return found[0]


def read_submission(directory: str, home: str, lab: "Definition") -> Any:
    """Return a student's notebook in which every cell that was not the student's to change is as it was.

    Raises:
        OSError: it is not there.
        InvalidError: it is no notebook.
    """
    names = [f"{os.path.basename(home)}.ipynb", *sorted(os.listdir(directory))]
    name = next((each for each in names if each.endswith(".ipynb") and _exists(directory, each)), names[0])
    handed_in = _read_notebook(os.path.join(directory, name))
    given = source.notebook(home, lab, is_solved=False)
    locked = {_grade_id(cell): cell for cell in given.cells if cell.metadata.get("nbgrader", {}).get("locked")}
    for cell in handed_in.cells:
        original = locked.get(_grade_id(cell))
        if cell.cell_type == "code" and original is not None:
            cell["source"], cell["metadata"] = original["source"], original["metadata"]
    return handed_in


def _read_notebook(path: str) -> Any:
    import nbformat

    read, validate = (cast("Any", function) for function in (nbformat.read, nbformat.validate))  # they have no types
    with open(path, encoding="utf-8", errors="replace") as file:
        try:
            notebook = read(file, as_version=4)
            validate(notebook)
        except Exception as exc:  # a student's file can break nbformat in any way
            raise InvalidError((str(exc) or type(exc).__name__).splitlines()[0][:200]) from exc
    return notebook


def _exists(directory: str, name: str) -> bool:
    return os.path.isfile(os.path.join(directory, name))


def _grade_id(cell: Any) -> str:
    marks = cell.metadata.get("nbgrader")
    return str(marks.get("grade_id", "")) if isinstance(marks, dict) else ""


class _Execution:
    """The run of one notebook."""

    def __init__(self, base: str, home: str, work: str, lab: "Definition", told: "Callable[[str], None]") -> None:
        self._base = base
        self._home = home
        self._work = work
        self._lab = lab
        self._told = told
        self.results: dict[str, Result] = {}

    def run(self, notebook: Any, cell_s: float, total_s: float) -> str:
        """Execute a notebook and fill in `results`; return a remark for the instructor."""
        from nbclient import NotebookClient
        from nbclient.exceptions import CellTimeoutError, DeadKernelError
        from traitlets.config import Config

        client: Any = NotebookClient(
            notebook,
            timeout=cell_s,
            kernel_name="python3",
            allow_errors=True,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": self._work}},
            # Ports would be open to whatever else is on the machine.
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{self._base}/kernel"}}),
        )
        remark = ""
        deadline_s = time.monotonic() + total_s
        with self._kernel(client):
            for index, cell in enumerate(notebook.cells):
                ident = source.checked_task(cell, self._lab)
                if ident:
                    self._check(ident)
                elif cell.cell_type == "code":
                    remark = self._cell(client, cell, index, deadline_s, (CellTimeoutError, DeadKernelError))
                    if remark:
                        break
        for task in self._lab.tasks:
            if task.ident not in self.results:
                self._check(task.ident)
        return remark

    @contextlib.contextmanager
    def _kernel(self, client: Any) -> "Generator[None]":
        try:
            kernel = client.setup_kernel(env=self._environment())
            kernel.__enter__()
        except RuntimeError as exc:
            raise EngineError(f"no Jupyter kernel starts: {exc}", hint="see whether this machine is busy") from exc
        try:
            yield
        finally:
            kernel.__exit__(None, None, None)

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [runner.SOURCE_ROOT, os.environ.get("PYTHONPATH", "")]))
        own = {runner.OWNER_VARIABLE: self._work, "PYTHONPATH": path, "IPYTHONDIR": f"{self._base}/ipython"}
        return {**os.environ, **own}

    def _cell(
        self, client: Any, cell: Any, index: int, deadline_s: float, endings: "tuple[type[Exception], ...]"
    ) -> str:
        """Execute one cell; return why no other is executed after it, or nothing."""
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return f"the notebook was stopped at its time limit, before cell {index + 1}"
        client.timeout = min(client.timeout, max(left_s, 1))
        try:
            client.execute_cell(cell, index)
        except endings as exc:
            what = "took too long" if "Timeout" in type(exc).__name__ else "ended the kernel"
            return f"cell {index + 1} {what}; the cells after it were not executed"
        return ""

    def _check(self, ident: str) -> None:
        result = self._ask(self._lab.task(ident))
        before = self.results.get(ident)
        if before is None or result.points > before.points:
            self.results[ident] = result
        self._told(f"{ident} {result.points:g}/{result.max_points:g}")

    def _ask(self, task: "Task") -> Result:
        """Check a task by the lab's own checks and files, whatever the notebook has written over its copies."""
        try:
            student.copy_checks(self._home, self._work)
        except OSError as exc:
            reason = f"the lab's files could not be put back into the student's directory: {exc}"
            return Result(task.ident, task.title, task.points, BROKEN, reason=reason)
        return runner.check(self._work, task, home=self._home)


def _children() -> "frozenset[int]":
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return frozenset(int(word) for word in file.read().split())
