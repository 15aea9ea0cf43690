"""Volumes of a plugin: docker's volume-plugin protocol, seen from the engine.

See Also:
    https://docs.docker.com/engine/extend/plugins_volume/
"""

import os
from typing import Any, NamedTuple, cast

from toolkit.core.errors import NotFoundError, PluginError
from toolkit.volume import discovery
from toolkit.volume.protocol import TIMEOUT_S, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND = "VolumeDriver"


class Plugin(NamedTuple):
    """A plugin that drives volumes."""

    name: str
    address: str
    timeout_s: float = TIMEOUT_S

    def create(self, name: str, options: "Mapping[str, str]") -> None:
        """Have it make a volume; for one that it has, nothing happens."""
        self._ask("Create", Name=name, Opts=dict(options))

    def remove(self, name: str) -> None:
        """Have it delete a volume with all that is in it."""
        self._ask("Remove", Name=name)

    def mount(self, name: str, ident: str) -> str:
        """Have it mount a volume for a container; return where.

        Raises:
            PluginError: also where what it says is no directory.
        """
        answer = self._ask("Mount", Name=name, ID=ident)
        path = answer.get("Mountpoint")
        if not isinstance(path, str) or not path.startswith("/") or not os.path.exists(path):
            message = f"VolumeDriver.Mount: the plugin {self.name} says that volume {name} lies at {path!r}"
            raise PluginError(message, hint="there is nothing: the plugin is broken")
        return path

    def unmount(self, name: str, ident: str) -> None:
        """Tell it that a container needs the volume no more."""
        self._ask("Unmount", Name=name, ID=ident)

    def path(self, name: str) -> str:
        """Return where a volume lies, empty where it is not mounted."""
        return _text(self._ask("Path", Name=name).get("Mountpoint"))

    def get(self, name: str) -> dict[str, Any]:
        """Return what it knows of a volume: Name, Mountpoint, CreatedAt, Status.

        Raises:
            PluginError: also where it has none of this name.
        """
        found = self._ask("Get", Name=name).get("Volume")
        if not isinstance(found, dict):
            raise PluginError(f"VolumeDriver.Get: the plugin {self.name} knows no volume {name}", hint="make it first")
        return cast("dict[str, Any]", found)

    def list(self) -> "list[dict[str, Any]]":
        """Return what it knows of all its volumes."""
        found = self._ask("List").get("Volumes") or []
        if not isinstance(found, list):
            raise PluginError(f"VolumeDriver.List: the plugin {self.name} answers with no list", hint="it is broken")
        rows = (cast("dict[str, Any]", row) for row in cast("list[object]", found) if isinstance(row, dict))
        return [row for row in rows if isinstance(row.get("Name"), str)]

    def scope(self) -> str:
        """Return "local", or "global" where other hosts see its volumes too; an old plugin does not say."""
        try:
            said = self._ask("Capabilities").get("Capabilities")
        except PluginError:
            return "local"
        wanted = cast("dict[str, Any]", said).get("Scope") if isinstance(said, dict) else ""
        return "global" if str(wanted).lower() == "global" else "local"

    def _ask(self, verb: str, **question: Any) -> dict[str, Any]:
        return call(self.address, f"{KIND}.{verb}", question, timeout_s=self.timeout_s)


def find(name: str, directories: "Sequence[str]" = discovery.DIRECTORIES, *, timeout_s: float = TIMEOUT_S) -> Plugin:
    """Find a plugin and shake hands with it.

    Raises:
        NotFoundError: there is none of this name.
        PluginError: it does not answer, or drives no volumes.
    """
    try:
        address = discovery.find(name, directories)
    except NotFoundError as exc:
        raise NotFoundError(f"error looking up volume plugin {name}: {exc.message}", hint=exc.hint) from exc
    said = call(address, "Plugin.Activate", {}, timeout_s=timeout_s).get("Implements")
    if not isinstance(said, list) or KIND not in said:
        message = f"error looking up volume plugin {name}: plugin {name} does not implement {KIND}"
        raise PluginError(message, hint=f"it says that it implements {said!r}")
    return Plugin(name, address, timeout_s)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
