"""Pulls that are interrupted, killed or doubled: in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.support.oci import Image, make_image
from tests.support.patience import wait_until
from tests.support.scripted import Request, ScriptedServer
from tests.support.scripted import head as head_of
from tests.support.session import EngineRoot
from toolkit.core.digest import Digest
from toolkit.core.state import State
from toolkit.image.images import Images
from toolkit.image.reference import parse_reference
from toolkit.registry.client import pull

pytestmark = pytest.mark.needs("root")

_PROGRAM = """
import sys
from contextlib import closing
from toolkit.core.state import State
from toolkit.image.images import Images
from toolkit.image.reference import parse_reference
from toolkit.registry.client import pull
root, name = sys.argv[1:]
with closing(State(root + "/state.db")) as state:
    try:
        pull(parse_reference(name), Images.open(root, state), progress=lambda state: print(*state, flush=True))
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
"""
_SIZE = 4_000_000


class SlowRegistry:
    """Serves one image; the second half of each blob only when it is let go."""

    def __init__(self, server: ScriptedServer, image: Image) -> None:
        self.name = f"{server.address}/a/b"
        self.is_open = False
        self.sent: dict[str, int] = dict.fromkeys(image.layers, 0)
        self.half_sent = 0
        self._server = server
        server.serve_image("a/b", "latest", image)
        for digest in image.layers:
            server.on("GET", f"/v2/a/b/blobs/{digest}", self._half(digest, image.blobs[digest]))

    def _half(self, digest: str, content: bytes) -> Callable[..., None]:
        def act(connection: object, request: Request) -> None:
            start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
            send = connection.sendall  # type: ignore[attr-defined]  # a socket, which acts need not know
            send(head_of(206 if start else 200, len(content) - start, headers))
            middle = max(start, len(content) // 2)
            send(content[start:middle])
            self.sent[digest] += middle - start
            self.half_sent += 1
            while not self.is_open and not self._server.closing.is_set():
                time.sleep(0.01)
            if self.is_open:
                send(content[middle:])
                self.sent[digest] += len(content) - middle

        return act


@pytest.fixture
def image() -> Image:
    return make_image({"a": os.urandom(_SIZE)}, {"b": os.urandom(_SIZE)}, compression="")


@pytest.fixture
def registry(image: Image) -> Iterator[SlowRegistry]:
    with ScriptedServer() as server:
        yield SlowRegistry(server, image)


def start(root: str, registry: SlowRegistry) -> "subprocess.Popen[str]":
    """Start a pull in a process of its own."""
    here = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, root, registry.name],
        env={**os.environ, "PYTHONPATH": here},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


until = partial(wait_until, patience_s=20)


def ingested(root: str) -> int:
    """Return how many bytes of unfinished blobs are on the disk."""
    directory = f"{root}/content/ingest"
    return sum(entry.stat().st_size for entry in os.scandir(directory)) if os.path.isdir(directory) else 0


def pull_here(root: str, registry: SlowRegistry, image: Image) -> None:
    with closing(State(f"{root}/state.db")) as state:
        images = Images.open(root, state)
        record = pull(parse_reference(registry.name), images)
        assert record.id == image.config_digest
        for digest in image.layers:
            assert images.content.read(Digest(digest)) == image.blobs[digest]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_pull_goes_on_from_what_is_on_disk(
    engine_root: EngineRoot, registry: SlowRegistry, image: Image, number: int
) -> None:
    process = start(engine_root.root, registry)
    until(lambda: registry.half_sent == 2 and ingested(engine_root.root) > _SIZE // 2)
    arrived = ingested(engine_root.root)
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == (130 if number == signal.SIGINT else -number), errors
    assert ("interrupted" in output) == (number == signal.SIGINT)
    assert "Traceback" not in errors
    registry.is_open = True
    registry.sent = dict.fromkeys(image.layers, 0)
    pull_here(engine_root.root, registry, image)
    missing = sum(len(image.blobs[digest]) for digest in image.layers) - arrived
    assert sum(registry.sent.values()) <= missing


def test_interrupt_ends_a_pull_at_once_while_the_registry_is_silent(
    engine_root: EngineRoot, registry: SlowRegistry
) -> None:
    process = start(engine_root.root, registry)
    until(lambda: registry.half_sent == 2)
    time.sleep(0.2)
    start_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert time.monotonic() - start_s < 2


def test_two_pulls_at_once_both_succeed_and_share_the_bytes(
    engine_root: EngineRoot, registry: SlowRegistry, image: Image
) -> None:
    processes = [start(engine_root.root, registry) for _ in range(2)]
    until(lambda: registry.half_sent >= 2)
    time.sleep(0.5)  # so that the other one waits for the locks
    registry.is_open = True
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert registry.sent == {digest: len(image.blobs[digest]) for digest in image.layers}
    pull_here(engine_root.root, registry, image)
