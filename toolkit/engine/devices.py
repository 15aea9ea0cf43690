"""The host's devices that a container is to have: found when it starts, since a device may come and go.

See Also:
    moby, oci/devices_linux.go; devices.allow in Documentation/admin-guide/cgroup-v1/devices.rst
"""

import os
import stat

from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toolkit.engine.options import ContainerOptions, DeviceMapping
    from toolkit.linux.cgroup.resources import Device as Rule
    from toolkit.runtime.spec import Device as Node

_RATES = ("blkio_weight_devices", "device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops")
_NO_NUMBERS: "Mapping[str, tuple[int, int]]" = {}
_NOT_OF_A_CONTAINER = frozenset(("console", "fd", "lxc", "lxd-fuse", "mqueue", "pts", "shm", "ptmx"))
"""What a /dev has that each container has its own of (moby leaves out the same)."""


class HostDevices(NamedTuple):
    """What a start must know of the host's devices."""

    nodes: "tuple[Node, ...]" = ()
    """To be made in the container, with the mode and owner that they have here."""
    rules: "tuple[Rule, ...]" = ()
    """What the container's cgroup allows besides the harmless ones."""
    numbers: "Mapping[str, tuple[int, int]]" = _NO_NUMBERS
    """Major and minor of the block devices whose use is limited, by path."""
    sources: tuple[str, ...] = ()
    """Of each node, the path on the host."""


NOTHING = HostDevices()


def find(options: "ContainerOptions") -> HostDevices:
    """Look up the devices that the options name; costs nothing where they name none.

    Raises:
        NotFoundError: a path is not there.
        InvalidError: it is no device.
    """
    limited = [device for field in _RATES for device in getattr(options, field)]
    if not (limited or options.devices or options.device_cgroup_rules or options.privileged):
        return NOTHING
    found: dict[str, tuple[str, Node]] = {}  # by path in the container: the last one that wants it has it
    rules: list[Rule] = []
    for source, node in _all_devices() if options.privileged else ():
        found[node["path"]] = source, node
    for mapping in options.devices:
        for source, node in _mapped(mapping):
            found[node["path"]] = source, node
            rules.append(_rule(node["type"], node.get("major", 0), node.get("minor", 0), mapping.permissions))
    for text in options.device_cgroup_rules:
        rules += parse_rule(text)
    numbers = {each.path: _number(each.path) for each in limited}
    nodes, sources = tuple(node for _, node in found.values()), tuple(source for source, _ in found.values())
    return HostDevices(nodes, tuple(rules), numbers, sources)


def _mapped(mapping: "DeviceMapping") -> "Iterator[tuple[str, Node]]":
    """Yield the device, or all that lie in the directory, that a mapping names."""
    try:
        real = os.path.realpath(mapping.host, strict=True)
        node = _node(real, mapping.container)
    except OSError as exc:
        raise NotFoundError(_gathering(mapping.host, (exc.strerror or "").lower()), hint="check the path") from exc
    found = [(real, node)] if node is not None else list(_below(real, mapping.container))
    if not found:
        raise InvalidError(_gathering(mapping.host, "not a device node"), hint="mount a file or directory instead")
    yield from found


def _gathering(path: str, why: str) -> str:
    return f'error gathering device information while adding custom device "{path}": {why}'


def _below(directory: str, shown_as: str) -> "Iterator[tuple[str, Node]]":
    for where, _directories, names in os.walk(directory):
        for name in sorted(names):
            path = os.path.join(where, name)
            try:
                node = _node(path, shown_as + path[len(directory) :])
            except FileNotFoundError:
                continue  # it was unplugged in this moment
            if node is not None:
                yield path, node


def _all_devices() -> "Iterator[tuple[str, Node]]":
    """Yield what a privileged container has: every device of the host's /dev that is not a container's own."""
    for name in sorted(os.listdir("/dev")):
        path = f"/dev/{name}"
        if name in _NOT_OF_A_CONTAINER or os.path.islink(path) or name.startswith("."):
            continue
        try:
            node = _node(path, path)
        except FileNotFoundError:
            continue  # as above
        if node is not None:
            yield path, node
        elif os.path.isdir(path):
            yield from _below(path, path)


def _node(path: str, shown_as: str) -> "Node | None":
    found = os.lstat(path)
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        return None
    return {
        "path": shown_as,
        "type": "c" if stat.S_ISCHR(found.st_mode) else "b",
        "major": os.major(found.st_rdev),
        "minor": os.minor(found.st_rdev),
        "fileMode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
    }


def _number(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError as exc:
        raise NotFoundError(f"stat {path}: {(exc.strerror or '').lower()}", hint="name a disk of this machine") from exc
    if not stat.S_ISBLK(found.st_mode):
        raise InvalidError(f"{path} is not a block device", hint="name a disk of this machine")
    return os.major(found.st_rdev), os.minor(found.st_rdev)


def _rule(kind: str, major: int, minor: int, access: str) -> "Rule":
    return {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}


def parse_rule(text: str) -> "list[Rule]":
    """Read one --device-cgroup-rule: "c 10:* rwm".

    "a" with numbers means character and block devices of these numbers: the
    kernel's own "a" is every device, whatever numbers stand behind it.

    Raises:
        InvalidError: it is not of that form.
    """
    kind, _, rest = text.partition(" ")
    numbers, _, access = rest.partition(" ")
    major, colon, minor = numbers.partition(":")
    is_good = kind in ("a", "b", "c") and colon and 0 < len(access) <= 3 and set(access) <= set("rwm")
    if not is_good or not all(each == "*" or (each.isascii() and each.isdecimal()) for each in (major, minor)):
        raise InvalidError(f"invalid device cgroup format '{text}'", hint="write it as 'c 10:* rwm'")
    first, second = (-1 if each == "*" else int(each) for each in (major, minor))
    return [_rule(each, first, second, access) for each in ("b", "c") if kind in ("a", each)]
