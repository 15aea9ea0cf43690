"""docker's rules on what a copy is called and where it lands; pure.

See Also:
    docker, moby/go-archive, copy.go: PrepareArchiveCopy
"""

from typing import NamedTuple

from toolkit.core.errors import ConflictError, NotFoundError
from toolkit.engine.files.stat import asserts_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Source(NamedTuple):
    """What is copied."""

    base: str
    """What its entries in the tar begin with."""
    is_directory: bool


class Target(NamedTuple):
    """Where it goes."""

    path: str
    """As the user wrote it, or where that leads if it is a symlink."""
    exists: bool
    is_directory: bool


class Landing(NamedTuple):
    """What is to be done."""

    directory: str
    """Where the tar is to be extracted."""
    base: str
    """What its entries are to begin with instead."""


def land(source: Source, target: Target) -> Landing:
    """Decide where a copy lands.

    Raises:
        ConflictError: a directory cannot take the place of a file.
        NotFoundError: the target is to be a directory, and there is none.
    """
    if target.exists and target.is_directory:
        return Landing(target.path, source.base)
    if target.exists and source.is_directory:
        raise ConflictError("cannot copy directory", hint=f"{target.path} is a file")
    if not target.exists and not source.is_directory and asserts_directory(target.path):
        raise NotFoundError("no such directory", hint=f"make {target.path} first")
    directory, _, name = target.path.rstrip("/").removesuffix("/.").rpartition("/")
    return Landing(directory or ("/" if target.path.startswith("/") else "."), name)


def renamer(old: str, new: str) -> "Callable[[str], str]":
    """Return what gives the entries below `old` the name `new` instead."""

    def rename(name: str) -> str:
        plain = name.rstrip("/")
        if plain == old:
            return new
        if old == "." and not plain.startswith("./"):
            return f"{new}/{plain}"
        return f"{new}/{plain[len(old) + 1 :]}" if plain.startswith(f"{old}/") else name

    return rename
