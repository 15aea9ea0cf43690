"""Networks of the driver macvlan: each container has a link of its own on a link of this machine, with no bridge.

This machine itself does not reach the containers by that link, nor they it: a
macvlan's packets never go to its parent (ip-link(8), macvlan).  Nothing is
made for the network; a container's link goes with its namespace.
"""

from toolkit.core.errors import ConflictError, InvalidError
from toolkit.network import bridge, netlink
from toolkit.network.model import MACVLAN_MODE, MACVLAN_MODES, MACVLAN_PARENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.network.model import Endpoint, Network


def parent(kernel: netlink.Route, network: "Network") -> int:
    """Return the index of the link of this machine that a network is on.

    Raises:
        InvalidError: it is not there.
    """
    name = network.options[MACVLAN_PARENT]
    found = kernel.find(name)
    if found is None:
        message = f"network {network.name} has no parent: this machine has no link {name}"
        raise InvalidError(message, hint="`ip link` shows those that it has; choose one with -o parent=NAME")
    return found.number


def connect(kernel: netlink.Route, network: "Network", endpoint: "Endpoint", netns_fd: int) -> None:
    """Make a link on the network's parent in a namespace, with addresses and a way out.

    Raises:
        ConflictError: the parent has one that wants it alone, or is taken otherwise.
        InvalidError: the parent is not there.
    """
    on = parent(kernel, network)
    with netlink.Route(netns_fd) as inside:
        bridge.unplug(inside, endpoint)  # of one who was killed when it had made it
        try:
            kernel.do(_new_link(network, endpoint, on, netns_fd))
        except OSError as exc:
            name = network.options[MACVLAN_PARENT]
            message = f"network {network.name}: its parent {name} takes no more links: {exc.strerror}"
            hint = "passthru is for one container alone, and a bridge's port can be no parent"
            raise ConflictError(message, hint=hint) from exc
        try:
            bridge.set_up(inside, endpoint)
        except BaseException:
            bridge.unplug(inside, endpoint)
            raise


def _new_link(network: "Network", endpoint: "Endpoint", on: int, netns_fd: int) -> netlink.Message:
    mode = network.options.get(MACVLAN_MODE, MACVLAN_MODES[0])
    data = netlink.nested(("IFLA_MACVLAN_MODE", mode))
    attributes: netlink.Attributes = [
        ("IFLA_IFNAME", endpoint.link),
        ("IFLA_ADDRESS", endpoint.mac),
        ("IFLA_LINK", on),
        ("IFLA_NET_NS_FD", netns_fd),
        ("IFLA_LINKINFO", netlink.nested(("IFLA_INFO_KIND", "macvlan"), ("IFLA_INFO_DATA", data))),
    ]
    if network.mtu:
        attributes.append(("IFLA_MTU", network.mtu))
    call = netlink.shown(f'RTM_NEWLINK, "{endpoint.link}", kind="macvlan", mode={mode}, link={on}, in the namespace')
    return netlink.Message(call, netlink.NEWLINK, netlink.CREATE | netlink.EXCL, netlink.link_body(attributes))
