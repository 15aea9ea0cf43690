"""The networks of an engine: making and finding them, and giving containers their places in them.

See Also:
    docs of `toolkit.network`; Docker Engine API 1.50, Network
"""

import os
import socket
from functools import cached_property
from typing import Any, NamedTuple

from toolkit.core import clock, ids
from toolkit.core.errors import ConflictError, EngineError, InvalidError, NotFoundError, UnsupportedError
from toolkit.network import ipam, model, routes
from toolkit.network.client import NetworkLostError, NetworkProcess
from toolkit.network.dns.names import has_names
from toolkit.network.model import BRIDGE, DEFAULT, HOST, NULL, Endpoint, Network
from toolkit.network.store import Store
from toolkit.network.subnet import parse_address, parse_subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from toolkit.core.state import Document
    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine
    from toolkit.runtime.steps import ConnectNetwork

_KIND = "network"
_NAME_TRIES = 100
_MOST_NAME = 15
"""IFNAMSIZ less one."""
_DRIVERS = (BRIDGE,)
_DEFAULT_OPTIONS = {
    model.DEFAULT_BRIDGE: "true",
    model.ICC: "true",
    model.MASQUERADE: "true",
    model.HOST_BINDING: "0.0.0.0",  # noqa: S104 - docker's word for every address of this machine
    model.MTU: "1500",
}
_WARNED = "network.warned"
_NOTHING: "Mapping[str, str]" = {}


class NetworkOptions(NamedTuple):
    """What a new network is to be."""

    name: str
    driver: str = BRIDGE
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    """Each is the gateway of the subnet that it lies in.  So for the next two."""
    ip_ranges: tuple[str, ...] = ()
    aux_addresses: "Mapping[str, str]" = _NOTHING
    """Address by name."""
    is_internal: bool = False
    has_ipv6: bool = False
    is_attachable: bool = False
    options: "Mapping[str, str]" = _NOTHING
    ipam_options: "Mapping[str, str]" = _NOTHING
    labels: "Mapping[str, str]" = _NOTHING


class Wish(NamedTuple):
    """What a container asks of a network that it is in."""

    ip: str = ""
    ip6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """Its own names for other containers there: "NAME:ALIAS", or just "NAME"."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that it must have."""
        return tuple(each for each in (self.ip, self.ip6) if each)


class Networks:
    """The networks of one engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        paths = engine.paths
        self.store = Store(engine.state, lambda owner: os.path.isdir(paths.run_dir(owner)))
        self.process = NetworkProcess(paths.run, paths.state, paths.running, lambda: engine.cgroups.home())  # noqa: PLW0108 - it looks for them

    # Finding

    def get(self, reference: str) -> Network:
        """Find a network by its name, its id or a prefix of that which is unique.

        Raises:
            NotFoundError: there is none.
            ConflictError: more than one id begins so.
        """
        self._have_predefined()
        return self.store.get(reference)

    def list(self) -> "Sequence[Network]":
        """Return all networks, ordered by name."""
        self._have_predefined()
        return sorted(self.store.networks(), key=lambda one: one.name)

    def _have_predefined(self) -> None:
        """Have the three networks be there that docker always has."""
        for name, driver in (("host", HOST), ("none", NULL)):
            if self.store.find_name(name) is None:
                _unless_taken(lambda name=name, driver=driver: self.store.add(_bare(name, driver)))  # type: ignore[misc]  # mypy knows no defaults of lambdas
        if self.store.find_name(DEFAULT) is None:
            _unless_taken(self._add_default)

    def _add_default(self) -> None:
        taken = {name for _index, name in socket.if_nameindex()}
        link = next(name for number in range(_NAME_TRIES) if (name := f"ct{number}") not in taken)
        network = _bare(DEFAULT, BRIDGE)._replace(link=link, options={**_DEFAULT_OPTIONS, model.BRIDGE_NAME: link})
        self.store.add_with_subnet(
            network,
            lambda others: network._replace(
                pools=(
                    ipam.pool(
                        ipam.next_subnet([*(subnet for _name, subnet in others), *routes.routes()]), was_asked_for=False
                    ),
                )
            ),
        )

    # Making and taking away

    def create(self, options: NetworkOptions) -> tuple[Network, tuple[str, ...]]:
        """Make a network; return it, and what is to be said of it.

        Raises:
            InvalidError: options that mean nothing.
            ConflictError: its name, its subnet or its bridge's name is taken.
            UnsupportedError: a driver that there is not; or this machine cannot have networks.
        """
        self._have_predefined()
        _check(options)
        ident = ids.new_id()
        network = Network(
            id=ident,
            name=options.name,
            created=clock.now(),
            link=options.options.get(model.BRIDGE_NAME) or f"ct-{ident[:12]}",
            is_internal=options.is_internal,
            has_ipv6=options.has_ipv6 or any(":" in subnet for subnet in options.subnets),
            is_attachable=options.is_attachable,
            options=options.options,
            ipam_options=options.ipam_options,
            labels=options.labels,
        )
        made = self.store.add_with_subnet(network, lambda others: _with_pools(network, options, others))
        try:
            answer = self.process.ask({"op": "create", "network": made.id})
        except BaseException:
            self._forget(made)
            raise
        self._note("create", made)
        return made, tuple(answer["ok"]["warnings"])

    def _forget(self, network: Network) -> None:
        self.store.remove(network)
        try:
            self.process.ask({"op": "remove", "network": model.to_document(network)})
        except EngineError:
            pass  # the next network process takes away what is left: it knows its own

    def remove(self, reference: str) -> Network:
        """Take away a network in which nobody is.

        Raises:
            NotFoundError: there is none.
            ConflictError: somebody is in it, or it is one that is always there.
        """
        network = self.get(reference)
        if network.is_predefined:
            raise ConflictError(f"{network.name} is a pre-defined network and cannot be removed")
        self.store.remove(network)
        self.process.ask({"op": "remove", "network": model.to_document(network)})
        self._note("destroy", network)
        return network

    def prune(self, chosen: "Callable[[Network], bool]" = lambda _one: True) -> "Sequence[str]":
        """Take away the networks that no container is in or is to be in, and that are `chosen`; return their names."""
        used = {name for one in self._engine.containers.list(all=True) for name in wishes(one.doc)}
        removed: list[str] = []
        for network in self.list():
            if network.is_predefined or network.name in used or network.id in used or not chosen(network):
                continue
            try:
                self.remove(network.id)
            except (ConflictError, NotFoundError):
                continue  # somebody has come or gone meanwhile
            removed.append(network.name)
        self._engine.events.note(_KIND, "prune", "", {"reclaimed": "0"})
        return removed

    def _note(self, action: str, network: Network, **more: str) -> None:
        self._engine.events.note(_KIND, action, network.id, {"name": network.name, "type": network.driver, **more})

    # Containers

    def default_mode(self) -> tuple[str, str]:
        """Return what a container without --network has, and a warning where that is not what docker would give it.

        The network `bridge` where this machine can have one; else "default", which is loopback and nothing else.
        The warning is given once: until the next boot.
        """
        if self._engine.settings.bridge == "none":
            return "default", ""
        try:
            self._have_predefined()
            warnings = self.process.ask({"op": "hello"})["ok"]["warnings"]
        except NetworkLostError:
            raise
        except EngineError as exc:
            reason = f"containers have no network but loopback: {exc}"
            return "default", reason if self._is_news(reason) else ""
        said = next((each for each in warnings if self._is_news(each)), "")
        return DEFAULT, said

    def _is_news(self, text: str) -> bool:
        path = f"{self._engine.paths.run}/{_WARNED}"
        try:
            with open(path) as file:
                if text in file.read().splitlines():
                    return False
        except FileNotFoundError:
            pass
        with open(path, "a") as file:
            file.write(text + "\n")
        return True

    def allocate(self, container: "Container") -> "tuple[Endpoint, ...]":
        """Give a container that is about to start its places in its networks.

        Raises:
            NotFoundError: a network is gone.
            ConflictError: an address is another's, or all are taken.
        """
        made: list[Endpoint] = []
        try:
            for number, (name, wish) in enumerate(wishes(container.doc).items()):
                made.append(self._place(container, self.get(name), wish, number))
        except BaseException:
            self.store.release(container.id)
            raise
        if made:
            self.process.ensure()
        return tuple(made)

    def _place(self, container: "Container", network: Network, wish: Wish, number: int) -> Endpoint:
        prefix = network.options.get(model.CONTAINER_PREFIX, "eth")
        endpoint = self.store.allocate(
            network,
            container.id,
            name=container.name,
            link=f"{prefix}{number}",
            wanted=wish.addresses,
            mac=wish.mac,
            naming=model.Naming(_names_of(container, wish), _links_of(wish), container.options.dns),
            ports=container.bindings if number == 0 else (),
        )
        self._note("connect", network, container=container.id)
        return endpoint

    def steps(self, container: "Container", endpoints: "tuple[Endpoint, ...] | None") -> "tuple[ConnectNetwork, ...]":
        """Return the steps that connect a container's network namespace.

        Args:
            container: the container.
            endpoints: its places; None: it has none yet, and the plan is only to be looked at.
        """
        from toolkit.runtime.steps import ConnectNetwork

        places: list[tuple[str, str]] = []
        if endpoints is None:
            names = wishes(container.doc)
            places = [(self.get(name).id, f"{name}, eth{number}") for number, name in enumerate(names)]
        else:
            places = [(one.network, f"{one.link}, {', '.join(one.addresses)}") for one in endpoints]
        run = self._engine.paths.run
        return tuple(ConnectNetwork(run, self.process.socket, ident, container.id, shown) for ident, shown in places)

    def connect(self, reference: str, container: "Container", wish: Wish = Wish()) -> None:  # noqa: B008 - immutable
        """Give a container a place in one more network; one that runs gets it at once.

        Raises:
            ConflictError: it is in that network already, or its network is of another kind.
            InvalidError: what it asks of the network cannot be had there.
        """
        network = self.get(reference)
        refuse_mode(container.options.network, network)
        check_wish(network, wish)
        if network.name in wishes(container.doc):
            message = f"endpoint with name {container.name} already exists in network {network.name}"
            raise ConflictError(message)
        status = container.read_status()
        if status.is_alive:
            self._connect_running(network, container, wish, status.pid)
        self._engine.state.amend("container", container.id, lambda doc: _with_wish(doc, network.name, wish))
        container.reload()
        if not status.is_alive:
            self._note("connect", network, container=container.id)

    def _connect_running(self, network: Network, container: "Container", wish: Wish, pid: int) -> None:
        used = {one.link for one in self.store.endpoints_of(container.id)}
        number = next(number for number in range(len(used) + 1) if f"eth{number}" not in used)
        endpoint = self._place(container, network, wish, number)
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.process.ask({"op": "connect", "network": network.id, "owner": container.id}, fd)
        except BaseException:
            self.store.release(container.id, network.id)
            raise
        finally:
            os.close(fd)
        self._add_to_hosts(container, endpoint)
        if has_names(network):
            self._point_to_names(container)

    def _point_to_names(self, container: "Container") -> None:
        """Have a container that had no name server of ours ask it, unless somebody in it has written his own."""
        from toolkit.engine.networkfiles import resolv_conf

        path = f"{container.directory}/resolv.conf"  # the same file that is mounted in the container
        with open("/etc/resolv.conf") as file:
            base = file.read()
        with open(path) as file:
            is_untouched = file.read() == resolv_conf(base, container.options, is_apart=True)
        if is_untouched:
            with open(path, "w") as file:
                file.write(resolv_conf(base, container.options, is_apart=True, has_names=True))

    def _add_to_hosts(self, container: "Container", endpoint: Endpoint) -> None:
        from toolkit.engine.networkfiles import own_lines

        options = container.options
        with open(f"{container.directory}/hosts", "a") as file:  # the same file that is mounted in the container
            file.write(own_lines(options.hostname or container.short_id, options.domainname, [endpoint]))

    def disconnect(self, reference: str, container: "Container", *, force: bool = False) -> None:
        """Take a container's place in a network away.

        Raises:
            ConflictError: it is not in that network.
        """
        network = self.get(reference)
        if container.options.network == "host" and network.driver == HOST:
            raise ConflictError("container cannot be disconnected from host network or connected to host network")
        if network.name not in wishes(container.doc):
            message = f"container {container.id} is not connected to network {network.name}"
            raise ConflictError(message)
        status = container.read_status()
        endpoint = self.store.find(network.id, container.id)
        if status.is_alive and endpoint is not None:
            self._disconnect_running(network, container, endpoint, status.pid, force=force)
        self._engine.state.amend("container", container.id, lambda doc: _without_wish(doc, network.name))
        container.reload()
        self._note("disconnect", network, container=container.id)

    def _disconnect_running(
        self, network: Network, container: "Container", endpoint: Endpoint, pid: int, *, force: bool
    ) -> None:
        others = [one for one in self.store.endpoints_of(container.id) if one.network != network.id]
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
            self.process.ask(message, fd)
        finally:
            os.close(fd)
        path = f"{container.directory}/hosts"
        with open(path) as file:
            lines = file.readlines()
        mine = {address for family in (4, 6) if (address := endpoint.address(family))}
        with open(path, "w") as file:
            file.writelines(line for line in lines if line.partition("\t")[0] not in mine)

    def release(self, container_id: str) -> None:
        """Take back what a container has that did not start, or goes for good."""
        self.store.release(container_id)

    @cached_property
    def host_gateway(self) -> str:
        """This machine's address in the network `bridge`; empty where there is none."""
        network = self.store.find_name(DEFAULT)
        pool = None if network is None else network.pool(4)
        return "" if pool is None else str(pool.gateway)

    def endpoints(self, container_id: str) -> "dict[str, Endpoint]":
        """Return the places of a container that runs, by network id."""
        return {one.network: one for one in self.store.endpoints_of(container_id)}

    def rename(self, container: "Container") -> None:
        """Have a container be found by its new name from now on."""
        self.store.rename(container.id, container.name)

    def members(self, network: Network) -> "Iterator[Endpoint]":
        """Yield the places in a network of the containers that run."""
        return self.store.endpoints(network.id)


def wishes(doc: "Mapping[str, Any]") -> dict[str, Wish]:
    """Return the networks that a container is or is to be in, by name, the first one first."""
    stored: Mapping[str, Any] = doc.get("networks") or {}
    return {
        name: Wish(each["ip"], each["ip6"], each["mac"], tuple(each["aliases"]), tuple(each.get("links", ())))
        for name, each in stored.items()
    }


def _names_of(container: "Container", wish: Wish) -> tuple[str, ...]:
    """Return what others in a network find a container by, besides its name: docker's DNSNames."""
    hostname = container.options.hostname
    return tuple(dict.fromkeys((*wish.aliases, container.short_id, *((hostname,) if hostname else ()))))


def checked_links(texts: "Iterable[str]") -> tuple[str, ...]:
    """Return links as NAME:ALIAS each; that there is no such container (yet) does not matter, as in docker.

    Raises:
        InvalidError: one cannot be read.
    """
    from toolkit.engine.links import parse

    return tuple(":".join(parse(text)) for text in texts)


def _links_of(wish: Wish) -> dict[str, str]:
    """Return what those are called that a container has a name of its own for, by that name."""
    pairs = [text.partition(":") for text in wish.links]
    return {alias: name[:12] if len(name) == ids.ID_HEX else name for name, _, alias in pairs}


def _with_wish(doc: "Document", name: str, wish: Wish) -> "Document":
    return {**doc, "networks": {**(doc.get("networks") or {}), name: wish._asdict()}}


def _without_wish(doc: "Document", name: str) -> "Document":
    return {**doc, "networks": {key: each for key, each in (doc.get("networks") or {}).items() if key != name}}


def refuse_mode(mode: str, network: Network) -> None:
    """Refuse to connect a container whose network namespace is not its own, or a network that is none of ours.

    Raises:
        ConflictError: so it is.
    """
    if network.driver == HOST or mode == "host":
        raise ConflictError("container cannot be disconnected from host network or connected to host network")
    if network.driver == NULL or mode == "none":
        raise ConflictError(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )
    if mode.startswith("container:"):
        raise ConflictError(
            "container sharing network namespace with another container or host cannot be connected to any other "
            "network"
        )


def check_wish(network: Network, wish: Wish) -> None:
    """Refuse what cannot be had in a network.

    Raises:
        InvalidError: with docker's words.
    """
    if network.name == DEFAULT and wish.aliases:
        raise InvalidError(
            "network-scoped aliases are only supported for user-defined networks", hint="container network create"
        )
    if network.name == DEFAULT and wish.links:
        raise InvalidError("links are only supported for user-defined networks", hint="container network create")
    for text in wish.addresses:
        if network.name == DEFAULT:
            message = "user specified IP address is supported on user defined networks only"
            raise InvalidError(message, hint="make one with container network create --subnet")
        address = parse_address(text)
        ipam.refuse_address(network.pools, address)
        pool = next(pool for pool in network.pools if pool.subnet.contains(address))
        if not pool.was_asked_for:
            message = (
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )
            raise InvalidError(message, hint="make the network with --subnet")


def _bare(name: str, driver: str) -> Network:
    return Network(ids.new_id(), name, clock.now(), driver)


def _unless_taken(deed: "Callable[[], object]") -> None:
    try:
        deed()
    except ConflictError as exc:
        if "already exists" not in exc.message:
            raise
        # somebody else has just made it


def _check(options: NetworkOptions) -> None:
    from toolkit.engine.names import check_name

    if options.name in model.PREDEFINED or options.name == "default":
        message = f"operation is not permitted on predefined {options.name} network"
        raise ConflictError(message, hint="choose another name")
    if not options.name:
        raise InvalidError("invalid name: name is empty", hint="give the network a name")
    check_name(options.name)
    if options.driver not in _DRIVERS:
        if options.driver in (HOST, NULL):
            raise ConflictError(f'only one instance of "{options.driver}" network is allowed')
        message = f"could not find plugin {options.driver} in v1 plugin registry: plugin not found"
        raise UnsupportedError(message, hint=f"the drivers are {', '.join(_DRIVERS)}")
    link = options.options.get(model.BRIDGE_NAME, "")
    if len(link) > _MOST_NAME or "/" in link or any(char.isspace() for char in link):
        raise InvalidError(f"invalid name of a bridge: {link}", hint=f"at most {_MOST_NAME} characters, no / or space")
    mtu = options.options.get(model.MTU, "0")
    if not (mtu.isascii() and mtu.isdecimal()) or 0 < int(mtu) < 68 or int(mtu) > 65535:
        raise InvalidError(f"invalid mtu: {mtu}", hint="a number of bytes, 68 to 65535")


def _with_pools(network: Network, options: NetworkOptions, others: "list[tuple[str, Any]]") -> Network:
    """Return a network with the subnets that it asks for, or the next that is free."""
    here = routes.routes()
    subnets = [parse_subnet(text, strict=True) for text in options.subnets]
    mine: list[tuple[str, Any]] = []
    for subnet in subnets:
        ipam.refuse_overlap(subnet, [*others, *mine], here)
        mine.append((network.name, subnet))
    if not any(subnet.family == 4 for subnet in subnets):
        subnets.insert(0, ipam.next_subnet([*(subnet for _name, subnet in others), *here]))
    if network.has_ipv6 and not any(subnet.family == 6 for subnet in subnets):
        subnets.append(ipam.unique_local(network.id))
    asked = {str(parse_subnet(text)) for text in options.subnets}
    gateways, ranges, aux = list(options.gateways), list(options.ip_ranges), dict(options.aux_addresses)
    pools: list[model.Pool] = []
    for subnet in subnets:
        gateway = next((text for text in gateways if subnet.contains(parse_address(text))), "")
        ip_range = next((text for text in ranges if subnet.covers(parse_subnet(text))), "")
        mine_aux = {name: text for name, text in aux.items() if subnet.contains(parse_address(text))}
        gateways = [text for text in gateways if text != gateway]
        ranges = [text for text in ranges if text != ip_range]
        aux = {name: text for name, text in aux.items() if name not in mine_aux}
        pools.append(
            ipam.pool(
                subnet, gateway=gateway, ip_range=ip_range, auxiliary=mine_aux, was_asked_for=str(subnet) in asked
            )
        )
    for what, left in (("gateway", gateways), ("ip-range", ranges), ("aux-address", list(aux.values()))):
        if left:
            raise InvalidError(f"no matching subnet for {what} {left[0]}", hint="give one with --subnet")
    return network._replace(pools=tuple(pools))
