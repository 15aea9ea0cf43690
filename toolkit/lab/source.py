"""The notebook of a lab, made from its one source: solved for an instructor, blank for a student.

The source is jupytext's py:percent.  Two marks on a cell say what it is for:

    # %% solution="new_views"     the student's: what stands between BEGIN and END SOLUTION is taken out
    # %% check="L1.1"             asks for a check; locked

From them the cell's nbgrader metadata are made, points from the task in
checks.py, so that they are said once.  Taking out follows nbgrader's own rules
(nbgrader/preprocessors/clearsolutions.py, clearhiddentests.py).
"""

import os
import re
from typing import Any

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.lab.definition import Definition

SOURCE = "lab.py"
STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
_BEGIN, _END = "### BEGIN SOLUTION", "### END SOLUTION"
_BEGIN_HIDDEN, _END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
MARKS = (_BEGIN, _END, _BEGIN_HIDDEN, _END_HIDDEN)
_SCHEMA = 3
_NO_NAME = re.compile(r"[^A-Za-z0-9_]")


def notebook(directory: str, lab: "Definition", *, is_solved: bool) -> Any:
    """Return a lab's notebook (nbformat's), without outputs and the same each time.

    Args:
        directory: the lab's own, with its source.
        lab: what its checks.py says.
        is_solved: with the solutions; otherwise as a student gets it.

    Raises:
        InvalidError: the source has marks that do not match each other or the tasks.
    """
    import jupytext

    path = os.path.join(directory, SOURCE)
    made = jupytext.read(path, fmt="py:percent")
    for index, cell in enumerate(made.cells):
        cell["id"] = f"cell-{index:02d}"
        _mark(cell, lab, path)
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
            if not is_solved:
                cell["source"] = blanked(cell["source"], path)
    _refuse_unasked(made, lab, path)
    for name in [name for name in made.metadata if name != "kernelspec"]:
        del made.metadata[name]
    made.nbformat, made.nbformat_minor = 4, 5
    return made


def _mark(cell: Any, lab: "Definition", path: str) -> None:
    """Replace our marks in a cell's metadata by nbgrader's."""
    solution, check = cell.metadata.pop("solution", None), cell.metadata.pop("check", None)
    cell.metadata.clear()
    if solution is not None:
        if _BEGIN not in cell["source"]:
            raise InvalidError(f"{path}: the solution {solution} has no {_BEGIN}")
        cell.metadata["nbgrader"] = _nbgrader(solution, is_solution=True)
    elif check is not None:
        cell.metadata["nbgrader"] = {**_nbgrader(grade_id(check), is_check=True), "points": lab.task(check).points}
    elif cell.cell_type == "code":
        if _BEGIN in cell["source"]:
            raise InvalidError(f"{path}: a cell with {_BEGIN} is not marked as a solution")
        cell.metadata["nbgrader"] = _nbgrader(cell["id"].replace("-", "_"))
    if cell.metadata:
        cell.metadata["deletable"] = False
        if cell.metadata["nbgrader"]["locked"]:
            cell.metadata["editable"] = False


def _nbgrader(name: str, *, is_solution: bool = False, is_check: bool = False) -> dict[str, Any]:
    """Return a cell's metadata as nbgrader's schema 3 has them."""
    return {
        "grade": is_check,
        "grade_id": name,
        "locked": not is_solution,
        "schema_version": _SCHEMA,
        "solution": is_solution,
        "task": False,
    }


def grade_id(ident: str) -> str:
    """Return the name of the cell that checks a task."""
    return f"check_{_NO_NAME.sub('_', ident)}"


def checked_task(cell: Any, lab: "Definition") -> str:
    """Return which task a cell checks; empty: it is no check."""
    marks = cell.metadata.get("nbgrader")
    if not isinstance(marks, dict):
        return ""
    names = {grade_id(task.ident): task.ident for task in lab.tasks}
    return names.get(marks.get("grade_id", ""), "") if marks.get("grade") else ""


def _refuse_unasked(made: Any, lab: "Definition", path: str) -> None:
    asked = [found for cell in made.cells if (found := checked_task(cell, lab))]
    expected = [task.ident for task in lab.tasks]
    if asked != expected:
        raise InvalidError(f"{path} checks {', '.join(asked) or 'nothing'}, and checks.py has {', '.join(expected)}")


def blanked(text: str, path: str) -> str:
    """Return a cell without its solutions and its hidden tests, with nbgrader's stub in each solution's place.

    Raises:
        InvalidError: a mark without its counterpart.
    """
    kept: list[str] = []
    inside = ""
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped in (_BEGIN, _BEGIN_HIDDEN):
            if inside:
                raise InvalidError(f"{path}: {stripped} inside of {inside}")
            inside = stripped
            indent = line[: len(line) - len(line.lstrip())]
            kept += [f"{indent}{word}" for word in STUB] if stripped == _BEGIN else []
        elif stripped in (_END, _END_HIDDEN):
            if inside != stripped.replace("END", "BEGIN"):
                raise InvalidError(f"{path}: {stripped} without its beginning")
            inside = ""
        elif not inside:
            kept.append(line)
    if inside:
        raise InvalidError(f"{path}: {inside} without its end")
    return "\n".join(kept)
