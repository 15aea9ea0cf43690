"""A student's copy of a lab: a directory with the blank notebook and the checks."""

import contextlib
import os
import shutil
from typing import Any, NamedTuple

from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.lab import catalogue, definition, runner, source
from toolkit.lab.attempts import Attempts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.lab.definition import Definition

_BACKUP = ".bak"


class Copy(NamedTuple):
    """A copy that was made."""

    directory: str
    notebook: str
    """The path of its notebook."""
    lab: "Definition"
    obstacles: tuple[tuple[str, str], ...]
    """What stands in the way on this machine, each with its cure."""


def start(name: str, directory: str = "", *, is_solved: bool = False) -> Copy:
    """Make a copy of a lab, and what it needs on this machine.

    Args:
        name: the lab, as `catalogue.find` takes it.
        directory: where; empty: a directory of the lab's name in the working directory.
        is_solved: with the solutions, for an instructor.

    Raises:
        NotFoundError: no such lab.
        ConflictError: there is something at `directory`.
    """
    home = catalogue.find(name)
    target = os.path.realpath(directory or os.path.basename(home))
    lab = definition.read(home)
    notebook = source.notebook(home, lab, is_solved=is_solved)
    try:
        os.makedirs(target)
    except FileExistsError:
        hint = f"give another directory, or 'container lab reset {directory or target}' for a fresh copy there"
        raise ConflictError(f"{target} exists", hint=hint) from None
    return _fill(home, target, notebook, lab)


def _fill(home: str, target: str, notebook: object, lab: "Definition") -> Copy:
    path = os.path.join(target, f"{os.path.basename(home)}.ipynb")
    write_notebook(path, notebook)
    copy_checks(home, target)
    Attempts(target).note_source(home)
    return Copy(target, path, lab, tuple(runner.setup(target)))


def write_notebook(path: str, notebook: object) -> None:
    """Write a notebook of nbformat's, if it is a valid one."""
    import nbformat

    write: Any = nbformat.write  # it has no types
    nbformat.validate(notebook)
    write(notebook, path)


def copy_checks(home: str, target: str) -> None:
    """Copy what of a lab its checks need: everything but the source and what Python has made of it."""
    skipped = shutil.ignore_patterns(source.SOURCE, "__pycache__")
    shutil.copytree(home, target, ignore=skipped, dirs_exist_ok=True, copy_function=_copy_anew)


def _copy_anew(source_path: str, target_path: str) -> str:
    """Copy a file in the place of another: never through a link that a student has put there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target_path)
    return str(shutil.copy2(source_path, target_path))


def home_of(directory: str) -> str:
    """Return where the lab in a student's directory came from.

    Raises:
        NotFoundError: it is no student's directory, or its lab is not here any more.
    """
    noted = Attempts(directory).source
    if noted and catalogue.is_lab(noted):
        return noted
    names = [name.removesuffix(".ipynb") for name in _listed(directory) if name.endswith(".ipynb")]
    known = {os.path.basename(path): path for path in catalogue.directories()}
    found = [known[name] for name in names if name in known]
    if len(found) == 1:
        return found[0]
    raise NotFoundError(f"{directory} is no copy of a lab", hint="make one: container lab start NAME DIR")


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError as exc:
        raise NotFoundError(f"no directory {directory}: {exc.strerror}") from exc


def reset(directory: str) -> tuple[Copy, str]:
    """Take away what the lab in a directory has made, and put a fresh copy there.

    Files go only where `start` has made the directory, and noted so: any other may have more in it than a lab.

    Returns:
        The copy, and where the student's notebook is kept; empty: there was none.

    Raises:
        NotFoundError: it is no student's directory.
        InvalidError: something on the machine could not be taken away.
    """
    target = os.path.realpath(directory)  # as /proc has it, by which mounts and processes in it are found
    home = home_of(target)
    lab = definition.read(home)
    notebook = source.notebook(home, lab, is_solved=False)
    copy_checks(home, target)  # the student's own may not be readable any more
    left = runner.cleanup(target)
    if left:
        raise InvalidError(f"the lab could not be cleaned up: {left[0][0]}", hint=left[0][1])
    is_ours = bool(Attempts(target).source)  # or it is any directory into which a student has copied the notebook
    backup = _keep(os.path.join(target, f"{os.path.basename(home)}.ipynb"))
    kept = {os.path.basename(backup)} if backup else set()
    for name in os.listdir(target):
        if is_ours and name not in kept and not name.endswith(_BACKUP):
            _remove(os.path.join(target, name))
    return _fill(home, target, notebook, lab), backup


def _keep(path: str) -> str:
    """Rename a notebook to the first free NAME.bak, NAME.2.bak, ...; return that."""
    if not os.path.exists(path):
        return ""
    backup, number = f"{path}{_BACKUP}", 1
    while os.path.exists(backup):
        number += 1
        backup = f"{path}.{number}{_BACKUP}"
    os.rename(path, backup)
    return backup


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
