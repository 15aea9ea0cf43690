"""What each operation of `container oci` does: from flags to the runtime, from its answers to stdout."""

import json
import os
import sys
from typing import Any, NamedTuple

from toolkit.cli.flags import Parsed, UsageError
from toolkit.core.errors import ConflictError, EngineError, UnsupportedError
from toolkit.runtime.oci.store import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from toolkit.runtime.oci.lifecycle import Created, Wishes
    from toolkit.runtime.oci.log import Log
    from toolkit.runtime.oci.store import Store


class Runtime(NamedTuple):
    """What every operation works with."""

    store: "Store"
    log: "Log"
    stdout: "TextIO"


def print_json(runtime: Runtime, document: Any) -> None:
    """Print a document as runc does."""
    runtime.stdout.write(json.dumps(document, indent=2) + "\n")


def _wishes(flags: Parsed, *, is_foreground: bool = False) -> "Wishes":
    from toolkit.runtime.oci.lifecycle import Wishes

    return Wishes(
        flags["console-socket"],
        os.path.abspath(flags["pid-file"]) if flags["pid-file"] else "",
        flags["preserve-fds"],
        pivots=not flags.get("no-pivot"),
        has_keyring=not flags.get("no-new-keyring"),
        is_foreground=is_foreground,
        config=flags.get("config") or "config.json",
        subgroups=flags.get("cgroup") or (),
    )


def create(runtime: Runtime, flags: Parsed) -> int:
    """Make a container."""
    from toolkit.runtime.oci import lifecycle

    lifecycle.create(runtime.store, flags.args[0], flags["bundle"] or ".", _wishes(flags), runtime.log)
    return 0


def start(runtime: Runtime, flags: Parsed) -> int:
    """Start a container that was made."""
    from toolkit.runtime.oci import lifecycle

    lifecycle.start(runtime.store, flags.args[0], runtime.log)
    return 0


def run(runtime: Runtime, flags: Parsed) -> int:
    """Make and start a container, and stay with it unless told otherwise."""
    from toolkit.runtime.oci import lifecycle
    from toolkit.runtime.oci.foreground import Foreground

    ident, is_detached = flags.args[0], flags["detach"]
    store, log = runtime.store, runtime.log
    bundle, wishes = flags["bundle"] or ".", _wishes(flags, is_foreground=not is_detached)
    if is_detached:
        lifecycle.create(store, ident, bundle, wishes, log)
        _start_or_delete(runtime, ident)
        return 0
    _adopt_orphans(flags)
    with Foreground() as foreground:
        created = lifecycle.create(store, ident, bundle, wishes, log)
        _start_or_delete(runtime, ident)
        code = foreground.follow(created.pidfd, created.master)
    if not flags["keep"]:
        lifecycle.delete(store, ident, log, force=True)
    return code


def _start_or_delete(runtime: Runtime, ident: str) -> None:
    from toolkit.runtime.oci import lifecycle

    try:
        lifecycle.start(runtime.store, ident, runtime.log)
    except EngineError:
        lifecycle.delete(runtime.store, ident, runtime.log, force=True)
        raise


def _adopt_orphans(flags: Parsed) -> None:
    from toolkit.linux.process import set_child_subreaper

    if not flags["no-subreaper"]:
        set_child_subreaper(1)


def state(runtime: Runtime, flags: Parsed) -> int:
    """Print a container's state."""
    from toolkit.runtime.oci.state import shown

    record = runtime.store.read(flags.args[0])
    print_json(runtime, shown(record, runtime.store.status(record)))
    return 0


def kill(runtime: Runtime, flags: Parsed) -> int:
    """Send a signal."""
    from toolkit.runtime.oci import control

    ident, *names = flags.args
    control.kill(runtime.store, ident, control.signal_number(names[0] if names else "TERM"), everyone=flags["all"])
    return 0


def delete(runtime: Runtime, flags: Parsed) -> int:
    """Remove what is left of a container."""
    from toolkit.runtime.oci import lifecycle

    lifecycle.delete(runtime.store, flags.args[0], runtime.log, force=flags["force"])
    return 0


def execute(runtime: Runtime, flags: Parsed) -> int:
    """Run one more process in a container."""
    from toolkit.runtime.oci.execute import execute as begin
    from toolkit.runtime.oci.foreground import Foreground

    ident, *command = flags.args
    process = _process(runtime, flags, ident, tuple(command))
    wishes = _wishes(flags, is_foreground=not flags["detach"])
    if flags["detach"]:
        begin(runtime.store, ident, process, wishes, runtime.log, ignores_paused=flags["ignore-paused"])
        return 0
    _adopt_orphans(flags)
    with Foreground() as foreground:
        made: Created = begin(runtime.store, ident, process, wishes, runtime.log, ignores_paused=flags["ignore-paused"])
        return foreground.follow(made.pidfd, made.master)


def _process(runtime: Runtime, flags: Parsed, ident: str, command: tuple[str, ...]) -> Any:
    from toolkit.runtime import validate
    from toolkit.runtime.oci.bundle import read_json
    from toolkit.runtime.oci.execute import Changes, of_changes

    if flags["process"]:
        return validate.process(read_json(flags["process"], "process file"))
    if not command:
        raise UsageError("exec: no command and no --process")
    changes = Changes(
        command,
        flags["cwd"],
        flags["env"],
        flags["user"],
        flags["additional-gids"],
        flags["tty"],
        flags["cap"],
        flags["no-new-privs"],
        flags["apparmor"],
        flags["process-label"],
    )
    return of_changes(runtime.store.read_config(ident), changes)


def pause(runtime: Runtime, flags: Parsed) -> int:
    """Stop a container's processes where they stand."""
    from toolkit.runtime.oci import control

    control.pause(runtime.store, flags.args[0])
    return 0


def resume(runtime: Runtime, flags: Parsed) -> int:
    """Let them go on."""
    from toolkit.runtime.oci import control

    control.resume(runtime.store, flags.args[0])
    return 0


def update(runtime: Runtime, flags: Parsed) -> int:
    """Change a container's limits."""
    from toolkit.cli.oci.limits import resources
    from toolkit.runtime.oci import control

    control.update(runtime.store, flags.args[0], resources(flags))
    return 0


def list_containers(runtime: Runtime, flags: Parsed) -> int:
    """Print all containers."""
    from toolkit.runtime.oci.report import containers

    found = containers(runtime.store)
    if flags["quiet"]:
        runtime.stdout.write("".join(f"{each['id']}\n" for each in found))
    elif flags["format"] == "json":
        runtime.stdout.write(json.dumps(found or None) + "\n")
    elif flags["format"] == "table":
        rows: list[tuple[str, ...]] = [("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")]
        fields = ("id", "pid", "status", "bundle", "created", "owner")
        rows += (tuple(str(each[field]) for field in fields) for each in found)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            line = "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
            runtime.stdout.write(line.rstrip() + "\n")
    else:
        raise UsageError(f"invalid --format: {flags['format']!r}; it is table or json")
    return 0


def ps(runtime: Runtime, flags: Parsed) -> int:
    """Print a container's processes."""
    from toolkit.runtime.oci.report import pids

    ident, *options = flags.args
    record = runtime.store.read(ident)
    found = pids(record)
    if flags["format"] == "json":
        runtime.stdout.write(json.dumps(found) + "\n")
        return 0
    if flags["format"] != "table":
        raise UsageError(f"invalid --format: {flags['format']!r}; it is table or json")
    _print_table(runtime, found, options or ["-ef"])
    return 0


def _print_table(runtime: Runtime, pids: list[int], options: list[str]) -> None:
    """Print those lines of the host's ps(1) that are about these processes."""
    import subprocess

    try:
        done = subprocess.run(["ps", *options], stdout=subprocess.PIPE, check=True, text=True)
    except FileNotFoundError as exc:
        raise UnsupportedError("there is no ps on this machine", hint="use --format json") from exc
    except subprocess.CalledProcessError as exc:
        raise UsageError(f"ps {' '.join(options)} failed") from exc
    head, *lines = done.stdout.splitlines()
    titles = head.split()
    if "PID" not in titles:
        raise UsageError("couldn't find PID field in ps output")
    where = titles.index("PID")
    wanted = {str(pid) for pid in pids}
    runtime.stdout.write(head + "\n")
    for line in lines:
        if line.split(None, where + 1)[where] in wanted:
            runtime.stdout.write(line + "\n")


def events(runtime: Runtime, flags: Parsed) -> int:
    """Print what a container uses: once, or again and again until it ends."""
    import time

    from toolkit.runtime.oci.report import oom_kills, statistics

    record = runtime.store.read(flags.args[0])
    interval_s = flags["interval"]
    if interval_s <= 0:
        raise UsageError("duration interval must be greater than 0")
    _print_line(runtime, statistics(runtime.store, record))
    if flags["stats"]:
        return 0
    known = oom_kills(record)
    while True:
        time.sleep(interval_s)
        if runtime.store.status(record) == STOPPED:
            return 0
        if (now := oom_kills(record)) > known:
            _print_line(runtime, {"type": "oom", "id": record.id})
            known = now
        _print_line(runtime, statistics(runtime.store, record))


def _print_line(runtime: Runtime, document: Any) -> None:
    runtime.stdout.write(json.dumps(document) + "\n")
    runtime.stdout.flush()


def features(runtime: Runtime, flags: Parsed) -> int:  # noqa: ARG001 - an operation like the others
    """Print what this runtime can do."""
    from toolkit.runtime.oci.features import features as document

    print_json(runtime, document())
    return 0


def spec(runtime: Runtime, flags: Parsed) -> int:  # noqa: ARG001 - likewise
    """Write a config to begin with."""
    from toolkit.runtime.oci.features import template

    path = os.path.join(flags["bundle"] or ".", "config.json")
    try:
        with open(path, "x") as file:
            file.write(json.dumps(template(is_rootless=flags["rootless"]), indent="\t"))
    except FileExistsError as exc:
        raise ConflictError(f"file {path} exists", hint="remove it first") from exc
    return 0


def refuse(runtime: Runtime, flags: Parsed) -> int:  # noqa: ARG001 - likewise
    """Say that this is not to be had."""
    raise UnsupportedError(
        "this runtime can neither freeze a container to disk nor thaw one", hint="use runc or crun, with CRIU"
    )


def stdin_text() -> str:
    """Return all that comes in on stdin."""
    return sys.stdin.read()
