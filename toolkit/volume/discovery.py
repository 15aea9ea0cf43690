"""Finding plugins where docker looks for them: a socket, or a file that says where one listens.

    DIRECTORY/NAME.sock, DIRECTORY/NAME/NAME.sock     it listens there
    DIRECTORY/NAME.spec, ...                          its address: unix:///path or tcp://host:port
    DIRECTORY/NAME.json, ...                          {"Name": ..., "Addr": ...}

See Also:
    https://docs.docker.com/engine/extend/plugin_api/, "Plugin discovery"
"""

import json
import os
import stat
from typing import Any, cast

from toolkit.core.errors import InvalidError, NotFoundError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DIRECTORIES = ("/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins")
_TAILS = (".sock", ".spec", ".json")
_SCHEMES = ("unix://", "tcp://", "http://")
_MAX_BYTES = 64 * 1024


def find(name: str, directories: "Sequence[str]" = DIRECTORIES) -> str:
    """Return the address of a plugin.

    Raises:
        NotFoundError: there is none of this name.
        InvalidError: the file that should say where it listens does not.
        UnsupportedError: it wants TLS.
    """
    if name and "/" not in name and name not in (".", ".."):
        for tail in _TAILS:  # a socket in any directory comes before a file in any
            for directory in directories:
                for path in (f"{directory}/{name}{tail}", f"{directory}/{name}/{name}{tail}"):
                    if address := _address(path):
                        return address
    raise NotFoundError(f'plugin "{name}" not found', hint=f"looked in {', '.join(directories)}")


def names(directories: "Sequence[str]" = DIRECTORIES) -> "list[str]":
    """Return the names of all plugins that can be found; what they can do only they know."""
    found: set[str] = set()
    for directory in directories:
        for name in _entries(directory):
            if os.path.isdir(f"{directory}/{name}"):
                inside = _entries(f"{directory}/{name}")
                found.update(name for tail in _TAILS if f"{name}{tail}" in inside)
            else:
                found.update(name[: -len(tail)] for tail in _TAILS if name.endswith(tail) and name != tail)
    return sorted(found)


def _entries(directory: str) -> "list[str]":
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _address(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if path.endswith(".sock"):
        return f"unix://{path}" if stat.S_ISSOCK(mode) else ""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(_MAX_BYTES)
    address = _of_json(path, text) if path.endswith(".json") else text.strip()
    if not address.startswith(_SCHEMES):
        message = f"the plugin file {path} has no address that is understood: {address[:80]!r}"
        raise InvalidError(message, hint="write unix:///path/to.sock or tcp://host:port")
    return address


def _of_json(path: str, text: str) -> str:
    try:
        document: object = json.loads(text)
    except ValueError as exc:
        raise InvalidError(f"the plugin file {path} is not JSON: {exc}", hint="repair it") from exc
    said = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    if said.get("TLSConfig"):
        raise UnsupportedError(f"the plugin file {path} asks for TLS", hint="have the plugin listen on a unix socket")
    return str(said.get("Addr") or "")
