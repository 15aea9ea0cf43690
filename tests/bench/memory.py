"""What the engine's own processes weigh while containers idle."""

import contextlib
import os
import time
from collections.abc import Iterator

from tests.bench.measure import Figure
from toolkit.engine import Engine
from toolkit.engine.container import Container
from toolkit.engine.options import ContainerOptions

MONITOR_MB, ZYGOTE_MB = 0.6, 15.0
MANY = 20
SETTLE_S = 3.0
"""Until a monitor that has nothing to do sleeps."""


def _smaps_kb(pid: int) -> dict[str, int]:
    """Read /proc/PID/smaps_rollup, in kB."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        lines = [line.split() for line in file]
    return {fields[0].rstrip(":"): int(fields[1]) for fields in lines if fields[-1] == "kB"}


def pss_mb(pid: int) -> float:
    """Return the proportional set size: private pages, and each shared page divided by its users."""
    return _smaps_kb(pid)["Pss"] / 1e3


def uss_mb(pid: int) -> float:
    """Return the unique set size: what would be free if the process ended."""
    memory = _smaps_kb(pid)
    return (memory["Private_Clean"] + memory["Private_Dirty"]) / 1e3


def rss_mb(pid: int) -> float:
    """Return the resident set size."""
    return _smaps_kb(pid)["Rss"] / 1e3


def parent(pid: int) -> int:
    """Return a process's parent, from /proc/PID/stat."""
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def reserve_mb(zygote: int, monitors: list[int]) -> float:
    """Return the proportional set size of all that a zygote keeps ready: two pairs and a helper, a monitor each.

    A worker and its keeper have one memory.
    """
    ready = [pid for pid in _children(zygote) if pid not in monitors]
    return sum(pss_mb(monitor) + max(map(pss_mb, _children(monitor)), default=0.0) for monitor in ready)


def image_mb(zygote: int) -> float:
    """Return the size of the file that a zygote and its monitors live in; who sleeps counts none of it."""
    with open(f"/proc/{zygote}/maps") as file:
        addresses = next(line.split()[0] for line in file if "/memfd:frozen" in line)
    return os.stat(f"/proc/{zygote}/map_files/{addresses}").st_blocks * 512 / 1e6


@contextlib.contextmanager
def idle(engine: Engine, image: str, count: int) -> Iterator[list[Container]]:
    """Run `count` containers that sleep."""
    options = ContainerOptions(image=image, command=("sleep", "3600"), network="none")
    containers = [engine.containers.create(options) for _ in range(count)]
    try:
        for container in containers:
            container.start()
        time.sleep(SETTLE_S)
        yield containers
    finally:
        for container in containers:
            container.remove(force=True)


def weigh(engine: Engine, image: str) -> Iterator[Figure]:
    """Weigh the monitors with one container and with many, and the zygote."""
    for count in (1, MANY):
        with idle(engine, image, count) as containers:
            monitors = [parent(container.pid) for container in containers]
            assert os.getpid() not in monitors
            pss = sum(map(pss_mb, monitors)) / count
            uss = sum(map(uss_mb, monitors)) / count
            zygote = parent(monitors[0])
            with open(f"/proc/{zygote}/cmdline") as file:
                assert "zygote" in file.read(), "the monitors' parent is not the zygote"
            yield Figure("memory", f"monitor, PSS, {count} idle container(s)", pss, "MB", MONITOR_MB)
            yield Figure("memory", f"monitor, USS, {count} idle container(s)", uss, "MB")
            yield Figure("memory", f"zygote, RSS, {count} idle container(s)", rss_mb(zygote), "MB", ZYGOTE_MB)
            yield Figure("memory", f"zygote, PSS, {count} idle container(s)", pss_mb(zygote), "MB")
            yield Figure("memory", "what it keeps in reserve, PSS", reserve_mb(zygote, monitors), "MB")
            yield Figure("memory", "of both in the file that all sleep on, once for all", image_mb(zygote), "MB")
