"""What a name means to somebody: a picture of an engine's networks, made once for each change of its state.

A container is found in the networks that it shares with whoever asks, by its
name, its short id, its hostname and its aliases there; also with the network's
name behind it: web.front.  An alias that a container has given to another by
--link is its own, and comes first.  The network `bridge` knows no names, as
docker's: it is where programs are that were written before there were any.

See Also:
    moby, libnetwork: resolver.go, sandbox.go (ResolveName), network.go (ResolveIP)
"""

from typing import NamedTuple

from toolkit.network import model
from toolkit.network.subnet import Address, parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from toolkit.network.model import Endpoint, Network

    IsHere = Callable[[str], bool]


class Found(NamedTuple):
    """The addresses of a name that there is; there may be none of the family that was asked for."""

    addresses: tuple[str, ...]


def has_names(network: "Network") -> bool:
    """Whether those in a network find each other by name."""
    return network.name not in model.PREDEFINED


class Names:
    """Who is in which network, and what they are called there."""

    def __init__(self, networks: "Iterable[Network]", endpoints: "Iterable[Endpoint]") -> None:
        self._networks = {each.id: each for each in networks}
        self._of: dict[str, list[Endpoint]] = {}
        self._called: dict[tuple[str, str], list[Endpoint]] = {}
        self._at: dict[tuple[str, str], Endpoint] = {}
        for one in endpoints:
            network = self._networks.get(one.network)
            if network is not None:
                self._of.setdefault(one.owner, []).append(one)
                if has_names(network):
                    self._add(one)
        for places in self._of.values():
            places.sort(key=lambda one: (len(one.link), one.link))

    def _add(self, one: "Endpoint") -> None:
        for name in {each.lower() for each in (one.name, *one.names)}:
            self._called.setdefault((one.network, name), []).append(one)
        for text in one.addresses:
            self._at[one.network, text.partition("/")[0]] = one

    def _places(self, owner: str) -> "list[tuple[Network, Endpoint]]":
        pairs = [(self._networks[one.network], one) for one in self._of.get(owner, ())]
        return [pair for pair in pairs if has_names(pair[0])]

    def find(self, owner: str, name: str, families: tuple[int, ...], is_here: "IsHere") -> Found | None:
        """Return what a name means to an owner; None: nothing, in its networks.

        Args:
            owner: who asks.
            name: in small letters, without the last dot.
            families: 4, 6 or both: which addresses are wanted.
            is_here: whether another owner runs.
        """
        for network, mine in self._places(owner):
            linked = {alias.lower(): other.lower() for alias, other in mine.links.items()}
            for each in _within(name, network.name.lower()):
                called = self._called.get((network.id, linked.get(each, each)), ())
                others = [one for one in called if is_here(one.owner)]
                if others:
                    pairs = [(one, family) for one in others for family in families]
                    return Found(tuple(address for one, family in pairs if (address := one.address(family))))
        return None

    def find_address(self, owner: str, address: Address, is_here: "IsHere") -> str | None:
        """Return the name of who has an address in one of an owner's networks: "web.front".

        Empty where nobody has it, though it is one of theirs; None where it is none of theirs.
        """
        is_theirs = False
        for network, _mine in self._places(owner):
            if not any(pool.subnet.contains(address) for pool in network.pools):
                continue
            is_theirs = True
            one = self._at.get((network.id, str(address)))
            if one is not None and is_here(one.owner):
                return f"{one.name}.{network.name}"
        return "" if is_theirs else None

    def forwarders(self, owner: str) -> tuple[str, ...]:
        """Return the servers that an owner has chosen to ask for all other names; empty: this machine's."""
        return next((one.servers for one in self._of.get(owner, ()) if one.servers), ())

    def has_way_out(self, owner: str) -> bool:
        """Whether one of an owner's networks leads to other places."""
        return any(one.gateways for one in self._of.get(owner, ()))


def _within(name: str, network: str) -> tuple[str, ...]:
    """Return what a name may be in a network: itself, or what stands before the network's own name."""
    tail = f".{network}"
    return (name, name.removesuffix(tail)) if name.endswith(tail) else (name,)


_TAIL4, _TAIL6 = ".in-addr.arpa", ".ip6.arpa"


def reversed_address(name: str) -> Address | None:
    """Return the address whose owner's name is asked for: 2.0.18.172.in-addr.arpa, or None."""
    text = ""
    if name.endswith(_TAIL4):
        parts = name.removesuffix(_TAIL4).split(".")
        if len(parts) == 4 and all(part.isascii() and part.isdecimal() and len(part) < 4 for part in parts):
            text = ".".join(reversed(parts)) if all(int(part) < 256 for part in parts) else ""
    elif name.endswith(_TAIL6):
        digits = name.removesuffix(_TAIL6).split(".")
        if len(digits) == 32 and all(len(digit) == 1 and digit in "0123456789abcdef" for digit in digits):
            whole = "".join(reversed(digits))
            text = ":".join(whole[at : at + 4] for at in range(0, 32, 4))
    return parse_address(text) if text else None
