"""wait with docker's conditions: for what has not begun, and for what is about to vanish."""

import os
import signal
import time

import pytest

from tests.support.engines import BUSYBOX, in_processes
from tests.support.family import Family
from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def _create(engine: Engine, script: str, **options: object) -> Container:
    return engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", script), **options))  # type: ignore[arg-type]  # a test's words


def _while_waiting(engine: Engine, one: Container, condition: str, deed: str) -> int:
    """Wait in one process while another does something; return what the wait returned."""

    def each(mine: Engine, number: int) -> int:
        container = mine.containers.get(one.id)
        if number == 0:
            return container.wait(condition)
        time.sleep(0.5)
        getattr(container, deed)()
        return 0

    return in_processes(engine, 2, each)[0]


def test_next_exit_of_one_that_was_never_started_waits_for_its_start_and_end(engine: Engine) -> None:
    container = _create(engine, "sleep 0.2; exit 5")
    assert container.wait() == 0
    assert _while_waiting(engine, container, "next-exit", "start") == 5


def test_next_exit_of_one_that_has_ended_is_not_the_last_one(engine: Engine) -> None:
    container = _create(engine, "test -e /tmp/x && exit 6; touch /tmp/x; exit 5")
    container.start()
    assert container.wait() == 5
    assert _while_waiting(engine, container, "next-exit", "start") == 6


def test_removed_waits_for_the_removal_and_returns_how_it_ended(engine: Engine) -> None:
    container = _create(engine, "exit 4")
    container.start()
    container.wait()
    assert _while_waiting(engine, container, "removed", "remove") == 4


def test_removed_of_a_container_with_rm(engine: Engine) -> None:
    container = _create(engine, "sleep 0.5; exit 3", auto_remove=True)
    container.start()
    assert container.wait("removed") == 3
    with pytest.raises(NotFoundError):
        engine.containers.get(container.id)


def test_killed_monitor_does_not_leave_the_waiting_alone(engine: Engine) -> None:
    family = Family(engine)
    container = _create(engine, "sleep 60")
    container.start()
    monitor = family.holder(container)
    pid = os.fork()
    if pid == 0:
        time.sleep(0.3)
        os.kill(monitor, signal.SIGKILL)
        os._exit(0)
    assert container.wait("next-exit") == 137
    os.waitpid(pid, 0)


def test_other_conditions_and_containers_are_refused(engine: Engine) -> None:
    container = _create(engine, "true")
    with pytest.raises(InvalidError, match='invalid condition: "tomorrow"'):
        container.wait("tomorrow")
    container.remove()
    with pytest.raises(NotFoundError):
        container.wait("removed")
