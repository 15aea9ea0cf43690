"""A start whose first steps are done while its files are still being made: whoever makes them fails, or is killed."""

import os
import signal

import pytest

from tests.support.engines import BUSYBOX, in_processes
from tests.support.family import Family, settle
from tests.support.patience import wait_until
from toolkit.core.errors import NotFoundError
from toolkit.engine.container import CREATED, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.linux.cgroup.members import pids
from toolkit.runtime.client import Session
from toolkit.storage import overlay

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


@pytest.fixture
def family(engine: Engine) -> Family:
    """Return who is who among the engine's processes."""
    return Family(engine)


def _create(engine: Engine, **options: object) -> Container:
    return engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", "exit 3"), **options))  # type: ignore[arg-type]


def test_first_steps_are_done_while_the_files_are_made(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    container = _create(engine)
    seen: list[int] = []

    def prepare(root: overlay.RootFilesystem) -> None:
        directory = container.cgroups.holder(container.id)
        wait_until(lambda: os.path.isdir(directory) and pids(directory) != [], 10)
        seen.extend(pids(directory))
        made(root)

    made = overlay.prepare
    monkeypatch.setattr(overlay, "prepare", prepare)
    container.start()
    assert container.wait() == 3
    assert len(seen) == 1


@pytest.mark.parametrize("auto_remove", [False, True])
def test_files_that_cannot_be_made_end_what_has_begun(
    engine: Engine,
    family: Family,
    monkeypatch: pytest.MonkeyPatch,
    auto_remove: bool,  # noqa: FBT001 - a parameter
) -> None:
    container = _create(engine, auto_remove=auto_remove)

    def fail(_root: overlay.RootFilesystem) -> None:
        raise OSError(5, "broken disk")

    with monkeypatch.context() as patch:
        patch.setattr(overlay, "prepare", fail)
        with pytest.raises(OSError, match="broken disk"):
            container.start()
    assert settle(family, engine, container, recover=False) == []
    if auto_remove:
        with pytest.raises(NotFoundError):
            engine.containers.get(container.id)
    else:
        assert container.status == CREATED
        container.start()
        assert container.wait() == 3


@pytest.mark.parametrize("auto_remove", [False, True])
@pytest.mark.parametrize("moment", ["before the files", "before the rest"])
def test_client_killed_while_it_makes_the_files_leaves_nothing(
    engine: Engine,
    family: Family,
    monkeypatch: pytest.MonkeyPatch,
    auto_remove: bool,  # noqa: FBT001 - a parameter
    moment: str,
) -> None:
    container = _create(engine, auto_remove=auto_remove)

    def die(*_arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def start(mine: Engine, _number: int) -> int:
        mine.containers.get(container.id).start()
        return 0

    with monkeypatch.context() as patch:
        if moment == "before the files":
            patch.setattr(overlay, "prepare", die)
        else:
            patch.setattr(Session, "carry_out", die)
        assert in_processes(engine, 1, start) == [-signal.SIGKILL]
    assert settle(family, engine, container) == []
    if auto_remove:
        with pytest.raises(NotFoundError):
            engine.containers.get(container.id)
    else:
        container.start()
        assert container.wait() == 3
