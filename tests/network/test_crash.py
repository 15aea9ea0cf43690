"""Killed processes, links taken away, rules of others: nothing leaks, and what runs keeps running."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from tests.support.child import in_child
from tests.support.networks import ISLAND, NEEDS, Island, ask, await_that
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.network.client import NetworkProcess

pytestmark = pytest.mark.needs(*NEEDS)


def test_network_process_that_is_killed_in_the_middle_of_a_connect_leaves_nothing(island: Island) -> None:
    island("run", "--rm", "busybox", "true")
    before = island.settled_links()
    (pid,) = island.network_pids()
    os.kill(pid, signal.SIGSTOP)
    running = island.begin("run", "--rm", "--network", "bridge", "busybox", "true")
    await_that(lambda: island.call(lambda engine: len(list(engine.networks.store.all_endpoints()))) == 1)
    (ident,) = island("ps", "-aq", "--no-trunc").split()
    await_that(lambda: os.path.exists(f"{island.where.root}/containers/{ident}/config.json"))  # the plan comes next
    os.kill(pid, signal.SIGKILL)
    said = running.communicate()[1]
    assert running.returncode == 125
    assert said == "container: the network process was killed while it connected the container; try again\n"
    await_that(lambda: island.links() == before)
    assert island("ps", "-aq") == ""
    assert island.call(_held) == []
    assert island("run", "--rm", "busybox", "echo", "well") == "well"


def test_starts_while_the_network_process_is_killed_again_and_again_leak_nothing(island: Island) -> None:
    island("run", "--rm", "busybox", "true")
    before = island.settled_links()
    for _round in range(4):
        running = island.begin("run", "--rm", "busybox", "ip", "addr", "show", "eth0")
        while running.poll() is None:
            for pid in island.network_pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        said = running.communicate()[1]
        assert running.returncode in (0, 125), said
        assert "Traceback" not in said
    assert island("run", "--rm", "busybox", "echo", "well") == "well"
    await_that(lambda: island.links() == before)
    assert island("ps", "-aq") == ""
    assert json.loads(island("network", "inspect", "bridge"))[0]["Containers"] == {}


def test_containers_keep_talking_while_the_network_process_is_gone(island: Island) -> None:
    address = island.serve("web")
    island.kill_network_process()
    assert ask(island.here, address) == "this is web"
    assert json.loads(island("network", "inspect", "bridge"))[0]["Containers"] != {}
    assert island("run", "--rm", "busybox", "sh", "-c", f"nc -w 2 {address} 80 </dev/null") == "this is web"


def test_bridge_that_somebody_deletes_is_made_again_with_those_that_were_in_it(island: Island) -> None:
    address = island.serve("web", "-p", "8080:80")
    island.here.run("ip", "link", "del", "ct0")
    assert ask(island.here, address) == ""
    assert island("run", "--rm", "busybox", "sh", "-c", f"nc -w 2 {address} 80 </dev/null") == "this is web"
    assert ask(island.here, address) == "this is web"
    assert ask(island.world, ISLAND, 8080) == "this is web"


def test_table_that_somebody_deletes_comes_back_with_the_next_start(island: Island) -> None:
    island.serve("web", "-p", "8080:80")
    (table,) = _tables(island)
    before = island.here.run("nft", "list", "table", "inet", table)
    island.here.run("nft", "delete", "table", "inet", table)
    assert ask(island.world, ISLAND, 8080) == ""
    island("run", "--rm", "busybox", "true")
    assert ask(island.world, ISLAND, 8080) == "this is web"
    assert island.here.run("nft", "list", "table", "inet", table) == before


def test_end_of_a_container_whose_table_was_deleted_brings_the_others_back(island: Island) -> None:
    island.serve("web", "-p", "8080:80")
    island.serve("other", "-p", "8081:80")
    (table,) = _tables(island)
    island.here.run("nft", "delete", "table", "inet", table)
    island("rm", "-f", "other")
    await_that(lambda: ask(island.world, ISLAND, 8080) == "this is web")
    assert len(island.network_pids()) == 1


def test_table_goes_with_the_last_bridge(island: Island) -> None:
    with open(f"{island.where.root}/daemon.json", "w") as file:
        file.write('{"bridge": "none"}')
    island("network", "create", "front")
    assert len(_tables(island)) == 1
    island("network", "rm", "front")
    assert _tables(island) == []
    island("network", "create", "front")
    assert len(_tables(island)) == 1


def _tables(island: Island) -> list[str]:
    return [line.split()[-1] for line in island.here.run("nft", "list", "tables").splitlines()]


def test_bridge_and_table_of_an_engine_that_is_no_more_go_with_another_engines_start(
    island: Island, tmp_path: "os.PathLike[str]"
) -> None:
    island("network", "create", "front")
    other = {"CONTAINER_ROOT": f"{tmp_path}/root", "CONTAINER_RUN": f"{tmp_path}/run"}
    made = _run_as(island, other, "network", "create", "lost")
    assert made.returncode == 0, made.stderr
    lost, kept = f"ct-{made.stdout[:12]}", island.call(lambda engine: engine.networks.get("front")).link
    assert {lost, kept} <= set(island.links())
    assert len(_tables(island)) == 2
    island.kill_network_process()
    island("network", "create", "middle")  # its process finds the other engine's database there
    assert lost in island.links()
    in_child(lambda: island.here.enter() or NetworkProcess(other["CONTAINER_RUN"], "", "", lambda: ()).stop())
    shutil.rmtree(other["CONTAINER_ROOT"])
    island.here.run("ip", "link", "add", "user0", "type", "veth", "peer", "user1")
    island.here.run("ip", "link", "set", "user0", "master", lost)  # as a container that still runs has it
    island.kill_network_process()
    island("network", "create", "third")
    assert lost in island.links()
    island.here.run("ip", "link", "del", "user0")
    island.kill_network_process()
    island("network", "create", "fourth")
    assert lost not in island.links()
    assert kept in island.links()
    assert len(_tables(island)) == 1


def _run_as(island: Island, environ: "dict[str, str]", *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command there for another engine."""
    argv = island.here.argv([sys.executable, "-m", "toolkit.cli", *words])
    return subprocess.run(argv, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=60)


def test_bridge_of_a_network_that_is_forgotten_goes_and_others_stay(island: Island) -> None:
    island("network", "create", "front")
    own = island.call(lambda engine: engine.networks.get("front"))
    island.here.run("ip", "link", "add", "ct-other", "type", "bridge")
    island.here.run("ip", "link", "set", "ct-other", "alias", "container-toolkit 0123456789ab 00")
    island.call(lambda engine: engine.networks.store.remove(own))  # killed after that, as it were
    island.kill_network_process()
    assert own.link in island.links()
    island("run", "--rm", "busybox", "true")
    assert own.link not in island.links()
    assert "ct-other" in island.links()


def test_rules_and_links_of_others_are_not_touched(island: Island) -> None:
    island.here.run("nft", "add", "table", "inet", "theirs")
    island.here.run("nft", "add", "chain", "inet", "theirs", "c", "{ type filter hook forward priority 5; }")
    before = island.here.run("nft", "list", "table", "inet", "theirs")
    island("network", "create", "front")
    island("run", "--rm", "--network", "front", "-p", "8080:80", "busybox", "true")
    island.kill_network_process()
    island("network", "rm", "front")
    assert island.here.run("nft", "list", "table", "inet", "theirs") == before


def test_bridge_name_that_is_taken_is_refused_and_nothing_is_left(island: Island) -> None:
    island.here.run("ip", "link", "add", "taken0", "type", "bridge")
    said = island.fail("network", "create", "-o", "com.docker.network.bridge.name=taken0", "front")
    assert "this machine has a link taken0 already" in said
    assert "front" not in island("network", "ls")
    assert "taken0" in island.links()


def test_default_bridge_passes_over_names_and_subnets_that_are_taken(island: Island) -> None:
    island.here.run("ip", "link", "add", "ct0", "type", "bridge")
    island.here.run("ip", "addr", "add", "172.17.0.1/16", "dev", "ct0")
    island.here.run("ip", "link", "set", "ct0", "up")
    out = island("run", "--rm", "busybox", "ip", "-o", "-4", "addr", "show", "eth0")
    assert out.split()[3].startswith("172.18.0.")
    assert "ct1" in island.links()


def test_subnet_that_this_machine_has_a_route_to_is_refused(island: Island) -> None:
    said = island.fail("network", "create", "--subnet", "203.0.113.128/25", "front")
    assert "with this machine's route to 203.0.113.0/24" in said


def test_after_many_starts_links_addresses_and_rules_are_what_they_were(island: Island) -> None:
    count = 60

    def many(engine: Engine) -> None:
        for _number in range(count):
            options = ContainerOptions("busybox", ("true",), auto_remove=True)
            attachment = engine.containers.create(options).start(attach=True)
            assert attachment is not None
            with attachment:
                for _output in attachment:
                    pass
            assert attachment.exit_code == 0

    island("run", "--rm", "busybox", "true")
    links, rules = island.settled_links(), island.here.run("nft", "list", "ruleset")
    island.call(many)
    await_that(lambda: island.links() == links)
    assert island.here.run("nft", "list", "ruleset") == rules
    await_that(lambda: not island.call(_held))


def _held(engine: Engine) -> "list[str]":
    """Return what addresses and endpoints are kept."""
    return [row.id for kind in ("address", "endpoint") for row in engine.state.list(kind)]


def test_start_that_fails_gives_its_address_back(island: Island) -> None:
    island("network", "create", "--subnet", "10.8.0.0/29", "small")
    for _again in range(6):
        island.fail("run", "--rm", "--network", "small", "busybox", "no-such-program", code=127)
    assert island("run", "--rm", "--network", "small", "busybox", "echo", "well") == "well"


def test_full_network_refuses_the_next_and_takes_it_when_one_has_ended(island: Island) -> None:
    island("network", "create", "--subnet", "10.8.0.0/30", "tiny")
    island("run", "-d", "--name", "first", "--network", "tiny", "busybox", "sleep", "60")
    said = island.fail("run", "--rm", "--network", "tiny", "busybox", "true", code=125)
    assert said.startswith("no available IPv4 addresses on this network's address pools: tiny")
    island("stop", "-t", "0", "first")
    assert island("run", "--rm", "--network", "tiny", "busybox", "echo", "well") == "well"


def test_container_that_its_policy_starts_again_is_in_its_network_again(island: Island) -> None:
    island("run", "-d", "--name", "web", "--restart", "always", "-p", "8080:80", "busybox",
           "sh", "-c", "nc -l -p 80 -e echo hello")  # fmt: skip
    for _again in range(3):
        await_that(lambda: ask(island.world, ISLAND, 8080) == "hello")


def test_without_nft_the_default_is_loopback_with_one_warning_and_a_network_is_refused(island: Island) -> None:
    first = _hidden(island, "run", "--rm", "busybox", "ip", "-o", "link")
    assert first.returncode == 0, first.stderr
    assert "eth0" not in first.stdout
    (line,) = first.stderr.splitlines()
    assert line.startswith("WARNING: containers have no network but loopback")
    assert line.endswith("install the package nftables")
    second = _hidden(island, "run", "--rm", "busybox", "true")
    assert (second.returncode, second.stderr) == (0, "")
    asked = _hidden(island, "run", "--rm", "--network", "bridge", "busybox", "true")
    assert asked.returncode == 125
    assert "install the package nftables" in asked.stderr
    island.kill_network_process()
    assert island("run", "--rm", "busybox", "ip", "-o", "link").count("eth0") == 1


_HIDE = """
import ctypes.util, os, sys
from toolkit.linux.mount import MS_BIND, MS_PRIVATE, MS_REC, mount
from toolkit.linux.namespace import CLONE_NEWNS, unshare
unshare(CLONE_NEWNS)
mount(None, "/", None, MS_REC | MS_PRIVATE)
directories = ["/usr/sbin", "/sbin", *os.environ["PATH"].split(":")]
libraries = [line.split()[-1] for line in os.popen("/sbin/ldconfig -p") if "libnftables" in line]
for path in {os.path.realpath(path) for path in [*(f"{each}/nft" for each in directories), *libraries]}:
    if os.path.exists(path):
        mount("/dev/null", path, None, MS_BIND)
os.execv(sys.executable, [sys.executable, "-m", "toolkit.cli", *sys.argv[1:]])
"""


def _hidden(island: Island, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command where nftables cannot be seen."""
    argv = island.here.argv([sys.executable, "-c", _HIDE, *words])
    return subprocess.run(argv, env=island.environ, capture_output=True, text=True, check=False, timeout=60)


def test_without_forwarding_a_warning_says_so_once(island: Island) -> None:
    script = _HIDE.replace('directories = ["/usr/sbin"', 'mount("/proc/sys", "/proc/sys", None, MS_BIND)\n'
                           'mount(None, "/proc/sys", None, 32 | 1 | MS_BIND)\ndirectories = ["/none"')  # fmt: skip
    script = script.replace('*os.environ["PATH"].split(":")]', "]").replace('if "libnftables" in line', "if not line")
    island.here.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    argv = island.here.argv([sys.executable, "-c", script, "network", "create", "front"])
    ended = subprocess.run(argv, env=island.environ, capture_output=True, text=True, check=False, timeout=60)
    assert "sysctl net.ipv4.ip_forward=1" in ended.stderr
