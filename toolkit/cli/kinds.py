"""The kinds of values that options of `run`, `create` and `exec` take.

Each is one function from text to value that raises ValueError in docker's
words, so that the error names the flag and the text.
"""

import os

from toolkit.cli.flags import Kind, UsageError
from toolkit.core.errors import InvalidError
from toolkit.core.units import parse_bytes, parse_cpus
from toolkit.engine.options import BlockDevice, DeviceMapping, IdRange, Ulimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ULIMITS = frozenset(
    (
        "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice",
        "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
    )
)  # fmt: skip
_SYSCTLS = frozenset(
    (
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
        "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
    )
)  # fmt: skip
_SYSCTL_PREFIXES = ("net.", "fs.mqueue.")


def parse_env(text: str) -> str:
    """Read NAME=value; a bare NAME takes this process's value, or stays bare (and then unsets) where there is none."""
    name, equals, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    return text if equals or name not in os.environ else f"{name}={os.environ[name]}"


def parse_label(text: str) -> tuple[str, str]:
    """Read key=value, or a key whose value is empty."""
    key, _, value = text.partition("=")
    if not key:
        raise ValueError(f"invalid label '{text}': empty name")
    return key, value


def parse_ulimit(text: str) -> Ulimit:
    """Read name=soft[:hard]; -1 is no limit."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    soft_text, colon, hard_text = value.partition(":")
    soft = _decimal(soft_text)
    hard = _decimal(hard_text) if colon else soft
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return Ulimit(name, soft, hard)


def _decimal(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii():
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def parse_sysctl(text: str) -> tuple[str, str]:
    """Read name=value of a parameter that belongs to a container's namespaces."""
    name, equals, value = text.partition("=")
    if not equals or not (name in _SYSCTLS or name.startswith(_SYSCTL_PREFIXES)):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return name, value


def parse_tmpfs(text: str) -> tuple[str, str]:
    """Read PATH[:OPTIONS]."""
    path, _, options = text.partition(":")
    if not path.startswith("/"):
        raise ValueError(f"invalid mount path: '{path}' mount path must be absolute")
    return path, options


def parse_swap(text: str) -> int:
    """Read a size, or -1 for unlimited."""
    return -1 if text == "-1" else parse_bytes(text)


_RATE_HELP = "Number must be a positive integer"


def parse_device(text: str) -> DeviceMapping:
    """Read HOST[:CONTAINER][:rwm]."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0]:
        raise ValueError(f"invalid device specification: {text}")
    host, target, permissions = parts[0], "", "rwm"
    if len(parts) == 3:
        target, permissions = parts[1], parts[2]
    elif len(parts) == 2 and _is_device_mode(parts[1]):
        permissions = parts[1]
    elif len(parts) == 2:
        target = parts[1]
    if not _is_device_mode(permissions):
        raise ValueError(f"bad mode specified: {permissions}")
    for path in (host, target):
        if path and not path.startswith("/"):
            raise ValueError(f"{path} is not an absolute path")
    return DeviceMapping(host, target or host, permissions)


def _is_device_mode(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def parse_device_rule(text: str) -> str:
    """Read one rule as devices.allow of cgroup v1 takes it."""
    from toolkit.engine.devices import parse_rule

    try:
        parse_rule(text)
    except InvalidError as exc:
        raise ValueError(exc.message) from exc
    return text


def parse_weight_device(text: str) -> BlockDevice:
    """Read PATH:WEIGHT."""
    path, weight = _device_and_number(text)
    if not weight.isdecimal() or not 10 <= int(weight) <= 1000:
        raise ValueError(f"invalid weight for device: {text}")
    return BlockDevice(path, int(weight))


def parse_device_bps(text: str) -> BlockDevice:
    """Read PATH:RATE, the rate with a unit."""
    path, rate = _device_and_number(text)
    form = "The correct format is <device-path>:<number>[<unit>]"
    try:
        return BlockDevice(path, parse_bytes(rate))
    except InvalidError:
        message = f"invalid rate for device: {text}. {form}. {_RATE_HELP}. Unit is optional and can be kb, mb, or gb"
        raise ValueError(message) from None


def parse_device_iops(text: str) -> BlockDevice:
    """Read PATH:RATE."""
    path, rate = _device_and_number(text)
    if not (rate.isascii() and rate.isdecimal()):
        form = "The correct format is <device-path>:<number>"
        raise ValueError(f"invalid rate for device: {text}. {form}. {_RATE_HELP}")
    return BlockDevice(path, int(rate))


def _device_and_number(text: str) -> tuple[str, str]:
    path, colon, number = text.partition(":")
    if not colon or ":" in number:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, number


def parse_swappiness(text: str) -> int:
    """Read 0 to 100, or -1 for the parent's."""
    value = _decimal(text)
    if not -1 <= value <= 100:
        raise ValueError(f"invalid value: {value}. Valid memory swappiness range is 0-100")
    return value


def parse_id_range(text: str) -> IdRange:
    """Read CONTAINER:HOST[:SIZE], as podman's --uidmap."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(part.isascii() and part.isdecimal() for part in parts):
        raise ValueError(f"invalid mapping '{text}': write it as CONTAINER:HOST:SIZE")
    inside, outside, size = (*map(int, parts), 1)[:3]
    if size == 0 or max(inside, outside) + size > 1 << 32:
        raise ValueError(f"invalid mapping '{text}': ids go from 0 to 4294967295")
    return IdRange(inside, outside, size)


def parse_umask(text: str) -> int:
    """Read octal digits."""
    if not text or set(text) - set("01234567") or int(text, 8) > 0o777:
        raise ValueError(f"invalid umask {text}: must be an octal number of at most 0777")
    return int(text, 8)


def parse_stream(text: str) -> str:
    """Read the name of one of the three standard streams, in any case."""
    name = text.lower()
    if name not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return name


def parse_pair(text: str) -> tuple[str, str]:
    """Read key=value."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"invalid option '{text}': write it as KEY=VALUE")
    return key, value


def parse_entrypoint(text: str) -> tuple[str, ...]:
    """Read a program; the empty word means that there shall be none."""
    return (text,) if text else ()


def parse_security_opt(text: str) -> str:
    """Read one --security-opt; a seccomp profile's file becomes its text."""
    name, equals, value = text.replace(":", "=", 1).partition("=") if "=" not in text else text.partition("=")
    if name == "no-new-privileges":
        if value not in ("", "true", "false"):
            raise ValueError(f'invalid --security-opt: "{text}"')
        return f"{name}={value or 'true'}"
    if name == "seccomp" and equals and value:
        return f"seccomp={value if value in ('unconfined', 'builtin') else _seccomp_profile(value)}"
    if not equals:
        raise ValueError(f'invalid --security-opt: "{text}"')
    return f"{name}={value}"


def _seccomp_profile(path: str) -> str:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            return json.dumps(json.load(file), separators=(",", ":"))
    except OSError as exc:
        raise ValueError(f"opening seccomp profile ({path}) failed: {exc.strerror}") from exc
    except ValueError as exc:
        raise ValueError(f"compacting json for seccomp profile ({path}) failed: {exc}") from exc


_DURATIONS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_duration(text: str) -> int:
    """Read a span of time as Go does, "1m30s" or "0"; return nanoseconds."""
    import re

    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", rest)
    if rest == "0":
        return 0
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        problem = "missing unit in" if rest.isdecimal() else "invalid"
        raise ValueError(f'time: {problem} duration "{text}"')
    return sign * int(sum(float(number) * _DURATIONS[unit] for number, unit in parts))


def parse_restart(text: str) -> tuple[str, int]:
    """Read NAME[:COUNT] of --restart."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    if colon and not (count.removeprefix("-").isdecimal() and count.isascii()):
        raise ValueError("invalid restart policy format: maximum retry count must be an integer")
    return name, int(count) if colon else 0


def parse_add_host(text: str) -> str:
    """Read --add-host NAME:ADDRESS."""
    from toolkit.engine.networkfiles import split_host

    split_host(text)
    return text


def parse_network(text: str) -> dict[str, object]:
    """Read --network: a name, or name=NAME,alias=ALIAS,ip=ADDRESS,ip6=ADDRESS,mac-address=ADDRESS."""
    if "=" not in text:
        if not text or text == "container:":
            raise ValueError(f"invalid network mode: {text}")
        return {"network": text}
    fields = {"name": "network", "ip": "ip", "ip6": "ip6", "mac-address": "mac_address"}
    found: dict[str, object] = {}
    aliases: list[str] = []
    for part in text.split(","):
        key, _, value = part.partition("=")
        if key.strip().lower() == "alias":
            aliases.append(value)
        elif key.strip().lower() in fields:
            found[fields[key.strip().lower()]] = value
        else:
            raise ValueError(f"invalid field {key}")
    if not found.get("network"):
        raise ValueError("network name/id is not specified")
    return {**found, "network_aliases": tuple(aliases)} if aliases else found


def one_of(name: str, choices: "tuple[str, ...]", complaint: str) -> Kind:
    """Make a kind that takes one of `choices`; one that ends in ":" takes anything after it."""

    def parse(text: str) -> str:
        for choice in choices:
            if text.startswith(choice) and text != choice if choice.endswith(":") else text == choice:
                return text
        raise ValueError(complaint.format(text=text))

    return Kind(name, parse)


def _last_wins(pairs: "list[tuple[str, str]]") -> dict[str, str]:
    return dict(pairs)


BYTES = Kind("bytes", parse_bytes, absent=0)
SWAP = Kind("bytes", parse_swap, absent=0)
CPUS = Kind("decimal", parse_cpus, absent=0)
SECONDS = Kind("int", _decimal, absent=None)
ENV = Kind("list", parse_env, tuple)
LABEL = Kind("list", parse_label, _last_wins)
ULIMIT = Kind("ulimit", parse_ulimit, tuple)
SYSCTL = Kind("map", parse_sysctl, _last_wins)
TMPFS = Kind("list", parse_tmpfs, _last_wins)
DEVICE = Kind("list", parse_device, tuple)
DEVICE_RULE = Kind("list", parse_device_rule, tuple)
WEIGHT_DEVICE = Kind("list", parse_weight_device, tuple)
DEVICE_BPS = Kind("list", parse_device_bps, tuple)
DEVICE_IOPS = Kind("list", parse_device_iops, tuple)
SWAPPINESS = Kind("int", parse_swappiness, absent=-1)
ID_RANGE = Kind("list", parse_id_range, tuple)
UMASK = Kind("string", parse_umask, absent=None)
STREAMS = Kind("list", parse_stream, tuple)
PAIRS = Kind("map", parse_pair, _last_wins)
ENTRYPOINT = Kind("string", parse_entrypoint, absent=None)
SECURITY = Kind("list", parse_security_opt, tuple)
DURATION = Kind("duration", parse_duration, absent=0)
RESTART = Kind("string", parse_restart, absent=("", 0))
PULL = one_of(
    "string",
    ("always", "missing", "never"),
    'invalid pull option: \'{text}\': must be one of "always", "missing" or "never"',
)
ADD_HOST = Kind("list", parse_add_host, tuple)
NETWORK = Kind("network", parse_network, absent={})
PID_MODE = one_of("string", ("host", "private", "container:"), "--pid: invalid PID mode")
IPC_MODE = one_of("string", ("host", "private", "shareable", "none", "container:"), "--ipc: invalid IPC mode")
UTS_MODE = one_of("string", ("host", "private"), "--uts: invalid UTS mode")
USERNS_MODE = one_of("string", ("host", "private", "container:"), "--userns: invalid USER mode")
CGROUPNS_MODE = one_of("string", ("host", "private", "container:"), "--cgroupns: invalid CGROUP mode")


def read_env_files(paths: "tuple[str, ...]") -> tuple[str, ...]:
    """Return the settings in --env-file files: NAME=value, or NAME for what this process has set.

    Raises:
        UsageError: a file cannot be read, or a line is no setting.
    """
    settings: list[str] = []
    for path in paths:
        for line in _lines(path, "environment variable"):
            name, equals, _ = line.partition("=")
            if equals:
                settings.append(line)
            elif name in os.environ:
                settings.append(f"{name}={os.environ[name]}")
    return tuple(settings)


def read_label_files(paths: "tuple[str, ...]") -> dict[str, str]:
    """Return the labels in --label-file files.

    Raises:
        UsageError: a file cannot be read, or a line is no label.
    """
    return dict(parse_label(line) for path in paths for line in _lines(path, "label"))


def _lines(path: str, noun: str) -> "Iterator[str]":
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except UnicodeDecodeError as exc:
        raise UsageError(f"invalid utf8 bytes in {path} at byte {exc.start}") from exc
    except OSError as exc:
        raise UsageError(f"open {path}: {(exc.strerror or '').lower()}") from exc
    for raw in text.splitlines():
        line = raw.lstrip()
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name:
            raise UsageError(f"no variable name on line '{line}' of {path}")
        if " " in name or "\t" in name:
            raise UsageError(f"{noun} '{name}' of {path} contains whitespaces")
        yield line
