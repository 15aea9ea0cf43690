"""A lab in a notebook: `begin()` in its first cell, `check("L1.1")` below each task.

    from toolkit.notebook.lab import check
    check("L1.1")

What a check found is a card; as text it is the number of points, which is what
nbgrader reads.  A check never raises, so that Run All goes on, unless
LAB_STRICT is set: then a task that is not done ends the run, for CI.
"""

import inspect
import os
import subprocess
import sys
import textwrap
from typing import Any

from toolkit.core.errors import EngineError
from toolkit.lab import definition, runner
from toolkit.lab.checking import Checker
from toolkit.lab.remains import take_away
from toolkit.lab.source import MARKS
from toolkit.lab.task import BROKEN, Result
from toolkit.lab.text import begin_text, result_text
from toolkit.notebook.labcard import begin_html, result_html
from toolkit.notebook.values import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.lab.definition import Definition

STRICT_VARIABLE = "LAB_STRICT"
_HEADER = "import os\nimport sys\n"
_FIRST_MOMENT_S = 0.5
"""How long a program that fails at once may take to do so."""
_LAST_LINES = 4


class NotDoneError(Exception):
    """A task is not done, and LAB_STRICT is set."""


class Checked:
    """What a check came to; shows itself as a card, and as text is worth its points."""

    def __init__(self, result: Result) -> None:
        self.result = result

    @property
    def points(self) -> float:
        """What it is worth."""
        return self.result.points

    def __repr__(self) -> str:
        return f"{self.points:g}"

    def _repr_html_(self) -> str:
        return result_html(self.result)


class Begun:
    """A lab that has begun: what it is about, and whether this machine is ready for it."""

    def __init__(self, lab: "Definition | None", obstacles: tuple[tuple[str, str], ...]) -> None:
        self.lab = lab
        self.obstacles = obstacles
        """What stands in the way, each with its cure."""

    def __bool__(self) -> bool:
        return not self.obstacles

    def __repr__(self) -> str:
        return begin_text(self.lab, self.obstacles)

    def _repr_html_(self) -> str:
        return begin_html(self.lab, self.obstacles)


def begin() -> Begun:
    """Take away what an earlier run of this lab has left, and make what the lab needs."""
    directory = os.getcwd()
    os.environ[runner.OWNER_VARIABLE] = directory  # what this notebook starts can be found again by it
    try:
        lab = definition.read(directory)
    except EngineError as exc:
        return Begun(None, ((str(exc), ""),))
    return Begun(lab, tuple(runner.setup(directory)))


def check(ident: str) -> Checked:
    """Ask the kernel whether a task of the lab in this notebook's directory is done.

    Raises:
        NotDoneError: it is not, and LAB_STRICT is set.
    """
    result = _check(ident)
    if not result.is_done and os.environ.get(STRICT_VARIABLE):
        raise NotDoneError(result_text(result))
    return Checked(result)


def _check(ident: str) -> Result:
    asked = Result(str(ident), "", 0.0, BROKEN)
    try:
        directory = os.getcwd()
        lab = definition.read(directory)
        return Checker(directory, lab, kernel_pid=os.getpid()).check(ident)
    except EngineError as exc:
        return asked._replace(
            reason=str(exc), cure="open the notebook in the directory that `container lab start` made"
        )
    except Exception as exc:  # noqa: BLE001 - a check always answers
        return asked._replace(reason=f"{type(exc).__name__}: {exc}", cure="restart the kernel, and begin again")


def write_module(path: str, *functions: "Callable[[], Any]", imports: str = "") -> None:
    """Write your functions into a file, from which a program can import them.

    Args:
        path: the file to write.
        functions: defined in cells of this notebook.
        imports: lines at the top of the file, besides `import os` and `import sys`.
    """
    parts = [_unmarked(textwrap.dedent(inspect.getsource(function))) for function in functions]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n\n".join([f"{_HEADER}{imports.strip()}\n", *parts]))


def write_program(path: str, *functions: "Callable[[], Any]", imports: str = "") -> None:
    """Write a program that calls your functions one after the other, in the order in which they are given.

    Args:
        path: the file to write.
        functions: defined in cells of this notebook, without arguments.
        imports: lines at the top of the program, besides `import os` and `import sys`.
    """
    write_module(path, *functions, imports=imports)
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n\n" + "".join(f"{function.__name__}()\n" for function in functions))


def _unmarked(text: str) -> str:
    """Return the source of a function without the marks that only an instructor's notebook has."""
    return "".join(line for line in text.splitlines(keepends=True) if line.strip() not in MARKS)


class Program:
    """A program of the student's, started in the background."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log_path: str) -> None:
        self._name = name
        self._process = process
        self._log_path = log_path

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> Text:
        """What it has written so far."""
        with open(self._log_path, encoding="utf-8", errors="replace") as file:
            return Text(file.read())

    def __repr__(self) -> str:
        code = self.exit_code
        if code is None:
            return f"{self._name} runs, as process {self.pid}"
        last = self.output.rstrip().splitlines()[-_LAST_LINES:]
        return "\n".join([f"{self._name} has ended with exit code {code}", *last])


def run_program(path: str, *arguments: str) -> Program:
    """Run a Python program in the background, with what it writes in a file; return after a moment.

    Args:
        path: the program.
        arguments: what it gets on its command line.
    """
    log_path = f"{os.path.splitext(path)[0]}.log"
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, path, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        process.wait(timeout=_FIRST_MOMENT_S)
    except subprocess.TimeoutExpired:
        pass  # it runs on, as it is to
    return Program(path, process, log_path)


def stop_programs() -> None:
    """End all that this lab's notebook has started, and detach what it has mounted in its directory."""
    take_away(os.getcwd())
