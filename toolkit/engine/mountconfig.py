"""From the mounts of a container to those of its OCI config; pure.

See Also:
    moby, daemon/oci_linux.go (withMounts)
"""

from toolkit.core.errors import InvalidError
from toolkit.volume.mount import BIND, TMPFS, parse_idmap
from toolkit.volume.store import LOCAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.runtime.spec import Config, IDMapping, Mount
    from toolkit.volume.point import MountPoint

_FIRST = ("/proc", "/dev", "/sys")
_BELOW = ("/dev/", "/sys/")


def add_to(config: "Config", points: "tuple[MountPoint, ...]", sources: "Mapping[str, str]") -> None:
    """Add a container's mounts to its OCI config: over the engine's own, outer ones first.

    A mount of the user's takes the place of the engine's in the same place.
    """
    taken = {point.destination for point in points}
    own = [entry for entry in config.get("mounts", []) if not _is_replaced(entry["destination"], taken)]
    depth = {id(entry): position for position, entry in enumerate(own)}
    made = [_entry(point, sources, config) for point in points]
    fixed = [entry for entry in own if entry["destination"] in _FIRST or entry["destination"].startswith(_BELOW)]
    loose = [entry for entry in own if id(entry) not in {id(one) for one in fixed}]
    loose = sorted([*loose, *made], key=lambda entry: (entry["destination"].count("/"), depth.get(id(entry), -1)))
    config["mounts"] = [*fixed, *loose]
    propagation = _root_propagation(points)
    if propagation:
        config.setdefault("linux", {})["rootfsPropagation"] = propagation


def _is_replaced(destination: str, taken: "set[str]") -> bool:
    return destination in taken or ("/dev" in taken and destination.startswith("/dev/"))


def _root_propagation(points: "tuple[MountPoint, ...]") -> str:
    """Return what the container's root has to be for its bind mounts to be connected to the host's as they ask."""
    asked = {point.propagation.removeprefix("r") for point in points if point.kind == BIND}
    return "rshared" if "shared" in asked else "rslave" if "slave" in asked else ""


def _entry(point: "MountPoint", sources: "Mapping[str, str]", config: "Config") -> "Mount":
    if point.kind == TMPFS:
        size = [f"size={point.tmpfs_size_bytes}"] if point.tmpfs_size_bytes else []
        mode = [f"mode={point.tmpfs_mode:o}"] if point.tmpfs_mode else ["mode=1777"]
        options = ["noexec", "nosuid", "nodev", *mode, *size, *(["ro"] if point.read_only else [])]
        return {"destination": point.destination, "type": "tmpfs", "source": "tmpfs", "options": options}
    is_flat = point.recursion == "disabled"
    options = ["bind" if is_flat else "rbind", point.propagation or "rprivate"]
    if point.read_only:
        options.append("ro" if is_flat or point.recursion == "writable" else "rro")
    source = point.source if point.kind == BIND else sources[point.name]
    entry: Mount = {"destination": point.destination, "type": "bind", "source": source, "options": options}
    if point.subpath:
        entry["subpath"] = point.subpath
    entry["purpose"] = _purpose(point)
    _map_owners(entry, point, config)
    return entry


def _purpose(point: "MountPoint") -> str:
    if point.kind == BIND:
        return "The host's own files, as they are: what is changed here is changed there."
    if point.is_anonymous:
        return "A volume of this container's: data that is no part of its changes to the image, and outlives its end."
    return f"The volume {point.name}: its data outlives the container, and others can have it too."


def _map_owners(entry: "Mount", point: "MountPoint", config: "Config") -> None:
    """Have owners be shown as was asked for; those of a local volume as the container's own users have them.

    On disk a volume has the owners that the image knows, so that containers
    with different user namespaces can share it.
    """
    linux, options = config.get("linux", {}), entry.setdefault("options", [])
    has_users = "uidMappings" in linux
    if point.idmap and point.idmap != "container":
        uids, gids = parse_idmap(point.idmap)
        entry["uidMappings"] = [_mapping(*each, linux.get("uidMappings")) for each in uids]
        entry["gidMappings"] = [_mapping(*each, linux.get("gidMappings")) for each in gids]
        options.append("ridmap" if "rbind" in options else "idmap")
    elif has_users and (point.idmap or (point.is_volume and point.driver == LOCAL)):
        options.append("idmap")


def _mapping(file: int, shown: int, size: int, container: "list[IDMapping] | None") -> "IDMapping":
    """Return a range as the kernel takes it: what the container sees has a number on the host, too."""
    if not container:
        return {"containerID": file, "hostID": shown, "size": size}
    for each in container:
        if each["containerID"] <= shown and shown + size <= each["containerID"] + each["size"]:
            return {"containerID": file, "hostID": each["hostID"] + shown - each["containerID"], "size": size}
    message = f"invalid idmap: the container's user namespace has no ids {shown} to {shown + size - 1}"
    raise InvalidError(message, hint="see --uidmap and --gidmap")
