"""Hostile clients of a monitor's socket and of a zygote's: the container goes on, whatever they send."""

import json
import os
import random
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.attacker import container_of
from tests.support.engines import BUSYBOX, collect, run
from toolkit.engine.container import RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ExecOptions
from toolkit.runtime import client, frames

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_DEEP = b"[" * 200_000
_STRANGE = (None, 0, -1, 1 << 70, 0.5, 1e308, "", "x" * 5000, [], {}, [[]], {"op": "attach"}, True, "\x00", "\ud800")


@pytest.fixture
def container(engine: Engine) -> Container:
    """Return a container whose monitor has somebody attached to it already."""
    return container_of(engine, "cat", image=BUSYBOX, open_stdin=True)


@contextmanager
def _address(directory: str, name: str) -> Iterator[str]:
    """Give a short path of a socket: an address takes 107 bytes."""
    fd = os.open(directory, os.O_PATH)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)


def _connect(container: Container) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    with _address(container.run_dir, "attach.sock") as address:
        sock.connect(address)
    sock.settimeout(5)
    return sock


def _is_well(container: Container) -> bool:
    """Tell whether it runs, and whether whoever attaches now is served."""
    with container.attach() as attachment:
        attachment.write_stdin(b"still here\n")
        answered = any(b"still here" in output.data for output in attachment)
    return container.status == RUNNING and answered


def _control(generator: random.Random) -> bytes:
    keys = ("op", "rows", "columns", "output", "stdin", "event", "pid", "")
    operations = ("attach", "resize", "close-stdin", "go", "abort", "pause", "stop", "", None, 5)
    message = {generator.choice(keys): generator.choice(_STRANGE) for _ in range(generator.randint(0, 6))}
    message["op"] = generator.choice(operations)
    if message["op"] == "close-stdin":
        message["op"] = "close"  # that one would be obeyed
    return json.dumps(message).encode()


def _bytes(generator: random.Random) -> bytes:
    return generator.randbytes(generator.randint(0, 300))


def _frame(generator: random.Random) -> bytes:
    kind = generator.choice((1, 2, 3, 4, 4, 4, 5, 255))
    content = generator.choice((_control, _control, _bytes))(generator)
    length = generator.choice((len(content),) * 6 + (0, len(content) + 1, frames.MAX_CONTENT, 0xFFFFFFFF))
    return struct.pack(">BBBBL", kind, *generator.randbytes(3), length) + content


@pytest.mark.parametrize("seed", range(6))
def test_any_bytes_leave_the_monitor_as_it_was(container: Container, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - reproducible, not secret
    for _connection in range(25):
        with _connect(container) as sock:
            try:
                for _frame_number in range(generator.randint(1, 12)):
                    sock.sendall(_frame(generator))
            except (BrokenPipeError, ConnectionResetError):
                continue  # it was told to go away
    assert _is_well(container)


@pytest.mark.parametrize(
    "content", [_DEEP, b'{"op":' + _DEEP, b"\xff\xfe\x00", b"\x00" * 1000, b'{"op": "attach", "op": 1e999}'], ids=len
)
def test_json_that_python_cannot_follow_ends_its_own_connection(container: Container, content: bytes) -> None:
    with _connect(container) as sock:
        sock.sendall(frames.frame(frames.CONTROL, content))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    assert _is_well(container)


def test_more_connections_than_a_monitor_has_descriptors_do_not_end_it(container: Container) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3000:
        pytest.skip("this process may not open as many files itself")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    connections: list[socket.socket] = []
    tries = 100
    try:
        while len(connections) < 1500:
            sock = socket.socket(socket.AF_UNIX)
            connections.append(sock)
            sock.settimeout(0)
            try:
                with _address(container.run_dir, "attach.sock") as address:
                    sock.connect(address)
            except BlockingIOError:
                time.sleep(0.002)  # its backlog is full for now
                tries -= 1
                if not tries:
                    break
        assert container.status == RUNNING
    finally:
        for sock in connections:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert _is_well(container)


def test_client_that_never_reads_does_not_stop_others_for_good(engine: Engine) -> None:
    container = container_of(engine, "sh", "-c", "yes | head -c 20000000; exec cat", image=BUSYBOX, open_stdin=True)
    with _connect(container) as deaf:
        deaf.sendall(frames.control({"op": "attach", "output": True}))
    assert _is_well(container)


# The zygote


def _zygote(engine: Engine) -> str:
    return next(f"{engine.paths.run}/{name}" for name in os.listdir(engine.paths.run) if name.endswith(".sock"))


def _nothing(_sock: socket.socket) -> None:
    pass


def _half_a_header(sock: socket.socket) -> None:
    sock.sendall(b"\x04\0\0")


def _huge(sock: socket.socket) -> None:
    sock.sendall(b"\x04\0\0\0\xff\xff\xff\xff")


def _garbage(sock: socket.socket) -> None:
    sock.sendall(frames.frame(frames.CONTROL, os.urandom(500)))


def _half_a_frame(sock: socket.socket) -> None:
    sock.sendall(frames.frame(frames.CONTROL, b"x" * 500)[:100])


@pytest.mark.parametrize("say", [_nothing, _half_a_header, _huge, _garbage, _half_a_frame])
def test_zygote_serves_the_next_whatever_the_last_one_said(
    engine: Engine, say: Callable[[socket.socket], None]
) -> None:
    assert run(engine, "true").code == 0
    for _again in range(3):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(_zygote(engine))
            say(sock)
        assert run(engine, "echo", "served").out == "served\n"


def test_exec_survives_a_client_that_leaves_at_once(engine: Engine, container: Container) -> None:
    for _again in range(5):
        container.exec(ExecOptions(("sleep", "0.05"))).close()
    assert collect(container.exec(ExecOptions(("echo", "done")))).out == "done\n"
    assert isinstance(engine.launcher.zygote, client.Zygote)
