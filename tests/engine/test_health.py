"""Health checks on real containers: run by the monitor, whoever else is gone; and the time limit."""

import os
import signal
import time
from functools import partial
from typing import Any

import pytest

from tests.support.engines import BUSYBOX, add_image
from tests.support.family import Family, settle
from tests.support.patience import wait_until
from toolkit.core.errors import InvalidError
from toolkit.engine.container import EXITED, RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_PATIENCE_S = 60.0
_MS = 1_000_000


def _started(engine: Engine, probe: str, script: str = "sleep 600", **options: Any) -> Container:
    options = {"health_interval_ns": 100 * _MS, "health_retries": 2, "stop_timeout_s": 1, **options}
    asked = ContainerOptions(BUSYBOX, ("sh", "-c", script), health_test=("CMD-SHELL", probe), **options)
    container = engine.containers.create(asked)
    container.start()
    return container


_until = partial(wait_until, patience_s=_PATIENCE_S)


def _health(one: Container) -> dict[str, Any]:
    found: dict[str, Any] = one.inspect()["State"]["Health"]
    return found


def _until_it_is(one: Container, status: str) -> None:
    _until(lambda: _health(one)["Status"] == status)


@pytest.fixture
def family(engine: Engine) -> Family:
    """Return who is who among the engine's processes."""
    return Family(engine)


def test_probe_runs_inside_and_decides(engine: Engine) -> None:
    script = "echo before; sleep 1; touch /tmp/ok; sleep 1.5; rm /tmp/ok; sleep 600"
    container = _started(engine, "echo said; test -e /tmp/ok", script, health_retries=30)
    assert _health(container)["Status"] == "starting"
    _until_it_is(container, "healthy")
    last = _health(container)["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (0, "said\n")
    assert last["Start"] < last["End"]
    _until(lambda: _health(container)["FailingStreak"] > 2)
    assert _health(container)["Status"] == "healthy"


def test_failures_make_it_unhealthy_and_events_tell(engine: Engine) -> None:
    container = _started(engine, "exit 3")
    _until_it_is(container, "unhealthy")
    assert _health(container)["Log"][-1]["ExitCode"] == 3
    assert container.status == RUNNING
    actions = [event["Action"] for event in engine.events.past() if event["id"] == container.id]
    assert actions[:2] == ["create", "start"]
    assert actions.count("health_status: unhealthy") == 1
    first = actions.index("exec_create: /bin/sh -c exit 3")
    assert actions[first : first + 3] == ["exec_create: /bin/sh -c exit 3", "exec_start: /bin/sh -c exit 3", "exec_die"]


def test_probe_that_takes_too_long_is_ended_with_its_children(engine: Engine) -> None:
    container = _started(engine, "sleep 599; true", health_timeout_ns=200 * _MS, health_retries=1)
    _until_it_is(container, "unhealthy")
    last = _health(container)["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (-1, "Health check exceeded timeout (0.2s)")
    _until(lambda: len(_health(container)["Log"]) > 3)
    assert len(container.pids()) <= 4  # init, its sleep, and one probe of two


def test_probe_that_cannot_be_run_is_a_failure_that_says_why(engine: Engine) -> None:
    asked = ContainerOptions(BUSYBOX, ("sleep", "60"), health_test=("CMD", "nonesuch"), health_interval_ns=50 * _MS)
    container = engine.containers.create(asked)
    container.start()
    _until_it_is(container, "unhealthy")
    last = _health(container)["Log"][-1]
    assert last["ExitCode"] == -1
    assert "nonesuch" in last["Output"]


def test_check_of_the_image_is_used_and_can_be_switched_off(engine: Engine, busybox_tree: str) -> None:
    check = {"Test": ["CMD", "true"], "Interval": 100 * _MS, "Retries": 7}
    add_image(engine.images.store, "checked", busybox_tree, Healthcheck=check)
    container = engine.containers.create(ContainerOptions("checked", ("sleep", "60"), health_retries=5))
    container.start()
    assert container.inspect()["Config"]["Healthcheck"] == {**check, "Retries": 5}
    _until_it_is(container, "healthy")
    quiet = engine.containers.create(ContainerOptions("checked", ("sleep", "60"), health_test=("NONE",)))
    quiet.start()
    assert "Health" not in quiet.inspect()["State"]


def test_probe_works_in_a_user_namespace_and_as_the_containers_user(engine: Engine) -> None:
    container = _started(engine, "id -u; test $(id -u) = 1000", userns_mode="private", user="ada")
    _until_it_is(container, "healthy")
    assert _health(container)["Log"][-1]["Output"] == "1000\n"


def test_paused_container_is_not_probed(engine: Engine) -> None:
    container = _started(engine, "true")
    _until_it_is(container, "healthy")
    container.pause()
    time.sleep(0.3)
    before = _health(container)
    time.sleep(0.5)
    assert _health(container) == before
    container.unpause()
    _until(lambda: _health(container)["Log"][-1] != before["Log"][-1])


def test_stopped_container_is_unhealthy_and_keeps_its_log(engine: Engine) -> None:
    container = _started(engine, "true")
    _until_it_is(container, "healthy")
    container.stop(0)
    assert _health(container)["Status"] == "unhealthy"
    assert _health(container)["Log"][-1]["ExitCode"] == 0
    container.start()
    assert _health(container)["Status"] in ("starting", "healthy")


def test_check_goes_on_without_client_and_zygote(engine: Engine, family: Family) -> None:
    container = _started(engine, "true")
    os.kill(family.zygote(), signal.SIGKILL)
    _until_it_is(container, "healthy")
    before = _health(container)["Log"][-1]
    _until(lambda: _health(container)["Log"][-1] != before)


def test_monitor_killed_during_a_probe_leaves_nothing(engine: Engine, family: Family) -> None:
    container = _started(engine, "sleep 600")
    _until(lambda: len(container.pids()) > 1)
    os.kill(family.holder(container), signal.SIGKILL)
    assert settle(family, engine, container) == []
    assert container.exit_code == 137


def test_end_during_a_probe_leaves_nothing(engine: Engine, family: Family) -> None:
    container = _started(engine, "sleep 600")
    _until(lambda: len(container.pids()) > 1)
    container.kill()
    assert container.wait() == 137
    assert settle(family, engine, container) == []


# What to do about it


@pytest.mark.parametrize(("action", "code"), [("kill", 137), ("stop", 9)])
def test_unhealthy_container_is_ended_where_that_was_asked_for(engine: Engine, action: str, code: int) -> None:
    script = "trap 'exit 9' TERM; while :; do sleep 0.05; done"
    container = _started(engine, "false", script, health_on_failure=action, restart_policy="always")
    _until(lambda: container.status == EXITED)
    assert container.exit_code == code


def test_unhealthy_container_is_started_again_where_that_was_asked_for(engine: Engine) -> None:
    script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done"
    container = _started(engine, "false", script, health_on_failure="restart")
    _until(lambda: [line.text for line in container.logs()].count("up\n") >= 3)
    assert container.inspect()["RestartCount"] >= 2
    container.stop(2)
    assert container.status == EXITED


def test_one_that_does_not_obey_is_killed_and_started_again(engine: Engine) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    container = _started(engine, "false", script, health_on_failure="restart", stop_timeout_s=0)
    _until(lambda: [line.text for line in container.logs()].count("up\n") >= 2)
    container.stop(0)


def test_bad_values_are_refused(engine: Engine) -> None:
    with pytest.raises(InvalidError, match="Interval in Healthcheck cannot be less than 1ms"):
        _started(engine, "true", health_interval_ns=1000)
    with pytest.raises(InvalidError, match='invalid action "shout"'):
        _started(engine, "true", health_on_failure="shout")


# The time limit


def test_container_is_killed_when_its_time_is_up(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60"), timeout_s=1))
    before_s = time.monotonic()
    container.start()
    assert container.wait() == 137
    assert 0.9 < time.monotonic() - before_s < 20


def test_container_that_ends_in_time_is_left_alone(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", "exit 4"), timeout_s=60))
    container.start()
    assert container.wait() == 4
