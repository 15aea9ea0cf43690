"""A monitor outlives what goes wrong around it: its log, its descriptors, and whoever is attached to it."""

import json
import os
import resource
import socket
import time
from contextlib import ExitStack

import pytest

from tests.support.engines import BUSYBOX
from toolkit.engine.container import RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.runtime import client, frames

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_PRINTS_UNTIL_TERM = "trap 'echo end; exit 7' TERM; while :; do echo line; sleep 0.01; done"


def _started(engine: Engine, script: str) -> Container:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", script)))
    container.start()
    while not list(container.logs()):
        time.sleep(0.01)
    return container


def _monitor(one: Container) -> int:
    with open(f"{one.run_dir}/status.json") as file:
        return int(json.load(file)["monitor"])


def test_log_that_cannot_grow_is_no_reason_to_die(engine: Engine) -> None:
    container = _started(engine, _PRINTS_UNTIL_TERM)
    monitor = _monitor(container)
    limits = resource.prlimit(monitor, resource.RLIMIT_FSIZE)
    resource.prlimit(monitor, resource.RLIMIT_FSIZE, (10, limits[1]))  # from here on EFBIG
    time.sleep(0.3)
    assert container.status == RUNNING
    resource.prlimit(monitor, resource.RLIMIT_FSIZE, limits)
    assert container.stop(5) == 7
    texts = [line.text for line in container.logs()]
    assert texts[-1] == "end\n"
    assert set(texts[:-1]) == {"line\n"}


def test_lack_of_descriptors_turns_newcomers_away_and_no_more(engine: Engine) -> None:
    container = _started(engine, _PRINTS_UNTIL_TERM)
    monitor = _monitor(container)
    limits = resource.prlimit(monitor, resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir(f"/proc/{monitor}/fd"))) + 4
    resource.prlimit(monitor, resource.RLIMIT_NOFILE, (most, limits[1]))
    with ExitStack() as guests:
        while (session := client.attach(container.run_dir, output=True, stdin=False)) is not None:  # until EMFILE
            guests.callback(session.close)
        before_s = _cpu_s(monitor)
        assert client.attach(container.run_dir, output=True, stdin=False) is None
        time.sleep(0.5)
        assert _cpu_s(monitor) - before_s < 0.25, "it spins"
    time.sleep(0.2)  # until it has noticed that they left
    with container.attach() as attachment:
        assert attachment.read() is not None
    assert container.stop(5) == 7


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"op":' + b"[" * 100_000,
        b"\xff\xfe",
        b'{"op": "resize", "rows": {}, "columns": []}',
        b'{"op": ["attach"]}',
        b"null",
    ],
)
def test_nonsense_from_who_is_attached_costs_only_him(engine: Engine, content: bytes) -> None:
    container = _started(engine, _PRINTS_UNTIL_TERM)
    directory = os.open(container.run_dir, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"/proc/self/fd/{directory}/attach.sock")
        sock.sendall(frames.frame(frames.CONTROL, content))
        time.sleep(0.1)
    os.close(directory)
    assert container.status == RUNNING
    assert container.stop(5) == 7
