"""A lab of two tasks about files, which takes no time; and kernels in which labs are executed."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nbclient
import nbformat

from toolkit.lab import definition, source

TOY_CHECKS = '''
"""A lab about two files."""

import os
import sys
import time

from toolkit.lab import Look, task
from toolkit.lab.look import LackError

TITLE = "Two files"
MINUTES = 1
RUN_S = 1
NEEDS = ()


def there(look, name):
    return "there" if os.path.exists(look.path(name)) else "missing"


@task("T.1", points=2, title="One", hints=["think of a file", "call it one", "`touch one`"], limit_s=6)
def one(look: Look) -> None:
    print("noise on stdout")
    print("noise on stderr", file=sys.stderr)
    if os.path.exists(look.path("crash")):
        raise ZeroDivisionError("on purpose")
    if os.path.exists(look.path("hang")):
        time.sleep(1000)
    if os.path.exists(look.path("lack")):
        raise LackError("no such thing here", "buy one")
    if os.path.exists(look.path("quiet")):
        return
    look.expect("the file one", "there", there(look, "one"))


@task("T.2", points=3, title="Two", after=["T.1"], hints=["another file", "`echo 2 > two`"])
def two(look: Look) -> None:
    look.must("the file two", "there", there(look, "two"), points=1)
    with open(look.path("two")) as file:
        look.expect("what is in it", "2", file.read().strip())


def setup(look: Look) -> None:
    with open(look.path("given"), "w") as file:
        file.write("by setup")


def cleanup(look: Look) -> None:
    for name in ("one", "two", "given"):
        if os.path.exists(look.path(name)):
            os.unlink(look.path(name))
'''

TOY_SOURCE = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Two files

# %%
from toolkit.notebook import lab

lab.begin()

# %% solution="one"
import pathlib

### BEGIN SOLUTION
pathlib.Path("one").touch()
### END SOLUTION

# %% check="T.1"
from toolkit.notebook.lab import check

check("T.1")

# %% solution="two"
### BEGIN SOLUTION
pathlib.Path("two").write_text("2")
### END SOLUTION

# %% check="T.2"
from toolkit.notebook.lab import check

check("T.2")
"""


def make_toy(directory: Path) -> Path:
    """Write the toy lab into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "checks.py").write_text(TOY_CHECKS)
    (directory / "lab.py").write_text(TOY_SOURCE)
    return directory


def toy_notebook(directory: Path, *, is_solved: bool) -> Any:
    """Return the toy lab's notebook."""
    home = str(directory)
    return source.notebook(home, definition.read(home), is_solved=is_solved)


class Cell(NamedTuple):
    """What came of one code cell."""

    source: str
    text: str
    """Of its value."""
    html: str
    stderr: str
    error: str


def execute(notebook: Any, directory: str) -> list[Cell]:
    """Execute a notebook in a kernel of its own, errors included; return what its code cells showed."""
    client = nbclient.NotebookClient(
        notebook, timeout=100, allow_errors=True, resources={"metadata": {"path": directory}}
    )
    client.execute(env={**os.environ, "PYTHONPATH": os.getcwd()})
    return [_shown(cell) for cell in notebook.cells if cell.cell_type == "code"]


def _shown(cell: Any) -> Cell:
    data = [output["data"] for output in cell.outputs if "data" in output]
    last = data[-1] if data else {}
    stderr = "".join(output.text for output in cell.outputs if output.get("name") == "stderr")
    error = "".join(output.ename for output in cell.outputs if output.output_type == "error")
    return Cell(cell.source, last.get("text/plain", ""), last.get("text/html", ""), stderr, error)


def nbval(
    path: Path, through: Callable[[Sequence[str]], Sequence[str]] = tuple, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run a notebook as pytest does with nbval, each cell a test; each failure is told once, in CI too (-rN).

    `through` makes of a command one that runs it elsewhere.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-rN", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir=/"]
    return subprocess.run(
        through([*command, "--nbval-lax", "--nbval-current-env", "--nbval-kernel-startup-timeout=60", path.name]),
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": os.getcwd(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def with_cell(notebook: Any, before: int, text: str) -> Any:
    """Return the notebook with one more code cell, put before the code cell of that index."""
    places = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    place = places[before] if before < len(places) else len(notebook.cells)
    notebook.cells.insert(place, nbformat.v4.new_code_cell(text))
    return notebook
