"""A container's mounts go after its end has been told: to take down an overlay may mean to write a whole disk."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.attacker import sabotage_zygote
from tests.support.engines import BUSYBOX, collect
from tests.support.family import Family, settle
from toolkit.engine.container import EXITED, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_SLOW = """
import os, time
from toolkit.runtime import monitor
def _close(fd):
    if fd >= 0 and os.readlink(f"/proc/self/fd/{{fd}}").startswith("mnt:"):
        while not os.path.exists({path!r}):
            time.sleep(0.01)
    if fd >= 0:
        os.close(fd)
monitor._close = _close
"""
"""Taking its mounts down takes a monitor until a file is there."""


@pytest.fixture
def disk(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Return the file that lets mounts go."""
    path = tmp_path / "ready"
    sabotage_zygote(engine, monkeypatch, _SLOW.format(path=str(path)))
    yield path
    path.touch()


def _run(engine: Engine, *argv: str, **options: object) -> Container:
    container = engine.containers.create(ContainerOptions(BUSYBOX, argv, **options))  # type: ignore[arg-type]
    container.start()
    return container


def _keepers(family: Family) -> list[int]:
    """Return the monitors that keep the mounts of a container."""
    return [pid for pid, one in family.members().items() if any(path.startswith("mnt:[") for path in one.files)]


def _holders(container: Container) -> list[str]:
    """Return the mounts of other processes that name a container's files."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            found += [line for line in path.read_text().splitlines() if container.id in line]
        except OSError:
            continue
    return found


@pytest.mark.parametrize("auto_remove", [False, True])
def test_end_is_told_before_the_mounts_are_gone(engine: Engine, disk: Path, auto_remove: bool) -> None:  # noqa: FBT001 - a parameter
    family = Family(engine)
    container = engine.containers.create(
        ContainerOptions(BUSYBOX, ("sh", "-c", "sleep 0.3; exit 3"), auto_remove=auto_remove)
    )
    attachment = container.start(attach=True)
    assert attachment is not None
    assert collect(attachment).code == 3
    assert _keepers(family) != []
    if not auto_remove:
        assert container.status == EXITED
    disk.touch()
    assert settle(family, engine, container, recover=False) == []


def test_who_starts_it_again_waits_until_they_are(engine: Engine, disk: Path) -> None:
    container = _run(engine, "sh", "-c", "sleep 0.3; exit 3")
    assert container.wait() == 3
    again = threading.Thread(target=container.start)
    again.start()
    again.join(0.5)
    assert again.is_alive()
    disk.touch()
    again.join(10)
    assert not again.is_alive()
    assert container.wait() == 3


def test_others_need_not_wait(engine: Engine, disk: Path) -> None:
    container = _run(engine, "sleep", "0.3")
    container.wait()
    other = _run(engine, "sh", "-c", "exit 4")
    assert other.wait() == 4
    container.remove()
    disk.touch()
    other.remove()


def test_killed_monitor_lets_the_mounts_go(engine: Engine, disk: Path) -> None:
    family = Family(engine)
    container = _run(engine, "sh", "-c", "sleep 0.3; exit 3")
    assert container.wait() == 3
    (monitor,) = _keepers(family)
    os.kill(monitor, signal.SIGKILL)
    container.start()
    disk.touch()
    assert container.wait() == 3


def test_of_a_container_with_a_mount_of_the_users_they_go_first(engine: Engine, disk: Path, tmp_path: Path) -> None:
    """Who stops it may want to unplug what was mounted."""
    family = Family(engine)
    (tmp_path / "stick").mkdir()
    container = _run(engine, "sh", "-c", "sleep 0.3; exit 3", binds=(f"{tmp_path}/stick:/stick",))
    assert container.wait() == 3
    assert _keepers(family) == []
    assert _holders(container) == []
    assert not disk.exists()
