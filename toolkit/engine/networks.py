"""The networks of an engine: making and finding them, and giving containers their places in them.

See Also:
    docs of `toolkit.network`; Docker Engine API 1.50, Network
"""

import os
import socket
from functools import cached_property

from toolkit.core import clock, ids
from toolkit.core.errors import ConflictError, EngineError, NotFoundError
from toolkit.engine.networkoptions import NetworkOptions, check, with_pools
from toolkit.engine.wish import Wish, links_of, names_of, wishes
from toolkit.network import ipam, model, routes
from toolkit.network.client import NetworkLostError, NetworkProcess
from toolkit.network.model import BRIDGE, DEFAULT, HOST, MACVLAN, NULL, Endpoint, Network
from toolkit.network.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine
    from toolkit.network.binding import PortBinding
    from toolkit.runtime.membership import Membership
    from toolkit.runtime.steps import ConnectNetwork

_KIND = "network"
_NAME_TRIES = 100
_DEFAULT_OPTIONS = {
    model.DEFAULT_BRIDGE: "true",
    model.ICC: "true",
    model.MASQUERADE: "true",
    model.HOST_BINDING: "0.0.0.0",  # noqa: S104 - docker's word for every address of this machine
    model.MTU: "1500",
}
_WARNED = "network.warned"


class Networks:
    """The networks of one engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        paths = engine.paths
        self.store = Store(engine.state, lambda owner: os.path.isdir(paths.run_dir(owner)))
        self.process = NetworkProcess(paths.run, paths.state, paths.running, lambda: engine.cgroups.home())  # noqa: PLW0108 - it looks for them

    @property
    def engine(self) -> "Engine":
        """The engine whose they are."""
        return self._engine

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
        address_pools = self._engine.settings.default_address_pools
        network = _bare(DEFAULT, BRIDGE)._replace(link=link, options={**_DEFAULT_OPTIONS, model.BRIDGE_NAME: link})
        self.store.add_with_subnet(
            network,
            lambda others: network._replace(
                pools=(
                    ipam.pool(
                        ipam.next_subnet([*(subnet for _name, subnet in others), *routes.routes()], address_pools),
                        was_asked_for=False,
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
        check(options)
        ident = ids.new_id()
        network = Network(
            id=ident,
            name=options.name,
            created=clock.now(),
            driver=options.driver,
            link="" if options.driver == MACVLAN else options.options.get(model.BRIDGE_NAME) or f"ct-{ident[:12]}",
            is_internal=options.is_internal,
            has_ipv6=options.has_ipv6 or any(":" in subnet for subnet in options.subnets),
            is_attachable=options.is_attachable,
            options=options.options,
            ipam_options=options.ipam_options,
            labels=options.labels,
        )
        address_pools = self._engine.settings.default_address_pools
        made = self.store.add_with_subnet(network, lambda others: with_pools(network, options, others, address_pools))
        try:
            answer = self.process.ask({"op": "create", "network": made.id})
        except BaseException:
            self._forget(made)
            raise
        self.note("create", made)
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
        self.note("destroy", network)
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

    def note(self, action: str, network: Network, **more: str) -> None:
        """Write down as an event what has just happened to a network, in docker's words."""
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
                made.append(self.place(container, self.get(name), wish, number))
        except BaseException:
            self.store.release(container.id)
            raise
        if made:
            self.process.ensure()
        return tuple(made)

    def place(self, container: "Container", network: Network, wish: "Wish", number: int) -> Endpoint:
        """Give a container a place in a network, with the link of this number, and tell of it."""
        from toolkit.engine import publishing

        bindings = publishing.at(network, container.bindings) if number == 0 else ()
        prefix = network.options.get(model.CONTAINER_PREFIX, "eth")
        endpoint = self.store.allocate(
            network,
            container.id,
            name=container.name,
            link=f"{prefix}{number}",
            wanted=wish.addresses,
            mac=wish.mac,
            naming=model.Naming(names_of(container, wish), links_of(wish), container.options.dns),
            ports=bindings,
        )
        self.note("connect", network, container=container.id)
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

    def connect(self, reference: str, container: "Container", wish: "Wish" = Wish()) -> None:  # noqa: B008 - immutable
        """Give a container a place in one more network; one that runs gets it at once.

        Raises:
            ConflictError: it is in that network already, or its network is of another kind.
            InvalidError: what it asks of the network cannot be had there.
        """
        from toolkit.engine import connecting

        connecting.connect(self, reference, container, wish)

    def disconnect(self, reference: str, container: "Container", *, force: bool = False) -> None:
        """Take a container's place in a network away.

        Raises:
            ConflictError: it is not in that network.
        """
        from toolkit.engine import connecting

        connecting.disconnect(self, reference, container, force=force)

    def publish(self, container: "Container", bindings: "Sequence[PortBinding]") -> None:
        """Publish more ports of a container; see `publishing.publish`."""
        from toolkit.engine import publishing

        publishing.publish(self, container, bindings)

    def unpublish(self, container: "Container", wanted: "PortBinding") -> None:
        """Publish a container's port no longer; see `publishing.unpublish`."""
        from toolkit.engine import publishing

        publishing.unpublish(self, container, wanted)

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

    def memberships(self, places: "Iterable[Endpoint]") -> "Sequence[Membership]":
        """Return id, name and driver of the networks that places are in."""
        found = ((one.network, self.store.get(one.network)) for one in places)
        return [(ident, network.name, network.driver) for ident, network in found]

    def members(self, network: Network) -> "Iterator[Endpoint]":
        """Yield the places in a network of the containers that run."""
        return self.store.endpoints(network.id)


def _bare(name: str, driver: str) -> Network:
    return Network(ids.new_id(), name, clock.now(), driver)


def _unless_taken(deed: "Callable[[], object]") -> None:
    try:
        deed()
    except ConflictError as exc:
        if "already exists" not in exc.message:
            raise
        # somebody else has just made it
