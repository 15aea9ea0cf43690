"""`container ps`."""

from toolkit.cli.command import Command
from toolkit.cli.filters import FILTER, Filters, label_matches
from toolkit.cli.flags import BOOL, INT, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import ellipsis, render_ids, render_rows
from toolkit.core.clock import parse_ns
from toolkit.core.units import format_bytes, format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from toolkit.engine import Container

Document = dict[str, "Any"]

_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "State": "STATE",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "Networks": "NETWORKS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Size": "SIZE",
}
_COMMAND_WIDTH = 20
_HEALTHS = ("starting", "healthy", "unhealthy", "none")
_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")

FORMAT_HELP = (
    "Format output using a custom template:\n"
    "'table':            Print output in table format with column headers (default)\n"
    "'table TEMPLATE':   Print output in table format using the given Go template\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template"
)


def ps(session: Session, parsed: Parsed) -> Outcome:
    """Print the containers, newest first."""
    filters: Filters = parsed["filter"]
    filters.check("ancestor", "exited", "health", "id", "label", "name", "network", "status", "volume")
    filters.check_patterns("id", "name")
    _check_statuses(filters)
    count = 1 if parsed["latest"] else parsed["last"]
    shows_all = parsed["all"] or count > 0 or "status" in filters or "exited" in filters
    found = [(container, container.summary()) for container in session.engine.containers.list(all=shows_all)]
    found = [pair for pair in found if _matches(pair[1], filters)]
    if count > 0:
        del found[count:]
    containers: list[Container] = [container for container, _ in found]
    if parsed["size"] or ".Size" in parsed["format"]:
        from toolkit.engine.usage import sizes

        for container, document in found:
            document["SizeRw"], document["SizeRootFs"] = sizes(session.engine, container)
    _show(session, parsed, [document for _, document in found])
    return Outcome(value=containers)


def _show(session: Session, parsed: Parsed, documents: list[Document]) -> None:
    truncates = not parsed["no-trunc"]
    import time

    now_ns = time.time_ns()
    rows = [_row(document, now_ns=now_ns, truncates=truncates) for document in documents]
    if parsed["quiet"]:
        if parsed["format"]:
            session.complain("WARNING: Ignoring custom format, because both --format and --quiet are set.")
        session.stdout.write(render_ids(rows))
        return
    columns = (*_COLUMNS, "Size") if parsed["size"] else _COLUMNS
    session.stdout.write(render_rows(rows, _HEADERS, columns, parsed["format"]))


def _row(document: Document, *, now_ns: int, truncates: bool) -> "dict[str, Any]":
    config, state = document["Config"], document["State"]
    command = " ".join((document["Path"], *(f"'{word}'" if " " in word else word for word in document["Args"])))
    labels: dict[str, str] = config.get("Labels") or {}
    return {
        "ID": document["Id"][:12] if truncates else document["Id"],
        "Image": config["Image"] or "<no image>",
        "Command": _quote(ellipsis(command, _COMMAND_WIDTH) if truncates else command),
        "CreatedAt": local_time(document["Created"]),
        "RunningFor": age(document["Created"], now_ns) + " ago",
        "State": state["Status"],
        "Status": status_text(state, now_ns),
        "Ports": ports_text((document.get("NetworkSettings") or {}).get("Ports") or {}),
        "Names": document["Name"].lstrip("/"),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "Label": label_reader(labels),
        "Mounts": ",".join(mount.get("Name") or mount.get("Source", "") for mount in document.get("Mounts") or ()),
        "Networks": ",".join((document.get("NetworkSettings") or {}).get("Networks") or ()),
        "LocalVolumes": str(sum(mount.get("Driver") == "local" for mount in document.get("Mounts") or ())),
        "Size": _size_text(document),
    }


def ports_text(ports: "dict[str, list[dict[str, str]] | None]") -> str:
    """Return what is published and exposed as docker's column PORTS has it."""
    shown: list[str] = []
    for private, bindings in ports.items():
        if not bindings:
            shown.append(private)
        for each in bindings or ():
            address = f"[{each['HostIp']}]" if ":" in each["HostIp"] else each["HostIp"]
            shown.append(f"{address}:{each['HostPort']}->{private}")
    return ", ".join(shown)


def _size_text(document: Document) -> str:
    if "SizeRw" not in document:
        return ""
    return f"{format_bytes(document['SizeRw'])} (virtual {format_bytes(document['SizeRootFs'])})"


def label_reader(labels: dict[str, str]) -> "Callable[[str], str]":
    """Return the method that templates call as `.Label "name"`."""

    def label(name: str = "") -> str:
        return labels.get(name, "")

    return label


def status_text(state: Document, now_ns: int) -> str:
    """Say a container's state as docker's STATUS column does: Up 2 minutes, Exited (0) 3 hours ago."""
    status = state["Status"]
    if status in ("running", "paused"):
        note = " (Paused)" if status == "paused" else _health_note(state)
        return f"Up {age(state['StartedAt'], now_ns)}{note}"
    if status == "restarting":
        return f"Restarting ({state['ExitCode']}) {age(state['FinishedAt'], now_ns)} ago"
    if status == "exited":
        return f"Exited ({state['ExitCode']}) {age(state['FinishedAt'], now_ns)} ago"
    return "Removal In Progress" if status == "removing" else str(status).capitalize()


def _health_note(state: Document) -> str:
    health = (state.get("Health") or {}).get("Status")
    return "" if not health else f" ({'health: starting' if health == 'starting' else health})"


def age(moment: str, now_ns: int) -> str:
    """Say how long ago a moment was, as docker's tables do."""
    return format_duration((now_ns - parse_ns(moment)) / 1e9)


def local_time(moment: str) -> str:
    """Write a moment in this machine's time zone, as docker's tables do."""
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(parse_ns(moment) // 1_000_000_000))


def _quote(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    from toolkit.cli.template.text import quote

    return quote(text)


def _check_statuses(filters: Filters) -> None:
    for health in filters["health"]:
        if health not in _HEALTHS:
            filters.reject("health", health)
    for status in filters["status"]:
        if status not in _STATUSES:
            filters.reject("status", status)
    for code in filters["exited"]:
        if not code.isdecimal():
            filters.reject("exited", code)


def _has_mount(document: Document, wanted: str) -> bool:
    """Tell whether a volume of this name, or something at this place, is mounted in a container."""
    return any(
        wanted in (mount.get("Name"), mount["Destination"].rstrip("/"), mount["Source"]) for mount in document["Mounts"]
    )


def _matches(document: Document, filters: Filters) -> bool:
    state, config = document["State"], document["Config"]
    labels: dict[str, str] = config.get("Labels") or {}
    exited = [str(state["ExitCode"])] if state["Status"] == "exited" else []
    return (
        all(label_matches(wanted, labels) for wanted in filters["label"])
        and (not filters["network"] or bool(set(filters["network"]) & document["NetworkSettings"]["Networks"].keys()))
        and filters.any_found_in("name", document["Name"].lstrip("/"))
        and filters.any_found_in("id", document["Id"])
        and filters.any_among("status", [state["Status"]])
        and filters.any_among("exited", exited)
        and (not filters["volume"] or any(_has_mount(document, wanted) for wanted in filters["volume"]))
        and filters.any_among("health", [(state.get("Health") or {}).get("Status", "none")])
        and (not filters["ancestor"] or any(_is_ancestor(wanted, document) for wanted in filters["ancestor"]))
    )


def _is_ancestor(wanted: str, document: Document) -> bool:
    image = document["Config"]["Image"]
    bare = document["Image"].removeprefix("sha256:")
    is_id = len(wanted) >= 4 and bare.startswith(wanted.removeprefix("sha256:"))
    return is_id or image in (wanted, f"{wanted}:latest") or f"{image}:latest" == wanted


PS = Command(
    "ps",
    "[OPTIONS]",
    "List containers",
    ps,
    "container ps --all --filter status=exited --format 'table {{.Names}}\\t{{.Status}}'",
    flags=(
        Flag("all", "a", BOOL, "Show all containers (default shows just running)"),
        Flag(
            "filter",
            "f",
            FILTER,
            "Filter output based on conditions provided (ancestor, exited, health, id, label, name, status)",
        ),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("last", "n", INT, "Show n last created containers (includes all states)", default=-1),
        Flag("latest", "l", BOOL, "Show the latest created container (includes all states)"),
        Flag("no-trunc", "", BOOL, "Don't truncate output"),
        Flag("quiet", "q", BOOL, "Only display container IDs"),
        Flag("size", "s", BOOL, "Display total file sizes"),
    ),
    max_args=0,
)
