"""Which program a container runs: the user's words over the image's.  Pure."""

from typing import Any

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.options import ContainerOptions


def command(options: "ContainerOptions", image: dict[str, Any]) -> tuple[str, ...]:
    """Return the program and its arguments.

    Raises:
        InvalidError: neither the image nor the user names one.
    """
    entrypoint = options.entrypoint
    if entrypoint is None:
        entrypoint = tuple(image.get("Entrypoint") or ())
        arguments = options.command or tuple(image.get("Cmd") or ())
    else:
        arguments = options.command
    argv = (*entrypoint, *arguments)
    if not argv or not argv[0]:
        raise InvalidError("no command specified", hint="name one after the image")
    return argv
