"""The grammar of `container oci`: runc's commands and flags.

See Also:
    runc(8) and its pages; opencontainers/runtime-tools docs/command-line-interface.md
"""

import re
from typing import NamedTuple

from toolkit.cli.flags import BOOL, INT, LIST, STRING, Flag, Kind
from toolkit.cli.oci import operations
from toolkit.cli.oci.limits import FLAGS as LIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.cli.flags import Parsed
    from toolkit.cli.oci.operations import Runtime


class Operation(NamedTuple):
    """One command of the runtime."""

    usage: str
    summary: str
    act: "Callable[[Runtime, Parsed], int]"
    flags: tuple[Flag, ...] = ()
    arguments: tuple[int, int | None] = (1, 1)
    """The least number and the most; None: any."""
    interspersed: bool = True
    """Flags may follow arguments."""
    failure_code: int = 1
    makes_processes: bool = False
    """Something of ours enters a container, for a moment."""


_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if found is None:
        raise ValueError(f'time: invalid duration "{text}"')
    return float(found[1]) * _UNITS_S[found[2]]


DURATION = Kind("duration", _duration)
_GIDS = Kind("gid", int, tuple)

_BUNDLE = Flag("bundle", "b", STRING, "Directory of the bundle (default: the current one)")
_CONSOLE = Flag("console-socket", "", STRING, "Unix socket that gets the terminal's master end")
_PID_FILE = Flag("pid-file", "", STRING, "File for the process's number")
_PRESERVE = Flag("preserve-fds", "", INT, "Hand on this many descriptors, from 3 on")
_NO_PIVOT = Flag("no-pivot", "", BOOL, "Move the root instead of pivot_root, for hosts that run from an initramfs")
_NO_KEYRING = Flag("no-new-keyring", "", BOOL, "Keep the caller's session keyring")
_DETACH = Flag("detach", "d", BOOL, "Do not stay with the process")
_NO_SUBREAPER = Flag("no-subreaper", "", BOOL, "Do not adopt the process's orphans")
_CONFIG = Flag("config", "f", STRING, "File of the config, a path from the bundle (default: config.json)")
_CREATE = (_BUNDLE, _CONFIG, _CONSOLE, _PID_FILE, _PRESERVE, _NO_PIVOT, _NO_KEYRING)
_FORMAT = Flag("format", "f", STRING, "table or json", default="table")

OPERATIONS = {
    "create": Operation(
        "[OPTIONS] ID", "Make a container of a bundle", operations.create, _CREATE, makes_processes=True
    ),
    "start": Operation("ID", "Run the program of a container that was made", operations.start),
    "run": Operation(
        "[OPTIONS] ID",
        "Make and start a container, and wait for its end",
        operations.run,
        (*_CREATE, _DETACH, _NO_SUBREAPER, Flag("keep", "", BOOL, "Do not delete the container at its end")),
        makes_processes=True,
    ),
    "state": Operation("ID", "Print a container's state", operations.state),
    "kill": Operation(
        "[OPTIONS] ID [SIGNAL]",
        "Send a signal to a container's first process (TERM unless told otherwise)",
        operations.kill,
        (Flag("all", "a", BOOL, "Send it to every process"),),
        (1, 2),
    ),
    "delete": Operation(
        "[OPTIONS] ID",
        "Remove a container that has ended",
        operations.delete,
        (Flag("force", "f", BOOL, "Kill it first if it runs; no error if there is none"),),
    ),
    "exec": Operation(
        "[OPTIONS] ID [COMMAND [ARG...]]",
        "Run one more process in a container",
        operations.execute,
        (
            _CONSOLE,
            _PID_FILE,
            _PRESERVE,
            _DETACH,
            _NO_SUBREAPER,
            Flag("process", "p", STRING, "File with the process, as process in config.json"),
            Flag("cwd", "", STRING, "Directory to begin in"),
            Flag("env", "e", LIST, "NAME=value to add to the environment"),
            Flag("user", "u", STRING, "UID[:GID]"),
            Flag("additional-gids", "g", _GIDS, "Supplementary group"),
            Flag("tty", "t", BOOL, "Give it a terminal"),
            Flag("cap", "c", LIST, "Capability to add to all sets"),
            Flag("no-new-privs", "", BOOL, "No program may gain privileges"),
            Flag("apparmor", "", STRING, "AppArmor profile"),
            Flag("process-label", "", STRING, "SELinux label"),
            Flag("cgroup", "", LIST, "[CONTROLLER,...:]PATH of a group below the container's"),
            Flag("ignore-paused", "", BOOL, "Exec in a paused container: it runs on resume"),
        ),
        (1, None),
        interspersed=False,
        failure_code=255,
        makes_processes=True,
    ),
    "ps": Operation(
        "[OPTIONS] ID [PS OPTIONS]",
        "Print a container's processes",
        operations.ps,
        (_FORMAT,),
        (1, None),
        interspersed=False,
    ),
    "pause": Operation("ID", "Stop a container's processes where they stand", operations.pause),
    "resume": Operation("ID", "Let them go on", operations.resume),
    "update": Operation(
        "[OPTIONS] ID",
        "Change a container's limits",
        operations.update,
        (
            Flag("resources", "r", STRING, 'File with limits, as linux.resources in config.json; "-" is stdin'),
            *(Flag(name, "", STRING, f"{section}.{field}") for name, (section, field) in LIMITS.items()),
        ),
    ),
    "events": Operation(
        "[OPTIONS] ID",
        "Print what a container uses",
        operations.events,
        (
            Flag("stats", "", BOOL, "Once"),
            Flag("interval", "", DURATION, "Time between two reports", default=5.0),
        ),
    ),
    "list": Operation(
        "[OPTIONS]",
        "Print all containers",
        operations.list_containers,
        (_FORMAT, Flag("quiet", "q", BOOL, "Ids alone")),
        (0, 0),
    ),
    "spec": Operation(
        "[OPTIONS]",
        "Write a config.json to begin with",
        operations.spec,
        (_BUNDLE, Flag("rootless", "", BOOL, "For a user who is not root")),
        (0, 0),
    ),
    "features": Operation("", "Print what this runtime can do", operations.features, (), (0, 0)),
    "checkpoint": Operation("ID", "Refused", operations.refuse, (), (0, None), interspersed=False),
    "restore": Operation("ID", "Refused", operations.refuse, (), (0, None), interspersed=False),
}
