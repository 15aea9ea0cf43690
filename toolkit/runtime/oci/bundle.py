"""A bundle's config: read, checked, and with every path absolute."""

import os
from typing import Any, cast

from toolkit.core.errors import InvalidError, NotFoundError, UnsupportedError
from toolkit.runtime.plan.mounts import root_path
from toolkit.runtime.validate.shape import wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.runtime.plan.place import Filter
    from toolkit.runtime.spec import Capabilities, Config, Linux, Process

    Warn = Callable[[str], None]

CONFIG_NAME = "config.json"
_NOTIFY = "SCMP_ACT_NOTIFY"


def read_json(path: str, what: str) -> Any:
    """Return the document in a file.

    Raises:
        NotFoundError: there is no such file.
        InvalidError: it is not JSON.
    """
    import json

    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError as exc:
        raise NotFoundError(f"{what} {path} not found", hint="is this the bundle?") from exc
    except (ValueError, RecursionError) as exc:
        raise InvalidError(f"{what} {path}: {' '.join(str(exc).split())}", hint="it must be JSON") from exc
    except OSError as exc:
        raise InvalidError(f"{what} {path}: {(exc.strerror or str(exc)).lower()}") from exc


def load(bundle: str, warn: "Warn", file: str = CONFIG_NAME) -> "Config":
    """Return the config of the bundle in a directory, ready to be planned.

    Args:
        bundle: an absolute path.
        warn: is told what is ignored.
        file: the config, a path from there.

    Raises:
        NotFoundError: there is no config.
        InvalidError: it means nothing, or names what is not there; the message begins with the JSON path.
        UnsupportedError: it asks for what this machine lacks.
    """
    document = read_json(os.path.join(bundle, file), "JSON specification file")
    return prepared(document, bundle, warn)


def prepared(document: Any, bundle: str, warn: "Warn") -> "Config":
    """Return a document as a config, ready to be planned; as `load`."""
    from toolkit.runtime import validate

    config = validate.config(document)
    config["process"] = prepared_process(config["process"], warn)
    config["root"] = {**config.get("root", {}), "path": _root(os.path.join(bundle, root_path(config)))}
    _prepare_mounts(config, bundle, warn)
    linux = config.setdefault("linux", {})
    if config.get("mounts") and not any(entry["type"] == "mount" for entry in linux.get("namespaces", [])):
        warn("mounts: they are left out, since there is no mount namespace to make them in")
    for position, entry in enumerate(linux.get("namespaces", [])):
        if path := entry.get("path", ""):
            _check_there(path, f"linux.namespaces[{position}].path")
    _prepare_seccomp(linux)
    if linux.get("mountLabel"):
        raise UnsupportedError("linux.mountLabel: SELinux is not available on this machine", hint="leave it out")
    if linux.get("intelRdt"):
        raise UnsupportedError("linux.intelRdt: Intel RDT is not supported", hint="leave it out")
    return config


def _check_there(path: str, field: str) -> None:
    try:
        os.stat(path)
    except OSError as exc:
        raise wrong(field, f"stat {path}: {(exc.strerror or str(exc)).lower()}") from exc


def _root(path: str) -> str:
    found = os.path.realpath(path)
    if not os.path.isdir(found):
        known = os.path.lexists(found)
        raise wrong("root.path", f"{found}: {'not a directory' if known else 'no such file or directory'}")
    return found


def prepared_process(process: "Process", warn: "Warn") -> "Process":
    """Return a checked process, ready to be planned: with all five sets of capabilities, of names that exist."""
    from toolkit.linux import capability

    known = frozenset(capability.NAMES)
    sets: dict[str, list[str]] = {**process.get("capabilities", {})}  # type: ignore[dict-item]  # its values are lists
    made: dict[str, list[str]] = {}
    for kind in ("bounding", "effective", "inheritable", "permitted", "ambient"):
        asked = sets.get(kind, [])
        made[kind] = [name for name in asked if name in known]
        if unknown := sorted(set(asked) - known):
            warn(f"process.capabilities.{kind}: unknown capabilities are ignored: {', '.join(unknown)}")
    if process.get("apparmorProfile") and not _is_on("/sys/module/apparmor/parameters/enabled"):
        raise UnsupportedError("process.apparmorProfile: AppArmor is not enabled on this machine", hint="leave it out")
    if process.get("selinuxLabel") and not os.path.isdir("/sys/fs/selinux"):
        raise UnsupportedError("process.selinuxLabel: SELinux is not enabled on this machine", hint="leave it out")
    return {**process, "capabilities": cast("Capabilities", made)}


def _is_on(path: str) -> bool:
    try:
        with open(path) as file:
            return file.read(1) == "Y"
    except FileNotFoundError:
        return False


def _prepare_mounts(config: "Config", bundle: str, warn: "Warn") -> None:
    joins_mounts = any(
        entry["type"] == "mount" and entry.get("path") for entry in config.get("linux", {}).get("namespaces", [])
    )
    for position, entry in enumerate(config.get("mounts", [])):
        if not entry["destination"].startswith("/"):
            warn(f"mounts[{position}].destination: '{entry['destination']}' is taken as relative to the root")
        entry["destination"] = os.path.normpath("/" + entry["destination"]).replace("//", "/")
        if entry["destination"] == "/":
            raise wrong(f"mounts[{position}].destination", "the root itself cannot be mounted over")
        if entry.get("type") == "bind" or not {"bind", "rbind"}.isdisjoint(entry.get("options", [])):
            source = entry["source"] = os.path.join(bundle, entry.get("source", ""))
            if not joins_mounts:
                _check_there(source, f"mounts[{position}].source")


def _prepare_seccomp(linux: "Linux") -> None:
    """Leave out architectures whose programs never run here; `validate` knows that they are some."""
    from toolkit.linux.seccomp.rules import ARCHITECTURE_OF

    seccomp = linux.get("seccomp")
    if not seccomp:
        return
    if "architectures" in seccomp:
        seccomp["architectures"] = [name for name in seccomp["architectures"] if name in ARCHITECTURE_OF]
    if seccomp["defaultAction"] == _NOTIFY:
        raise wrong("linux.seccomp.defaultAction", f"{_NOTIFY} cannot be the default", "name the system calls")
    if wants_listener(linux) and not seccomp.get("listenerPath"):
        raise wrong("linux.seccomp.listenerPath", f"it is missing, and {_NOTIFY} needs it")


def wants_listener(linux: "Linux") -> bool:
    """Tell whether somebody is asked about some system calls."""
    return any(rule["action"] == _NOTIFY for rule in linux.get("seccomp", {}).get("syscalls", []))


def compiled(config: "Config", cache_directory: str, debug: "Warn") -> "Filter | None":
    """Return the compiled filter of a config; None if it has none.

    Args:
        config: ready to be planned.
        cache_directory: where compiled filters are kept.
        debug: is told which system calls are ignored, as no machine has them.

    Raises:
        InvalidError: the filter cannot be compiled.
    """
    from binascii import b2a_base64

    from toolkit.linux.seccomp import cache
    from toolkit.linux.seccomp.apply import FLAG_NEW_LISTENER
    from toolkit.linux.seccomp.rules import unknown_names
    from toolkit.runtime.plan.place import Filter

    linux = config.get("linux", {})
    profile: Any = linux.get("seccomp")
    if not profile:
        return None
    try:
        program = cache.cached(cache_directory, profile, 0)
    except InvalidError as exc:
        raise wrong("linux.seccomp", exc.message, exc.hint) from exc
    for name in unknown_names(profile):
        debug(f"linux.seccomp: unknown system call {name} is ignored")
    flags = program.flags | (FLAG_NEW_LISTENER if wants_listener(linux) else 0)
    encoded = b2a_base64(program.bpf, newline=False).decode()
    return Filter(encoded, flags, len(program.bpf) // 8, "linux.seccomp")
