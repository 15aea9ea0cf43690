"""What stands on a bridge (its alias): whose it is, so that somebody can take it away when that engine is no more.

    container-toolkit ENGINE NETWORK [PLACE DATABASE]

ENGINE is the word that an engine's database has made once, PLACE the mount
namespace in which DATABASE is a path.  Only from the same place can it be told
that a database is gone; from another the path may just not be seen.

See Also:
    include/uapi/linux/if_link.h, IFLA_IFALIAS; include/linux/if.h, IFALIASZ
"""

import os
from typing import NamedTuple

_WORD = "container-toolkit"
_MOST = 255
"""IFALIASZ less one."""


class Mark(NamedTuple):
    """An engine's sign on what it makes."""

    engine: str
    network: str = ""
    place: str = ""
    database: str = ""

    def of(self, network: str) -> str:
        """Return the alias of the bridge of a network; a path that is too long for it is left out."""
        short = f"{_WORD} {self.engine} {network}"
        whole = f"{short} {self.place} {self.database}"
        return whole if self.database and len(os.fsencode(whole)) <= _MOST else short

    def owns(self, alias: str) -> str:
        """Return the id of the network that an alias names, empty where it is not this engine's."""
        found = parse(alias)
        return found.network if found is not None and found.engine == self.engine else ""

    def outlives(self, alias: str) -> bool:
        """Tell whether an alias is that of an engine whose database is gone, or has made way for this engine's."""
        found = parse(alias)
        if found is None or found.engine == self.engine or not found.database or found.place != self.place:
            return False
        return found.database == self.database or not os.path.lexists(found.database)


def own(engine: str, database: str) -> Mark:
    """Return the sign of an engine that lives here."""
    return Mark(engine, "", str(os.stat("/proc/self/ns/mnt").st_ino), os.path.abspath(database))


def parse(alias: str) -> Mark | None:
    """Read an alias; None where it is none of an engine's."""
    words = alias.split(" ", 4)
    return Mark(*words[1:]) if words[0] == _WORD and len(words) in (3, 5) else None
