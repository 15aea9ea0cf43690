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
        os.posix_fallocate(file.fileno(), 0, max(_room(place) - room, 1))


def _room(place: str) -> int:
    return os.statvfs(place).f_bavail * os.statvfs(place).f_frsize


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


def test_disk_that_is_full_to_the_last_byte_can_be_emptied_by_the_engine_itself(small: Engine) -> None:
    container = small.containers.create(ContainerOptions(BUSYBOX, ("dd", "if=/dev/zero", "of=/f", "bs=1M", "count=3")))
    container.start()
    assert container.wait() == 0
    paths = small.paths
    small.state.close()  # sqlite has no file open, and wants three
    _fill(small)
    with pytest.raises(OSError, match="No space left"), open(f"{paths.root}/more", "wb", buffering=0) as file:
        file.write(b"x" * 8192)
    os.unlink(f"{paths.root}/more")
    _fill_rest(paths.root)
    with Engine.open(paths.root, paths.run) as mine:
        assert [one.id for one in mine.containers.list(all=True)] == [container.id]
        mine.containers.get(container.id).remove()
        assert mine.containers.list(all=True) == []
        wait_until(lambda: _room(paths.root) > 2 << 20, 10)  # its last mount may hold a file until it is gone
    with Engine.open(paths.root, paths.run) as mine:
        assert os.path.getsize(f"{paths.state}-reserve") > 1 << 17  # laid in again
    small.state.__init__(paths.state)  # type: ignore[misc]  # for the fixture's end


def _fill_rest(directory: str) -> None:
    """Leave not a byte."""
    with open(f"{directory}/rest", "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 512)
