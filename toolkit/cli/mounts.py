"""What follows --mount, --volume and --volumes-from on the command line; the words and the refusals are docker's.

See Also:
    docker/cli, opts/mount.go and cli/command/container/opts.go
"""

import os

from toolkit.cli.flags import Kind
from toolkit.core.units import parse_bytes
from toolkit.volume.mount import PROPAGATIONS, VOLUME, MountSpec, check, parse_from, parse_idmap, parse_short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_RECURSIONS = ("enabled", "disabled", "writable", "readonly")
_ALONE = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "idmap")
"""Fields that may stand without a value."""


def parse_mount(text: str) -> MountSpec:
    """Read the fields of one --mount, comma-separated as in CSV: type=bind,source=/a,target=/b,readonly.

    Raises:
        ValueError, InvalidError: they mean nothing, or do not go together.
    """
    values: dict[str, Any] = {}
    kinds: set[str] = set()
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals and key not in _ALONE:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        _read(values, key, value if equals else None, field)
        kinds.add(key.partition("-")[0] if "-" in key else "")
    values.setdefault("kind", VOLUME)
    if not values.get("target"):
        raise ValueError("target is required")
    for prefix in ("volume", "bind", "tmpfs"):
        if prefix in kinds and values["kind"] != prefix:
            raise ValueError(f"cannot mix '{prefix}-*' options with mount type '{values['kind']}'")
    if values.get("recursion") == "readonly" and values.get("propagation") != "rprivate":
        message = "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
        raise ValueError(message)
    return check(MountSpec(**values))


def _fields(text: str) -> list[str]:
    import csv

    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as exc:
        raise ValueError(f"parse error: {exc}") from exc
    if not rows or not rows[0]:
        raise ValueError("value is empty")
    return rows[0]


_TEXTS = {"source": "source", "src": "source", "target": "target", "dst": "target", "destination": "target"}
"""Fields that are taken as they are, and of which field of MountSpec they are the value."""


def _read(values: "dict[str, Any]", key: str, value: str | None, field: str) -> None:
    """Put what one field says into the fields of a MountSpec; `value` is None where there is none."""
    text = value or ""
    if key == "type":
        values["kind"] = text.lower()
    elif key in _TEXTS:
        values[_TEXTS[key]] = absolute(text) if _TEXTS[key] == "source" else text
    elif key in ("readonly", "ro"):
        values["read_only"] = value is None or _bool(key, text)
    elif key == "idmap":
        values["idmap"] = _idmap(text)
    elif (read := _READERS.get(key.partition("-")[0])) is not None and "-" in key:
        read(values, key, value, field)
    elif key != "consistency":  # Docker Desktop's
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def _read_tmpfs(values: "dict[str, Any]", key: str, value: str | None, field: str) -> None:
    text = value or ""
    if key == "tmpfs-size":
        values["tmpfs_size_bytes"] = parse_bytes(text)
    elif key == "tmpfs-mode":
        if not text or set(text) - set("01234567") or len(text) > 5:
            raise ValueError(f"invalid value for {key}: {text}")
        values["tmpfs_mode"] = int(text, 8)
    else:
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def _read_bind(values: "dict[str, Any]", key: str, value: str | None, field: str) -> None:
    text = value or ""
    if key == "bind-propagation":
        if text.lower() not in PROPAGATIONS:
            raise ValueError(f"invalid propagation mode: {text}")
        values["propagation"] = text.lower()
    elif key == "bind-nonrecursive":
        if value is None or _bool(key, text):
            values["recursion"] = "disabled"
    elif key == "bind-recursive":
        if text not in _RECURSIONS:
            choices = '(must be "enabled", "disabled", "writable", or "readonly")'
            raise ValueError(f"invalid value for {key}: {text} {choices}")
        values["recursion"] = "" if text == "enabled" else text
    elif key == "bind-create-src":
        values["makes_source"] = _bool(key, text)
    else:
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def _read_volume(values: "dict[str, Any]", key: str, value: str | None, field: str) -> None:
    text = value or ""
    if key == "volume-nocopy":
        values["no_copy"] = value is None or _bool(key, text)
    elif key == "volume-subpath":
        values["subpath"] = text
    elif key == "volume-driver":
        values["driver"] = text
    elif key in ("volume-opt", "volume-label"):
        name, _, said = text.partition("=")
        values.setdefault("driver_options" if key == "volume-opt" else "labels", {})[name] = said
    else:
        raise ValueError(f"unexpected key '{key}' in '{field}'")


_READERS = {"bind": _read_bind, "volume": _read_volume, "tmpfs": _read_tmpfs}


def _bool(key: str, text: str) -> bool:
    if text not in _TRUE and text not in _FALSE:
        raise ValueError(f"invalid value for {key}: {text}")
    return text in _TRUE


def _idmap(text: str) -> str:
    """Read the ranges of idmap: those of users and of groups are separated by a semicolon."""
    if not text:
        return "container"
    parse_idmap(text)
    return text


def absolute(path: str) -> str:
    """Return a path that begins with a dot or a tilde as an absolute one; anything else as it is."""
    if path in (".", "..", "~") or path.startswith(("./", "../", "~/")):
        return os.path.abspath(os.path.expanduser(path))
    return path


def parse_volume(text: str) -> str:
    """Read what follows --volume, its source made absolute; the engine reads it again.

    Raises:
        InvalidError: it means nothing.
    """
    source, colon, rest = text.partition(":")
    written = f"{absolute(source)}:{rest}" if colon else text
    parse_short(written)
    return written


def parse_volumes_from(text: str) -> str:
    """Read what follows --volumes-from.

    Raises:
        InvalidError: it means nothing.
    """
    parse_from(text)
    return text


MOUNT = Kind("mount", parse_mount, tuple)
VOLUME_KIND = Kind("list", parse_volume, tuple)
VOLUMES_FROM = Kind("list", parse_volumes_from, tuple)

__all__ = ["MOUNT", "VOLUMES_FROM", "VOLUME_KIND", "absolute", "parse_mount", "parse_volume"]
