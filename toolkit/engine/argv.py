"""Which program a container runs: the user's words over the image's.  Pure."""

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from toolkit.engine.options import ContainerOptions


def command(options: "ContainerOptions", image: "dict[str, Any]") -> tuple[str, ...]:
    """Return the program and its arguments.

    Raises:
        InvalidError: neither the image nor the user names one.
    """
    argv = words(options.entrypoint, options.command, image)
    if not argv or not argv[0]:
        raise InvalidError("no command specified", hint="name one after the image")
    return argv


def words(entrypoint: "Sequence[str] | None", arguments: "Sequence[str]", image: "dict[str, Any]") -> tuple[str, ...]:
    """Put together what the user gave (None: no entrypoint was named) and what the image says."""
    if entrypoint is None:
        return (*(image.get("Entrypoint") or ()), *(arguments or image.get("Cmd") or ()))
    return (*entrypoint, *arguments)
