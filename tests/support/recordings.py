"""Recordings of the lessons: `python -m tests.support.recordings [NAME...]` writes notebooks/recordings/*.jsonl.

Each notebook runs on this machine's kernel, with an engine of its own, and what
its cells show is kept, so that it can be shown where containers cannot run
(toolkit/notebook/recorded_cells.py).  Made again whenever a cell's text changes.
A walk that a lesson shows as a picture (`lesson.walk`) has a file of its own.
"""

import datetime as dt
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import nbclient
import nbformat

from tests.support.nested import REPOSITORY
from tests.support.notebooks import DIRECTORY, render, sources
from tests.support.session import Session
from toolkit.linux.cgroup import detect
from toolkit.notebook import recorded_cells
from toolkit.notebook.lesson import asks
from toolkit.notebook.recorded_cells import Output, Recording

OWN = "# This cell is yours."
_FORMS = ("text/plain", "text/html", "image/svg+xml")
_TIMEOUT_S = 180
_PRIVATE = "TOOLKIT_RECORDING"


def name_of(source: str) -> str:
    """Return what the recording of a source is called."""
    return os.path.basename(source).removesuffix(".py")


def path_of(name: str) -> str:
    """Return where the recording of that name lies."""
    file = f"{name}{recorded_cells.SUFFIX}"
    return os.path.join(os.path.abspath(DIRECTORY), recorded_cells.DIRECTORY, file)


def recordable(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the cells that a recording must hold: those after the first that asks for containers."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    first = next(index for index, cell in enumerate(code) if "needs_containers" in cell.source)
    return [cell for cell in code[first + 1 :] if not asks(cell.source) and cell.source != OWN]


def record(source: str) -> Recording:
    """Run a notebook here and return what its cells showed."""
    notebook = nbformat.reads(render(source), as_version=4)
    session = Session()
    try:
        made = session.new_root()
        roots = {"CONTAINER_ROOT": made.root, "CONTAINER_RUN": made.run}
        client = nbclient.NotebookClient(notebook, timeout=_TIMEOUT_S, resources={"metadata": {"path": session.base}})
        client.execute(env={**os.environ, "PYTHONPATH": REPOSITORY, **roots})
        session.delete_root(made)
    finally:
        session.close()
    cells = {recorded_cells.key(cell.source): list(_outputs(cell)) for cell in recordable(notebook)}
    machine = f"{os.uname().machine}, cgroup {detect().kind}"
    return Recording(dt.datetime.now(tz=dt.UTC).date().isoformat(), os.uname().release, machine, cells)


WALKS = {"03_walk": ("lab", "true")}
"""Each by its name: the words after `container step run`."""


def record_walk(name: str, path: str) -> None:
    """Make a container step by step, on a machine of which no more is mounted than any has, and write what was seen."""
    session = Session()
    try:
        made = session.new_root()
        roots = {"CONTAINER_ROOT": made.root, "CONTAINER_RUN": made.run, "PYTHONPATH": REPOSITORY}
        command = [sys.executable, "-m", "toolkit.cli", "step", "run", "--record", path, *WALKS[name]]
        go_on = "c\n"  # through all that is left
        subprocess.run(command, env={**os.environ, **roots}, input=go_on, text=True, check=True, capture_output=True)
        session.delete_root(made)
    finally:
        session.close()


def _outputs(cell: nbformat.NotebookNode) -> Iterator[Output]:
    for output in cell.outputs:
        if output.output_type == "stream":
            yield {"stream": output.name, "text": output.text}
        else:
            data: dict[str, Any] = output.data
            yield {form: data[form] for form in _FORMS if form in data}


def in_private(module: str, words: list[str]) -> None:
    """Go on as another process, which sees no processes and no mounts but those of any machine, and is called laptop.

    Returns where this is that process.
    """
    if os.environ.get(_PRIVATE):
        return
    others = "findmnt --raw --noheadings --output TARGET | grep -E '^/(mnt|tmp|srv|media|home)/' | tac"
    script = f'hostname laptop && {others} | xargs -r umount --lazy; exec "$@"'
    os.environ[_PRIVATE] = "1"
    program = ["sh", "-c", script, "sh", sys.executable, "-m", module, *words]
    os.execvp("unshare", ["unshare", "--pid", "--fork", "--mount-proc", "--uts", *program])  # noqa: S606


def main(names: list[str]) -> None:
    """Write the recordings of these lessons and walks, or of all."""
    in_private("tests.support.recordings", names)
    for source in sources():
        if not names or name_of(source) in names:
            _write(name_of(source), recorded_cells.render(record(source)))
    for name in WALKS:
        if not names or name in names:
            with tempfile.TemporaryDirectory() as directory:
                record_walk(name, f"{directory}/walk")
                _write(name, pathlib.Path(directory, "walk").read_text(encoding="utf-8"))


def _write(name: str, text: str) -> None:
    for private in (REPOSITORY, sys.prefix):
        if private in text:
            raise SystemExit(f"{name} would tell where it was made: {private}")
    os.makedirs(os.path.dirname(path_of(name)), exist_ok=True)
    with open(path_of(name), "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{name}: {len(text) >> 10} KiB")


if __name__ == "__main__":
    main(sys.argv[1:])
