"""What people and other programs do wrong to networks: one clear line, nothing left, and what runs keeps running."""

import json
import os

import pytest

from tests.support.networks import ISLAND, NEEDS, Island, ask, await_that

pytestmark = pytest.mark.needs(*NEEDS)


def test_subnet_of_another_network_is_refused_with_its_name(island: Island) -> None:
    island("network", "create", "--subnet", "10.8.0.0/16", "front")
    links = island.links()
    said = island.fail("network", "create", "--subnet", "10.8.7.0/24", "back")
    assert "10.8.7.0/24 with 10.8.0.0/16 of network front; choose another subnet" in said
    said = island.fail("network", "create", "--subnet", "10.9.0.0/16", "--subnet", "10.9.1.0/24", "back")
    assert "10.9.1.0/24 with 10.9.0.0/16 of network back" in said
    assert island.links() == links
    assert "back" not in island("network", "ls")


def test_subnets_come_from_the_pools_of_the_configuration_until_all_are_used(island: Island) -> None:
    with open(f"{island.where.root}/daemon.json", "w") as file:
        json.dump({"default-address-pools": [{"base": "10.77.0.0/23", "size": 24}]}, file)
    assert island("run", "--rm", "busybox", "ip", "-o", "-4", "addr", "show", "eth0").split()[3] == "10.77.0.2/24"
    island("network", "create", "second")
    links = island.links()
    said = island.fail("network", "create", "third")
    assert said.startswith("all predefined address pools have been fully subnetted; remove networks")
    assert island.links() == links
    island("network", "rm", "second")
    island("network", "create", "third")
    assert json.loads(island("network", "inspect", "third"))[0]["IPAM"]["Config"][0]["Subnet"] == "10.77.1.0/24"


@pytest.mark.parametrize("pools", ['[{"base": "10.77.0.0/24", "size": 16}]', '[{"base": "x", "size": 24}]', "7"])
def test_pools_that_mean_nothing_are_refused(island: Island, pools: str) -> None:
    with open(f"{island.where.root}/daemon.json", "w") as file:
        file.write(f'{{"default-address-pools": {pools}}}')
    said = island.fail("network", "create", "front")
    assert "invalid value of default-address-pools" in said
    assert '[{"base": "10.1.0.0/16", "size": 24}]' in said


def test_cable_that_somebody_deletes_is_laid_again_by_disconnect_and_connect(island: Island) -> None:
    island("network", "create", "front")
    island.serve("web", "--network", "front", "-p", "8080:80")
    other = island.serve("other", "--network", "front")
    (cable,) = [one.host_link for one in island.call(lambda engine: list(engine.networks.store.all_endpoints()))
                if one.name == "web"]  # fmt: skip
    island.here.run("ip", "link", "del", cable)
    assert ask(island.world, ISLAND, 8080) == ""
    assert ask(island.here, other) == "this is other"
    island("network", "disconnect", "front", "web")
    island("network", "connect", "front", "web")
    address = island.network_of("web", "front")["IPAddress"]
    assert ask(island.here, address) == "this is web"
    island("rm", "-f", "web", "other")
    island("network", "rm", "front")
    assert not [name for name in island.settled_links() if name.startswith("ct-")]


def test_table_of_a_container_whose_cable_was_deleted_is_clean_after_its_end(island: Island) -> None:
    island.serve("web", "-p", "8080:80")
    for name in island.links():
        if name.startswith("veth"):
            island.here.run("ip", "link", "del", name)
    island("rm", "-f", "web")
    await_that(lambda: "8080" not in island.here.run("nft", "list", "ruleset"))
    island.serve("other", "-p", "8080:80")
    assert ask(island.world, ISLAND, 8080) == "this is other"
    assert os.path.exists(f"{island.where.run}/containers")
