"""Which subnet a new network gets, and which address comes next in it; decisions only, so pure.

Docker's way: networks get the next of its default pools that nobody here uses;
addresses are given away in a row and the row goes on where it ended, so that
one that has just been given back is not another's at once.

See Also:
    moby, libnetwork/ipamutils/utils.go and ipam/allocator.go
"""

from toolkit.core.errors import ConflictError, InvalidError
from toolkit.network.model import Pool
from toolkit.network.subnet import Address, Subnet, parse_address, parse_subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

DEFAULT_POOLS = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
"""Docker's: what is divided, and into subnets of how many bits."""
_MOST_PREFIX = {4: 30, 6: 126}
"""A subnet needs room for its gateway and one more."""


def check_pools(pools: "Sequence[tuple[str, int]]") -> None:
    """Refuse pools from which no network could get its subnet.

    Raises:
        InvalidError: one is no subnet of IPv4, or its parts would be larger than it, or too small.
    """
    for text, prefix in pools:
        whole = parse_subnet(text, strict=True)
        if whole.family != 4 or not whole.prefix <= prefix <= _MOST_PREFIX[4]:
            raise InvalidError(f"invalid default address pool {text} of size {prefix}", hint="as 10.1.0.0/16, 24")


def defaults(pools: "Sequence[tuple[str, int]]" = ()) -> "Iterator[Subnet]":
    """Yield the subnets that networks get, in order: those of `pools`, of docker's where there are none."""
    for text, prefix in pools or DEFAULT_POOLS:
        whole = parse_subnet(text)
        for base in range(whole.base, whole.last + 1, 1 << (32 - prefix)):
            yield Subnet(4, base, prefix)


def unique_local(seed: str) -> Subnet:
    """Return a subnet of IPv6 for a network, that hardly another has (RFC 4193), made of its id."""
    import hashlib  # 0.3 MB, which each name server would have

    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:7])
    return Subnet(6, (0xFD << 120) | (number << 64), 64)


def next_subnet(taken: "Iterable[Subnet]", pools: "Sequence[tuple[str, int]]" = ()) -> Subnet:
    """Return the first default subnet that overlaps with none that is taken; for `pools` see `defaults`.

    Raises:
        ConflictError: there is none.
    """
    known = list(taken)
    for subnet in defaults(pools):
        if not any(subnet.overlaps(other) for other in known):
            return subnet
    raise ConflictError(
        "all predefined address pools have been fully subnetted",
        hint="remove networks that are not used (container network prune), or name a subnet with --subnet",
    )


def refuse_overlap(subnet: Subnet, networks: "Iterable[tuple[str, Subnet]]", routes: "Iterable[Subnet]") -> None:
    """Refuse a subnet that is somebody's already.

    Args:
        subnet: what was asked for.
        networks: name and subnet of what this engine has.
        routes: where this machine sends packets.

    Raises:
        ConflictError: it overlaps with one of them.
    """
    words = "invalid pool request: Pool overlaps with other one on this address space"
    for name, other in networks:
        if subnet.overlaps(other):
            raise ConflictError(f"{words}: {subnet} with {other} of network {name}", hint="choose another subnet")
    for other in routes:
        if subnet.overlaps(other):
            raise ConflictError(f"{words}: {subnet} with this machine's route to {other}", hint="choose another subnet")


def pool(
    subnet: Subnet,
    *,
    gateway: str = "",
    ip_range: str = "",
    auxiliary: "Mapping[str, str] | None" = None,
    was_asked_for: bool = True,
) -> Pool:
    """Return the pool of a subnet, with docker's gateway where none is named: the first address.

    Raises:
        InvalidError: something lies outside of it, or it has no room.
    """
    if subnet.prefix > _MOST_PREFIX[subnet.family]:
        raise InvalidError(f"invalid subnet {subnet}: too small", hint=f"at most /{_MOST_PREFIX[subnet.family]}")
    inner = parse_subnet(ip_range) if ip_range else subnet
    if not subnet.covers(inner):
        raise InvalidError(f"invalid ip-range {ip_range}: it is not in the subnet {subnet}", hint="choose a part of it")
    aux = dict(auxiliary or {})
    for name, text in aux.items():
        if not subnet.contains(parse_address(text)):
            raise InvalidError(f"no matching subnet for aux-address {text} ({name})", hint=f"choose one in {subnet}")
    if gateway:
        chosen = parse_address(gateway)
        if not subnet.contains(chosen):
            raise InvalidError(f"no matching subnet for gateway {gateway}", hint=f"choose one in {subnet}")
    else:
        chosen = Address(subnet.family, max(inner.base, subnet.usable()[0]))
    if str(chosen) in {str(parse_address(text)) for text in aux.values()}:
        raise ConflictError(f"failed to allocate gateway ({chosen}): Address already in use", hint="see --aux-address")
    return Pool(subnet, chosen, inner, aux, was_asked_for)


def next_address(pool: Pool, last: str, is_free: "Callable[[Address], bool]") -> Address | None:
    """Return the next address of a pool that is free, None where all are taken.

    Args:
        pool: where it is to lie.
        last: the one that was given away last; empty: none yet.
        is_free: tells whether nobody has it; asked for each candidate in turn.
    """
    family = pool.subnet.family
    low, high = pool.ip_range.usable() if pool.ip_range == pool.subnet else (pool.ip_range.base, pool.ip_range.last)
    outer = pool.subnet.usable()
    low, high = max(low, outer[0]), min(high, outer[1])
    reserved = {pool.gateway.number, *(parse_address(text).number for text in pool.auxiliary.values())}
    begin = parse_address(last).number + 1 if last else low
    if not low <= begin <= high:
        begin = low
    for first, end in ((begin, high), (low, begin - 1)):
        number = first
        while number <= end:
            if number not in reserved and is_free(Address(family, number)):
                return Address(family, number)
            number += 1
    return None


def refuse_address(pools: "Sequence[Pool]", wanted: Address) -> Pool:
    """Return the pool that an address which somebody asks for lies in.

    Raises:
        InvalidError: none of them, or it is no host's.
        ConflictError: it is the gateway's, or another's.
    """
    for each in pools:
        if each.subnet.contains(wanted):
            low, high = each.subnet.usable()
            if not low <= wanted.number <= high:
                raise InvalidError(f"{wanted} is no address for a host of {each.subnet}", hint="choose another")
            if wanted == each.gateway or any(wanted == parse_address(text) for text in each.auxiliary.values()):
                raise ConflictError(f"Address already in use: {wanted}", hint="choose another")
            return each
    subnets = ", ".join(str(each.subnet) for each in pools)
    raise InvalidError(f"invalid address {wanted}: It does not belong to any of this network's subnets", hint=subnets)


def mac_of(address: Address) -> str:
    """Return docker's hardware address for an IPv4 address: 02:42 and its four bytes."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + address.number.to_bytes(4))
