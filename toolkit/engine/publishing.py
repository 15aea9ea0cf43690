"""Publishing ports of a container, and no longer, while it runs; what is changed holds for its next starts, too."""

from typing import Any

from toolkit.core.errors import ConflictError, NotFoundError
from toolkit.network.model import BRIDGE, HOST_BINDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toolkit.core.state import Document
    from toolkit.engine.container import Container
    from toolkit.engine.networks import Networks
    from toolkit.network.binding import PortBinding
    from toolkit.network.model import Endpoint, Network


def publish(networks: "Networks", container: "Container", bindings: "Sequence[PortBinding]") -> None:
    """Publish more ports of a container; of one that runs at once.

    Raises:
        ConflictError: a port is taken, and by whom; or the container has no network of ours. Nothing is changed then.
        InvalidError: this machine does not have an address.
    """
    _refuse_without_network(container)
    place = _place(networks, container)
    if place is not None:
        network = networks.store.get(place.network)
        if network.driver != BRIDGE:
            raise ConflictError(f"ports of containers in a network of the driver {network.driver} are not published")
        _ask(networks, place, [], at(network, bindings))
    _amend(networks, container, lambda publish: [*publish, *(list(each) for each in bindings)])


def unpublish(networks: "Networks", container: "Container", wanted: "PortBinding") -> None:
    """Publish a container's port no longer; one that is published only because of --publish-all comes back.

    Args:
        networks: of the engine.
        container: whose port it is.
        wanted: the container's port; with an address or a port of this machine only where it is published there.

    Raises:
        NotFoundError: it is not published there.
    """
    place = _place(networks, container)
    live = place.ports if place is not None else ()
    asked = container.options.publish
    gone = [each for each in live if matches(wanted, each)]
    origins = {index for each in gone if (index := origin(asked, each)) >= 0}
    origins |= {index for index, each in enumerate(asked) if matches(wanted, each)}
    if not gone and not origins:
        name = f"{wanted.container_port}/{wanted.protocol}"
        where = f" at {wanted.host_ip}:{wanted.host_port or ''}" if wanted.host_ip or wanted.host_port else ""
        raise NotFoundError(f"No public port '{name}' published for {container.name}{where}")
    if place is not None and gone:
        _ask(networks, place, gone, [])
    kept = [list(each) for index, each in enumerate(asked) if index not in origins]
    _amend(networks, container, lambda _publish: kept)


def matches(wanted: "PortBinding", found: "PortBinding") -> bool:
    """Tell whether a binding is among those that are meant."""
    return (
        (wanted.container_port, wanted.protocol) == (found.container_port, found.protocol)
        and wanted.host_ip in ("", found.host_ip)
        and wanted.host_port in (0, found.host_port)
    )


def origin(asked: "Sequence[PortBinding]", live: "PortBinding") -> int:
    """Return which of the bindings that were asked for has become `live`; -1: none."""
    for index, each in enumerate(asked):
        is_same = (each.container_port, each.protocol) == live[:2] and each.host_ip in ("", live.host_ip)
        last = each.last_host_port or each.host_port
        if is_same and (not each.host_port or each.host_port <= live.host_port <= last):
            return index
    return -1


def at(network: "Network", bindings: "Sequence[PortBinding]") -> "tuple[PortBinding, ...]":
    """Return bindings as they are in a network: at the address that its options name for those that name none."""
    if network.driver != BRIDGE:
        return ()
    address = network.options.get(HOST_BINDING, "")
    if address in ("", "0.0.0.0"):  # noqa: S104 - docker's word for every address of this machine
        return tuple(bindings)
    return tuple(each if each.host_ip else each._replace(host_ip=address) for each in bindings)


def _refuse_without_network(container: "Container") -> None:
    if not container.doc.get("networks"):
        mode = container.options.network
        message = f"container {container.name} has no network whose ports can be published (--network {mode})"
        raise ConflictError(message, hint="connect it to one: container network connect")


def _place(networks: "Networks", container: "Container") -> "Endpoint | None":
    """Return the place that its ports belong to, the first one; None where it does not run."""
    if not container.read_status().is_alive:
        return None
    return next(iter(networks.store.endpoints_of(container.id)), None)


def _ask(networks: "Networks", place: "Endpoint", gone: "Sequence[PortBinding]", new: "Sequence[PortBinding]") -> None:
    message = {"op": "publish", "network": place.network, "owner": place.owner}
    networks.process.ask({**message, "gone": [list(each) for each in gone], "new": [list(each) for each in new]})


def _amend(networks: "Networks", container: "Container", change: "Callable[[list[Any]], list[Any]]") -> None:
    def amended(doc: "Document") -> "Document":
        options = doc["options"]
        return {**doc, "options": {**options, "publish": change(options.get("publish") or [])}}

    networks.engine.state.amend("container", container.id, amended)
    container.reload()
