"""Names in containers: who finds whom, asked by real programs and by packets."""

import os
import signal

import pytest

from tests.support import dns
from tests.support.networks import NEEDS, Island, await_that
from toolkit.network.dns import message

pytestmark = pytest.mark.needs(*NEEDS)


def start(island: Island, name: str, network: str, *options: str) -> str:
    """Start a container that sleeps; return its address."""
    island("run", "-d", "--name", name, "--network", network, *options, "busybox", "sleep", "600")
    return str(island.network_of(name)["IPAddress"])


def lookup(island: Island, asker: str, name: str, kind: int = message.A) -> list[str] | int | None:
    """Return the addresses that a container finds under a name, or the code where it is told something else."""
    answer = dns.ask(island, asker, dns.query(name, kind))
    return dns.addresses(answer) or dns.code(answer)


def test_container_is_found_by_name_short_id_hostname_and_alias(clean: Island) -> None:
    clean("network", "create", "front")
    options = ("--hostname", "inner", "--network-alias", "db", "--network-alias", "Store")
    address = start(clean, "web", "front", *options)
    start(clean, "asker", "front")
    ident = clean("inspect", "--format", "{{.Id}}", "web")
    for name in ("web", ident[:12], "inner", "db", "store", "WEB", "web.front"):
        assert lookup(clean, "asker", name) == [address], name
    out = clean("exec", "asker", "nslookup", "web")
    assert "Server:\t\t127.0.0.11" in out
    assert f"Address: {address}" in out
    assert "1 packets received" in clean("exec", "asker", "ping", "-c", "1", "db")
    assert "inner" in clean("inspect", "--format", "{{json .NetworkSettings.Networks.front.DNSNames}}", "web")


def test_resolv_conf_names_our_server_and_keeps_what_was_asked_for(clean: Island) -> None:
    clean("network", "create", "front")
    options = ("--dns", "203.0.113.1", "--dns-search", "example.com", "--dns-search", "b", "--dns-option", "timeout:3")
    run = ("run", "--rm", "--network")
    out = clean(*run, "front", *options, "busybox", "cat", "/etc/resolv.conf")
    assert out == "nameserver 127.0.0.11\nsearch example.com b\noptions timeout:3 ndots:0"
    out = clean(*run, "front", "--dns-option", "ndots:2", "busybox", "cat", "/etc/resolv.conf")
    assert "options ndots:2" in out.splitlines()
    out = clean(*run, "bridge", *options, "busybox", "cat", "/etc/resolv.conf")
    assert out == "nameserver 203.0.113.1\nsearch example.com b\noptions timeout:3"


def test_alias_of_several_is_shared_round_robin(clean: Island) -> None:
    clean("network", "create", "front")
    mine = {start(clean, f"n{number}", "front", "--network-alias", "all") for number in range(3)}
    found = [lookup(clean, "n0", "all") for _again in range(30)]
    assert all(isinstance(each, list) and set(each) == mine for each in found)
    assert len({str(each) for each in found}) > 1


def test_renamed_connected_disconnected_and_stopped_containers_are_seen_at_once(clean: Island) -> None:
    clean("network", "create", "front")
    clean("network", "create", "--internal", "back")
    start(clean, "asker", "back")
    start(clean, "web", "front")
    assert lookup(clean, "asker", "web") == message.SERVFAIL
    clean("network", "connect", "--alias", "db", "back", "web")
    there = clean.network_of("web", "back")["IPAddress"]
    assert lookup(clean, "asker", "web") == [there]
    assert lookup(clean, "asker", "db") == [there]
    clean("rename", "web", "shop")
    assert lookup(clean, "asker", "web") == message.SERVFAIL
    assert lookup(clean, "asker", "shop") == [there]
    clean("network", "disconnect", "back", "shop")
    assert lookup(clean, "asker", "shop") == message.SERVFAIL
    clean("network", "connect", "back", "shop")
    clean("stop", "-t", "0", "shop")
    await_that(lambda: lookup(clean, "asker", "shop") == message.SERVFAIL)
    clean("start", "shop")
    assert lookup(clean, "asker", "shop") == [clean.network_of("shop", "back")["IPAddress"]]


def test_container_that_waits_to_be_started_again_is_not_found(clean: Island) -> None:
    clean("network", "create", "--internal", "back")
    start(clean, "asker", "back")
    clean("run", "-d", "--name", "ill", "--network", "back", "--restart", "always", "busybox", "false")
    await_that(lambda: clean("inspect", "--format", "{{.State.Status}}", "ill") == "restarting")
    await_that(lambda: lookup(clean, "asker", "ill") == message.SERVFAIL)


def test_container_that_has_been_started_again_by_its_policy_asks_and_is_found(clean: Island) -> None:
    clean("network", "create", "--internal", "back")
    start(clean, "asker", "back")
    start(clean, "web", "back", "--restart", "always")
    os.kill(clean.pid_of("web"), signal.SIGKILL)
    await_that(lambda: clean("inspect", "--format", "{{.RestartCount}} {{.State.Status}}", "web") == "1 running")
    address = clean.network_of("web")["IPAddress"]
    await_that(lambda: lookup(clean, "asker", "web") == [address])
    assert lookup(clean, "web", "asker") == [clean.network_of("asker")["IPAddress"]]


def test_names_and_addresses_of_both_families(clean: Island) -> None:
    clean("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "front")
    address = start(clean, "web", "front")
    six = clean.network_of("web")["GlobalIPv6Address"]
    start(clean, "asker", "front")
    out = clean("exec", "asker", "nslookup", "web")
    assert f"Address: {address}" in out
    assert f"Address: {six}" in out
    assert "web.front" in clean("exec", "asker", "nslookup", address)
    assert "web.front" in clean("exec", "asker", "nslookup", six)


def test_container_of_the_default_network_has_no_server_of_ours(clean: Island) -> None:
    clean("run", "-d", "--name", "plain", "busybox", "sleep", "600")
    assert "127.0.0.11" not in clean("exec", "plain", "cat", "/etc/resolv.conf")
    assert "127.0.0.11" not in clean("exec", "plain", "netstat", "-ln")


def test_container_that_leaves_the_default_network_behind_learns_names(clean: Island) -> None:
    clean("network", "create", "front")
    address = start(clean, "web", "front")
    clean("run", "-d", "--name", "late", "busybox", "sleep", "600")
    clean("network", "connect", "front", "late")
    assert "nameserver 127.0.0.11" in clean("exec", "late", "cat", "/etc/resolv.conf")
    assert f"Address: {address}" in clean("exec", "late", "nslookup", "web")


def test_name_server_of_a_container_may_have_port_53_everywhere(clean: Island) -> None:
    clean("network", "create", "front")
    start(clean, "own", "front")
    clean("exec", "-d", "own", "nc", "-l", "-p", "53")
    places = (" :::53 ", " 0.0.0.0:53 ")
    await_that(lambda: any(each in clean("exec", "own", "netstat", "-lnt") for each in places))
    assert lookup(clean, "own", "own") == [clean.network_of("own")["IPAddress"]]


def test_questions_come_over_connections_too(clean: Island) -> None:
    clean("network", "create", "front")
    mine = sorted(start(clean, f"n{number}", "front", "--network-alias", "all") for number in range(2))
    assert sorted(dns.addresses(dns.ask(clean, "n0", dns.query("all"), is_stream=True))) == mine
