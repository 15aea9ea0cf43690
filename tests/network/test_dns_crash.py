"""Name servers that are killed, in the middle too: containers go on asking, and nothing is left."""

import os
import random
import signal
import socket
import time
from contextlib import suppress

import pytest

from tests.support import dns
from tests.support.networks import NEEDS, Island, await_that

pytestmark = pytest.mark.needs(*NEEDS)


def kill(pids: list[int]) -> None:
    """Kill processes."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def two(island: Island) -> str:
    """Start two containers in a network; return the address of the one that the other asks for."""
    island("network", "create", "--internal", "back")
    for name in ("web", "asker"):
        island("run", "-d", "--name", name, "--network", "back", "busybox", "sleep", "600")
    return str(island.network_of("web")["IPAddress"])


def test_question_that_comes_while_the_server_is_dead_is_answered_by_the_next(island: Island) -> None:
    address = two(island)
    (pid,) = island.dns_pids()
    os.kill(pid, signal.SIGSTOP)
    place = dns.inside(island, "asker")
    waiting = place.start("busybox", "nslookup", "web", dns.SERVER)
    island.begun(waiting)
    time.sleep(0.2)  # so that the question is there; if it is not, this tests less, and passes
    os.kill(pid, signal.SIGKILL)
    out, _ = waiting.communicate(timeout=20)
    os.close(place.fd)
    assert f"Address: {address}" in out
    assert island.dns_pids() not in ([], [pid])


def test_server_that_is_stopped_stops_no_start(island: Island) -> None:
    address = two(island)
    before = island.links()
    (pid,) = island.dns_pids()
    os.kill(pid, signal.SIGSTOP)
    assert island("run", "--rm", "--network", "back", "busybox", "echo", "well") == "well"
    os.kill(pid, signal.SIGCONT)
    assert dns.addresses(dns.ask(island, "asker", dns.query("web"))) == [address]
    await_that(lambda: sorted(island.links()) == sorted(before))


def test_server_that_is_killed_again_and_again_comes_back_each_time(island: Island) -> None:
    address = two(island)
    for _round in range(4):
        kill(island.dns_pids())
        assert dns.addresses(dns.ask(island, "asker", dns.query("web"))) == [address]
    assert len(island.dns_pids()) == 1


def test_server_goes_on_when_the_network_process_is_killed_and_is_kept_by_the_next(island: Island) -> None:
    address = two(island)
    (pid,) = island.dns_pids()
    island.kill_network_process()
    assert dns.addresses(dns.ask(island, "asker", dns.query("web"))) == [address]
    island("run", "--rm", "--network", "back", "busybox", "nslookup", "asker")
    assert island.dns_pids() == [pid]
    kill([pid])  # the new network process has a hand on all sockets, too
    assert dns.addresses(dns.ask(island, "asker", dns.query("web"))) == [address]
    assert island.dns_pids() != [pid]


def test_when_both_are_killed_the_next_command_brings_names_back(island: Island) -> None:
    address = two(island)
    kill(island.network_pids())
    kill(island.dns_pids())
    await_that(lambda: not island.network_pids() + island.dns_pids())
    island("run", "--rm", "busybox", "true")
    assert dns.addresses(dns.ask(island, "asker", dns.query("web"))) == [address]


def test_two_networks_processes_in_a_hurry_make_one_server(island: Island) -> None:
    island("network", "create", "back")
    hurry = [
        island.begin("run", "--rm", "--network", "back", "--name", f"n{n}", "busybox", "nslookup", f"n{n}")
        for n in (1, 2)
    ]
    for running in hurry:
        running.communicate(timeout=60)
        assert running.returncode == 0
    assert len(island.dns_pids()) == 1


def test_containers_that_end_leave_no_namespace_behind(island: Island) -> None:
    island("network", "create", "--internal", "back")
    island("run", "--rm", "--network", "back", "busybox", "true")
    before = island.settled_links()
    (network,), (server,) = island.network_pids(), island.dns_pids()
    held = {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in (network, server)}
    for _round in range(10):
        island("run", "--rm", "--network", "back", "busybox", "nslookup", "nobody.invalid", code=1)
    assert island.settled_links() == before
    await_that(lambda: {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in held} == held)


def test_container_that_ends_while_the_network_process_is_gone_leaves_no_namespace_behind(island: Island) -> None:
    two(island)
    before = [name for name in island.links() if not name.startswith("veth")]
    island.kill_network_process()
    island("rm", "-f", "web", "asker")
    assert island.settled_links() == before
    await_that(lambda: not island.dns_pids())  # nobody is left who asks, and nobody who could bring somebody


def test_damaged_packets_do_no_harm(island: Island) -> None:
    address = two(island)
    (pid,) = island.dns_pids()
    place = dns.inside(island, "asker")

    def storm() -> None:
        chance = random.Random(4711)  # noqa: S311 - the same damage each time
        good = dns.query("web", udp_bytes=1232)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
            talk.connect((dns.SERVER, 53))
            for _packet in range(3000):
                packet = bytearray(good if chance.random() < 0.7 else chance.randbytes(chance.randrange(600)))
                for _change in range(chance.randrange(4)):
                    if packet:
                        packet[chance.randrange(len(packet))] = chance.randrange(256)
                talk.send(packet[: chance.randrange(len(packet) + 1)] if chance.random() < 0.3 else packet)
        for _connection in range(50):
            with socket.socket() as talk:
                talk.connect((dns.SERVER, 53))
                talk.send(chance.randbytes(chance.randrange(1, 200)))

    place.call(storm)
    os.close(place.fd)
    assert dns.addresses(dns.ask(island, "asker", dns.query("web"))) == [address]
    assert island.dns_pids() == [pid]
    with open(f"{island.where.run}/dns.log") as log:
        assert log.read() == ""
