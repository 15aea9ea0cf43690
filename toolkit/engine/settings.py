"""The engine's configuration file, with the names of docker's daemon.json.

    registry-mirrors       asked before Docker Hub, in this order
    insecure-registries    hosts and networks that may do without TLS
    default-ulimits        of containers that are not given others
    default-shm-size, default-ipc-mode, default-cgroupns-mode, cgroup-parent, no-new-privileges
                           of containers that do not say
    runtimes, default-runtime, log-driver, log-opts
                           for those parts of the engine
    plugin-directories, plugin-timeout
                           where plugins are looked for, and how many seconds each may take to answer; docker has no
                           such settings, but fixed places and 30 seconds
    bridge                 "none": containers without --network have loopback and nothing else
    default-address-pools  what networks that name no subnet get theirs from, in this order

It lies in /etc.  What an engine's own, in its root, says comes before that, and
what a file says that is named on the command line before both.  They are read
when something needs them, and never written.  A file that does not
exist is an empty one; what it says and nobody obeys is an error.

See Also:
    dockerd(8), daemon.json
"""

from toolkit.core import document
from toolkit.core.errors import InvalidError, PrivilegeError
from toolkit.core.record import NamedTuple, cast
from toolkit.core.units import parse_bytes
from toolkit.engine.options import Ulimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from toolkit.engine.options import ContainerOptions

DEFAULT_FILE = "/etc/container-toolkit/daemon.json"
_NAME = "daemon.json"
_NOTHING: "Mapping[str, Any]" = {}


class Settings(NamedTuple):
    """What the file says."""

    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    default_ulimits: tuple[Ulimit, ...] = ()
    default_shm_size: int = 0
    """Bytes; 0: the engine's own."""
    default_ipc_mode: str = ""
    default_cgroupns_mode: str = ""
    cgroup_parent: str = ""
    no_new_privileges: bool = False
    runtimes: "Mapping[str, Any]" = _NOTHING
    """By name: {"path": ..., "runtimeArgs": [...]}."""
    default_runtime: str = ""
    log_driver: str = ""
    log_opts: "Mapping[str, str]" = _NOTHING
    plugin_directories: tuple[str, ...] = ()
    """Empty: docker's."""
    plugin_timeout: float = 0.0
    """Seconds; 0: docker's."""
    bridge: str = ""
    """"none", or empty."""
    default_address_pools: tuple[tuple[str, int], ...] = ()
    """A subnet of IPv4 each, and into parts of how many bits it is divided; empty: docker's."""


_EMPTY = Settings()


def of_engine(root: str, named: str) -> Settings:
    """Return what counts for an engine.

    Args:
        root: its root.
        named: the file that somebody has named; empty: nobody has, so that in /etc is read.

    Raises:
        As `read`.
    """
    usual, own = _values(named or DEFAULT_FILE), _values(f"{root}/{_NAME}")
    return Settings(**({**own, **usual} if named else {**usual, **own}))


def read(path: str) -> Settings:
    """Read the configuration file.

    Raises:
        InvalidError: it is not JSON, names something unknown, or a value is of the wrong kind.
        PrivilegeError: it cannot be read.
    """
    return Settings(**_values(path))


def _values(path: str) -> "dict[str, Any]":
    """Return the settings that a file makes, by field."""
    try:
        with open(path, encoding="utf-8") as file:
            content = _parsed(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as exc:
        raise PrivilegeError(f"cannot read {path}: permission denied", hint="run as root") from exc
    except (OSError, ValueError) as exc:
        raise InvalidError(f"unable to use the configuration file {path}: {exc}", hint="repair it") from exc
    if not isinstance(content, dict):
        raise InvalidError(f"unable to use the configuration file {path}: it is no JSON object", hint="repair it")
    return _parse(path, cast("dict[str, object]", content))


def _parsed(text: str) -> object:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none; the message says where.
    """
    try:
        return document.decode(text)
    except ValueError:
        import json

        json.loads(text)
        raise


def _parse(path: str, content: dict[str, object]) -> "dict[str, Any]":
    unknown = sorted(content.keys() - _READERS.keys())
    if unknown:
        message = f"{path}: the following directives don't match any configuration option: {', '.join(unknown)}"
        raise InvalidError(message, hint=f"known are {', '.join(sorted(_READERS))}")
    values: dict[str, Any] = {}
    for name, value in content.items():
        try:
            values[name.replace("-", "_")] = _READERS[name](value)
        except (TypeError, ValueError, KeyError, InvalidError) as exc:
            raise InvalidError(f"{path}: invalid value of {name}: {value!r}", hint=_SHAPES[name]) from exc
    return values


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(_text(each) for each in cast("list[object]", value))


def _mapping(value: object) -> "dict[str, Any]":
    if not isinstance(value, dict):
        raise TypeError
    return cast("dict[str, Any]", value)


def _text_mapping(value: object) -> dict[str, str]:
    return {key: _text(each) for key, each in _mapping(value).items()}


def _runtimes(value: object) -> "dict[str, Any]":
    found = _mapping(value)
    for each in found.values():
        _text(_mapping(each)["path"])
        _texts(_mapping(each).get("runtimeArgs", []))
    return found


def _ulimits(value: object) -> tuple[Ulimit, ...]:
    found = [(name, _mapping(each)) for name, each in _mapping(value).items()]
    return tuple(Ulimit(name, int(each.get("Soft", each["Hard"])), int(each["Hard"])) for name, each in found)


def _bytes(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else parse_bytes(_text(value))


def _seconds(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
        raise TypeError
    return float(value)


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _bridge(value: object) -> str:
    if value not in ("", "none"):
        raise ValueError
    return _text(value)


def _pools(value: object) -> tuple[tuple[str, int], ...]:
    from toolkit.network.ipam import check_pools

    if not isinstance(value, list):
        raise TypeError
    found = [_mapping(each) for each in cast("list[object]", value)]
    made = tuple((_text(each["base"]), int(each["size"])) for each in found)
    check_pools(made)
    return made


_READERS: "Mapping[str, Callable[[object], Any]]" = {
    "registry-mirrors": _texts,
    "insecure-registries": _texts,
    "default-ulimits": _ulimits,
    "default-shm-size": _bytes,
    "default-ipc-mode": _text,
    "default-cgroupns-mode": _text,
    "cgroup-parent": _text,
    "no-new-privileges": _bool,
    "runtimes": _runtimes,
    "default-runtime": _text,
    "log-driver": _text,
    "log-opts": _text_mapping,
    "plugin-directories": _texts,
    "plugin-timeout": _seconds,
    "bridge": _bridge,
    "default-address-pools": _pools,
}
_SHAPES = {
    "registry-mirrors": 'write it as ["https://mirror.example"]',
    "insecure-registries": 'write it as ["registry.example:5000", "10.0.0.0/8"]',
    "default-ulimits": 'write it as {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 2048}}',
    "default-shm-size": 'write it as "128m"',
    "default-ipc-mode": 'write it as "private" or "shareable"',
    "default-cgroupns-mode": 'write it as "private" or "host"',
    "cgroup-parent": 'write it as "/group"',
    "no-new-privileges": "write it as true or false",
    "runtimes": 'write it as {"crun": {"path": "/usr/bin/crun", "runtimeArgs": []}}',
    "default-runtime": "write the name of one of the runtimes",
    "log-driver": 'write it as "json-file"',
    "log-opts": 'write it as {"max-size": "10m"}',
    "plugin-directories": 'write it as ["/run/docker/plugins"]',
    "plugin-timeout": "write a number of seconds",
    "bridge": 'write it as "none", or leave it out',
    "default-address-pools": 'write it as [{"base": "10.1.0.0/16", "size": 24}]',
}


def applied(settings: Settings, options: "ContainerOptions") -> "ContainerOptions":
    """Return what a container is to be, with the file's defaults where it was not said."""
    if settings == _EMPTY:
        return options
    given = {limit.name for limit in options.ulimits}
    changes: dict[str, Any] = {
        "ulimits": (*options.ulimits, *(limit for limit in settings.default_ulimits if limit.name not in given)),
        "shm_size_bytes": options.shm_size_bytes or settings.default_shm_size,
        "ipc_mode": options.ipc_mode or settings.default_ipc_mode,
        "cgroupns_mode": options.cgroupns_mode or settings.default_cgroupns_mode,
        "cgroup_parent": options.cgroup_parent or settings.cgroup_parent,
        "runtime": options.runtime or settings.default_runtime,
    }
    if (settings.log_driver or settings.log_opts) and options.log_driver in ("", settings.log_driver):
        changes["log_driver"] = options.log_driver or settings.log_driver
        changes["log_options"] = {**settings.log_opts, **options.log_options}
    if settings.no_new_privileges and not any("no-new-privileges" in each for each in options.security_opt):
        changes["security_opt"] = (*options.security_opt, "no-new-privileges=true")
    return options._replace(**changes)
