"""A mount of a container, decided: which volume, which path.  It is stored with the container."""

from typing import Any, NamedTuple

from toolkit.volume.mount import TMPFS, VOLUME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NOTHING: "Mapping[str, str]" = {}


class MountPoint(NamedTuple):
    """One mount of one container."""

    kind: str
    destination: str
    source: str = ""
    """The path on the host of a bind mount; empty for others."""
    name: str = ""
    """The volume's."""
    driver: str = ""
    """The volume's; empty for others."""
    mode: str = ""
    read_only: bool = False
    propagation: str = ""
    recursion: str = ""
    """As MountSpec's, and likewise the next ones."""
    makes_source: bool = False
    no_copy: bool = False
    subpath: str = ""
    idmap: str = ""
    is_anonymous: bool = False
    """The volume was made for this container alone, and goes with it where that is asked for."""
    driver_options: "Mapping[str, str]" = _NOTHING
    labels: "Mapping[str, str]" = _NOTHING
    tmpfs_size_bytes: int = 0
    tmpfs_mode: int = 0

    @property
    def is_volume(self) -> bool:
        """Whether it is a volume."""
        return self.kind == VOLUME

    def inspect(self, source: str) -> dict[str, Any]:
        """Return it as docker's API shows it in the Mounts of a container; `source` is where a volume lies."""
        named = {"Name": self.name} if self.is_volume else {}
        driven = {"Driver": self.driver} if self.is_volume else {}
        return {
            "Type": self.kind,
            **named,
            "Source": "" if self.kind == TMPFS else source,
            "Destination": self.destination,
            **driven,
            "Mode": self.mode,
            "RW": not self.read_only,
            "Propagation": self.propagation,
        }


def decode(rows: "Iterable[Iterable[Any]]") -> tuple[MountPoint, ...]:
    """Make the mounts of what was stored: a list for each."""
    return tuple(MountPoint(*row) for row in rows)
