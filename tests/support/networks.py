"""A machine within the machine: a network namespace in which an engine makes bridges and rules.

No link, route, rule or sysctl of the machine that runs the tests is touched:
the engine's processes live in a namespace that is this test's, with an uplink
to a second one, the world.

    world 203.0.113.1 ---- 203.0.113.2 island: bridges, rules, containers
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import pytest

from tests.support.child import in_child
from tests.support.engines import open_engine
from tests.support.session import EngineRoot
from toolkit.engine.engine import Engine
from toolkit.linux import namespace

T = TypeVar("T")
WORLD, ISLAND = "203.0.113.1", "203.0.113.2"
WORLD6, ISLAND6 = "2001:db8:77::1", "2001:db8:77::2"
NEEDS = ("root", "overlay", "nft", "ip", "link:bridge", "link:veth")
_PROGRAM = (sys.executable, "-m", "toolkit.cli")


class Place(NamedTuple):
    """A network namespace, held by its descriptor."""

    fd: int

    def enter(self) -> None:
        """Have the calling process live in it."""
        namespace.setns(self.fd, namespace.CLONE_NEWNET)

    def call(self, function: Callable[[], T]) -> T:
        """Return what `function` returns in a child that lives in it."""

        def inside() -> T:
            self.enter()
            return function()

        return in_child(inside)

    def run(self, *argv: str, check: bool = True, stdin: str = "") -> str:
        """Run a program in it; return what it printed."""
        ended = subprocess.run(self.argv(argv), input=stdin, capture_output=True, text=True, check=False, timeout=60)
        assert not check or ended.returncode == 0, ended.stderr
        return ended.stdout

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """Start a program in it."""
        return subprocess.Popen(self.argv(argv), stdout=subprocess.PIPE, text=True)

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return a command that runs another in it."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.fd}", *argv]


def new_place() -> Place:
    """Make a network namespace with its loopback up."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            namespace.unshare(namespace.CLONE_NEWNET)
            os.write(writer, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.read(reader, 1)
    place = Place(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
    place.run("ip", "link", "set", "lo", "up")
    return place


class Island:
    """An engine that lives in a namespace of its own, and the world beyond it."""

    def __init__(self, where: EngineRoot) -> None:
        self.where = where
        self.here = new_place()
        self.world = new_place()
        self._started: list[subprocess.Popen[str]] = []
        path = f"/proc/{os.getpid()}/fd/{self.world.fd}"
        self.here.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", path)
        for place, own, own6 in ((self.here, ISLAND, ISLAND6), (self.world, WORLD, WORLD6)):
            place.run("ip", "addr", "add", f"{own}/24", "dev", "up0")
            place.run("ip", "addr", "add", f"{own6}/64", "dev", "up0", "nodad")
            place.run("ip", "link", "set", "up0", "up")
        self.here.run("ip", "route", "add", "default", "via", WORLD)
        self.here.run("ip", "route", "add", "default", "via", WORLD6)
        self.environ = {**os.environ, "CONTAINER_ROOT": where.root, "CONTAINER_RUN": where.run}

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run `container WORDS` there; return its output without the last line end."""
        ended = self.attempt(*words)
        assert ended.returncode == code, ended.stderr
        return ended.stdout.rstrip("\n")

    def attempt(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `container WORDS` there, however it ends."""
        return subprocess.run(
            self.here.argv([*_PROGRAM, *words]),
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def fail(self, *words: str, code: int = 1) -> str:
        """Run a command that must fail with one line; return the line."""
        ended = self.attempt(*words)
        assert ended.returncode == code, (ended.returncode, ended.stdout, ended.stderr)
        lines = ended.stderr.splitlines()
        assert len(lines) == 1, ended.stderr
        return lines[0].removeprefix("container: ")

    def call(self, function: Callable[[Engine], T]) -> T:
        """Return what `function` returns of the engine, in a child that lives there."""

        def inside() -> T:
            with Engine.open(self.where.root, self.where.run) as engine:
                return function(engine)

        return self.here.call(inside)

    def network_pids(self) -> list[int]:
        """Return the pids of the engine's network process."""
        return self._pids("network-")

    def dns_pids(self) -> list[int]:
        """Return the pids of the engine's name server."""
        return self._pids("dns.sock")

    def _pids(self, socket_name: str) -> list[int]:
        wanted = f"{self.where.run}/{socket_name}".encode()
        found: list[int] = []
        for name in os.listdir("/proc"):
            if name.isdecimal():
                try:
                    with open(f"/proc/{name}/cmdline", "rb") as file:
                        if any(word.startswith(wanted) for word in file.read().split(b"\0")):
                            found.append(int(name))
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it has just ended
        return found

    def kill_network_process(self) -> None:
        """Kill it, and wait until it is gone."""
        for pid in self.network_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await_that(lambda: not self.network_pids())

    def links(self) -> list[str]:
        """Return the names of the links there."""
        return [line.split()[0].partition("@")[0] for line in self.here.run("ip", "-br", "link").splitlines()]

    def settled_links(self) -> list[str]:
        """Wait until the kernel has taken away the cables of those who have ended; return what links there are."""
        await_that(lambda: not any(name.startswith("veth") for name in self.links()))
        return self.links()

    def close(self) -> None:
        """Remove all containers and networks, and end what runs there."""
        for running in self._started:
            if running.poll() is None:
                running.kill()
                running.communicate()

        def end(engine: Engine) -> None:
            for container in engine.containers.list(all=True):
                container.remove(force=True)
            engine.shutdown()

        self.call(end)
        await_that(lambda: not self.network_pids() + self.dns_pids())
        os.close(self.here.fd)
        os.close(self.world.fd)

    def answer(self, place: Place, address: str, port: int, kind: str = "tcp") -> "subprocess.Popen[str]":
        """Have a program in a place tell whoever asks the address that it comes from; it ends with the island."""
        running = place.start(sys.executable, "-c", _ANSWER, address, str(port), kind)
        self._started.append(running)
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        return running

    def begun(self, running: "subprocess.Popen[str]") -> None:
        """Have a program end with the island."""
        self._started.append(running)

    def running(self) -> int:
        """Return how many programs run that end with the island."""
        return len(self._started)

    def end_all_but(self, number: int) -> None:
        """End those that were started after the first `number`."""
        for running in self._started[number:]:
            running.kill()
            running.communicate()
        del self._started[number:]

    def program(self, *words: str) -> "list[str]":
        """Return the command line of `container WORDS`."""
        return [*_PROGRAM, *words]

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Start `container WORDS` there and let it run; it ends with the island."""
        argv = self.here.argv([*_PROGRAM, *words])
        running = subprocess.Popen(argv, env=self.environ, stderr=subprocess.PIPE, text=True)
        self._started.append(running)
        return running

    def serve(self, name: str, *options: str, port: int = 80) -> str:
        """Start a container that says "this is NAME" to whoever connects; return its address in its first network."""
        self("run", "-d", "--name", name, *options, "busybox", *listen(f"this is {name}", port))
        address = self.network_of(name)["IPAddress"]
        await_that(lambda: ask(self.here, address, port) == f"this is {name}")
        return str(address)

    def pid_of(self, name: str) -> int:
        """Return the pid of a container's first process."""
        return int(self("inspect", "--format", "{{.State.Pid}}", name))

    def network_of(self, name: str, network: str = "") -> dict[str, Any]:
        """Return what inspect tells of a container in a network; the first one where none is named."""
        found: dict[str, Any] = json.loads(self("inspect", name))[0]["NetworkSettings"]["Networks"]
        return dict(found[network or next(iter(found))])


def await_that(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def make_island(where: EngineRoot, template_root: str) -> Island:
    """Make an island whose engine has the image busybox."""
    os.unlink(f"{where.root}/daemon.json")  # the default network is what is tested here
    open_engine(where, template_root).close()
    return Island(where)


@pytest.fixture
def island(engine_root: EngineRoot, template_root: str) -> Iterator[Island]:
    """Return an island of this test alone."""
    made = make_island(engine_root, template_root)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_island(module_engine_root: EngineRoot, template_root: str) -> Iterator[Island]:
    """Return an island that the tests of a module share."""
    made = make_island(module_engine_root, template_root)
    yield made
    made.close()


def listen(text: str, port: int = 80) -> Sequence[str]:
    """Return a command for a container that says `text` to whoever connects to a port."""
    return ("nc", "-ll", "-p", str(port), "-e", "echo", text)


def ask(place: Place, address: str, port: int = 80, *, udp: bool = False) -> str:
    """Return what is said to who connects from a place to a port, or "" where nobody answers."""

    def inside() -> str:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as asker:
            asker.settimeout(2)
            try:
                asker.connect((address, port))
                if udp:
                    asker.send(b"?")
                return asker.recv(100).decode().strip()
            except OSError:
                return ""

    return place.call(inside)


_ANSWER = """
import socket, sys
address, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
listener = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((address, port))
if kind == "tcp":
    listener.listen()
print("ready", flush=True)
while True:
    if kind == "udp":
        said, peer = listener.recvfrom(100)
        listener.sendto(peer[0].encode(), peer)
    else:
        connection, peer = listener.accept()
        connection.sendall(peer[0].encode())
        connection.close()
"""
"""Tells whoever asks the address that it comes from."""


__all__ = ["NEEDS", "Island", "Place", "ask", "await_that", "island", "listen", "shared_island"]
