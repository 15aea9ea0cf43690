"""`container network create`, `rm`, `connect`, `disconnect` and `prune`."""

from toolkit.cli.command import Command
from toolkit.cli.commands.prune import FORCE, choice, is_sure, show
from toolkit.cli.each import each
from toolkit.cli.filters import FILTER
from toolkit.cli.flags import BOOL, LIST, STRING, Flag, Parsed, UsageError
from toolkit.cli.kinds import LABEL, PAIRS
from toolkit.cli.session import Outcome, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UNUSED = "all custom networks not used by at least one container"


def create(session: Session, parsed: Parsed) -> Outcome:
    """Make a network and print its id."""
    from toolkit.engine.networkoptions import NetworkOptions

    if parsed["ipam-driver"] not in ("", "default"):
        raise UsageError(f"could not find plugin {parsed['ipam-driver']}: the only IPAM driver is default")
    options = NetworkOptions(
        name=parsed.args[0],
        driver=parsed["driver"],
        subnets=parsed["subnet"],
        gateways=parsed["gateway"],
        ip_ranges=parsed["ip-range"],
        aux_addresses=parsed["aux-address"],
        is_internal=parsed["internal"],
        has_ipv6=parsed["ipv6"],
        is_attachable=parsed["attachable"],
        options=parsed["opt"],
        ipam_options=parsed["ipam-opt"],
        labels=parsed["label"],
    )
    network, warnings = session.engine.networks.create(options)
    for warning in warnings:
        session.complain(f"WARNING: {warning}")
    session.print(network.id)
    return Outcome(value=network)


def remove(session: Session, parsed: Parsed) -> Outcome:
    """Take networks away."""
    from toolkit.core.errors import NotFoundError

    def deed(name: str) -> "Any":
        try:
            removed = session.engine.networks.remove(name)
        except NotFoundError:
            if not parsed["force"]:
                raise
            return None
        session.print(name)
        return removed

    return each(session, parsed.args, deed)


def connect(session: Session, parsed: Parsed) -> Outcome:
    """Give a container a place in one more network."""
    from toolkit.engine.wish import Wish, checked_links

    network, name = parsed.args
    wish = Wish(parsed["ip"], parsed["ip6"], "", parsed["alias"], checked_links(parsed["link"]))
    container = session.engine.containers.get(name)
    session.engine.networks.connect(network, container, wish)
    return Outcome(value=container)


def disconnect(session: Session, parsed: Parsed) -> Outcome:
    """Take a container's place in a network away."""
    network, name = parsed.args
    container = session.engine.containers.get(name)
    session.engine.networks.disconnect(network, container, force=parsed["force"])
    return Outcome(value=container)


def prune(session: Session, parsed: Parsed) -> Outcome:
    """Take away the networks that no container uses."""
    chosen = choice(parsed)
    if not is_sure(session, parsed, [_UNUSED]):
        return Outcome()
    removed = session.engine.networks.prune(lambda one: chosen(one.labels, one.created))
    show(session, "Deleted Networks:", removed)
    return Outcome(value=removed)


NETWORK_CREATE = Command(
    "create",
    "[OPTIONS] NETWORK",
    "Create a network",
    create,
    "container network create --subnet 10.1.0.0/24 front\ncontainer run -d --network front --name web lab sleep 60",
    flags=(
        Flag("attachable", "", BOOL, "Enable manual container attachment (as all networks here have it)"),
        Flag("aux-address", "", PAIRS, "Auxiliary IPv4 or IPv6 addresses used by others, NAME=ADDRESS"),
        Flag("driver", "d", STRING, "Driver to manage the Network: bridge, macvlan, overlay", default="bridge"),
        Flag("gateway", "", LIST, "IPv4 or IPv6 Gateway for the master subnet"),
        Flag("internal", "", BOOL, "Restrict external access to the network"),
        Flag("ip-range", "", LIST, "Allocate container ip from a sub-range"),
        Flag("ipam-driver", "", STRING, "IP Address Management Driver (default)"),
        Flag("ipam-opt", "", PAIRS, "Set IPAM driver specific options"),
        Flag("ipv6", "", BOOL, "Enable IPv6 address assignment"),
        Flag("label", "", LABEL, "Set metadata on a network"),
        Flag("opt", "o", PAIRS, "Set driver specific options: com.docker.network.driver.mtu, "
             "com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade, .host_binding_ipv4; macvlan: parent, "
             "macvlan_mode; overlay: peers, vni, port"),
        Flag("subnet", "", LIST, "Subnet in CIDR format that represents a network segment"),
    ),
    min_args=1,
    max_args=1,
)  # fmt: skip

NETWORK_RM = Command(
    "rm",
    "NETWORK [NETWORK...]",
    "Remove one or more networks",
    remove,
    "container network rm front",
    flags=(Flag("force", "f", BOOL, "Do not error if the network does not exist"),),
    min_args=1,
)

NETWORK_CONNECT = Command(
    "connect",
    "[OPTIONS] NETWORK CONTAINER",
    "Connect a container to a network",
    connect,
    "container network connect --alias db front web",
    flags=(
        Flag("alias", "", LIST, "Add network-scoped alias for the container"),
        Flag("ip", "", STRING, 'IPv4 address (e.g., "172.30.100.104")'),
        Flag("ip6", "", STRING, 'IPv6 address (e.g., "2001:db8::33")'),
        Flag("link", "", LIST, "Add link to another container, NAME or NAME:ALIAS: a name of its own for it"),
    ),
    later=frozenset(("driver-opt", "gw-priority", "link-local-ip")),
    min_args=2,
    max_args=2,
)

NETWORK_DISCONNECT = Command(
    "disconnect",
    "[OPTIONS] NETWORK CONTAINER",
    "Disconnect a container from a network",
    disconnect,
    "container network disconnect front web",
    flags=(Flag("force", "f", BOOL, "Force the container to disconnect from a network"),),
    min_args=2,
    max_args=2,
)

NETWORK_PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove all unused networks",
    prune,
    "container network prune --force",
    flags=(Flag("filter", "", FILTER, 'Provide filter values (e.g. "until=<timestamp>")'), FORCE),
    max_args=0,
)
