"""Addresses and subnets of both families as plain numbers; `ipaddress` costs 8 ms and an object for each address."""

from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton  # `socket` makes enums of all numbers: 3 ms

from toolkit.core.errors import InvalidError
from toolkit.core.record import NamedTuple

_FAMILIES = {4: (AF_INET, 32), 6: (AF_INET6, 128)}


class Address(NamedTuple):
    """An address."""

    family: int
    """4 or 6."""
    number: int

    def __str__(self) -> str:
        kind, bits = _FAMILIES[self.family]
        return inet_ntop(kind, self.number.to_bytes(bits // 8))


class Subnet(NamedTuple):
    """A range of addresses with a common beginning."""

    family: int
    base: int
    """Its first address."""
    prefix: int
    """How many bits its addresses have in common."""

    def __str__(self) -> str:
        return f"{Address(self.family, self.base)}/{self.prefix}"

    @property
    def last(self) -> int:
        """Its last address."""
        return self.base | ((1 << (_FAMILIES[self.family][1] - self.prefix)) - 1)

    def contains(self, address: Address) -> bool:
        """Tell whether an address lies in it."""
        return address.family == self.family and self.base <= address.number <= self.last

    def covers(self, other: "Subnet") -> bool:
        """Tell whether all of another subnet lies in it."""
        return other.family == self.family and self.base <= other.base and other.last <= self.last

    def overlaps(self, other: "Subnet") -> bool:
        """Tell whether an address lies in both."""
        return other.family == self.family and self.base <= other.last and other.base <= self.last

    def usable(self) -> tuple[int, int]:
        """Return the first and the last address that a host may have; the ends of IPv4's mean all in it."""
        if self.family == 6:
            return self.base + 1, self.last
        return (self.base, self.last) if self.prefix >= 31 else (self.base + 1, self.last - 1)


def parse_address(text: str) -> Address:
    """Read an address of either family.

    Raises:
        InvalidError: it is none.
    """
    family = 6 if ":" in text else 4
    try:
        return Address(family, int.from_bytes(inet_pton(_FAMILIES[family][0], text)))
    except (OSError, ValueError) as exc:
        raise InvalidError(f"invalid IP address: {text}", hint="write it as 192.0.2.7 or 2001:db8::7") from exc


def parse_subnet(text: str, *, strict: bool = False) -> Subnet:
    """Read ADDRESS/PREFIX.

    Args:
        text: the subnet.
        strict: refuse an address inside of it in the place of its first; else that is made of it.

    Raises:
        InvalidError: it is none.
    """
    head, slash, tail = text.partition("/")
    cure = "write it as 10.1.0.0/16 or fd00:1::/64"
    if not slash or not (tail.isascii() and tail.isdecimal()):
        raise InvalidError(f"invalid CIDR address: {text}", hint=cure)
    try:
        address = parse_address(head)
    except InvalidError as exc:
        raise InvalidError(f"invalid CIDR address: {text}", hint=cure) from exc
    bits, prefix = _FAMILIES[address.family][1], int(tail)
    if prefix > bits:
        raise InvalidError(f"invalid CIDR address: {text}", hint=cure)
    base = address.number >> (bits - prefix) << (bits - prefix)
    found = Subnet(address.family, base, prefix)
    if strict and base != address.number:
        raise InvalidError(f"invalid subnet {text}: it should be {found}", hint="leave out what is beyond the prefix")
    return found


def subnet_of(address: Address, prefix: int) -> Subnet:
    """Return the subnet of so many bits in which an address lies."""
    return parse_subnet(f"{address}/{prefix}")
