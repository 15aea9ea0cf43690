"""The networks that a running container is in, written down for whoever tells of its end: its monitor asks no database.

A file in the container's own directory; who starts the container, connects it
or disconnects it writes it.
"""

import os

from toolkit.core import document
from toolkit.runtime.meeting import NETWORKS_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Membership = tuple[str, str, str]
    """Id, name and driver of a network."""


def encode(networks: "Iterable[Membership]") -> str:
    """Return what the file says."""
    return document.encode(list(networks)).decode()


def read(directory: str) -> "list[Membership]":
    """Return the networks of the container that has this directory; none where there is no such file."""
    try:
        fd = os.open(f"{directory}/{NETWORKS_FILE}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        return [(row[0], row[1], row[2]) for row in document.decode(os.read(fd, os.fstat(fd).st_size))]
    finally:
        os.close(fd)


def write(directory: str, networks: "Iterable[Membership]") -> None:
    """Write the file anew, whole."""
    path = f"{directory}/{NETWORKS_FILE}"
    with open(f"{path}.new", "w") as file:
        file.write(encode(networks))
    os.rename(f"{path}.new", path)


def ended(directory: str, ident: str) -> "list[tuple[str, str, str, dict[str, str]]]":
    """Return the events of a container's leaving its networks, in docker's words."""
    return [
        ("network", "disconnect", network, {"container": ident, "name": name, "type": driver})
        for network, name, driver in read(directory)
    ]
