"""The specification's fields and what each may hold.

See Also:
    runtime-spec 1.2.1: config.md, config-linux.md, schema/*.json
"""

from typing import Any

from toolkit.linux.process import RLIMITS
from toolkit.linux.scheduling import IO_CLASSES, PERSONALITIES, POLICIES, SCHEDULER_FLAGS, parse_cpus
from toolkit.linux.seccomp.apply import FLAGS
from toolkit.runtime.validate.shape import (
    absolute,
    array,
    boolean,
    filled,
    mapping,
    number,
    one_of,
    record,
    string,
    wrong,
)

_I64 = number(-(1 << 63), (1 << 63) - 1)
_U64 = number(0, (1 << 64) - 1)
_U32 = number(0, (1 << 32) - 1)
_U16 = number(0, (1 << 16) - 1)
_ID = number(0, (1 << 32) - 2)
"""A uid or gid; -1 means "leave it" to the kernel."""
_MAX_MAPPINGS = 340
"""UID_GID_MAP_MAX_EXTENTS, include/linux/user_namespace.h."""

PROPAGATIONS = ("shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable")
ACTIONS = (
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
)
OPERATORS = (
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
)
NAMESPACES = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def _version(value: Any, path: str) -> str:
    parts = filled(value, path).partition("-")[0].partition("+")[0].split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise wrong(path, f"'{value}' is not a version such as 1.2.1")
    if parts[0] != "1":
        raise wrong(path, f"version {value} is not known here", "this runtime implements 1.x")
    return str(value)


def _variable(value: Any, path: str) -> str:
    name, sign, _ = string(value, path).partition("=")
    if not name or not sign:
        raise wrong(path, f"'{value}' is not of the form NAME=value")
    return str(value)


def _cpus(value: Any, path: str) -> str:
    from toolkit.core.errors import InvalidError

    if string(value, path):
        try:
            parse_cpus(value)
        except InvalidError as exc:
            raise wrong(path, exc.message, exc.hint) from exc
    return str(value)


_MAPPING = record(
    {"containerID": _U32, "hostID": _U32, "size": number(1, (1 << 32) - 1)}, ("containerID", "hostID", "size")
)
_MAPPINGS = array(_MAPPING, _MAX_MAPPINGS)
_NAMES = array(string)

_USER = record({"uid": _ID, "gid": _ID, "umask": number(0, 0o777), "additionalGids": array(_ID)})
_RLIMIT = record({"type": one_of(*RLIMITS), "soft": _U64, "hard": _U64}, ("type", "soft", "hard"))
_SCHEDULER = record(
    {
        "policy": one_of(*POLICIES),
        "nice": number(-20, 19),
        "priority": number(0, 99),
        "flags": array(one_of(*SCHEDULER_FLAGS)),
        "runtime": _U64,
        "deadline": _U64,
        "period": _U64,
    },
    ("policy",),
)
PROCESS = record(
    {
        "terminal": boolean,
        "consoleSize": record({"height": _U16, "width": _U16}, ("height", "width")),
        "user": _USER,
        "args": array(string),
        "env": array(_variable),
        "cwd": absolute,
        "capabilities": record(dict.fromkeys(("bounding", "effective", "inheritable", "permitted", "ambient"), _NAMES)),
        "rlimits": array(_RLIMIT),
        "noNewPrivileges": boolean,
        "apparmorProfile": string,
        "selinuxLabel": string,
        "oomScoreAdj": number(-1000, 1000),
        "scheduler": _SCHEDULER,
        "ioPriority": record({"class": one_of(*IO_CLASSES), "priority": number(0, 7)}, ("class",)),
        "execCPUAffinity": record({"initial": _cpus, "final": _cpus}),
    },
    ("cwd", "args"),
)

_MOUNT = record(
    {
        "destination": filled,
        "type": string,
        "source": string,
        "options": array(string),
        "uidMappings": _MAPPINGS,
        "gidMappings": _MAPPINGS,
    },
    ("destination",),
)
_HOOK = record(
    {"path": absolute, "args": array(string), "env": array(_variable), "timeout": number(1, 1 << 31)}, ("path",)
)

_NUMBER_OF_DEVICE = number(0, (1 << 20) - 1)
_DEVICE = record(
    {
        "type": one_of("c", "b", "u", "p"),
        "path": absolute,
        "major": number(0, (1 << 12) - 1),
        "minor": _NUMBER_OF_DEVICE,
        "fileMode": number(0, 0o177777),
        "uid": _ID,
        "gid": _ID,
    },
    ("type", "path"),
)


def _access(value: Any, path: str) -> str:
    if not set(string(value, path)) <= set("rwm"):
        raise wrong(path, f"unknown access '{value}'", "it is made of r, w and m (mknod)")
    return str(value)


_DEVICE_NUMBER = number(-1, (1 << 32) - 1)
_DEVICE_RULE = record(
    {
        "allow": boolean,
        "type": one_of("", "a", "b", "c"),
        "major": _DEVICE_NUMBER,
        "minor": _DEVICE_NUMBER,
        "access": _access,
    }
)
_THROTTLE = record({"major": _I64, "minor": _I64, "rate": _U64}, ("major", "minor", "rate"))
_WEIGHT = record({"major": _I64, "minor": _I64, "weight": _U16, "leafWeight": _U16}, ("major", "minor"))
RESOURCES = record(
    {
        "devices": array(_DEVICE_RULE),
        "memory": record(
            {
                **dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP"), _I64),
                "swappiness": number(-1, 200),
                **dict.fromkeys(("disableOOMKiller", "useHierarchy", "checkBeforeUpdate"), boolean),
            }
        ),
        "cpu": record(
            {
                "shares": _U64,
                "quota": _I64,
                "burst": _U64,
                "period": _U64,
                "realtimeRuntime": _I64,
                "realtimePeriod": _U64,
                "cpus": string,
                "mems": string,
                "idle": number(0, 1),
            }
        ),
        "pids": record({"limit": _I64}),
        "blockIO": record(
            {
                "weight": _U16,
                "leafWeight": _U16,
                "weightDevice": array(_WEIGHT),
                **dict.fromkeys(
                    (
                        "throttleReadBpsDevice",
                        "throttleWriteBpsDevice",
                        "throttleReadIOPSDevice",
                        "throttleWriteIOPSDevice",
                    ),
                    array(_THROTTLE),
                ),
            }
        ),
        "hugepageLimits": array(record({"pageSize": filled, "limit": _U64}, ("pageSize", "limit"))),
        "network": record(
            {
                "classID": _U32,
                "priorities": array(record({"name": filled, "priority": _U32}, ("name", "priority"))),
            }
        ),
        "rdma": mapping(record({"hcaHandles": _U32, "hcaObjects": _U32})),
        "unified": mapping(string),
    }
)

_SECCOMP = record(
    {
        "defaultAction": one_of(*ACTIONS),
        "defaultErrnoRet": _U32,
        "architectures": _NAMES,
        "flags": array(one_of(*FLAGS)),
        "listenerPath": string,
        "listenerMetadata": string,
        "syscalls": array(
            record(
                {
                    "names": array(filled),
                    "action": one_of(*ACTIONS),
                    "errnoRet": _U32,
                    "args": array(
                        record(
                            {"index": number(0, 5), "value": _U64, "valueTwo": _U64, "op": one_of(*OPERATORS)},
                            ("index", "value", "op"),
                        )
                    ),
                },
                ("names", "action"),
            )
        ),
    },
    ("defaultAction",),
)

_OFFSET = record({"secs": _I64, "nanosecs": number(0, 999_999_999)})
_LINUX = record(
    {
        "namespaces": array(record({"type": one_of(*NAMESPACES), "path": string}, ("type",))),
        "uidMappings": _MAPPINGS,
        "gidMappings": _MAPPINGS,
        "timeOffsets": mapping(_OFFSET, one_of("boottime", "monotonic")),
        "devices": array(_DEVICE),
        "cgroupsPath": string,
        "resources": RESOURCES,
        "rootfsPropagation": one_of("", *PROPAGATIONS),
        "seccomp": _SECCOMP,
        "sysctl": mapping(string),
        "maskedPaths": array(string),
        "readonlyPaths": array(string),
        "mountLabel": string,
        "personality": record({"domain": one_of(*PERSONALITIES), "flags": array(string, 0)}, ("domain",)),
        "intelRdt": mapping(lambda value, _path: value),
    }
)

CONFIG = record(
    {
        "ociVersion": _version,
        "process": PROCESS,
        "root": record({"path": filled, "readonly": boolean}, ("path",)),
        "hostname": string,
        "domainname": string,
        "mounts": array(_MOUNT),
        "hooks": record(dict.fromkeys(HOOKS, array(_HOOK))),
        "annotations": mapping(string, filled),
        "linux": _LINUX,
    },
    ("ociVersion", "process", "root"),
)
