"""Containers in networks of bridges: who reaches whom, and as what."""

import json

import pytest

from tests.support.networks import ISLAND, ISLAND6, NEEDS, WORLD, WORLD6, Island, ask

pytestmark = pytest.mark.needs(*NEEDS)


def probe(island: Island, network: str, address: str, port: int = 80) -> str:
    """Return what a new container in a network is told at an address."""
    command = f"nc -w 2 {address} {port} </dev/null 2>/dev/null || echo nobody"
    return island("run", "--rm", "--network", network, "busybox", "sh", "-c", command)


def test_container_without_a_network_is_in_dockers_bridge(clean: Island) -> None:
    out = clean("run", "--rm", "busybox", "sh", "-c", "ip -o -4 addr show eth0; ip route; cat /sys/class/net/eth0/mtu")
    address = out.split()[3]
    assert address.startswith("172.17.0.")
    assert address.endswith("/16")
    assert "default via 172.17.0.1 dev eth0" in out
    assert out.splitlines()[-1] == "1500"


def test_hardware_address_comes_from_the_address(clean: Island) -> None:
    out = clean("run", "--rm", "busybox", "sh", "-c", "ip -o -4 addr show eth0; cat /sys/class/net/eth0/address")
    address, mac = out.split()[3].partition("/")[0], out.splitlines()[-1]
    assert mac == "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def test_containers_of_a_network_reach_each_other_and_those_of_two_do_not(clean: Island) -> None:
    clean("network", "create", "front")
    clean("network", "create", "back")
    address = clean.serve("web", "--network", "front")
    assert probe(clean, "front", address) == "this is web"
    assert probe(clean, "back", address) == "nobody"
    assert probe(clean, "bridge", address) == "nobody"


def test_this_machine_reaches_a_container_and_the_world_does_not(clean: Island) -> None:
    address = clean.serve("web")
    clean.world.run("ip", "route", "replace", "172.17.0.0/16", "via", ISLAND)
    assert ask(clean.here, address) == "this is web"
    assert ask(clean.world, address) == ""


def test_container_reaches_the_world_with_this_machines_address(clean: Island) -> None:
    clean.answer(clean.world, WORLD, 8099)
    assert probe(clean, "bridge", WORLD, 8099) == ISLAND


def test_network_that_does_not_masquerade_shows_its_own_addresses(clean: Island) -> None:
    clean("network", "create", "--subnet", "10.7.0.0/24", "-o",
          "com.docker.network.bridge.enable_ip_masquerade=false", "plain")  # fmt: skip
    clean.world.run("ip", "route", "replace", "10.7.0.0/24", "via", ISLAND)
    clean.answer(clean.world, WORLD, 8094)
    assert probe(clean, "plain", WORLD, 8094) == "10.7.0.2"


def test_internal_network_leads_nowhere(clean: Island) -> None:
    clean("network", "create", "--internal", "inner")
    address = clean.serve("web", "--network", "inner")
    assert probe(clean, "inner", address) == "this is web"
    clean.answer(clean.world, WORLD, 8098)
    assert probe(clean, "inner", WORLD, 8098) == "nobody"
    assert probe(clean, "bridge", WORLD, 8098) == ISLAND


def test_icc_off_keeps_neighbours_apart(clean: Island) -> None:
    clean("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "quiet")
    address = clean.serve("web", "--network", "quiet")
    assert probe(clean, "quiet", address) == "nobody"
    assert ask(clean.here, address) == "this is web"


def test_mtu_is_that_of_both_ends(clean: Island) -> None:
    clean("network", "create", "-o", "com.docker.network.driver.mtu=1400", "narrow")
    assert clean("run", "--rm", "--network", "narrow", "busybox", "cat", "/sys/class/net/eth0/mtu") == "1400"


def test_address_names_and_hardware_address_are_as_asked_for(clean: Island) -> None:
    clean("network", "create", "--subnet", "10.5.0.0/24", "--gateway", "10.5.0.254", "own")
    out = clean(
        "run", "--rm", "--network", "own", "--ip", "10.5.0.77", "--mac-address", "92:d0:c6:0a:29:33",
        "--hostname", "box", "--add-host", "peer:10.5.0.9", "--add-host", "me:host-gateway",
        "busybox", "sh", "-c", "ip -o -4 addr show eth0; ip route; cat /sys/class/net/eth0/address /etc/hosts",
    )  # fmt: skip
    assert "10.5.0.77/24" in out
    assert "default via 10.5.0.254" in out
    assert "92:d0:c6:0a:29:33" in out
    assert "10.5.0.77\tbox" in out
    assert "10.5.0.9\tpeer" in out
    assert "172.17.0.1\tme" in out


def test_servers_of_names_are_as_asked_for(clean: Island) -> None:
    options = ("--dns", "192.0.2.1", "--dns-search", "example.org", "--dns-option", "ndots:2")
    out = clean("run", "--rm", *options, "busybox", "cat", "/etc/resolv.conf")
    assert out.splitlines() == ["nameserver 192.0.2.1", "search example.org", "options ndots:2"]


def test_network_with_ipv6_gives_both_addresses_and_a_way_to_the_world(clean: Island) -> None:
    clean("network", "create", "--ipv6", "--subnet", "fd00:5::/64", "six")
    clean.serve("web", "--network", "six", "--ip6", "fd00:5::77")
    found = clean.network_of("web", "six")
    assert found["GlobalIPv6Address"] == "fd00:5::77"
    assert found["IPAddress"].startswith("172.")
    assert probe(clean, "six", "fd00:5::77") == "this is web"
    clean.answer(clean.world, WORLD6, 8097)
    assert probe(clean, "six", WORLD6, 8097) == ISLAND6


def test_container_with_a_user_namespace_is_in_the_network_too(clean: Island) -> None:
    out = clean("run", "--rm", "--userns", "private", "busybox", "sh", "-c", "ip -o -4 addr show eth0; id -u")
    assert out.split()[3].startswith("172.17.0.")


@pytest.mark.needs("runc")
def test_container_of_another_runtime_is_in_the_network_too(clean: Island) -> None:
    out = clean("run", "--rm", "--runtime", "runc", "busybox", "ip", "-o", "-4", "addr", "show", "eth0")
    assert out.split()[3].startswith("172.17.0.")


def test_container_that_shares_a_network_has_that_ones_address(clean: Island) -> None:
    clean.serve("web")
    assert probe(clean, "container:web", "127.0.0.1") == "this is web"


def test_second_network_is_connected_and_disconnected_while_it_runs(clean: Island) -> None:
    clean("network", "create", "front")
    clean("network", "create", "back")
    clean.serve("web", "--network", "front")
    clean("network", "connect", "back", "web")
    address = clean.network_of("web", "back")["IPAddress"]
    assert probe(clean, "back", address) == "this is web"
    assert f"{address}\t" in clean("exec", "web", "cat", "/etc/hosts")
    clean("network", "disconnect", "front", "web")
    assert clean("exec", "web", "ip", "-o", "link").count("eth") == 2  # eth1, and its link/ether
    gateway = clean.network_of("web", "back")["Gateway"]
    assert f"default via {gateway}" in clean("exec", "web", "ip", "route")
    assert "front" not in json.loads(clean("inspect", "web"))[0]["NetworkSettings"]["Networks"]


def test_end_of_a_container_is_told_for_each_network_that_it_is_in_then(clean: Island) -> None:
    for name in ("front", "back", "gone"):
        clean("network", "create", name)
    clean("run", "-d", "--name", "leaver", "--network", "front", "busybox", "sleep", "60")
    clean("network", "connect", "gone", "leaver")
    clean("network", "connect", "back", "leaver")
    clean("network", "disconnect", "gone", "leaver")
    clean("kill", "leaver")
    clean("wait", "leaver")
    clean("run", "--rm", "--name", "passer", "--network", "front", "busybox", "true")
    assert _told(clean, "leaver") == ["gone", "die", "front", "back"]
    assert _told(clean, "passer") == ["die", "front", "destroy"]


def _told(island: Island, name: str) -> list[str]:
    """Return what was told of a container's end, and of networks that it has left."""
    events = island.call(lambda engine: list(engine.events.past()))
    ident = next(each["Actor"]["ID"] for each in events if each["Actor"]["Attributes"].get("name") == name)
    told: list[str] = []
    for each in events:
        attributes = each["Actor"]["Attributes"]
        if each["Action"] == "disconnect" and attributes["container"] == ident:
            told.append(attributes["name"])
        elif each["Actor"]["ID"] == ident and each["Action"] in ("die", "destroy"):
            told.append(each["Action"])
    return told


def test_bridge_of_ipv6_has_an_address_at_once(clean: Island) -> None:
    clean("network", "create", "--ipv6", "-o", "com.docker.network.bridge.name=six0", "six")
    clean.serve("web", "--network", "six")
    lines = clean.here.run("ip", "-6", "-o", "addr", "show", "dev", "six0", "scope", "link").splitlines()
    assert [line.split()[3] for line in lines] == ["fe80::1/64"]
    assert "tentative" not in lines[0]
    assert ask(clean.world, clean.network_of("web")["GlobalIPv6Address"]) == ""  # it asks, but may not in
    assert ask(clean.here, clean.network_of("web")["GlobalIPv6Address"]) == "this is web"


def test_networks_of_a_stopped_container_are_those_of_its_next_start(clean: Island) -> None:
    clean("network", "create", "--subnet", "10.6.0.0/24", "late")
    clean("create", "--name", "box", "busybox", "sleep", "60")
    clean("network", "connect", "--ip", "10.6.0.9", "late", "box")
    clean("start", "box")
    out = clean("exec", "box", "ip", "-o", "-4", "addr")
    assert "eth0" in out
    assert "10.6.0.9/24" in out


def test_inspect_tells_what_docker_tells(clean: Island) -> None:
    clean.serve("web")
    settings = json.loads(clean("inspect", "web"))[0]["NetworkSettings"]
    inside = clean("exec", "web", "sh", "-c", "ip -o -4 addr show eth0; cat /sys/class/net/eth0/address").split()
    assert f"{settings['IPAddress']}/{settings['IPPrefixLen']}" == inside[3]
    assert settings["MacAddress"] == inside[-1]
    assert settings["Gateway"] == "172.17.0.1"
    members = json.loads(clean("network", "inspect", "bridge"))[0]["Containers"]
    assert [(each["Name"], each["IPv4Address"]) for each in members.values()] == [("web", inside[3])]


def test_explain_shows_the_messages_to_the_kernel(clean: Island) -> None:
    ended = clean.attempt("run", "--rm", "--explain", "busybox", "true")
    assert "RTM_NEWLINK" in ended.stderr
    assert 'kind="veth"' in ended.stderr
    assert "ConnectNetwork" in clean("run", "--dry-run", "busybox", "true")
