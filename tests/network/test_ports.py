"""Published ports: from this machine, from the world, in all of docker's forms."""

import json
import os
import re

import pytest

from tests.support.networks import ISLAND, ISLAND6, NEEDS, WORLD, Island, Place, ask, await_that, listen

pytestmark = pytest.mark.needs(*NEEDS)


def test_published_port_is_reached_from_the_world_from_here_and_by_loopback(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80")
    assert ask(clean.world, ISLAND, 8080) == "this is web"
    assert ask(clean.here, ISLAND, 8080) == "this is web"
    assert ask(clean.here, "127.0.0.1", 8080) == "this is web"
    assert ask(clean.here, "127.0.0.2", 8080) == "this is web"


def test_published_port_is_reached_by_ipv6_where_the_network_has_it(clean: Island) -> None:
    clean("network", "create", "--ipv6", "six")
    clean.serve("web", "--network", "six", "-p", "8080:80")
    assert ask(clean.world, ISLAND6, 8080) == "this is web"
    assert ask(clean.here, ISLAND6, 8080) == "this is web"
    clean("rm", "-f", "web")
    clean("network", "rm", "six")


def test_neighbour_and_the_container_itself_reach_it_by_this_machines_address(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80")
    command = ("sh", "-c", f"nc -w 2 {ISLAND} 8080 </dev/null")
    assert clean("run", "--rm", "busybox", *command) == "this is web"
    assert clean("exec", "web", *command) == "this is web"


def test_port_of_loopback_is_not_reached_from_the_world(clean: Island) -> None:
    clean.serve("web", "-p", "127.0.0.1:8080:80")
    assert ask(clean.here, "127.0.0.1", 8080) == "this is web"
    assert ask(clean.here, ISLAND, 8080) == ""
    assert ask(clean.world, ISLAND, 8080) == ""


def test_what_listens_on_this_machines_loopback_is_not_reached_from_a_container(clean: Island) -> None:
    clean.answer(clean.here, "127.0.0.1", 8096)
    clean.serve("web")
    assert ask(clean.here, "127.0.0.1", 8096) == "127.0.0.1"
    # A route of its own to this machine's loopback, as CVE-2020-8558 had it.
    clean.here.run("nft", "add", "table", "ip", "spy")
    clean.here.run("nft", "add", "chain", "ip", "spy", "c", "{ type filter hook input priority 0; }")
    clean.here.run("nft", "add", "rule", "ip", "spy", "c", "iifname", "ct0", "ip", "daddr", "127.0.0.1", "counter")
    clean.here.run("nsenter", f"--net=/proc/{clean.pid_of('web')}/ns/net", "sh", "-c", _TO_LOOPBACK)
    assert "packets 0" in clean.here.run("nft", "list", "table", "ip", "spy")
    clean.here.run("nft", "delete", "table", "ip", "spy")


_TO_LOOPBACK = """
sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1
ip rule add pref 100 lookup local; ip rule del pref 0
ip route add 127.0.0.1/32 via 172.17.0.1 table 9; ip rule add pref 1 lookup 9
busybox nc -w 1 127.0.0.1 8096 </dev/null; true
"""


def test_port_is_published_and_no_longer_while_the_container_runs(clean: Island) -> None:
    clean.serve("web")
    clean("port", "add", "web", "8080:80", "127.0.0.1:8081:80")
    assert ask(clean.world, ISLAND, 8080) == "this is web"
    assert ask(clean.here, "127.0.0.1", 8081) == "this is web"
    assert clean("exec", "web", "sh", "-c", f"nc -w 2 {ISLAND} 8080 </dev/null") == "this is web"
    assert clean("port", "web", "80").splitlines() == ["0.0.0.0:8080", "[::]:8080", "127.0.0.1:8081"]
    clean("port", "rm", "web", "8080:80")
    assert ask(clean.world, ISLAND, 8080) == ""
    assert ask(clean.here, "127.0.0.1", 8081) == "this is web"
    assert clean("port", "web") == "80/tcp -> 127.0.0.1:8081"
    clean.serve("other", "-p", "8080:80")
    assert ask(clean.world, ISLAND, 8080) == "this is other"


def test_changed_ports_are_those_of_the_next_start(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80", "-p", "80")
    chosen = int(clean("port", "web", "80").splitlines()[-1].rpartition(":")[2])
    clean("port", "add", "web", "8082-8083:80-81")
    clean("port", "rm", "web", "8080:80")
    clean("port", "rm", "web", f"{chosen}:80")
    clean("restart", "-t", "0", "web")
    await_that(lambda: ask(clean.world, ISLAND, 8082) == "this is web")
    assert clean("port", "web").splitlines()[::2] == ["80/tcp -> 0.0.0.0:8082", "81/tcp -> 0.0.0.0:8083"]
    asked = json.loads(clean("inspect", "web"))[0]["HostConfig"]["PortBindings"]
    assert {key: [each["HostPort"] for each in value] for key, value in asked.items()} == {
        "80/tcp": ["8082"], "81/tcp": ["8083"],
    }  # fmt: skip
    clean("stop", "-t", "0", "web")
    clean("port", "rm", "web", "80")
    clean("port", "add", "web", "8084:80")
    clean("start", "web")
    await_that(lambda: ask(clean.world, ISLAND, 8084) == "this is web")
    assert ask(clean.world, ISLAND, 8082) == ""


def test_changed_ports_survive_the_network_process(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80")
    clean("port", "add", "web", "8081:80")
    clean("port", "rm", "web", "8080:80")
    clean.kill_network_process()
    clean("run", "--rm", "busybox", "true")
    assert ask(clean.world, ISLAND, 8081) == "this is web"
    assert ask(clean.world, ISLAND, 8080) == ""


def test_port_that_cannot_be_added_changes_nothing(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80")
    running = clean.answer(clean.here, ISLAND, 8092)
    before = clean.here.run("nft", "list", "ruleset")
    assert f"(pid {running.pid})" in clean.fail("port", "add", "web", "8081:80", "8092:80")
    assert "port is already allocated" in clean.fail("port", "add", "web", "8080:81")
    assert clean.fail("port", "rm", "web", "8081:80") == "No public port '80/tcp' published for web at :8081"
    assert clean.here.run("nft", "list", "ruleset") == before
    assert clean("port", "web").splitlines() == ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]
    clean("run", "-d", "--name", "alone", "--network", "none", "busybox", "sleep", "60")
    assert "has no network whose ports can be published" in clean.fail("port", "add", "alone", "8081:80")
    clean("port", "add", "web", "8081:80")  # it was not kept when its neighbour could not be had


def test_udp_is_published_and_answers_come_from_the_port_that_was_asked(clean: Island) -> None:
    clean("run", "-d", "--name", "web", "-p", "8080:81/udp", "busybox", "sleep", "60")
    inside = Place(os.open(f"/proc/{clean.pid_of('web')}/ns/net", os.O_RDONLY))
    clean.answer(inside, clean.network_of("web")["IPAddress"], 81, "udp")
    os.close(inside.fd)
    assert ask(clean.here, "127.0.0.1", 8080, udp=True) == "172.17.0.1"
    assert ask(clean.world, ISLAND, 8080, udp=True) == WORLD


def test_port_that_is_not_named_is_chosen_and_told(clean: Island) -> None:
    clean.serve("web", "-p", "80", "-p", "127.0.0.1::81")
    lines = clean("port", "web").splitlines()
    assert [line.partition(" -> ")[0] for line in lines] == ["80/tcp", "80/tcp", "81/tcp"]
    port = int(lines[0].rpartition(":")[2])
    assert ask(clean.world, ISLAND, port) == "this is web"
    assert re.fullmatch(r"81/tcp -> 127\.0\.0\.1:\d+", lines[2])


def test_all_exposed_ports_are_published_with_a_capital_p(clean: Island) -> None:
    clean.serve("web", "-P", "--expose", "80", "--expose", "53/udp")
    ports = json.loads(clean("inspect", "web"))[0]["NetworkSettings"]["Ports"]
    assert sorted(ports) == ["53/udp", "80/tcp"]
    assert ask(clean.world, ISLAND, int(ports["80/tcp"][0]["HostPort"])) == "this is web"


def test_range_leads_to_a_range_and_a_range_for_one_port_gives_one_that_is_free(clean: Island) -> None:
    clean.serve("web", "-p", "8080-8081:80-81")
    assert ask(clean.world, ISLAND, 8080) == "this is web"
    shown = clean("ps", "--format", "{{.Ports}}")
    assert "0.0.0.0:8081->81/tcp" in shown
    clean.serve("other", "-p", "8080-8083:80")
    assert clean("port", "other", "80").splitlines()[0] == "0.0.0.0:8082"


def test_port_in_use_is_refused_with_the_name_of_the_process_and_nothing_is_left(clean: Island) -> None:
    running = clean.answer(clean.here, ISLAND, 8095)
    said = clean.fail("run", "--rm", "-p", "8095:80", "busybox", "true", code=125)
    assert "failed to bind host port 0.0.0.0:8095/tcp: address already in use by python" in said
    assert f"(pid {running.pid})" in said
    assert json.loads(clean("network", "inspect", "bridge"))[0]["Containers"] == {}
    assert "8095" not in clean.here.run("nft", "list", "ruleset")


def test_port_of_another_container_is_refused_and_free_again_when_that_has_ended(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80")
    said = clean.fail("run", "--rm", "-p", "8080:80", "busybox", "true", code=125)
    assert said.startswith("Bind for 0.0.0.0:8080 failed: port is already allocated")
    assert ask(clean.world, ISLAND, 8080) == "this is web"
    clean("stop", "-t", "0", "web")
    clean.serve("other", "-p", "8080:80")
    assert ask(clean.world, ISLAND, 8080) == "this is other"


def test_address_that_this_machine_does_not_have_is_refused(clean: Island) -> None:
    said = clean.fail("run", "--rm", "-p", "198.51.100.7:8080:80", "busybox", "true", code=125)
    assert "this machine does not have the address 198.51.100.7" in said


def test_published_port_obeys_the_firewall_of_this_machine(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80")
    clean.here.run("nft", "add", "table", "inet", "wall")
    clean.here.run("nft", "add", "chain", "inet", "wall", "c", "{ type filter hook forward priority 10; policy drop; }")
    assert ask(clean.world, ISLAND, 8080) == ""
    clean.here.run("nft", "delete", "table", "inet", "wall")
    assert ask(clean.world, ISLAND, 8080) == "this is web"


def test_ports_survive_the_network_process_and_its_successor_holds_them(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80")
    clean.kill_network_process()
    assert ask(clean.world, ISLAND, 8080) == "this is web"
    clean.serve("other")
    assert ask(clean.world, ISLAND, 8080) == "this is web"
    assert "port is already allocated" in clean.fail("run", "--rm", "-p", "8080:80", "busybox", "true", code=125)


def test_port_of_one_that_ended_while_nobody_was_there_is_free(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80")
    clean.kill_network_process()
    clean("rm", "-f", "web")
    clean.serve("other", "-p", "8080:80")
    assert ask(clean.world, ISLAND, 8080) == "this is other"


def test_elements_of_the_table_go_with_the_container(clean: Island) -> None:
    clean.serve("web", "-p", "8080:80", "-p", "127.0.0.1:8081:80/udp")
    assert clean.here.run("nft", "list", "ruleset").count(" . 80 ") >= 2
    clean("rm", "-f", "web")
    await_that(lambda: "80" not in _elements(clean))
    assert os.path.exists(f"{clean.where.run}/containers")


def _elements(island: Island) -> str:
    return "".join(line for line in island.here.run("nft", "list", "ruleset").splitlines() if "tcp ." in line)


def test_host_network_discards_ports_and_says_so(clean: Island) -> None:
    ended = clean.attempt("run", "--rm", "--network", "host", "-p", "8080:80", "busybox", "true")
    assert ended.returncode == 0
    assert "Published ports are discarded when using host network mode" in ended.stderr


def test_listening_program_is_what_is_published(clean: Island) -> None:
    clean("run", "-d", "--name", "web", "-p", "8080:8000", "busybox", *listen("on another port", 8000))
    await_that(lambda: ask(clean.world, ISLAND, 8080) == "on another port")
