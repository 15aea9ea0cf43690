"""`container network ls`."""

from typing import Any

from toolkit.cli.command import Command
from toolkit.cli.commands.ps import FORMAT_HELP, label_reader
from toolkit.cli.filters import FILTER, Filters, label_matches
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import render_ids, render_rows
from toolkit.core.ids import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.network.model import Network

_HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
_TYPES = ("builtin", "custom")


def ls(session: Session, parsed: Parsed) -> Outcome:
    """Print the networks, by name."""
    filters: Filters = parsed["filter"]
    filters.check("dangling", "driver", "id", "label", "name", "scope", "type")
    for value in filters["type"]:
        if value not in _TYPES:
            filters.reject("type", value)
    for value in filters["dangling"]:
        if value not in ("true", "false", "1", "0"):
            filters.reject("dangling", value)
    networks = session.engine.networks
    used = _used(session) if filters["dangling"] else frozenset[str]()
    found = [network for network in networks.list() if _matches(network, filters, used)]
    rows = [_row(network, truncates=not parsed["no-trunc"]) for network in found]
    is_ids = parsed["quiet"] and not parsed["format"]
    text = (
        render_ids(rows) if is_ids else render_rows(rows, _HEADERS, ("ID", "Name", "Driver", "Scope"), parsed["format"])
    )
    session.stdout.write(text)
    return Outcome(value=found)


def _used(session: Session) -> frozenset[str]:
    from toolkit.engine.wish import wishes

    return frozenset(name for one in session.engine.containers.list(all=True) for name in wishes(one.doc))


def _matches(network: "Network", filters: Filters, used: frozenset[str]) -> bool:
    is_dangling = not network.is_predefined and network.name not in used
    return (
        all(label_matches(wanted, network.labels) for wanted in filters["label"])
        and filters.any_among("driver", [network.driver])
        and filters.any_among("scope", ["local"])
        and filters.any_among("type", ["builtin" if network.is_predefined else "custom"])
        and filters.any_among("dangling", ["true", "1"] if is_dangling else ["false", "0"])
        and (not filters["id"] or any(wanted in network.id for wanted in filters["id"]))
        and (not filters["name"] or any(wanted in network.name for wanted in filters["name"]))
    )


def _row(network: "Network", *, truncates: bool) -> dict[str, Any]:
    return {
        "ID": short_id(network.id) if truncates else network.id,
        "Name": network.name,
        "Driver": network.driver,
        "Scope": "local",
        "IPv4": "true",
        "IPv6": str(network.has_ipv6).lower(),
        "Internal": str(network.is_internal).lower(),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(network.labels.items())),
        "Label": label_reader(dict(network.labels)),
        "CreatedAt": network.created,
    }


NETWORK_LS = Command(
    "ls",
    "[OPTIONS]",
    "List networks",
    ls,
    "container network ls --filter driver=bridge --format '{{.Name}}'",
    flags=(
        Flag("filter", "f", FILTER, 'Provide filter values (e.g. "driver=bridge")'),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("no-trunc", "", BOOL, "Do not truncate the output"),
        Flag("quiet", "q", BOOL, "Only display network IDs"),
    ),
    max_args=0,
)
