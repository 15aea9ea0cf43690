"""Plugging a container into one more network, and out of one; at once where it runs."""

import os

from toolkit.core.errors import ConflictError
from toolkit.engine.networkfiles import own_lines, resolv_conf
from toolkit.engine.wish import Wish, check_wish, refuse_mode, wishes, with_wish, without_wish
from toolkit.network.dns.names import has_names
from toolkit.network.model import CONTAINER_PREFIX, HOST
from toolkit.runtime import membership

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.container import Container
    from toolkit.engine.networks import Networks
    from toolkit.network.model import Endpoint, Network


def connect(networks: "Networks", reference: str, container: "Container", wish: Wish) -> None:
    """Give a container a place in one more network; one that runs gets it at once.

    Raises:
        ConflictError: it is in that network already, or its network is of another kind.
        InvalidError: what it asks of the network cannot be had there.
    """
    network = networks.get(reference)
    refuse_mode(container.options.network, network)
    check_wish(network, wish)
    if network.name in wishes(container.doc):
        message = f"endpoint with name {container.name} already exists in network {network.name}"
        raise ConflictError(message)
    status = container.read_status()
    if status.is_alive:
        _connect_running(networks, network, container, wish, status.pid)
    networks.engine.state.amend("container", container.id, lambda doc: with_wish(doc, network.name, wish))
    container.reload()
    _write_down(networks, container)
    if not status.is_alive:
        networks.note("connect", network, container=container.id)


def _connect_running(networks: "Networks", network: "Network", container: "Container", wish: Wish, pid: int) -> None:
    used = {one.link for one in networks.store.endpoints_of(container.id)}
    prefix = network.options.get(CONTAINER_PREFIX, "eth")
    number = next(number for number in range(len(used) + 1) if f"{prefix}{number}" not in used)
    endpoint = networks.place(container, network, wish, number)
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        networks.process.ask({"op": "connect", "network": network.id, "owner": container.id}, fd)
    except BaseException:
        networks.store.release(container.id, network.id)
        raise
    finally:
        os.close(fd)
    _add_to_hosts(container, endpoint)
    if has_names(network):
        _point_to_names(container)


def _point_to_names(container: "Container") -> None:
    """Have a container that had no name server of ours ask it, unless somebody in it has written his own."""
    path = f"{container.directory}/resolv.conf"  # the same file that is mounted in the container
    with open("/etc/resolv.conf") as file:
        base = file.read()
    with open(path) as file:
        is_untouched = file.read() == resolv_conf(base, container.options, is_apart=True)
    if is_untouched:
        with open(path, "w") as file:
            file.write(resolv_conf(base, container.options, is_apart=True, has_names=True))


def _add_to_hosts(container: "Container", endpoint: "Endpoint") -> None:
    options = container.options
    with open(f"{container.directory}/hosts", "a") as file:  # the same file that is mounted in the container
        file.write(own_lines(options.hostname or container.short_id, options.domainname, [endpoint]))


def disconnect(networks: "Networks", reference: str, container: "Container", *, force: bool) -> None:
    """Take a container's place in a network away.

    Raises:
        ConflictError: it is not in that network.
    """
    network = networks.get(reference)
    if container.options.network == "host" and network.driver == HOST:
        raise ConflictError("container cannot be disconnected from host network or connected to host network")
    if network.name not in wishes(container.doc):
        message = f"container {container.id} is not connected to network {network.name}"
        raise ConflictError(message)
    status = container.read_status()
    endpoint = networks.store.find(network.id, container.id)
    if status.is_alive and endpoint is not None:
        _disconnect_running(networks, network, container, endpoint, status.pid, force=force)
    networks.engine.state.amend("container", container.id, lambda doc: without_wish(doc, network.name))
    container.reload()
    _write_down(networks, container)
    networks.note("disconnect", network, container=container.id)


def _write_down(networks: "Networks", container: "Container") -> None:
    """Have whoever tells of the container's end know which networks it leaves then."""
    if os.path.isdir(container.directory):  # else it was never started
        membership.write(container.directory, networks.memberships(networks.store.endpoints_of(container.id)))


def _disconnect_running(
    networks: "Networks", network: "Network", container: "Container", endpoint: "Endpoint", pid: int, *, force: bool
) -> None:
    others = [one for one in networks.store.endpoints_of(container.id) if one.network != network.id]
    gateways = next((one.gateways for one in others if one.gateways), ())
    message = {
        "op": "disconnect", "network": network.id, "owner": container.id, "gateways": list(gateways),
    }  # fmt: skip
    try:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if not force:
            raise
        return
    try:
        networks.process.ask(message, fd)
    finally:
        os.close(fd)
    path = f"{container.directory}/hosts"
    with open(path) as file:
        lines = file.readlines()
    mine = {address for family in (4, 6) if (address := endpoint.address(family))}
    with open(path, "w") as file:
        file.writelines(line for line in lines if line.partition("\t")[0] not in mine)
