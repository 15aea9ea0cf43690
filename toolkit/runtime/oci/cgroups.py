"""Where an OCI container's cgroups are: `linux.cgroupsPath` as runc understands it.

Absolute: below the mount point of each hierarchy.  Relative, or none: below
the group that the caller is in.  What systemd would make ("slice:prefix:name")
is refused.
"""

import os

from toolkit.core.errors import InvalidError, NotFoundError, UnsupportedError
from toolkit.linux.cgroup import files, layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.linux.cgroup.hierarchy import Hierarchy
    from toolkit.linux.cgroup.resources import Device, Resources
    from toolkit.runtime.oci.store import Record
    from toolkit.runtime.spec import Config

_SYSTEMD_PARTS = 3
_OPEN_DEVICES = ((1, 3), (1, 8), (1, 7), (5, 0), (1, 5), (1, 9), (5, 2))
"""null, random, full, tty, zero, urandom, ptmx."""
ALWAYS_ALLOWED: "list[Device]" = [
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},
]
for _major, _minor in _OPEN_DEVICES:
    ALWAYS_ALLOWED.append({"allow": True, "type": "c", "major": _major, "minor": _minor, "access": "rwm"})
"""What no config takes away: nodes that every container has, and its terminals (runc, specconv.AllowedDevices)."""


def check_path(config: "Config") -> None:
    """Check that the group's path is not one for systemd.

    Raises:
        UnsupportedError: it is.
    """
    path = config.get("linux", {}).get("cgroupsPath", "")
    if len(path.split(":")) == _SYSTEMD_PARTS:
        message = f"linux.cgroupsPath: '{path}' is for systemd, which this runtime does not use"
        raise UnsupportedError(message, hint="have the caller use cgroupfs: podman --cgroup-manager=cgroupfs")


def name_of(config: "Config", ident: str) -> tuple[str, bool]:
    """Return the name of the container's group ("" for none), and whether it is relative to the caller's."""
    path = config.get("linux", {}).get("cgroupsPath", "")
    name = os.path.normpath("/" + (path or ident)).replace("//", "/")
    return ("" if name == "/" else name), not path.startswith("/")


def own_groups(hierarchy: "Hierarchy") -> dict[str, str]:
    """Return, by controller ("" for v2), the group that this process is in; in v2 the one above, which holds nobody."""
    found = {name: path.rstrip("/") for name, path in layout.parse_membership(files.read("/proc/self/cgroup")).items()}
    if hierarchy.kind == "v2" and "" in found:
        found[""] = os.path.dirname(found[""]).rstrip("/")
    return found


def below(hierarchy: "Hierarchy", base: dict[str, str]) -> "Hierarchy":
    """Return the same cgroups as seen from groups of theirs."""
    moved = {controller: mount + base.get(controller, "") for controller, mount in hierarchy.v1.items()}
    return hierarchy._replace(v1=moved, v2=hierarchy.v2 and hierarchy.v2 + base.get("", ""))


def of_record(record: "Record", hierarchy: "Hierarchy") -> "Hierarchy":
    """Return the cgroups that a container's group is named in."""
    return below(hierarchy, record.cgroup_base) if record.cgroup_is_relative else hierarchy


def subgroups(wanted: "Sequence[str]") -> dict[str, str]:
    """Return the paths of `exec --cgroup`, by controller; "" stands for all.

    Raises:
        InvalidError: it is not of the form [CONTROLLER[,CONTROLLER...]:]PATH, or names a controller twice.
    """
    found: dict[str, str] = {}
    for text in wanted:
        controllers, sign, path = text.rpartition(":")
        if not sign and len(wanted) > 1:
            raise InvalidError(f"--cgroup: {text} (missing <controller>: prefix)", hint="or give one path for all")
        for controller in controllers.split(","):
            if controller in found:
                raise InvalidError(f"--cgroup: controller {controller} is named twice", hint="name each once")
            found[controller] = os.path.normpath(f"/{path}")
    return found


def join_files(hierarchy: "Hierarchy", name: str, wanted: dict[str, str]) -> tuple[str, ...]:
    """Return the files to write "0" to, to move the calling process into groups below the group `name`.

    Raises:
        NotFoundError: there is no such group, or no such controller.
    """
    mounts = {hierarchy.v2: [""]} if hierarchy.v2 else {}
    for controller, mount in hierarchy.v1.items():
        mounts.setdefault(mount, []).append(controller)
    for controller in wanted:
        if controller and controller not in hierarchy.v1:
            raise NotFoundError(f"--cgroup: no hierarchy with the controller {controller}", hint="leave its name out")
    found: list[str] = []
    for usual in hierarchy.join_files(name):
        mount = usual.removesuffix(usual[usual.rindex(f"{name}/") :])
        below = next((wanted[each] for each in (*mounts[mount], "") if each in wanted), "/").rstrip("/")
        group, _, file = usual.rpartition("/")
        if not os.path.isdir(group + below):
            raise NotFoundError(f"--cgroup: there is no group {group}{below}", hint="make it first, from inside")
        found.append(f"{group}{below}/{file}")
    return tuple(found)


def resources_of(config: "Config") -> "Resources":
    """Return the limits with what holds for every container: a device that no rule allows is out of reach."""
    resources = config.get("linux", {}).get("resources", {})
    rules = resources.get("devices") or [{"allow": False, "access": "rwm"}]
    return {**resources, "devices": [*rules, *ALWAYS_ALLOWED]}
