"""Containers in the default bridge beside dockerd's: bytes, connections, lives; in a network namespace of its own.

What sends and receives is this program, moved into the containers' network
namespaces: the same for both engines, and faster than what an image has.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.bench.docker import Docker, dockerd
from tests.bench.measure import PER_SECOND, Figure, Rounds, interleave, timed
from tests.bench.start import run_once
from tests.support.child import in_child
from toolkit.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.linux import namespace
from toolkit.network.binding import PortBinding

LIFE_RATIO, CABLE_RATIO, LOOPBACK_RATIO, CONNECT_RATIO = 0.12, 1.0, 1 / 1.3, 0.5
_BYTES, _CHUNK = 512 * 1024**2, 1 << 20
_CONNECTIONS = 2000
_STARTS = 500
_SETTLE_S = 20.0
_PORT, _OURS, _THEIRS = 5000, 18080, 18081


class Pair(NamedTuple):
    """Two containers of one engine."""

    server_pid: int
    client_pid: int
    address: str
    """The server's."""
    port: int
    """Of this machine, that leads to the server's."""


def net(image: str, directory: str, rounds: int) -> list[Figure]:
    """Measure in a child, in a network namespace that goes with it."""
    return in_child(lambda: list(_measure(image, directory, rounds)), new=namespace.CLONE_NEWNET)


def _measure(image: str, directory: str, rounds: int) -> Iterator[Figure]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.mkdir(f"{directory}/net", 0o711)
    engine = Engine.open(f"{directory}/net/root", f"{directory}/net/run")
    archive = f"{directory}/net/image.tar"
    try:
        engine.images.get(image)
        with open(archive, "wb") as file:
            engine.images.save([image], file)
        with dockerd(f"{directory}/net/docker", has_networks=True) as docker:
            if docker is not None:
                docker.load(archive)
            yield from _life(engine, image, docker, max(rounds // 3, 3))
            with _ours(engine, image) as ours, _theirs(docker, image) as theirs:
                pairs = {"ours": ours, **({"docker": theirs} if theirs is not None else {})}
                yield from _bytes(pairs, max(rounds // 6, 3))
                yield from _connections(pairs, max(rounds // 6, 3))
        yield _left(engine, image)
    finally:
        engine.shutdown()


def _life(engine: Engine, image: str, docker: Docker | None, rounds: int) -> Iterator[Figure]:
    contenders = {"ours": timed(lambda: run_once(engine, image, "bridge"))}
    if docker is not None:
        contenders["docker"] = timed(lambda: docker.run(image, ["/bin/true"], network="bridge"))
    times = interleave(contenders, rounds, warm_up=2)
    what = "create + start + wait + remove in the default bridge"
    yield from _compared(what, times, 1e3, "ms", LIFE_RATIO)


def _compared(what: str, times: Rounds, factor: float, unit: str, target: float) -> Iterator[Figure]:
    """Yield a figure of ours with its ratio, and docker's."""
    has_peer = "docker" in times.times_s
    ratio = times.ratio("ours", "docker") if has_peer else None
    yield Figure("net", what, times.median_s("ours") * factor, unit, ratio=ratio, ratio_target=target)
    if has_peer:
        yield Figure("net", f"{what}, dockerd", times.median_s("docker") * factor, unit)


@contextlib.contextmanager
def _ours(engine: Engine, image: str) -> Iterator[Pair]:
    options = ContainerOptions(image=image, command=("sleep", "3600"), network="bridge")
    server = engine.containers.create(options._replace(publish=(PortBinding(_PORT, host_port=_OURS),)))
    client = engine.containers.create(options)
    try:
        for each in (server, client):
            each.start()
        address = str(server.inspect()["NetworkSettings"]["IPAddress"])
        yield Pair(server.pid, client.pid, address, _OURS)
    finally:
        for each in (server, client):
            each.remove(force=True)


@contextlib.contextmanager
def _theirs(docker: Docker | None, image: str) -> Iterator[Pair | None]:
    if docker is None:
        yield None
        return
    made = [docker.create(image, ["sleep", "3600"], network="bridge", ports=ports) for ports in ({_PORT: _THEIRS}, {})]
    try:
        for ident in made:
            docker.start(ident)
        server, client = (json.loads(docker.call("GET", f"/containers/{ident}/json")) for ident in made)
        networks = server["NetworkSettings"]["Networks"]
        yield Pair(server["State"]["Pid"], client["State"]["Pid"], networks["bridge"]["IPAddress"], _THEIRS)
    finally:
        for ident in made:
            docker.remove(ident)


def _bytes(pairs: dict[str, Pair], rounds: int) -> Iterator[Figure]:
    """Send bytes from one container to the other, and from here through the published port on 127.0.0.1."""
    with contextlib.ExitStack() as stack:
        for pair in pairs.values():
            stack.enter_context(_in_namespace(pair.server_pid, lambda: _serve(_take_all)))
        cables = {
            name: (lambda pair=pair: _ask_in(pair.client_pid, lambda: _send(pair.address, _PORT)))
            for name, pair in pairs.items()
        }
        times = interleave(cables, rounds)
        yield from _compared(f"{_BYTES >> 20} MB from container to container", times, 1.0, "s", CABLE_RATIO)
        loopbacks = {name: (lambda pair=pair: _send("127.0.0.1", pair.port)) for name, pair in pairs.items()}
        times = interleave(loopbacks, rounds)
        yield from _compared(f"{_BYTES >> 20} MB to a published port on 127.0.0.1", times, 1.0, "s", LOOPBACK_RATIO)


def _connections(pairs: dict[str, Pair], rounds: int) -> Iterator[Figure]:
    with contextlib.ExitStack() as stack:
        for pair in pairs.values():
            stack.enter_context(_in_namespace(pair.server_pid, lambda: _serve(_say_one_byte)))
        contenders = {name: (lambda pair=pair: _connect_often(pair.port)) for name, pair in pairs.items()}
        times = interleave(contenders, rounds)
    what = f"{_CONNECTIONS} connections to a published port on 127.0.0.1, one after the other"
    yield from _compared(what, times, 1.0, "s", CONNECT_RATIO)
    yield Figure("net", "of ours", _CONNECTIONS / times.median_s("ours"), PER_SECOND)


@contextlib.contextmanager
def _in_namespace(pid: int, deed: Callable[[], None]) -> Iterator[None]:
    """Have a child do something in the network namespace of a process, until the block ends."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _enter(pid)
            os.close(reader)
            os.dup2(writer, 3)
            deed()
        finally:
            os._exit(1)
    os.close(writer)
    if os.read(reader, 1) != b".":
        raise RuntimeError("a server of the benchmark failed, see above")
    os.close(reader)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _enter(pid: int) -> None:
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    namespace.setns(fd, namespace.CLONE_NEWNET)
    os.close(fd)


def _serve(deed: Callable[[socket.socket], None]) -> None:
    with socket.create_server(("0.0.0.0", _PORT), backlog=1024) as listener:  # noqa: S104 - in a container
        os.write(3, b".")
        while True:
            connection, _peer = listener.accept()
            with connection:
                deed(connection)


def _take_all(connection: socket.socket) -> None:
    buffer, left = bytearray(_CHUNK), _BYTES
    while left and (count := connection.recv_into(buffer)):
        left -= count
    connection.sendall(b".")


def _say_one_byte(connection: socket.socket) -> None:
    connection.sendall(b".")


def _send(address: str, port: int) -> float:
    chunk = bytes(_CHUNK)
    start = time.perf_counter()
    with socket.create_connection((address, port)) as connection:
        for _number in range(_BYTES // _CHUNK):
            connection.sendall(chunk)
        if connection.recv(1) != b".":
            raise RuntimeError("the receiver left before it had all")
    return time.perf_counter() - start


def _connect_often(port: int) -> float:
    start = time.perf_counter()
    for _number in range(_CONNECTIONS):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            if connection.recv(1) != b".":
                raise RuntimeError("the server said nothing")
    return time.perf_counter() - start


def _ask_in(pid: int, deed: Callable[[], float]) -> float:
    """Return what a function returns in the network namespace of a process: of a thread that goes there and ends."""
    found: list[float] = []

    def inside() -> None:
        _enter(pid)
        found.append(deed())

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    return found[0]


def _left(engine: Engine, image: str) -> Figure:
    """Count links and rules that many starts and removes have left."""
    before = _traces()
    for _number in range(_STARTS):
        run_once(engine, image, "bridge")
    deadline = time.monotonic() + _SETTLE_S
    while (after := _traces()) != before and time.monotonic() < deadline:
        time.sleep(0.1)  # the kernel takes namespaces away when it has time
    left = len([line for line in after if line not in before])
    return Figure("net", f"links, addresses and rules left by {_STARTS} starts and removes", left, "lines", 0.0)


def _traces() -> list[str]:
    commands = (["ip", "-o", "link"], ["ip", "-o", "addr"], ["nft", "list", "ruleset"])
    outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for command in commands]
    return [line for output in outputs for line in output.splitlines()]
