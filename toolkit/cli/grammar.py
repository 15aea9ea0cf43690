"""All commands: their names, what they do in a line, and the module that has them.

The table is all that `container` and `container --help` need: a module is
imported when one of its commands is used.  Adding a command is one line here
and a `Command` in its module.
"""

from toolkit.cli.command import PROGRAM, options_text
from toolkit.cli.flags import BOOL, STRING, Flag, UsageError
from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.cli.command import Command


class Entry(NamedTuple):
    """Where a command is found."""

    module: str
    """Under toolkit.cli.commands; its constant is the command's first path in capitals."""
    paths: tuple[str, ...]
    """All the ways to say it, the one with a constant first: ("ps", "container ls", ...)."""
    summary: str
    is_common: bool = False


ENTRIES = (
    Entry("run", ("run", "container run"), "Create and run a new container from an image", is_common=True),
    Entry("exec", ("exec", "container exec"), "Execute a command in a running container", is_common=True),
    Entry("ps", ("ps", "container ls", "container list", "container ps"), "List containers", is_common=True),
    Entry("transfer", ("pull", "image pull"), "Download an image from a registry", is_common=True),
    Entry("transfer", ("push", "image push"), "Upload an image to a registry", is_common=True),
    Entry("images", ("images", "image ls", "image list"), "List images", is_common=True),
    Entry("system", ("version",), "Show the version information", is_common=True),
    Entry("system", ("info", "system info"), "Display system-wide information", is_common=True),
    Entry(
        "doctor",
        ("doctor", "system doctor"),
        "Show what this machine can do, and the cure for what it cannot",
        is_common=True,
    ),
    Entry(
        "attach",
        ("attach", "container attach"),
        "Attach local standard input, output, and error streams to a running container",
    ),
    Entry("run", ("create", "container create"), "Create a new container"),
    Entry("cp", ("cp", "container cp"), "Copy files/folders between a container and the local filesystem"),
    Entry(
        "changes",
        ("diff", "container diff"),
        "Inspect changes to files or directories on a container's filesystem",
    ),
    Entry("changes", ("export", "container export"), "Export a container's filesystem as a tar archive"),
    Entry("history", ("history", "image history"), "Show the history of an image"),
    Entry("inspect", ("inspect",), "Return low-level information on objects"),
    Entry("inspect", ("container inspect",), "Display detailed information on one or more containers"),
    Entry("inspect", ("image inspect",), "Display detailed information on one or more images"),
    Entry("lifecycle", ("kill", "container kill"), "Kill one or more running containers"),
    Entry("archive", ("load", "image load"), "Load images from a tar archive or STDIN"),
    Entry("login", ("login",), "Authenticate to a registry"),
    Entry("login", ("logout",), "Log out from a registry"),
    Entry("logs", ("logs", "container logs"), "Fetch the logs of a container"),
    Entry("lifecycle", ("pause", "container pause"), "Pause all processes within one or more containers"),
    Entry("lifecycle", ("restart", "container restart"), "Restart one or more containers"),
    Entry("events", ("events", "system events"), "Get real time events from the engine"),
    Entry("resume", ("system resume",), "Start the containers that ought to run, after a reboot"),
    Entry("lifecycle", ("unpause", "container unpause"), "Unpause all processes within one or more containers"),
    Entry("top", ("port", "container port"), "List port mappings or a specific mapping for the container"),
    Entry("publish", ("port add",), "Publish more ports of a container"),
    Entry("publish", ("port rm", "port remove"), "Publish ports of a container no longer"),
    Entry("amend", ("rename", "container rename"), "Rename a container"),
    Entry("lifecycle", ("rm", "container rm", "container remove"), "Remove one or more containers"),
    Entry("images", ("rmi", "image rm", "image remove"), "Remove one or more images"),
    Entry(
        "archive",
        ("save", "image save"),
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
    ),
    Entry("attach", ("start", "container start"), "Start one or more stopped containers"),
    Entry("stats", ("stats", "container stats"), "Display a live stream of container(s) resource usage statistics"),
    Entry("lifecycle", ("stop", "container stop"), "Stop one or more running containers"),
    Entry("images", ("tag", "image tag"), "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    Entry("top", ("top", "container top"), "Display the running processes of a container"),
    Entry("amend", ("update", "container update"), "Update configuration of one or more containers"),
    Entry(
        "lifecycle", ("wait", "container wait"), "Block until one or more containers stop, then print their exit codes"
    ),
    Entry("network", ("network create",), "Create a network"),
    Entry("networks", ("network ls", "network list"), "List networks"),
    Entry("inspect", ("network inspect",), "Display detailed information on one or more networks"),
    Entry("network", ("network rm", "network remove"), "Remove one or more networks"),
    Entry("network", ("network connect",), "Connect a container to a network"),
    Entry("network", ("network disconnect",), "Disconnect a container from a network"),
    Entry("network", ("network prune",), "Remove all unused networks"),
    Entry("oci", ("oci",), "Be an OCI runtime, for podman, containerd and all who drive runc"),
    Entry("prune", ("container prune",), "Remove all stopped containers"),
    Entry("prune", ("image prune",), "Remove unused images"),
    Entry("prune", ("system prune",), "Remove unused data"),
    Entry("df", ("system df",), "Show disk usage"),
    Entry("explain", ("explain run",), "Run a container and show every call to the kernel that made it"),
    Entry("replay", ("replay",), "Show a recording of `explain run` or `step run`"),
    Entry("step", ("step run",), "Make and run a container one step at a time"),
    Entry("lab", ("lab list", "lab ls"), "List the labs"),
    Entry("lab", ("lab start",), "Make a copy of a lab to work on"),
    Entry("lab", ("lab check",), "Check a lab against what is on this machine now"),
    Entry("lab", ("lab reset",), "Take away what a lab has made, and make a fresh copy; the old notebook is kept"),
    Entry("lab", ("lab grade",), "Execute submissions and write their grades as CSV"),
    Entry("registry", ("registry serve",), "Serve a registry from a directory"),
    Entry("volume", ("volume create",), "Create a volume"),
    Entry("volume", ("volume inspect",), "Display detailed information on one or more volumes"),
    Entry("volume", ("volume ls", "volume list"), "List volumes"),
    Entry("volume", ("volume prune",), "Remove unused local volumes"),
    Entry("volume", ("volume rm", "volume remove"), "Remove one or more volumes"),
    Entry("vm", ("vm run",), "Run a command in a virtual machine with this machine's files"),
    Entry("vm", ("vm status",), "Show what a virtual machine needs here, and the cure for what is missing"),
)

GROUPS = {
    "container": "Manage containers",
    "explain": "Show what the engine really did",
    "image": "Manage images",
    "network": "Manage networks",
    "lab": "Learn by doing: labs with checks, hints and points",
    "registry": "Serve images to others",
    "step": "Walk through what the engine does",
    "system": "Manage the engine",
    "vm": "Run commands under another kernel",
    "volume": "Manage volumes",
}

GLOBAL_FLAGS = (
    Flag(
        "config-file",
        "",
        STRING,
        "The engine's configuration file, as docker's daemon.json",
        default="/etc/container-toolkit/daemon.json",
    ),
    Flag(
        "root",
        "",
        STRING,
        "Directory of images and containers (also CONTAINER_ROOT)",
        default="/var/lib/container-toolkit",
    ),
    Flag(
        "run-dir",
        "",
        STRING,
        "Directory of sockets and other run-time state (also CONTAINER_RUN)",
        default="/run/container-toolkit",
    ),
    Flag("version", "v", BOOL, "Print version information and quit"),
)

_LEAST_LONGER = 4
"""`port add CONTAINER PORT` is no `port CONTAINER [PORT]`, whatever containers are called."""
_BY_PATH = {path: entry for entry in ENTRIES for path in entry.paths}


def find(words: "Sequence[str]") -> tuple[str, Entry | None]:
    """Return the path that `words` begin with, and its entry; None for a bare group.

    Raises:
        UsageError: no such command.
    """
    name = words[0]
    longer = " ".join(words[:2])
    if name in _BY_PATH and longer in _BY_PATH and (len(words) >= _LEAST_LONGER or "--help" in words):
        return longer, _BY_PATH[longer]
    if name in _BY_PATH:
        return name, _BY_PATH[name]
    if name not in GROUPS:
        raise UsageError(f"'{name}' is not a {PROGRAM} command.{_suggest(name, '')}", exit_code=1)
    if len(words) == 1 or words[1] in ("--help", "-h"):
        return name, None
    path = f"{name} {words[1]}"
    if path not in _BY_PATH:
        message = f"'{words[1]}' is not a {PROGRAM} {name} command.{_suggest(words[1], name + ' ')}"
        raise UsageError(message, command=name, exit_code=1)
    return path, _BY_PATH[path]


def load(entry: Entry) -> "Command":
    """Import the command's module and return the command."""
    module = __import__(f"toolkit.cli.commands.{entry.module}", fromlist=["*"])
    command: Command = getattr(module, entry.paths[0].replace(" ", "_").upper())
    return command


def _suggest(name: str, prefix: str) -> str:
    """Name the nearest command, if one is near."""
    from difflib import get_close_matches

    known = [path[len(prefix) :] for path in (*_BY_PATH, *GROUPS) if path.startswith(prefix)]
    near = get_close_matches(name, [path for path in known if " " not in path], n=1, cutoff=0.6)
    return f" Did you mean '{PROGRAM} {prefix}{near[0]}'?" if near else ""


def main_help() -> str:
    """Return what `container --help` prints."""
    common = [(entry.paths[0], entry.summary) for entry in ENTRIES if entry.is_common]
    others = [(entry.paths[0], entry.summary) for entry in ENTRIES if not entry.is_common and " " not in entry.paths[0]]
    return "\n\n".join(
        (
            f"Usage:  {PROGRAM} [OPTIONS] COMMAND",
            "A container engine you can see through",
            "Common Commands:\n" + _table(common),
            "Management Commands:\n" + _table(list(GROUPS.items())),
            "Commands:\n" + _table(sorted(others)),
            "Global Options:\n" + options_text(GLOBAL_FLAGS),
            f"Run '{PROGRAM} COMMAND --help' for more information on a command.\n",
        )
    )


def group_help(group: str) -> str:
    """Return what `container GROUP` prints."""
    rows = [
        (path.partition(" ")[2], entry.summary)
        for path, entry in _BY_PATH.items()
        if path.startswith(group + " ")
        and path == next(alias for alias in entry.paths if alias.startswith(group + " "))
    ]
    return "\n\n".join(
        (
            f"Usage:  {PROGRAM} {group} COMMAND",
            GROUPS[group],
            "Commands:\n" + _table(sorted(rows)),
            f"Run '{PROGRAM} {group} COMMAND --help' for more information on a command.\n",
        )
    )


def _table(rows: "Sequence[tuple[str, str]]") -> str:
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"  {name.ljust(width)}{summary}" for name, summary in rows)
