"""Notebooks from their sources: `python -m tests.support.notebooks` writes each notebooks/*.ipynb.

The source of truth is py:percent (jupytext), which reviews read as code; the
.ipynb beside it is what a learner opens.  Generated, without outputs, and the
same each time: cell ids are counted and not drawn.
"""

import glob
import os

import jupytext
import nbformat

DIRECTORY = os.path.join(os.path.dirname(__file__), "..", "..", "notebooks")


def sources() -> list[str]:
    """Return the paths of all py:percent sources."""
    return sorted(glob.glob(os.path.join(os.path.abspath(DIRECTORY), "*.py")))


def target(source: str) -> str:
    """Return where the notebook of a source lies."""
    return source.removesuffix(".py") + ".ipynb"


def render(source: str) -> str:
    """Return the notebook of a source as text."""
    notebook = jupytext.read(source)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:02d}"
        if cell.source.startswith("%%"):
            cell["source"] = _uncommented(cell.source)
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
    notebook.metadata = nbformat.from_dict({"kernelspec": notebook.metadata["kernelspec"]})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return f"{nbformat.writes(notebook)}\n"


def _uncommented(source: str) -> str:
    """Return a cell of another language, all of whose lines are comments in the source; jupytext guesses at them."""
    return "\n".join(
        line.removeprefix("#").removeprefix(" ") if line[:1] == "#" else line for line in source.split("\n")
    )


def main() -> None:
    """Write all notebooks."""
    for source in sources():
        with open(target(source), "w", encoding="utf-8") as file:
            file.write(render(source))


if __name__ == "__main__":
    main()
