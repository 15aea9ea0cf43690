"""The labs that there are: those that came with the package, or any directory that is one."""

import os

from toolkit.core.errors import NotFoundError
from toolkit.lab import definition, source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.lab.definition import Definition

_HERE = os.path.dirname(os.path.abspath(__file__))
_PLACES = (os.path.join(_HERE, "labs"), os.path.join(os.path.dirname(os.path.dirname(_HERE)), "labs"))
"""In an installed package, and in the repository."""


def directories() -> list[str]:
    """Return the directories of all labs that came with the package, in their order."""
    for place in _PLACES:
        if os.path.isdir(place):
            return [path for name in sorted(os.listdir(place)) if is_lab(path := os.path.join(place, name))]
    return []


def is_lab(directory: str) -> bool:
    """Tell whether a directory holds the source of a lab."""
    return all(os.path.isfile(os.path.join(directory, name)) for name in (source.SOURCE, definition.CHECKS))


def find(name: str) -> str:
    """Return the directory of a lab.

    Args:
        name: its directory's name, the number or the words of that, or a path to a lab of one's own.

    Raises:
        NotFoundError: there is none; the message lists those that there are.
    """
    if os.sep in name and is_lab(name):
        return os.path.abspath(name)
    known = {os.path.basename(path): path for path in directories()}
    wanted = name.strip(os.sep)
    for full, path in known.items():
        number, _, words = full.partition("_")
        if wanted in (full, number, number.lstrip("0"), words):
            return path
    listed = ", ".join(known) or "none"
    raise NotFoundError(f"no lab {name!r}", hint=f"there are: {listed}")


def read(directory: str) -> "Definition":
    """Return what a lab's checks.py says."""
    return definition.read(directory)
