"""`container volume create`, `ls`, `inspect`, `rm` and `prune`."""

from typing import Any

from toolkit.cli.command import PROGRAM, Command
from toolkit.cli.commands.inspect import FORMAT, show_all
from toolkit.cli.commands.prune import is_sure
from toolkit.cli.commands.ps import FORMAT_HELP, label_reader
from toolkit.cli.each import each
from toolkit.cli.filters import FILTER, Filters, label_matches
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed, UsageError
from toolkit.cli.kinds import LABEL, PAIRS
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import render_rows
from toolkit.core.errors import EngineError
from toolkit.core.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.engine.volumes import Volume

_HEADERS = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Mountpoint": "MOUNTPOINT",
    "Scope": "SCOPE",
    "Size": "SIZE",
}
_ANONYMOUS = "anonymous local volumes not used by at least one container"
_UNUSED = "all local volumes not used by at least one container"


def create(session: Session, parsed: Parsed) -> Outcome:
    """Make a volume and print its name."""
    name = parsed["name"]
    if parsed.args and name:
        raise UsageError("conflicting options: either specify --name or provide positional arg, not both")
    made = session.engine.volumes.create(
        parsed.args[0] if parsed.args else name,
        driver=parsed["driver"],
        options=parsed["opt"],
        labels=parsed["label"],
    )
    session.print(made.name)
    return Outcome(value=made)


def ls(session: Session, parsed: Parsed) -> Outcome:
    """List volumes."""
    wanted: Filters = parsed["filter"]
    wanted.check("dangling", "driver", "label", "name")
    for value in wanted["dangling"]:
        if value.lower() not in ("true", "false", "1", "0"):
            wanted.reject("dangling", value)
    engine = session.engine

    def complain(name: str, error: EngineError) -> None:
        session.complain(f"WARNING: the volume plugin {name} does not answer: {error}")

    found = engine.volumes.list(complain)
    if wanted["dangling"]:
        used, is_wanted = engine.volumes.users(), [value.lower() in ("true", "1") for value in wanted["dangling"]]
        found = [one for one in found if (one.name not in used) in is_wanted]
    found = [one for one in found if _is_wanted(one, wanted)]
    if parsed["quiet"]:
        session.stdout.write("".join(f"{one.name}\n" for one in found))
    else:
        rows = [_row(one) for one in found]
        session.stdout.write(render_rows(rows, _HEADERS, ("Driver", "Name"), parsed["format"]))
    return Outcome(value=found)


def _is_wanted(one: "Volume", wanted: Filters) -> bool:
    return (
        any(name in one.name for name in wanted["name"] or [""])
        and wanted.any_among("driver", [one.driver])
        and all(label_matches(label, one.record.labels) for label in wanted["label"])
    )


def _row(one: "Volume") -> dict[str, Any]:
    labels = one.record.labels
    return {
        "Availability": "N/A",
        "Driver": one.driver,
        "Group": "N/A",
        "Label": label_reader(dict(labels)),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "Links": "N/A",
        "Mountpoint": one.mountpoint if one.driver == "local" else "",
        "Name": one.name,
        "Scope": "local",
        "Size": "N/A",
        "Status": "N/A",
    }


def inspect(session: Session, parsed: Parsed) -> Outcome:
    """Print volumes as docker's JSON, or what a template makes of them."""

    def find(name: str) -> tuple[Any, dict[str, Any]]:
        found = session.engine.volumes.get(name)
        return found, found.inspect()

    return show_all(session, parsed, find)


def rm(session: Session, parsed: Parsed) -> Outcome:
    """Remove volumes."""

    def deed(name: str) -> str:
        session.engine.volumes.remove(name, force=parsed["force"])
        session.print(name)
        return name

    return each(session, parsed.args, deed)


def prune(session: Session, parsed: Parsed) -> Outcome:
    """Remove the volumes that no container refers to."""
    wanted: Filters = parsed["filter"]
    wanted.check("all", "label", "label!")
    for value in wanted["all"]:
        if value.lower() not in ("true", "false", "1", "0"):
            wanted.reject("all", value)
    takes_all = parsed["all"] or any(value.lower() in ("true", "1") for value in wanted["all"])
    if not is_sure(session, parsed, [_UNUSED if takes_all else _ANONYMOUS]):
        return Outcome()
    removed, size = prune_volumes(session, wanted, takes_named=takes_all)
    session.print(f"Total reclaimed space: {format_bytes(size)}")
    return Outcome(value=removed)


def prune_volumes(session: Session, wanted: Filters, *, takes_named: bool) -> "tuple[Sequence[str], int]":
    """Remove unused volumes, print their names; return these, and how many bytes they had."""

    def is_chosen(one: "Volume") -> bool:
        labels = one.record.labels
        return all(label_matches(each, labels) for each in wanted["label"]) and not any(
            label_matches(each, labels) for each in wanted["label!"]
        )

    removed, size = session.engine.volumes.prune(is_chosen, takes_named=takes_named)
    if removed:
        session.print("\n".join(["Deleted Volumes:", *removed, ""]))
    return removed, size


VOLUME_CREATE = Command(
    "create",
    "[OPTIONS] [VOLUME]",
    "Create a volume",
    create,
    f"{PROGRAM} volume create data\n{PROGRAM} volume create --opt type=tmpfs --opt device=tmpfs --opt size=64m fast",
    flags=(
        Flag("driver", "d", STRING, "Specify volume driver name", default="local"),
        Flag("label", "", LABEL, "Set metadata for a volume"),
        Flag("name", "", STRING, "Specify volume name"),
        Flag("opt", "o", PAIRS, "Set driver specific options"),
    ),
    max_args=1,
)
VOLUME_LS = Command(
    "ls",
    "[OPTIONS]",
    "List volumes",
    ls,
    f"{PROGRAM} volume ls --filter dangling=true",
    flags=(
        Flag("filter", "f", FILTER, 'Provide filter values (e.g. "dangling=true")'),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("quiet", "q", BOOL, "Only display volume names"),
    ),
    max_args=0,
)
VOLUME_INSPECT = Command(
    "inspect",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Display detailed information on one or more volumes",
    inspect,
    f"{PROGRAM} volume inspect --format '{{{{.Mountpoint}}}}' data",
    flags=(FORMAT,),
    min_args=1,
)
VOLUME_RM = Command(
    "rm",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Remove one or more volumes",
    rm,
    f"{PROGRAM} volume rm data",
    details="A volume that a container refers to, running or not, cannot be removed.",
    flags=(Flag("force", "f", BOOL, "Force the removal of one or more volumes"),),
    min_args=1,
)
VOLUME_PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove unused local volumes",
    prune,
    f"{PROGRAM} volume prune --force",
    flags=(
        Flag("all", "a", BOOL, "Remove all unused volumes, not just anonymous ones"),
        Flag("filter", "", FILTER, 'Provide filter values (e.g. "label=<label>")'),
        Flag("force", "f", BOOL, "Do not prompt for confirmation"),
    ),
    max_args=0,
)
