"""Addresses and subnets as numbers, against Python's own."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.core.errors import InvalidError
from toolkit.network.subnet import parse_address, parse_subnet

_NETWORKS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda address: st.integers(0, 32 if address.version == 4 else 128).map(
        lambda prefix: ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    )
)


@given(_NETWORKS)
def test_subnet_is_what_python_makes_of_it(network: "ipaddress.IPv4Network | ipaddress.IPv6Network") -> None:
    found = parse_subnet(str(network))
    assert (found.base, found.last) == (int(network.network_address), int(network.broadcast_address))
    assert ipaddress.ip_network(str(found)) == network


@given(_NETWORKS, _NETWORKS)
def test_subnets_overlap_as_python_says(
    one: "ipaddress.IPv4Network | ipaddress.IPv6Network", other: "ipaddress.IPv4Network | ipaddress.IPv6Network"
) -> None:
    expected = one.version == other.version and one.overlaps(other)
    assert parse_subnet(str(one)).overlaps(parse_subnet(str(other))) == expected


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_address_is_written_as_it_was_read(address: "ipaddress.IPv4Address | ipaddress.IPv6Address") -> None:
    assert ipaddress.ip_address(str(parse_address(str(address)))) == address


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "x/8", "10.0.0.0/-1", "::/129", "10.0.0.0/", "10.0.0.0/8/8"]
)
def test_what_is_no_subnet_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="invalid CIDR address"):
        parse_subnet(text)


def test_address_inside_is_no_subnet_where_one_is_asked_for() -> None:
    with pytest.raises(InvalidError, match=r"it should be 10\.1\.0\.0/16"):
        parse_subnet("10.1.2.3/16", strict=True)
