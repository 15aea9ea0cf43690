"""Names that others must be asked for: several servers, time-outs, and who is believed."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support import dns
from tests.support.networks import ISLAND, ISLAND6, NEEDS, WORLD, Island
from toolkit.network.dns import message

pytestmark = pytest.mark.needs(*NEEDS)

NOBODY = "203.0.113.99"
"""An address of the world's that nobody has."""
SECOND = "203.0.113.3"


@pytest.fixture
def clean(shared_island: Island) -> Iterator[Island]:
    """Return the shared island with one network and no servers."""
    before = shared_island.running()
    if "front" not in shared_island("network", "ls", "--format", "{{.Name}}").split():
        shared_island("network", "create", "front")
        shared_island.world.run("ip", "addr", "add", f"{SECOND}/24", "dev", "up0")
    yield shared_island
    names = shared_island("ps", "-aq").split()
    if names:
        shared_island("rm", "-f", *names)
    shared_island.end_all_but(before)


def start(island: Island, *servers: str, network: str = "front") -> None:
    """Start a container that asks these servers."""
    options = [word for each in servers for word in ("--dns", each)]
    island("run", "-d", "--name", "asker", "--network", network, *options, "busybox", "sleep", "600")


def found(island: Island, name: str = "example.com", **how: bool) -> list[str] | int | None:
    """Return the addresses that the container finds, or the code."""
    answer = dns.ask(island, "asker", dns.query(name), **how)
    return dns.addresses(answer) or dns.code(answer)


def test_other_names_are_asked_of_the_servers_that_were_chosen_by_both_protocols(clean: Island) -> None:
    dns.serve(clean, clean.world, WORLD, "send(reply(data, ip='192.0.2.1' if stream else '192.0.2.2'))")
    start(clean, WORLD)
    assert found(clean) == ["192.0.2.2"]
    assert found(clean, is_stream=True) == ["192.0.2.1"]
    assert "192.0.2.2" in clean("exec", "asker", "nslookup", "-type=a", "example.com")


def test_servers_are_asked_from_the_containers_own_network(clean: Island) -> None:
    dns.serve(clean, clean.here, ISLAND, "send(reply(data, ip=peer[0]))")  # tells who it was that asked
    start(clean, ISLAND)
    assert found(clean) == [clean.network_of("asker")["IPAddress"]]


def test_server_of_ipv6_is_asked(clean: Island) -> None:
    clean("network", "create", "--ipv6", "six")
    dns.serve(clean, clean.here, ISLAND6, "send(reply(data, ip='192.0.2.6'))")
    start(clean, ISLAND6, network="six")
    assert found(clean) == ["192.0.2.6"]


def test_server_that_says_nothing_is_followed_by_the_next(clean: Island) -> None:
    dns.serve(clean, clean.world, WORLD, "pass")
    dns.serve(clean, clean.world, SECOND, "send(reply(data, ip='192.0.2.3'))")
    start(clean, NOBODY, WORLD, SECOND)
    assert found(clean) == ["192.0.2.3"]


@pytest.mark.parametrize("code", [message.SERVFAIL, message.REFUSED, message.NOTIMP, message.FORMERR])
def test_server_that_cannot_answer_is_followed_by_the_next(clean: Island, code: int) -> None:
    dns.serve(clean, clean.world, WORLD, f"send(reply(data, {code}))")
    dns.serve(clean, clean.world, SECOND, "send(reply(data, ip='192.0.2.3'))")
    start(clean, WORLD, SECOND)
    assert found(clean) == ["192.0.2.3"]


def test_server_that_nobody_has_started_is_followed_by_the_next(clean: Island) -> None:
    dns.serve(clean, clean.world, SECOND, "send(reply(data, ip='192.0.2.3'))")
    start(clean, WORLD, SECOND)
    assert found(clean) == ["192.0.2.3"]
    assert found(clean, is_stream=True) == ["192.0.2.3"]


def test_where_nobody_answers_the_container_is_told_so(clean: Island) -> None:
    dns.serve(clean, clean.world, WORLD, "pass")
    start(clean, WORLD, NOBODY)
    assert found(clean) == message.SERVFAIL
    assert found(clean, is_stream=True) == message.SERVFAIL


def test_name_that_is_nowhere_is_said_to_be_nowhere(clean: Island) -> None:
    dns.serve(clean, clean.world, WORLD, "send(reply(data, 3))")
    dns.serve(clean, clean.world, SECOND, "send(reply(data, ip='192.0.2.3'))")
    start(clean, WORLD, SECOND)
    assert found(clean) == message.NXDOMAIN


def test_answers_that_are_false_are_not_believed(clean: Island) -> None:
    dns.serve(clean, clean.world, WORLD, """
        wrong = bytes([data[0] ^ 1]) + data[1:]
        send(reply(wrong, ip='192.0.2.66'))                                    # another number
        other = bytearray(reply(data, ip='192.0.2.67')); other[13] ^= 2
        send(bytes(other))                                                     # another question
        send(data)                                                             # no answer at all
        send(b'')
        send(b'garbage')
        stranger = socket.socket(family, socket.SOCK_DGRAM)
        stranger.bind(('203.0.113.3', 53))
        stranger.sendto(reply(data, ip='192.0.2.68'), peer)                    # from somebody else
        stranger.close()
        send(reply(data, ip='192.0.2.1'))
        """)  # fmt: skip
    start(clean, WORLD)
    assert found(clean) == ["192.0.2.1"]


def test_truncated_answer_leads_to_a_connection(clean: Island) -> None:
    dns.serve(clean, clean.world, WORLD, """
        if stream:
            send(reply(data, ip='192.0.2.1', count=200))
        else:
            answer = bytearray(reply(data)); answer[2] |= 2
            send(bytes(answer))
        """)  # fmt: skip
    start(clean, WORLD)
    assert dns.is_truncated(dns.ask(clean, "asker", dns.query("example.com")))
    assert len(dns.addresses(dns.ask(clean, "asker", dns.query("example.com"), is_stream=True))) == 200


def test_answer_that_is_longer_than_the_container_takes_is_cut(clean: Island) -> None:
    dns.serve(clean, clean.world, WORLD, "send(reply(data, ip='192.0.2.1', count=80))")
    start(clean, WORLD)
    answer = dns.ask(clean, "asker", dns.query("example.com"))
    assert dns.is_truncated(answer)
    assert len(answer) <= 512
    assert len(dns.addresses(dns.ask(clean, "asker", dns.query("example.com", udp_bytes=4096)))) == 80


def test_answers_of_a_slow_server_and_of_names_of_ours_do_not_wait_for_each_other(clean: Island) -> None:
    dns.serve(clean, clean.world, WORLD, "time.sleep(1); send(reply(data, ip='192.0.2.1'))")
    start(clean, WORLD)
    place = dns.inside(clean, "asker")
    slow = place.start("busybox", "nslookup", "-type=a", "example.com", dns.SERVER)
    clean.begun(slow)
    assert found(clean, "asker") == [clean.network_of("asker")["IPAddress"]]
    assert slow.poll() is None
    assert "192.0.2.1" in slow.communicate(timeout=20)[0]
    os.close(place.fd)


def test_internal_network_reaches_a_chosen_server_in_it_and_no_other(clean: Island) -> None:
    clean("network", "create", "--internal", "back")
    start(clean, WORLD, network="back")
    dns.serve(clean, clean.world, WORLD, "send(reply(data, ip='192.0.2.1'))")
    assert found(clean) == message.SERVFAIL


def test_machines_own_servers_are_asked_where_none_is_chosen(clean: Island, tmp_path: os.PathLike[str]) -> None:
    # What the machine's resolv.conf says is hidden from an engine of its own: a server on the machine's loopback.
    clean.kill_network_process()
    mine = f"{tmp_path}/resolv.conf"
    with open(mine, "w") as file:
        file.write("nameserver 127.0.0.53\nsearch example.org\noptions edns0\n")
    dns.serve(clean, clean.here, "127.0.0.53", "send(reply(data, ip='192.0.2.53'))")
    script = f"mount --bind {mine} /etc/resolv.conf && exec {' '.join(clean.program('run'))} $0 $@"
    argv = clean.here.argv(["unshare", "--mount", "sh", "-c", script, "-d", "--name", "asker", "--network", "front",
                            "busybox", "sleep", "600"])  # fmt: skip
    ended = subprocess.run(argv, env=clean.environ, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    out = clean("exec", "asker", "cat", "/etc/resolv.conf")
    assert out == "nameserver 127.0.0.11\nsearch example.org\noptions edns0 ndots:0"
    assert found(clean) == ["192.0.2.53"]
    with open(mine, "w") as file:
        file.write(f"nameserver {WORLD}\n")
    dns.serve(clean, clean.world, WORLD, "send(reply(data, ip='192.0.2.1'))")
    assert found(clean) == ["192.0.2.1"]
