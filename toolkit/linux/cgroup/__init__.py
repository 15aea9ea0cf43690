"""Control groups: what a container may use, what it has used, and who belongs to it.

    hierarchy = detect()                      # v1, v2 or hybrid, read from /proc
    hierarchy.create(name, resources)         # directories and limits, before the container
    hierarchy.join(name)                      # by the container's init itself
    hierarchy.stats(name); hierarchy.freeze(name); hierarchy.kill_all(name)
    hierarchy.update(name, resources)         # of a running group: what is not named stays
    hierarchy.remove(name)

`resources` is OCI's linux.resources as it is (resources.Resources): memory, cpu,
pids, blockIO (weights and the four throttles of devices), hugepageLimits, rdma,
network (v1), devices, and `unified`, any file of v2 by its name.  Each value
goes where its controller is, in the words of that version; what a version does
not have is refused by name (swappiness on v2, `unified` without v2), never left out.
The engine has the same by a container's id: engine.cgroups.update, freeze, thaw.

`name` is a path below each hierarchy's mount point, "/container-toolkit/<id>".
Nothing outside it is ever changed, but for its parents: they are made, and on v2
their controllers handed down.

    resources.py  OCI's linux.resources, and what they need
    v1.py, v2.py  resources -> files and values, and statistics; pure
    layout.py     which controller is mounted where
    hierarchy.py  the deeds
    members.py    pids, freeze, kill, remove
    devices.py    who may open which device: rules, and the BPF program for v2
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.hierarchy import Hierarchy, detect

__all__ = ["Hierarchy", "detect"]


def __getattr__(name: str) -> object:
    """Load the hierarchy when it is asked for: those that only need one file of this package stay small."""
    if name in __all__:
        from toolkit.linux.cgroup import hierarchy

        return getattr(hierarchy, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
