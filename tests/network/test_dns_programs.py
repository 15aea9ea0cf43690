"""Real programs that ask: dig with all that it can do, containers of all kinds."""

import os

import pytest

from tests.support import dns
from tests.support.networks import NEEDS, WORLD, Island

pytestmark = pytest.mark.needs(*NEEDS)


@pytest.fixture
def clean(clean: Island) -> Island:
    """Return the shared island without containers, and with one network."""
    clean("network", "create", "front")
    return clean


def dig(island: Island, asker: str, *words: str) -> str:
    """Return what dig prints where a container is."""
    place = dns.inside(island, asker)
    try:
        return place.run("dig", f"@{dns.SERVER}", "+tries=1", *words)
    finally:
        os.close(place.fd)


@pytest.mark.needs("dig")
def test_dig_is_content(clean: Island) -> None:
    dns.serve(clean, clean.world, WORLD, "send(reply(data, ip='192.0.2.1'))")
    options = ("--network", "front", "--network-alias", "all", "--dns", WORLD)
    for name in ("n0", "n1"):
        clean("run", "-d", "--name", name, *options, "busybox", "sleep", "600")
    addresses = [clean.network_of(name)["IPAddress"] for name in ("n0", "n1")]
    assert dig(clean, "n0", "+short", "n1").split() == [addresses[1]]
    assert sorted(dig(clean, "n0", "+short", "+tcp", "all").split()) == sorted(addresses)
    assert dig(clean, "n0", "+short", "-x", addresses[1]) == "n1.front.\n"
    whole = dig(clean, "n0", "n1")
    assert "status: NOERROR" in whole
    assert "EDNS: version: 0" in whole
    assert "malformed" not in whole.lower()
    assert "status: NOERROR" in dig(clean, "n0", "n1", "TXT")
    assert "ANSWER: 0" in dig(clean, "n0", "n1", "AAAA")
    assert "status: NXDOMAIN" in dig(clean, "n0", "-x", addresses[1].rpartition(".")[0] + ".250")
    assert "status: REFUSED" in dig(clean, "n0", "-c", "CH", "version.bind", "TXT")
    assert "status: BADVERS" in dig(clean, "n0", "+edns=1", "+noednsnegotiation", "n1")
    assert "status: NOTIMP" in dig(clean, "n0", "+opcode=STATUS", "n1")
    assert dig(clean, "n0", "+short", "example.com").split() == ["192.0.2.1"]


def test_resolver_of_glibc_and_of_a_user_namespace(clean: Island) -> None:
    clean("run", "-d", "--name", "web", "--network", "front", "busybox", "sleep", "600")
    address = clean.network_of("web")["IPAddress"]
    run = ("run", "--rm", "--network", "front")
    assert clean(*run, "lab", "getent", "hosts", "web").split() == [address, "web"]
    assert clean(*run, "--userns", "private", "lab", "getent", "hosts", "web.front").split() == [address, "web.front"]
    script = f"import socket; print(socket.gethostbyaddr('{address}')[0])"
    assert clean(*run, "lab", "python3", "-c", script) == "web.front"


@pytest.mark.needs("runc")
def test_container_of_another_runtime_asks_and_is_found(clean: Island) -> None:
    clean("run", "-d", "--name", "web", "--runtime", "runc", "--network", "front", "busybox", "sleep", "600")
    address = clean.network_of("web")["IPAddress"]
    assert f"Address: {address}" in clean("exec", "web", "nslookup", "-type=a", "web")
