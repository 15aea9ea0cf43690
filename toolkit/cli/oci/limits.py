"""`container oci update`: new limits, as a document or as flags."""

from typing import Any

from toolkit.cli.flags import Parsed, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.resources import Resources

FLAGS = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-idle": ("cpu", "idle"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpuset-cpus": ("cpu", "cpus"),
    "cpuset-mems": ("cpu", "mems"),
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "pids-limit": ("pids", "limit"),
}
"""The flags of `update` and the fields of `linux.resources` that they stand for."""
SIZES = frozenset(("memory", "memory-reservation", "memory-swap"))
TEXTS = frozenset(("cpuset-cpus", "cpuset-mems"))


def resources(flags: Parsed) -> "Resources":
    """Return the limits that were asked for.

    Raises:
        InvalidError: a document that means nothing.
        UsageError: a flag that means nothing.
    """
    from toolkit.runtime import validate

    if not flags["resources"]:
        return validate.resources(_of_flags(flags))
    document = _document(flags["resources"])
    if isinstance(document, dict):
        document.pop("devices", None)  # as runc: who may open what stays as it was
    return validate.resources(document)


def _document(path: str) -> Any:
    import json

    from toolkit.cli.oci.operations import stdin_text
    from toolkit.runtime.oci.bundle import read_json

    if path != "-":
        return read_json(path, "resources file")
    try:
        return json.loads(stdin_text())
    except ValueError as exc:
        raise UsageError(f"--resources: stdin: {exc}") from exc


def _of_flags(flags: Parsed) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for name, (section, field) in FLAGS.items():
        if name in flags.given:
            found.setdefault(section, {})[field] = _value(name, flags[name])
    return found


def _value(name: str, text: str) -> int | str:
    from toolkit.core.errors import InvalidError
    from toolkit.core.units import parse_bytes

    if name in TEXTS:
        return text
    try:
        return parse_bytes(text) if name in SIZES and text != "-1" else int(text)
    except (ValueError, InvalidError) as exc:
        raise UsageError(f"invalid value for --{name}: {text!r}") from exc
