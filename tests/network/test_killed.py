"""The network process killed by each of its messages to the kernel, while it connects and disconnects."""

import re
import subprocess

import pytest

from tests.support.networks import ISLAND, NEEDS, Island, ask
from toolkit.engine.engine import Engine
from toolkit.engine.wish import Wish
from toolkit.network.client import NetworkLostError

pytestmark = pytest.mark.needs(*NEEDS, "strace")
_ADDRESS = "10.8.0.9"
_MOST = 30
"""Of messages in one request; fewer are needed."""


class Killer:
    """Has the network process killed as it sends its message number `number` to the kernel, counted from now on."""

    def __init__(self, island: Island, call: str, number: int) -> None:
        (self.pid,) = island.network_pids()
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        argv = ["strace", "-f", "-e", f"trace={call}", "-e", inject, "-o", "/dev/null", "-p", str(self.pid)]
        self._strace = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        assert self._strace.stderr is not None
        assert "attached" in self._strace.stderr.readline()

    def has_struck(self) -> bool:
        """Stop, and tell whether it was killed."""
        self._strace.terminate()
        self._strace.communicate()
        try:
            with open(f"/proc/{self.pid}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] in "ZX"
        except FileNotFoundError:
            return True


def _settled(island: Island) -> "tuple[list[str], str]":
    """Return what links there are, without the names of cables, and the rules."""
    links = sorted(re.sub("^veth.*", "veth", name) for name in island.links())
    return links, island.here.run("nft", "list", "ruleset")


@pytest.mark.parametrize("name", ["connect", "disconnect"])
@pytest.mark.parametrize("call", ["sendto", "sendmsg"])
def test_deed_is_whole_at_whatever_message_the_process_is_killed(island: Island, name: str, call: str) -> None:
    island("network", "create", "--subnet", "10.8.0.0/24", "front")
    island.serve("web", "--network", "front", "--ip", _ADDRESS, "-p", "8080:80")
    states = {"connect": _settled(island)}
    assert _deed(island, "disconnect")
    states["disconnect"] = _settled(island)
    said = {"connect": "this is web", "disconnect": ""}
    opposite = "disconnect" if name == "connect" else "connect"
    struck = 0
    for number in range(1, _MOST):
        if number > 1 or name == "disconnect":
            assert _deed(island, opposite)
        killer = Killer(island, call, number)
        assert _deed(island, name)  # one that is killed has a successor, which is asked again
        was_killed = killer.has_struck()
        assert _settled(island) == states[name], number
        assert ask(island.world, ISLAND, 8080) == said[name]
        if not was_killed:
            break
        struck += 1
    assert 1 <= struck < _MOST - 1
    island("rm", "-f", "web")
    assert island.call(_kept) == []


def _deed(island: Island, name: str) -> bool:
    """Connect the container to the network, or disconnect it; tell whether that was done."""

    def inside(engine: Engine) -> bool:
        container = engine.containers.get("web")
        try:
            if name == "connect":
                engine.networks.connect("front", container, Wish(ip=_ADDRESS))
            else:
                engine.networks.disconnect("front", container)
        except NetworkLostError:
            return False
        return True

    return island.call(inside)


def _kept(engine: Engine) -> "list[str]":
    """Return what addresses and endpoints are kept."""
    return [row.id for kind in ("address", "endpoint") for row in engine.state.list(kind)]
