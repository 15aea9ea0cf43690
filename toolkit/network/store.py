"""Networks, endpoints and the addresses they have, in the engine's state.

    network    the network; its name is unique
    endpoint   OWNER/NETWORK: the place of one owner in one network
    address    NETWORK/ADDRESS -> owner: the key is what keeps an address from being given away twice
    row        NETWORK/SUBNET -> where the row of addresses goes on

Invariant: what an owner has is its own for as long as it lives, and nobody
need give it back.  Whoever looks for an address and finds it taken asks
whether its owner lives, and takes it from the dead.  So a killed process
leaks none.
"""

from toolkit.core import ids
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.network import ipam, model
from toolkit.network.binding import PortBinding
from toolkit.network.model import Endpoint, Naming, Network, Pool
from toolkit.network.subnet import Address, Subnet, parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from toolkit.core.state import State

    IsAlive = Callable[[str], bool]
    Choice = Callable[[list[tuple[str, Subnet]]], Network]

_NETWORK, _ENDPOINT, _ADDRESS, _ROW, _IDENTITY = "network", "endpoint", "address", "row", "identity"


class Store:
    """The networks of one engine, and who is in them."""

    def __init__(self, state: "State", is_alive: "IsAlive") -> None:
        """Keep them in `state`.

        Args:
            state: the engine's.
            is_alive: tells of an owner whether what it has is still its own.
        """
        self._state = state
        self._is_alive = is_alive

    @property
    def identity(self) -> str:
        """The mark of everything on this machine that belongs to this engine: a random word, made once."""
        for row in self._state.list(_IDENTITY):
            return row.id
        with self._state.transaction():
            for row in self._state.list(_IDENTITY):
                return row.id
            made = ids.new_id()[:12]
            self._state.insert(_IDENTITY, made, {})
        return made

    # Networks

    def networks(self) -> "Iterator[Network]":
        """Yield all networks but the two of no driver, `host` and `none`."""
        for row in self._state.list(_NETWORK):
            yield model.from_document(row.doc)

    def find_name(self, name: str) -> Network | None:
        """Return the network of this name, or None."""
        row = self._state.find_name(_NETWORK, name)
        return None if row is None else model.from_document(row.doc)

    def get(self, reference: str) -> Network:
        """Find a network by its name, its id or a prefix of that which is unique.

        Raises:
            NotFoundError: there is none.
            ConflictError: more than one id begins so.
        """
        found = self.find_name(reference)
        if found is not None:
            return found
        rows = self._state.find_prefix(_NETWORK, reference.lower()) if reference else []
        if len(rows) > 1:
            raise ConflictError(f"network {reference} is ambiguous ({len(rows)} matches found on name)")
        if not rows:
            raise NotFoundError(f"network {reference} not found", hint="`container network ls` lists all")
        return model.from_document(rows[0].doc)

    def add(self, network: Network) -> None:
        """Keep a new network.

        Raises:
            ConflictError: its name is taken.
        """
        with self._state.transaction():
            self._add(network)

    def add_with_subnet(self, network: Network, choose: "Choice") -> Network:
        """Keep a new network whose subnets are chosen while nobody else chooses any.

        Args:
            network: all but its subnets.
            choose: makes the whole of it, and of the subnets of the others with their names.

        Raises:
            ConflictError: its name is taken, or as `choose` says.
        """
        with self._state.transaction():
            if self._state.find_name(_NETWORK, network.name) is not None:
                self._add(network)  # tells that its name is taken
            others = [(each.name, pool.subnet) for each in self.networks() for pool in each.pools]
            made = choose(others)
            self._add(made)
        return made

    def _add(self, network: Network) -> None:
        try:
            self._state.insert(_NETWORK, network.id, model.to_document(network), network.name)
        except ConflictError as exc:
            raise ConflictError(f"network with name {network.name} already exists") from exc

    def remove(self, network: Network) -> None:
        """Forget a network in which nobody is.

        Raises:
            ConflictError: somebody is.
        """
        with self._state.transaction():
            others = list(self.endpoints(network.id))
            if others:
                who = ", ".join(f'name:"{each.name}" id:"{each.owner[:12]}"' for each in others)
                message = f"error while removing network: network {network.name} has active endpoints ({who})"
                raise ConflictError(message, hint="disconnect or stop them first")
            for row in list(self._state.list(_ENDPOINT)):
                if row.doc["network"] == network.id:
                    self._state.delete(_ENDPOINT, row.id)
            for kind in (_ADDRESS, _ROW):
                for row in list(self._state.list_prefix(kind, f"{network.id}/")):
                    self._state.delete(kind, row.id)
            self._state.delete(_NETWORK, network.id)

    # Endpoints

    def endpoints(self, network_id: str) -> "Iterator[Endpoint]":
        """Yield the endpoints in a network whose owners live."""
        for row in self._state.list(_ENDPOINT):
            if row.doc["network"] == network_id and self._is_alive(row.doc["owner"]):
                yield Endpoint.from_document(row.doc)

    def endpoints_of(self, owner: str) -> list[Endpoint]:
        """Return the endpoints of an owner that lives, in the order of its links."""
        if not self._is_alive(owner):
            return []
        rows = self._state.list_prefix(_ENDPOINT, f"{owner}/")
        return sorted((Endpoint.from_document(row.doc) for row in rows), key=lambda one: (len(one.link), one.link))

    def find(self, network_id: str, owner: str) -> Endpoint | None:
        """Return the place of an owner that lives in a network, or None."""
        try:
            found = Endpoint.from_document(self._state.get(_ENDPOINT, f"{owner}/{network_id}").doc)
        except NotFoundError:
            return None
        return found if self._is_alive(owner) else None

    def all_endpoints(self) -> "Iterator[Endpoint]":
        """Yield the endpoints of all networks whose owners live."""
        for row in self._state.list(_ENDPOINT):
            if self._is_alive(row.doc["owner"]):
                yield Endpoint.from_document(row.doc)

    def allocate(
        self,
        network: Network,
        owner: str,
        *,
        name: str,
        link: str,
        wanted: tuple[str, ...] = (),
        mac: str = "",
        naming: Naming = Naming(),  # noqa: B008 - immutable
        ports: tuple[PortBinding, ...] = (),
    ) -> Endpoint:
        """Give an owner a place in a network, with an address of each of its families.

        One that has had a place there keeps its addresses, if it asks for no others.

        Args:
            network: the network.
            owner: whose it is to be.
            name: the owner's name.
            link: what its end of the cable is to be called.
            wanted: addresses that it must have; others are chosen.
            mac: its hardware address; empty: docker's for its address.
            naming: what it can be found by besides its name, and what it finds others by.
            ports: which of its ports are to be published, as they are asked for.

        Raises:
            ConflictError: an address is another's, or all are taken.
            InvalidError: an address that is in none of the subnets.
        """
        with self._state.transaction():
            self._state.get(_NETWORK, network.id)  # it may have been removed meanwhile
            before = self._own(network, owner)
            self._release(network.id, owner)
            chosen = self._choose(network, owner, wanted, before)
            first = next((each for each in chosen if each.family == 4), chosen[0])
            pools = [next(pool for pool in network.pools if pool.subnet.contains(each)) for each in chosen]
            made = Endpoint(
                id=ids.new_id(),
                network=network.id,
                owner=owner,
                name=name,
                addresses=tuple(f"{each}/{pool.subnet.prefix}" for each, pool in zip(chosen, pools, strict=True)),
                gateways=tuple(str(pool.gateway) for pool in pools) if network.leads_out else (),
                mac=mac or (ipam.mac_of(first) if first.family == 4 else _random_mac()),
                link=link,
                host_link=f"veth{ids.new_id()[:7]}",
                names=naming.names,
                ports=ports,
                links=naming.links,
                servers=naming.servers,
            )
            for each in chosen:
                self._state.put(_ADDRESS, f"{network.id}/{each}", {"owner": owner})
            self._state.put(_ENDPOINT, f"{owner}/{network.id}", made.to_document())
        return made

    def rename(self, owner: str, name: str) -> None:
        """Note an owner's new name in all of its places."""
        for row in list(self._state.list_prefix(_ENDPOINT, f"{owner}/")):
            try:
                self._state.amend(_ENDPOINT, row.id, lambda doc: {**doc, "name": name})
            except NotFoundError:
                pass  # it has just left that network

    def set_ports(self, endpoint: Endpoint, ports: tuple[PortBinding, ...]) -> Endpoint:
        """Note which ports of this machine lead to an endpoint."""
        made = endpoint._replace(ports=ports)
        self._state.put(_ENDPOINT, f"{endpoint.owner}/{endpoint.network}", made.to_document())
        return made

    def release(self, owner: str, network_id: str = "", *, only_dead: bool = False) -> None:
        """Take back what an owner has.

        Args:
            owner: whose it is.
            network_id: in this network alone; empty: in all.
            only_dead: one that has begun again meanwhile keeps what it has.
        """
        rows = self._state.list_prefix(_ENDPOINT, f"{owner}/")
        held = [row.doc["network"] for row in rows if network_id in ("", row.doc["network"])]
        if held:
            with self._state.transaction():
                if not (only_dead and self._is_alive(owner)):
                    for each in held:
                        self._release(each, owner)

    def purge(self) -> None:
        """Take back what all those have had that do not live."""
        for row in list(self._state.list(_ENDPOINT)):
            if not self._is_alive(row.doc["owner"]):
                self.release(row.doc["owner"], only_dead=True)

    def _release(self, network_id: str, owner: str) -> None:
        try:
            doc = self._state.get(_ENDPOINT, f"{owner}/{network_id}").doc
        except NotFoundError:
            return
        for text in doc["addresses"]:
            key = f"{network_id}/{text.partition('/')[0]}"
            if self._holder(key) == owner:
                self._state.delete(_ADDRESS, key)
        self._state.delete(_ENDPOINT, f"{owner}/{network_id}")

    def _own(self, network: Network, owner: str) -> tuple[Address, ...]:
        """Return the addresses that an owner has had in a network, and that nobody else has got since."""
        try:
            doc = self._state.get(_ENDPOINT, f"{owner}/{network.id}").doc
        except NotFoundError:
            return ()
        texts = [text.partition("/")[0] for text in doc["addresses"]]
        return tuple(parse_address(text) for text in texts if self._holder(f"{network.id}/{text}") == owner)

    def _choose(
        self, network: Network, owner: str, wanted: tuple[str, ...], before: tuple[Address, ...]
    ) -> list[Address]:
        asked = [parse_address(text) for text in wanted]
        for each in asked:
            ipam.refuse_address(network.pools, each)
            self._refuse_taken(network, each, owner)
        chosen: list[Address] = []
        for family in sorted({pool.subnet.family for pool in network.pools}):
            named = [each for each in asked if each.family == family]
            kept = [each for each in before if each.family == family]
            chosen.append((named or kept or [self._next(network, family)])[0])
        return chosen

    def _refuse_taken(self, network: Network, address: Address, owner: str) -> None:
        holder = self._holder(f"{network.id}/{address}")
        if holder not in ("", owner) and self._is_alive(holder):
            name = self._name_of(network, holder)
            raise ConflictError(f"Address already in use: {address} is {name}'s", hint="choose another")
        if holder not in ("", owner):
            self._release(network.id, holder)

    def _name_of(self, network: Network, owner: str) -> str:
        try:
            return str(self._state.get(_ENDPOINT, f"{owner}/{network.id}").doc["name"])
        except NotFoundError:
            return owner[:12]

    def _next(self, network: Network, family: int) -> Address:
        for pool in network.pools:
            if pool.subnet.family != family:
                continue
            found = self._next_in(network, pool)
            if found is not None:
                return found
        message = f"no available IPv{family} addresses on this network's address pools: {network.name} ({network.id})"
        raise ConflictError(message, hint="remove containers, or make a network with a larger subnet")

    def _next_in(self, network: Network, pool: Pool) -> Address | None:
        key = f"{network.id}/{pool.subnet}"
        try:
            last = str(self._state.get(_ROW, key).doc["last"])
        except NotFoundError:
            last = ""

        def is_free(address: Address) -> bool:
            holder = self._holder(f"{network.id}/{address}")
            if holder and self._is_alive(holder):
                return False
            if holder:
                self._release(network.id, holder)
            return True

        found = ipam.next_address(pool, last, is_free)
        if found is not None:
            self._state.put(_ROW, key, {"last": str(found)})
        return found

    def _holder(self, key: str) -> str:
        try:
            return str(self._state.get(_ADDRESS, key).doc["owner"])
        except NotFoundError:
            return ""


def _random_mac() -> str:
    return ipam.mac_of(Address(4, int(ids.new_id()[:8], 16)))


def checked_mac(text: str) -> str:
    """Return a hardware address as the kernel writes it.

    Raises:
        InvalidError: it is none, or a group's.
    """
    parts = text.lower().replace("-", ":").split(":")
    is_mac = len(parts) == 6 and all(len(part) == 2 and set(part) <= set("0123456789abcdef") for part in parts)
    if not is_mac or int(parts[0], 16) & 1:
        raise InvalidError(f"{text} is not a valid mac address", hint="write it as 02:42:ac:11:00:02")
    return ":".join(parts)
