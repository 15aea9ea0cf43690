"""Other OCI runtimes that can make the engine's containers: by a registered name, a path, or a program on PATH."""

import os

from toolkit.core.errors import InvalidError, UnsupportedError
from toolkit.engine.options import OWN_RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from toolkit.engine.engine import Engine
    from toolkit.linux.cgroup.resources import Resources
    from toolkit.runtime.spec import Config, Linux

_CLAIMED = "1.0.2"
"""The version of the specification in which all is that the engine's configs use: some runtimes look at it."""
_MORE_PATH = "/usr/sbin:/sbin"
"""Where runc is on some systems, and a user's PATH does not lead."""


def command(name: str, registered: "Mapping[str, Any]") -> tuple[str, ...]:
    """Return the program of a runtime and the arguments that it always gets; nothing for the engine's own.

    Args:
        name: as `--runtime` gives it.
        registered: as `runtimes` in the configuration file.

    Raises:
        InvalidError: there is no such runtime.
    """
    if name in ("", OWN_RUNTIME):
        return ()
    entry = registered.get(name)
    if entry is not None:
        return (_program(entry["path"], name), *entry.get("runtimeArgs", ()))
    return (_program(name, name),)


def _program(path: str, name: str) -> str:
    import shutil

    found = shutil.which(path, path=f"{os.environ.get('PATH', os.defpath)}:{_MORE_PATH}")
    if found is None:
        hint = "name one of the configuration file's `runtimes`, a program on PATH, or a path"
        raise InvalidError(f"unknown or invalid runtime name: {name}", hint=hint)
    return os.path.abspath(found)


def state_directory(run: str, ident: str) -> str:
    """Return where another runtime keeps what it knows of a container: apart from its files, which may go before."""
    return f"{run}/runtimes/{ident}"


def undertaker(state: str, program: tuple[str, ...], ident: str) -> tuple[str, ...]:
    """Return what `Request.undertaker` is to be."""
    return (state, *program, "--root", state, "delete", "--force", ident)


def bury(engine: "Engine", ident: str, name: str) -> None:
    """Have another runtime take away what it has made of a container; whether it can, what follows does the rest."""
    from toolkit.runtime.remains import bury as take_away

    state = state_directory(engine.paths.run, ident)
    if not name or not os.path.isdir(state):
        return
    try:
        program = command(name, engine.settings.runtimes)
    except InvalidError:
        program = ("/bin/false",)  # it is not there any more: its groups are emptied all the same
    take_away(undertaker(state, program, ident))


def prepared(config: "Config", root: str, resources: "Resources", seccomp: "dict[str, Any] | None") -> "Config":
    """Return an engine's config as another runtime can use it: with its root, its filter, and no limit that is lacking.

    Args:
        config: the engine's own.
        root: where the root file system is to be seen.
        resources: the limits that this host can hold.
        seccomp: OCI's `linux.seccomp`; None: no filter.

    Raises:
        UnsupportedError: a part of a volume is to be mounted: the specification knows no such thing, and whoever does
            not know it would show the whole.
    """
    for entry in config.get("mounts", ()):
        if part := entry.get("subpath"):
            message = f"another runtime cannot mount a part of a volume, {part} on {entry['destination']}"
            raise UnsupportedError(message, hint="leave out volume-subpath, or --runtime")
    linux: Linux = {**config.get("linux", {}), "resources": resources}
    if seccomp is not None:
        linux["seccomp"] = seccomp
    return {**config, "ociVersion": _CLAIMED, "root": {**config.get("root", {}), "path": root}, "linux": linux}
