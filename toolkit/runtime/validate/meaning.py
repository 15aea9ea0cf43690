"""What the fields of a config say about each other.  No I/O: what this machine lacks shows when it is tried."""

from toolkit.runtime.mountoptions import MAPPED, MAPPED_WITH_ALL_BELOW
from toolkit.runtime.plan.sysctls import is_own
from toolkit.runtime.validate.shape import wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from toolkit.runtime.spec import Config, Linux, Mount, Process

_MAX_NAME = 64
"""Bytes of a host name, __NEW_UTS_LEN."""
_KINDS = {
    "network": "net",
    "mount": "mnt",
}


def check_meaning(config: "Config") -> None:
    """Check a config whose shape is right.

    Raises:
        InvalidError: fields that contradict each other.
    """
    linux = config.get("linux", {})
    kinds = _check_namespaces(linux)
    check_process_meaning(config["process"])
    _check_names(config, kinds)
    _check_mappings(linux, kinds)
    if linux.get("timeOffsets") and "time" not in kinds:
        raise wrong("linux.timeOffsets", "offsets without a time namespace", "add one to linux.namespaces")
    _check_sysctls(linux, kinds)
    if "mount" not in kinds:
        _check_without_mounts(config)
    for position, entry in enumerate(config.get("mounts", [])):
        _check_mount(entry, f"mounts[{position}]", linux)
    _check_devices(linux)
    _check_seccomp(linux)


def check_process_meaning(process: "Process") -> None:
    """Check a process whose shape is right; as `check_meaning`."""
    if not process.get("args") or not process.get("args", [""])[0]:
        raise wrong("process.args", "there is no program to run")
    seen: set[str] = set()
    for position, limit in enumerate(process.get("rlimits", [])):
        path = f"process.rlimits[{position}]"
        if limit["type"] in seen:
            raise wrong(f"{path}.type", f"{limit['type']} is listed twice")
        if limit["soft"] > limit["hard"]:
            raise wrong(f"{path}.soft", f"{limit['soft']} is above the hard limit, {limit['hard']}")
        seen.add(limit["type"])


def _check_namespaces(linux: "Linux") -> dict[str, str]:
    found: dict[str, str] = {}
    for position, entry in enumerate(linux.get("namespaces", [])):
        path = f"linux.namespaces[{position}]"
        if entry["type"] in found:
            raise wrong(f"{path}.type", f"the namespace {entry['type']} is listed twice")
        where = entry.get("path", "")
        if where and not where.startswith("/"):
            raise wrong(f"{path}.path", f"'{where}' is not an absolute path", "begin it with /")
        found[entry["type"]] = where
    return found


def _check_names(config: "Config", kinds: dict[str, str]) -> None:
    for field, name in (("hostname", config.get("hostname", "")), ("domainname", config.get("domainname", ""))):
        if name and "uts" not in kinds:
            raise wrong(field, "a name without a uts namespace", "add one to linux.namespaces")
        if len(name.encode()) > _MAX_NAME:
            raise wrong(field, f"{len(name.encode())} bytes, and at most {_MAX_NAME} are possible")


def _check_mappings(linux: "Linux", kinds: dict[str, str]) -> None:
    uids, gids = linux.get("uidMappings", []), linux.get("gidMappings", [])
    both = (("linux.uidMappings", uids), ("linux.gidMappings", gids))
    if "user" not in kinds:
        for path, entries in both:
            if entries:
                raise wrong(path, "id mappings without a user namespace", "add one to linux.namespaces")
        return
    for path, entries in both:
        if not entries and not kinds["user"]:
            raise wrong(path, "a new user namespace needs id mappings")
        check_ranges(entries, path)
        if entries and not any(entry["containerID"] == 0 for entry in entries):
            raise wrong(path, "id 0 of the container is left out", "its root sets the container up")


def check_ranges(entries: "Sequence[Mapping[str, Any]]", path: str) -> None:
    """Check that no two ranges of an id mapping overlap, inside or outside."""
    for side in ("containerID", "hostID"):
        last, last_position = -1, -1
        for position, entry in sorted(enumerate(entries), key=lambda each: each[1][side]):
            first: int = entry[side]
            if first <= last:
                raise wrong(f"{path}[{position}].{side}", f"the range overlaps the one of [{last_position}]")
            last, last_position = first + entry["size"] - 1, position
            if last >= 1 << 32:
                raise wrong(f"{path}[{position}].size", "the range goes beyond the last id, 4294967295")


def _check_sysctls(linux: "Linux", kinds: dict[str, str]) -> None:
    from toolkit.core.errors import InvalidError

    wanted = {_KINDS.get(kind, kind): path for kind, path in kinds.items()}
    for key in linux.get("sysctl", {}):
        try:
            is_own(key, wanted)
        except InvalidError as exc:
            raise wrong(f"linux.sysctl['{key}']", exc.message, exc.hint) from exc


def _check_without_mounts(config: "Config") -> None:
    """Refuse what would change the host's own mounts; those that a config lists are left out, as runc does."""
    linux = config.get("linux", {})
    asked = (
        ("root.readonly", config.get("root", {}).get("readonly")),
        ("linux.rootfsPropagation", linux.get("rootfsPropagation")),
        ("linux.maskedPaths", linux.get("maskedPaths")),
        ("linux.readonlyPaths", linux.get("readonlyPaths")),
    )
    for path, value in asked:
        if value:
            hint = "add one to linux.namespaces: else the host's own mounts would be changed"
            raise wrong(path, "this needs a mount namespace", hint)


def _check_mount(entry: "Mount", path: str, linux: "Linux") -> None:
    options = entry.get("options", [])
    is_bind = entry.get("type") == "bind" or not {"bind", "rbind"}.isdisjoint(options)
    if is_bind and not entry.get("source"):
        raise wrong(f"{path}.source", "a bind mount needs a source")
    uids, gids = entry.get("uidMappings", []), entry.get("gidMappings", [])
    if bool(uids) != bool(gids):
        missing = "gidMappings" if uids else "uidMappings"
        raise wrong(f"{path}.{missing}", "it is missing: uidMappings and gidMappings go together")
    check_ranges(uids, f"{path}.uidMappings")
    check_ranges(gids, f"{path}.gidMappings")
    wants_map = bool(uids) or not {MAPPED, MAPPED_WITH_ALL_BELOW}.isdisjoint(options)
    if wants_map and not is_bind:
        raise wrong(f"{path}.uidMappings", "only bind mounts can be id-mapped")
    if wants_map and not uids and not linux.get("uidMappings"):
        raise wrong(f"{path}.options", "idmap without mappings", "give uidMappings and gidMappings")
    if "tmpcopyup" in options and entry.get("type") != "tmpfs":
        raise wrong(f"{path}.options", "only a tmpfs can have tmpcopyup")


def _check_devices(linux: "Linux") -> None:
    for position, device in enumerate(linux.get("devices", [])):
        for field in ("major", "minor"):
            if device["type"] != "p" and field not in device:
                raise wrong(f"linux.devices[{position}].{field}", "it is missing")


def _check_seccomp(linux: "Linux") -> None:
    from toolkit.linux.seccomp.rules import ARCHITECTURE_OF

    seccomp = linux.get("seccomp", {})
    for position, name in enumerate(seccomp.get("architectures", [])):
        if not name.startswith("SCMP_ARCH_"):
            hint = f"one of {', '.join(ARCHITECTURE_OF)}"
            raise wrong(f"linux.seccomp.architectures[{position}]", f"unknown value '{name}'", hint)
    takes_number = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
    if seccomp.get("defaultErrnoRet") and seccomp["defaultAction"] not in takes_number:
        raise wrong("linux.seccomp.defaultErrnoRet", f"{seccomp['defaultAction']} takes no number")
    for position, rule in enumerate(seccomp.get("syscalls", [])):
        path = f"linux.seccomp.syscalls[{position}]"
        if not rule["names"]:
            raise wrong(f"{path}.names", "it names no system call")
        if rule.get("errnoRet") and rule["action"] not in takes_number:
            raise wrong(f"{path}.errnoRet", f"{rule['action']} takes no number")
    if seccomp.get("listenerMetadata") and not seccomp.get("listenerPath"):
        raise wrong("linux.seccomp.listenerMetadata", "it goes to the listener, and there is no listenerPath")
