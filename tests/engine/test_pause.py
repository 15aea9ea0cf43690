"""Pause and unpause on real containers, and what docker lets one do to a paused one."""

import os
import signal
import time

import pytest

from tests.support.engines import BUSYBOX
from tests.support.family import Family, settle
from toolkit.core.errors import ConflictError
from toolkit.engine.container import EXITED, PAUSED, RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_COUNTING = "trap 'exit 7' TERM; trap 'echo usr' USR1; i=0; while :; do echo $((i=i+1)); sleep 0.02; done"


@pytest.fixture
def counting(engine: Engine) -> Container:
    """Return a running container that prints a number every 20 ms, and ends at SIGTERM with 7."""
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", _COUNTING)))
    container.start()
    while not list(container.logs()):
        time.sleep(0.01)
    return container


def _is_counting(one: Container) -> bool:
    before = len(list(one.logs()))
    time.sleep(0.3)
    return len(list(one.logs())) > before


def test_paused_container_stands_still_and_goes_on_afterwards(counting: Container) -> None:
    counting.pause()
    time.sleep(0.05)  # what was on its way to the log
    state = counting.inspect()["State"]
    assert counting.status == PAUSED
    assert {"Status": "paused", "Running": True, "Paused": True, "Pid": counting.pid}.items() <= state.items()
    assert not _is_counting(counting)
    counting.unpause()
    assert counting.status == RUNNING
    assert _is_counting(counting)


def test_pause_and_unpause_refuse_in_dockers_words(engine: Engine, counting: Container) -> None:
    with pytest.raises(ConflictError, match="is not paused"):
        counting.unpause()
    counting.pause()
    with pytest.raises(ConflictError, match="is already paused"):
        counting.pause()
    with pytest.raises(ConflictError, match="is paused, unpause the container before exec"):
        counting.exec(ExecOptions(("true",)))
    with pytest.raises(ConflictError, match="cannot start a paused container, try unpause instead"):
        counting.start()
    with pytest.raises(ConflictError, match="cannot attach to a paused container, unpause it first"):
        counting.attach()
    with pytest.raises(ConflictError, match="container is paused and must be unpaused first"):
        counting.remove()
    counting.remove(force=True)
    assert engine.containers.list(all=True) == []


def test_what_does_not_run_cannot_be_paused(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("true",)))
    with pytest.raises(ConflictError, match="is not running"):
        container.pause()


def test_stop_of_a_paused_container_lets_it_obey(counting: Container) -> None:
    counting.pause()
    assert counting.stop(5) == 7
    assert counting.status == EXITED


def test_kill_of_a_paused_container_ends_it(counting: Container) -> None:
    counting.pause()
    counting.kill()
    assert counting.wait() == 128 + signal.SIGKILL


def test_signal_to_a_paused_container_wakes_it_as_docker_does(counting: Container) -> None:
    counting.pause()
    counting.kill("USR1")
    assert counting.status == RUNNING
    deadline_s = time.monotonic() + 5
    while "usr\n" not in [line.text for line in counting.logs()]:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_restart_of_a_paused_container_leaves_it_running(counting: Container) -> None:
    counting.pause()
    counting.restart(5)
    assert counting.status == RUNNING


def test_paused_container_is_listed(engine: Engine, counting: Container) -> None:
    counting.pause()
    assert [one.id for one in engine.containers.list()] == [counting.id]
    assert engine.info()["ContainersPaused"] == 1
    assert engine.info()["ContainersRunning"] == 0


@pytest.fixture
def family(engine: Engine) -> Family:
    """Return who is who among the engine's processes."""
    return Family(engine)


def test_death_of_the_monitor_ends_also_a_paused_container(engine: Engine, family: Family, counting: Container) -> None:
    counting.pause()
    os.kill(family.holder(counting), signal.SIGKILL)
    assert settle(family, engine, counting) == []
    assert (counting.status, counting.exit_code) == (EXITED, 137)
