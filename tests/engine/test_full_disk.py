"""A full disk: one clear error, nothing half-made, and how a container ended is not lost."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.engines import BUSYBOX, close_engine, open_engine
from tests.support.family import Family, settle
from tests.support.patience import wait_until
from tests.support.session import EngineRoot
from toolkit.core.errors import EngineError, StorageFullError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.linux.mount import mount, umount

pytestmark = pytest.mark.needs("root", "overlay", "busybox", "tmpfs")


@pytest.fixture
def small(template_root: str, engine_root: EngineRoot) -> Iterator[Engine]:
    """Return an engine on a disk of a few megabytes, with the settings of every test's."""
    with open(f"{engine_root.root}/daemon.json") as file:
        settings = file.read()
    mount("tmpfs", engine_root.root, "tmpfs", 0, "size=16m,nr_inodes=3000")
    with open(f"{engine_root.root}/daemon.json", "w") as file:
        file.write(settings)
    made = open_engine(engine_root, template_root, shutil.copy2)
    yield made
    _free(made)
    close_engine(made)
    wait_until(lambda: _is_unmounted(engine_root.root), 10)  # the last monitor may be about to leave it


def _is_unmounted(path: str) -> bool:
    try:
        umount(path)
    except OSError as exc:
        if exc.errno != errno.EBUSY:
            raise
        return False
    return True


def _fill(engine: Engine, room: int = 0) -> None:
    """Leave so many bytes."""
    place = engine.paths.root
    with open(f"{place}/filler", "wb") as file:
        free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
        os.posix_fallocate(file.fileno(), 0, max(free - room, 1))


def _free(engine: Engine) -> None:
    with suppress(FileNotFoundError):
        os.unlink(f"{engine.paths.root}/filler")


def test_start_on_a_full_disk_says_so_and_works_when_there_is_room(small: Engine) -> None:
    family = Family(small)
    container = small.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", "exit 3")))
    _fill(small)
    with pytest.raises(StorageFullError, match="no space left"):
        container.start()
    assert settle(family, small, container, recover=False) == []
    _free(small)
    container.start()
    assert container.wait() == 3


def test_any_amount_of_room_gives_a_start_or_one_clear_error(small: Engine) -> None:
    family = Family(small)
    for room in range(0, 60_000, 4096):
        container = small.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", "exit 3")))
        _fill(small, room)
        try:
            container.start()
            assert container.wait() == 3
        except EngineError as exc:
            assert len(str(exc).splitlines()) == 1  # noqa: PT017 - either outcome is right
        assert settle(family, small, container) == [], f"{room} bytes of room"
        _free(small)
        container.remove()


def test_exit_code_is_kept_although_the_disk_has_filled_up(small: Engine) -> None:
    container = small.containers.create(
        ContainerOptions(BUSYBOX, ("sh", "-c", "read x; echo lost; exit 9"), open_stdin=True)
    )
    attachment = container.start(attach=True)
    assert attachment is not None
    _fill(small)
    attachment.write_stdin(b"\n")
    with attachment:
        assert b"".join(output.data for output in attachment) == b"lost\n"
    assert container.wait() == 9
    assert container.exit_code == 9
