"""Networks of the drivers macvlan and overlay, against a world that is made with ip(8) alone."""

import pytest

from tests.support.networks import ISLAND, NEEDS, WORLD, Island, ask, await_that, listen
from tests.support.patience import wait_until

pytestmark = pytest.mark.needs(*NEEDS)


def _lan(island: Island, mode: str, *options: str) -> None:
    island("network", "create", "-d", "macvlan", "--subnet", "203.0.113.0/24", "--gateway", WORLD,
           "-o", "parent=up0", "-o", f"macvlan_mode={mode}", *options, "lan")  # fmt: skip


def _talk(island: Island, address: str) -> str:
    command = f"nc -w 2 {address} 80 </dev/null 2>/dev/null || echo nobody"
    return island("run", "--rm", "--network", "lan", "busybox", "sh", "-c", command)


@pytest.mark.needs("link:macvlan")
@pytest.mark.parametrize(("mode", "answer"), [("bridge", "this is web"), ("private", "nobody")])
def test_container_on_a_link_of_this_machine_is_the_worlds_neighbour(clean: Island, mode: str, answer: str) -> None:
    links = clean.settled_links()
    _lan(clean, mode)
    assert clean.links() == links
    clean("run", "-d", "--name", "web", "--network", "lan", "--ip", "203.0.113.50", "busybox", *listen("this is web"))
    await_that(lambda: ask(clean.world, "203.0.113.50") == "this is web")
    assert "default via 203.0.113.1" in clean("exec", "web", "ip", "route")
    assert ask(clean.here, "203.0.113.50") == ""
    assert _talk(clean, "203.0.113.50") == answer
    clean("network", "disconnect", "lan", "web")
    assert "eth0" not in clean("exec", "web", "ip", "-o", "link")
    clean("network", "connect", "--ip", "203.0.113.51", "lan", "web")
    assert ask(clean.world, "203.0.113.51") == "this is web"
    clean("rm", "-f", "web")


@pytest.mark.needs("link:macvlan")
def test_link_that_is_passed_through_is_for_one_container(clean: Island) -> None:
    _lan(clean, "passthru", "--internal")
    clean("create", "--name", "web", "--network", "lan", "busybox", "sleep", "60")
    # The links of containers that were here before go when the kernel gets round to it.
    wait_until(lambda: clean.attempt("start", "web").returncode == 0, 20)
    assert "default" not in clean("exec", "web", "ip", "route")
    said = clean.fail("run", "--rm", "--network", "lan", "busybox", "true", code=125)
    assert said.startswith("network lan: its parent up0 takes no more links")
    clean("rm", "-f", "web")
    assert clean("run", "--rm", "--network", "lan", "busybox", "echo", "well") == "well"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-d", "macvlan"), "a macvlan network needs a parent interface; name one"),
        (("-d", "macvlan", "-o", "parent=up0", "-o", "macvlan_mode=x"), "unknown macvlan mode x; the modes are bridge"),
        (("-d", "macvlan", "-o", "parent=no0"), "this machine has no link no0"),
        (("-d", "overlay", "-o", "vni=0"), "invalid vni: 0; a number from 1"),
        (("-d", "overlay", "-o", "peers=here"), "here"),
    ],
)
def test_options_that_mean_nothing_are_refused(clean: Island, options: tuple[str, ...], message: str) -> None:
    assert message in clean.fail("network", "create", *options, "lan")
    assert "lan" not in clean("network", "ls", "--format", "{{.Name}}")


@pytest.mark.needs("link:vxlan")
def test_network_over_two_machines_reaches_what_is_at_the_other(clean: Island) -> None:
    before = clean.settled_links()
    clean("network", "create", "-d", "overlay", "--subnet", "10.6.0.0/24", "--ip-range", "10.6.0.0/25",
          "-o", f"peers={WORLD}", "-o", "vni=77", "-o", "port=4799", "wide")  # fmt: skip
    clean.world.run("ip", "link", "add", "vx", "type", "vxlan", "id", "77", "dstport", "4799", "remote", ISLAND)
    clean.world.run("ip", "addr", "add", "10.6.0.200/24", "dev", "vx")
    clean.world.run("ip", "link", "set", "vx", "up")
    clean("run", "-d", "--name", "web", "--network", "wide", "busybox", *listen("this is web"))
    address = clean.network_of("web")["IPAddress"]
    await_that(lambda: ask(clean.world, address) == "this is web")
    assert clean("exec", "web", "cat", "/sys/class/net/eth0/mtu") == "1450"
    clean.answer(clean.world, "10.6.0.200", 8100)
    assert clean("exec", "web", "sh", "-c", "nc -w 2 10.6.0.200 8100 </dev/null") == address
    clean.kill_network_process()
    clean("run", "--rm", "--network", "wide", "busybox", "true")
    assert ask(clean.world, address) == "this is web"
    said = clean.fail("network", "create", "-d", "overlay", "-o", "vni=77", "-o", "port=4799", "other")
    assert "this machine has a vxlan with vni 77 on port 4799 already" in said
    clean("rm", "-f", "web")
    clean("network", "rm", "wide")
    assert clean.settled_links() == before
    clean.world.run("ip", "link", "del", "vx")


def test_address_of_a_network_is_where_its_ports_are_published(clean: Island) -> None:
    clean("network", "create", "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1", "shy")
    clean.serve("web", "--network", "shy", "-p", "8080:80")
    clean("port", "add", "web", "8081:80")
    assert clean("port", "web").splitlines() == ["80/tcp -> 127.0.0.1:8080", "80/tcp -> 127.0.0.1:8081"]
    assert ask(clean.world, ISLAND, 8080) == ""
    assert ask(clean.here, "127.0.0.1", 8080) == "this is web"
    clean("port", "rm", "web", "8081:80")
    assert clean("port", "web") == "80/tcp -> 127.0.0.1:8080"
