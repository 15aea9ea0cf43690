"""Which subnet and which address comes next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.core.errors import ConflictError, InvalidError
from toolkit.network import ipam
from toolkit.network.subnet import Address, parse_address, parse_subnet


def test_first_networks_get_dockers_subnets() -> None:
    found = [str(subnet) for subnet in ipam.defaults()]
    assert found[:4] == ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/16"]
    assert found[14:17] == ["172.31.0.0/16", "192.168.0.0/20", "192.168.16.0/20"]
    assert len(found) == 15 + 16


def test_subnet_that_overlaps_with_a_taken_one_is_passed_over() -> None:
    taken = [parse_subnet("172.16.0.0/15"), parse_subnet("172.18.5.0/24")]
    assert str(ipam.next_subnet(taken)) == "172.19.0.0/16"


def test_all_default_subnets_can_be_used_up() -> None:
    with pytest.raises(ConflictError, match="all predefined address pools have been fully subnetted"):
        ipam.next_subnet(ipam.defaults())


def test_gateway_is_the_first_address() -> None:
    assert str(ipam.pool(parse_subnet("10.1.0.0/24")).gateway) == "10.1.0.1"
    assert str(ipam.pool(parse_subnet("fd00:1::/64")).gateway) == "fd00:1::1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gateway": "10.2.0.1"}, "no matching subnet for gateway"),
        ({"ip_range": "10.2.0.0/25"}, "it is not in the subnet"),
        ({"auxiliary": {"router": "10.2.0.1"}}, "no matching subnet for aux-address"),
    ],
)
def test_what_lies_outside_of_the_subnet_is_refused(options: "dict[str, object]", message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        ipam.pool(parse_subnet("10.1.0.0/24"), **options)  # type: ignore[arg-type]  # as a user writes them


def test_row_of_addresses_leaves_out_gateway_and_auxiliaries_and_ends_of_the_subnet() -> None:
    pool = ipam.pool(parse_subnet("10.1.0.0/29"), auxiliary={"router": "10.1.0.3"})
    given_away: list[str] = []
    last = ""
    while (found := ipam.next_address(pool, last, lambda one: str(one) not in given_away)) is not None:
        last = str(found)
        given_away.append(last)
    assert given_away == ["10.1.0.2", "10.1.0.4", "10.1.0.5", "10.1.0.6"]


def test_row_goes_on_where_it_ended_and_begins_anew_at_its_end() -> None:
    pool = ipam.pool(parse_subnet("10.1.0.0/29"))
    assert str(ipam.next_address(pool, "10.1.0.3", lambda _one: True)) == "10.1.0.4"
    assert str(ipam.next_address(pool, "10.1.0.6", lambda _one: True)) == "10.1.0.2"


def test_range_is_what_is_given_away() -> None:
    pool = ipam.pool(parse_subnet("10.1.0.0/16"), ip_range="10.1.5.0/30", gateway="10.1.0.1")
    taken: set[Address] = set()
    while (found := ipam.next_address(pool, "", lambda one: one not in taken)) is not None:
        taken.add(found)
    assert sorted(map(str, taken)) == ["10.1.5.0", "10.1.5.1", "10.1.5.2", "10.1.5.3"]


@given(st.integers(24, 30), st.sets(st.integers(0, 255)), st.integers(0, 255))
def test_next_address_is_free_and_none_only_where_all_are_taken(prefix: int, taken: "set[int]", last: int) -> None:
    subnet = parse_subnet(f"10.1.0.0/{prefix}")
    pool = ipam.pool(subnet)
    low, high = subnet.usable()
    hosts = {number for number in range(low, high + 1) if number != pool.gateway.number}
    used = {subnet.base + number for number in taken}
    found = ipam.next_address(pool, f"10.1.0.{last}", lambda one: one.number not in used)
    assert (found is None) == (not hosts - used)
    assert found is None or found.number in hosts - used


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.2.0.5", "It does not belong to any of this network's subnets"),
        ("10.1.0.1", "Address already in use"),
        ("10.1.0.0", "no address for a host"),
        ("10.1.0.255", "no address for a host"),
    ],
)
def test_address_that_nobody_can_have_is_refused(text: str, message: str) -> None:
    with pytest.raises((InvalidError, ConflictError), match=message):
        ipam.refuse_address([ipam.pool(parse_subnet("10.1.0.0/24"))], parse_address(text))


def test_hardware_address_is_dockers() -> None:
    assert ipam.mac_of(parse_address("172.17.0.2")) == "02:42:ac:11:00:02"


def test_subnet_of_ipv6_is_one_of_rfc_4193_and_its_networks_own() -> None:
    one, other = ipam.unique_local("a"), ipam.unique_local("b")
    assert parse_subnet("fd00::/8").covers(one)
    assert one != other
    assert one.prefix == 64
