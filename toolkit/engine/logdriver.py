"""Log drivers: what --log-driver and --log-opt mean; pure.

json-file and local write the same lines here; local keeps five files of 20 MB
where nothing else is said, json-file one that grows.

See Also:
    moby, daemon/logger/jsonfilelog and local
"""

from toolkit.core import document
from toolkit.core.errors import InvalidError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from toolkit.engine.options import ContainerOptions

DRIVERS = ("json-file", "local", "none")
_OTHERS = ("awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "journald", "splunk", "syslog")
_OPTIONS = ("max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag")
_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_LOCAL = {"max-size": "20m", "max-file": "5"}


def driver(options: "ContainerOptions") -> str:
    """Return the name of the driver."""
    return options.log_driver or "json-file"


def check(options: "ContainerOptions") -> None:
    """Refuse what means nothing, in docker's words.

    Raises:
        InvalidError: with the cure.
        UnsupportedError: a driver or an option of docker's that is not built.
    """
    name = driver(options)
    if name in _OTHERS:
        raise UnsupportedError(f"the log driver {name} is not built", hint=f"one of {', '.join(DRIVERS)}")
    if name not in DRIVERS:
        raise InvalidError(f"logger: no log driver named '{name}' is registered", hint=f"one of {', '.join(DRIVERS)}")
    if name == "none":
        return
    for key in options.log_options:
        if key not in _OPTIONS:
            hint = f"known are {', '.join(_OPTIONS)}"
            raise InvalidError(f"unknown log opt '{key}' for {name} log driver", hint=hint)
    if options.log_options.get("compress", "false") not in ("false", "0"):
        raise UnsupportedError("logs that were turned are not compressed here", hint="leave compress out")
    if "{{" in options.log_options.get("tag", ""):
        raise UnsupportedError("templates in a log tag are not built", hint="give the tag itself")
    limits(name, options.log_options)


def limits(name: str, given: "Mapping[str, str]") -> tuple[int, int]:
    """Return how many bytes a file may have (0: without end), and how many files there may be.

    Raises:
        InvalidError: values that are no sizes and counts.
    """
    settings = {**(_LOCAL if name == "local" else {}), **given}
    max_bytes = _size(settings["max-size"]) if "max-size" in settings else 0
    try:
        max_files = int(settings.get("max-file", "1"))
    except ValueError as exc:
        raise InvalidError(f"invalid max-file: '{settings['max-file']}'", hint="give a number, such as 3") from exc
    if max_files < 1:
        raise InvalidError("max-file cannot be less than 1", hint="give a number, such as 3")
    return max_bytes, max_files


def _size(text: str) -> int:
    digits = text.lower().rstrip("b").rstrip("kmgt") if text.lower() != "b" else ""
    unit = text.lower().removeprefix(digits).rstrip("b") if len(text) > 1 else ""
    try:
        found = int(float(digits) * _UNITS[unit])
    except (ValueError, KeyError) as exc:
        raise InvalidError(f"invalid size: '{text}'", hint="give a size such as 10m") from exc
    if found <= 0:
        raise InvalidError("max-size must be a positive number", hint="give a size such as 10m")
    return found


def keeping(options: "ContainerOptions", image: "dict[str, Any]", environment: "tuple[str, ...]") -> "tuple[Any, ...]":
    """Return what a log's writer must know besides its file, see `log.LogWriter`; empty for nothing."""
    name = driver(options)
    if name == "none" or not (name == "local" or options.log_options):
        return ()
    labels = {**(image.get("Labels") or {}), **options.labels}
    pairs = {pair.partition("=")[0]: pair.partition("=")[2] for pair in environment}
    found = {**_chosen(options.log_options, "labels", labels), **_chosen(options.log_options, "env", pairs)}
    if options.log_options.get("tag"):
        found["tag"] = options.log_options["tag"]
    return (*limits(name, options.log_options), document.encode(found).decode() if found else "")


def _chosen(given: "Mapping[str, str]", kind: str, values: "Mapping[str, str]") -> dict[str, str]:
    import re

    names = [name.strip() for name in given.get(kind, "").split(",")]
    pattern = given.get(f"{kind}-regex", "")
    return {
        key: value for key, value in values.items() if key in names or (pattern and re.search(pattern, key) is not None)
    }
