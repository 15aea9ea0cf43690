"""What a container is told of names, decided from networks and endpoints alone."""

from collections.abc import Sequence

import pytest

from tests.network.test_dns_message import HEADER, edns, query
from toolkit.network import ipam, model
from toolkit.network.dns import message, reply
from toolkit.network.dns.names import Names, reversed_address
from toolkit.network.dns.reply import Decider, Forward
from toolkit.network.model import Endpoint, Network
from toolkit.network.subnet import parse_address, parse_subnet


def network(name: str, subnet: str, **more: bool) -> Network:
    """Return a network of one subnet, whose id is its name."""
    return Network(name, name, "", pools=(ipam.pool(parse_subnet(subnet), was_asked_for=True),), **more)


def endpoint(where: str, owner: str, *addresses: str, names: tuple[str, ...] = (), link: str = "eth0") -> Endpoint:
    """Return the place of an owner, whose name is its id."""
    return Endpoint(f"{where}-{owner}", where, owner, owner, addresses, ("10.1.0.1",), "", link, "", names)


FRONT, BACK = network("front", "10.1.0.0/24"), network("back", "10.2.0.0/24")
ASKER = endpoint("front", "asker", "10.1.0.9/24")
WEB = endpoint("front", "web", "10.1.0.2/24", names=("db", "0123456789ab"))
OTHER = endpoint("front", "other", "10.1.0.3/24", "fd00::3/64", names=("db",))
APART = endpoint("back", "apart", "10.2.0.2/24")


def ask(
    name: str,
    kind: int = message.A,
    endpoints: Sequence[Endpoint] = (ASKER, WEB, OTHER, APART),
    *,
    gone: str = "",
    networks: Sequence[Network] = (FRONT, BACK),
    **more: bytes,
) -> bytes | Forward:
    """Return what the asker is told."""
    asked = message.parse_question(query(message.encode_name(name), kind, extra=bool(more), **more))
    who = Decider("asker", Names(networks, endpoints), lambda owner: owner != gone, sorted)
    return reply.decide(asked, who, 512)


def told(answer: bytes | Forward) -> tuple[int, list[bytes]]:
    """Return what an answer says: its code, and the contents of its records."""
    assert isinstance(answer, bytes)
    count, at, found = HEADER.unpack_from(answer)[3], 12, []
    while answer[at]:
        at += 1 + answer[at]
    at += 5
    for _record in range(count):
        length = int.from_bytes(answer[at + 10 : at + 12])
        found.append(answer[at + 12 : at + 12 + length])
        at += 12 + length
    return message.code_of(answer), found


def address(text: str) -> bytes:
    """Return an address as it stands in a record."""
    parsed = parse_address(text)
    return parsed.number.to_bytes(4 if parsed.family == 4 else 16)


@pytest.mark.parametrize("name", ["web", "web.front", "0123456789ab", "db.front"])
def test_name_has_its_address(name: str) -> None:
    assert address("10.1.0.2") in told(ask(name))[1]


def test_alias_of_several_has_the_addresses_of_all() -> None:
    assert told(ask("db")) == (message.NOERROR, [address("10.1.0.2"), address("10.1.0.3")])


def test_alias_of_several_has_not_the_address_of_one_that_does_not_run() -> None:
    assert told(ask("db", gone="web")) == (message.NOERROR, [address("10.1.0.3")])


def test_name_of_one_that_does_not_run_is_for_others_to_know() -> None:
    assert ask("web", gone="web") == Forward(())


@pytest.mark.parametrize("name", ["apart", "apart.back", "apart.front", "front", "web.back", "nobody"])
def test_name_that_is_not_in_the_networks_of_who_asks_is_for_others_to_know(name: str) -> None:
    assert ask(name) == Forward(())


def test_name_without_an_address_of_the_family_is_there_and_has_none() -> None:
    assert told(ask("web", message.AAAA)) == (message.NOERROR, [])
    assert told(ask("other", message.AAAA)) == (message.NOERROR, [address("fd00::3")])


@pytest.mark.parametrize("kind", [15, 16, 33, 65])
def test_name_has_no_records_but_addresses(kind: int) -> None:
    assert told(ask("web", kind)) == (message.NOERROR, [])


def test_who_asks_for_everything_gets_both_families() -> None:
    assert told(ask("other", message.ANY))[1] == [address("10.1.0.3"), address("fd00::3")]


def test_link_is_a_name_of_who_asks_alone_and_comes_first() -> None:
    asker = ASKER._replace(links={"store": "web", "other": "web"})
    endpoints = (asker, WEB, OTHER)
    assert told(ask("store", endpoints=endpoints))[1] == [address("10.1.0.2")]
    assert told(ask("other", endpoints=endpoints))[1] == [address("10.1.0.2")]
    assert ask("store", endpoints=(ASKER, WEB._replace(links={"store": "other"}), OTHER)) == Forward(())


def test_first_network_that_knows_a_name_counts() -> None:
    endpoints = (ASKER, ASKER._replace(network="back", link="eth1"), WEB, endpoint("back", "web", "10.2.0.7/24"))
    assert told(ask("web", endpoints=endpoints))[1] == [address("10.1.0.2")]
    assert told(ask("web.back", endpoints=endpoints))[1] == [address("10.2.0.7")]


def test_default_network_knows_no_names() -> None:
    bridge = network(model.DEFAULT, "172.17.0.0/16")
    endpoints = (endpoint("bridge", "asker", "172.17.0.2/16"), endpoint("bridge", "web", "172.17.0.3/16"))
    assert ask("web", endpoints=endpoints, networks=(bridge,)) == Forward(())


def test_address_has_the_name_of_who_has_it_with_its_network() -> None:
    assert told(ask("2.0.1.10.in-addr.arpa", message.PTR)) == (message.NOERROR, [b"\3web\5front\0"])


def test_address_of_the_network_that_nobody_has_has_no_name() -> None:
    assert told(ask("77.0.1.10.in-addr.arpa", message.PTR)) == (message.NXDOMAIN, [])
    assert told(ask("2.0.1.10.in-addr.arpa", message.PTR, gone="web")) == (message.NXDOMAIN, [])


def test_address_of_another_network_is_for_others_to_know() -> None:
    assert ask("2.0.2.10.in-addr.arpa", message.PTR) == Forward(())


@pytest.mark.parametrize(
    "name", ["a.0.1.10.in-addr.arpa", "300.0.1.10.in-addr.arpa", "1.10.in-addr.arpa", "0.ip6.arpa"]
)
def test_what_is_no_reversed_address_is_none(name: str) -> None:
    assert reversed_address(name) is None


def test_address_of_ipv6_is_read_backwards() -> None:
    assert str(reversed_address("3." + "0." * 29 + "d.f.ip6.arpa")) == "fd00::3"


def test_other_classes_and_deeds_are_refused() -> None:
    who = Decider("asker", Names((FRONT,), (ASKER,)), lambda _owner: True, sorted)
    asked = message.parse_question(query())
    assert message.code_of(bytes(reply.decide(asked._replace(family=3), who, 512))) == message.REFUSED  # type: ignore[arg-type]
    assert message.code_of(bytes(reply.decide(asked._replace(flags=5 << 11), who, 512))) == message.NOTIMP  # type: ignore[arg-type]


def test_edns_of_another_version_is_refused_by_its_own_code() -> None:
    answer = ask("web", more=edns(version=1))
    assert isinstance(answer, bytes)
    assert answer[-6] << 4 | message.code_of(answer) == message.BADVERS


def test_internal_network_asks_nobody_but_servers_that_were_chosen() -> None:
    inside = ASKER._replace(gateways=())
    assert told(ask("example.com", endpoints=(inside,))) == (message.SERVFAIL, [])
    chosen = inside._replace(servers=("10.1.0.2",))
    assert ask("example.com", endpoints=(chosen,)) == Forward(("10.1.0.2",))


def test_many_addresses_are_marked_as_more_than_fit() -> None:
    many = [endpoint("front", f"n{number}", f"10.1.0.{number}/24", names=("all",)) for number in range(10, 200)]
    answer = ask("all", endpoints=(ASKER, *many))
    assert isinstance(answer, bytes)
    assert HEADER.unpack_from(answer)[1] & 0x0200
