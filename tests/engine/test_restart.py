"""Restart policies on real containers: without a daemon, and whoever is killed in between."""

import json
import os
import signal
import time
from functools import partial

import pytest

from tests.support.engines import BUSYBOX
from tests.support.family import Family, is_dead, settle
from tests.support.patience import wait_until
from toolkit.core.errors import ConflictError, InvalidError
from toolkit.engine import restart
from toolkit.engine.container import EXITED, RESTARTING, RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_PATIENCE_S = 60.0
_SLOW = "sleep 0.3; exit 3"


def _started(engine: Engine, script: str, policy: str, retries: int = 0, **options: object) -> Container:
    asked = ContainerOptions(
        BUSYBOX,
        ("sh", "-c", script),
        restart_policy=policy,
        restart_retries=retries,
        **options,  # type: ignore[arg-type]  # a test's words
    )
    container = engine.containers.create(asked)
    container.start()
    return container


_until = partial(wait_until, patience_s=_PATIENCE_S)


def _restarts(one: Container) -> int:
    count: int = one.inspect()["RestartCount"]
    return count


def _backing_off(engine: Engine) -> Container:
    """Return a container whose next start is 0.8 s away or more."""
    container = _started(engine, "exit 3", "always")
    _until(lambda: _restarts(container) >= 4 and container.status == RESTARTING)
    return container


@pytest.fixture
def family(engine: Engine) -> Family:
    """Return who is who among the engine's processes."""
    return Family(engine)


def _lines(one: Container) -> list[str]:
    return [line.text for line in one.logs()]


def test_on_failure_restarts_as_often_as_it_was_told(engine: Engine) -> None:
    container = _started(engine, "echo again; exit 3", "on-failure", 2)
    _until(lambda: container.status == EXITED and _restarts(container) == 2)
    assert container.exit_code == 3
    assert _lines(container) == ["again\n"] * 3
    assert container.inspect()["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}


def test_on_failure_leaves_success_alone(engine: Engine) -> None:
    container = _started(engine, "echo once", "on-failure")
    assert container.wait() == 0
    assert container.status == EXITED
    assert _restarts(container) == 0


def test_always_restarts_also_after_success(engine: Engine) -> None:
    container = _started(engine, "echo again", "always")
    _until(lambda: _restarts(container) >= 2)
    container.stop()


def test_state_while_it_waits_is_dockers(engine: Engine) -> None:
    container = _backing_off(engine)
    state = container.inspect()["State"]
    wanted = {"Status": "restarting", "Running": True, "Restarting": True, "Paused": False, "Pid": 0, "ExitCode": 3}
    assert wanted.items() <= state.items()
    assert state["FinishedAt"] > state["StartedAt"] > "2"
    assert container.id in [one.id for one in engine.containers.list()]
    container.stop()


def test_what_needs_a_process_says_that_it_is_restarting(engine: Engine) -> None:
    container = _backing_off(engine)
    for deed in (container.pause, lambda: container.exec(ExecOptions(("true",)))):
        with pytest.raises(ConflictError, match="is restarting, wait until the container is running"):
            deed()
    with pytest.raises(ConflictError, match="cannot attach to a restarting container"):
        container.attach()
    with pytest.raises(ConflictError, match="container is restarting"):
        container.remove()
    assert container.start() is None
    container.remove(force=True)


def test_stop_while_it_runs_ends_it_for_good(engine: Engine) -> None:
    container = _started(engine, "trap 'exit 0' TERM; while :; do sleep 0.05; done", "always")
    container.stop()
    time.sleep(0.3)
    assert container.status == EXITED
    assert not os.path.exists(container.run_dir)


@pytest.mark.parametrize("deed", ["stop", "kill"])
def test_stop_and_kill_while_it_waits_call_the_restart_off_at_once(engine: Engine, deed: str) -> None:
    container = _backing_off(engine)
    before_s = time.monotonic()
    getattr(container, deed)()
    assert time.monotonic() - before_s < 0.5
    assert (container.status, container.exit_code) == (EXITED, 3)
    assert not os.path.exists(container.run_dir)
    restarts = _restarts(container)
    time.sleep(1)
    assert (container.status, _restarts(container)) == (EXITED, restarts)


def test_signal_that_is_not_its_stop_signal_does_not_call_it_off(engine: Engine) -> None:
    script = "trap 'exit 4' USR1; echo up; while :; do sleep 0.05; done"
    container = _started(engine, script, "always", stop_signal="TERM")
    _until(lambda: "up\n" in _lines(container))
    container.kill("USR1")
    _until(lambda: _restarts(container) == 1 and container.status == RUNNING)
    container.stop(1)


def test_any_signal_calls_it_off_where_no_stop_signal_is_configured(engine: Engine) -> None:
    container = _started(engine, "trap 'exit 4' USR1; echo up; while :; do sleep 0.05; done", "always")
    _until(lambda: "up\n" in _lines(container))
    container.kill("USR1")
    assert container.wait() == 4
    time.sleep(0.3)
    assert container.status == EXITED


def test_start_by_hand_counts_from_0_and_obeys_the_policy_again(engine: Engine) -> None:
    container = _backing_off(engine)
    container.stop()
    container.start()
    _until(lambda: container.status == RESTARTING)
    assert _restarts(container) in (1, 2)
    container.stop()


def test_wait_returns_at_each_end(engine: Engine) -> None:
    container = _started(engine, _SLOW, "always")
    assert container.wait() == 3
    assert container.status in (RESTARTING, RUNNING)
    assert container.wait() == 3
    container.stop(0)


def test_wait_for_one_that_is_restarting_returns_at_its_next_end(engine: Engine) -> None:
    container = _backing_off(engine)
    before = _restarts(container)
    assert container.wait() == 3
    assert _restarts(container) > before
    container.stop()


def test_policy_works_without_client_and_zygote(engine: Engine, family: Family) -> None:
    container = _started(engine, _SLOW, "always")
    os.kill(family.zygote(), signal.SIGKILL)
    _until(lambda: _restarts(container) >= 2)
    container.stop(0)


def test_monitor_killed_in_back_off_leaves_nothing(engine: Engine, family: Family) -> None:
    container = _backing_off(engine)
    os.kill(family.holder(container), signal.SIGKILL)
    assert settle(family, engine, container) == []
    assert (container.status, container.exit_code) == (EXITED, 3)
    container.start()
    _until(lambda: container.status == RESTARTING)
    container.stop()


def test_successor_killed_at_any_moment_leaves_nothing(engine: Engine, family: Family) -> None:
    for pause_s in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3):
        container = _started(engine, "exit 3", "always")
        monitor = family.holder(container)
        _until(lambda pid=monitor: _is_successor(pid))  # type: ignore[misc]  # bound in the loop
        time.sleep(pause_s)
        try:
            os.kill(monitor, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it was quicker: the next monitor looks after the container already
        _until(lambda one=container: one.status in (EXITED, RESTARTING, RUNNING))  # type: ignore[misc]  # likewise
        container.remove(force=True)
        assert settle(family, engine, container) == []


def _is_successor(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"engine.restart" in file.read()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_restart_whose_start_fails_leaves_it_exited(engine: Engine) -> None:
    container = _started(engine, "rm /bin/sh /bin/busybox; exit 3", "always")
    _until(lambda: container.status == EXITED)
    assert container.exit_code == 127
    assert not os.path.exists(container.run_dir)


def test_rm_and_a_policy_exclude_each_other(engine: Engine) -> None:
    with pytest.raises(InvalidError, match="cannot specify both --restart and --rm"):
        _started(engine, "true", "always", auto_remove=True)


@pytest.mark.parametrize(
    ("name", "retries", "words"),
    [
        ("sometimes", 0, "unknown policy 'sometimes'"),
        ("always", 3, "maximum retry count can only be used with 'on-failure'"),
        ("on-failure", -1, "maximum retry count cannot be negative"),
    ],
)
def test_policy_that_means_nothing_is_refused(engine: Engine, name: str, retries: int, words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        _started(engine, "true", name, retries)


def test_policy_can_be_changed_while_it_runs(engine: Engine) -> None:
    container = _started(engine, _SLOW, "always")
    restart.change(container, "no", 0)
    assert container.wait() == 3
    time.sleep(0.3)
    assert container.status == EXITED


# restart


def test_restart_gives_it_a_new_first_process(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60")))
    container.restart(0)
    first = container.pid
    container.restart(0)
    assert container.status == RUNNING
    assert container.pid not in (0, first)


def test_restart_of_one_with_rm_keeps_it(engine: Engine, family: Family) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60"), auto_remove=True))
    container.start()
    container.restart(0)
    assert container.status == RUNNING
    assert engine.containers.get(container.id).id == container.id
    monitor = family.holder(container)
    container.stop(0)
    _until(lambda: not engine.containers.list(all=True))
    _until(lambda: is_dead(monitor))


def test_restart_of_one_that_waits_starts_it_at_once(engine: Engine) -> None:
    container = _backing_off(engine)
    container.restart()
    _until(lambda: _restarts(container) <= 2)
    container.stop()


# After a reboot


def _reboot(engine: Engine) -> None:
    """Have everything of the containers vanish that does not survive a reboot."""
    for one in engine.containers.list():
        with open(f"{one.run_dir}/status.json") as file:
            os.kill(json.load(file)["monitor"], signal.SIGKILL)
        engine.cgroups.destroy(one.id)
        for name in os.listdir(one.run_dir):
            os.unlink(f"{one.run_dir}/{name}")
        os.rmdir(one.run_dir)


def test_resume_starts_what_ought_to_run_and_nothing_else(engine: Engine) -> None:
    script = "while :; do sleep 0.05; done"
    for name, policy in (("aa", "always"), ("uu", "unless-stopped"), ("ff", "on-failure"), ("no", "")):
        _started(engine, script, policy, name=name)
        _started(engine, script, policy, name=f"{name}-stopped").stop(0)
    engine.containers.create(ContainerOptions(BUSYBOX, ("true",), restart_policy="always", name="aa-new"))
    _reboot(engine)
    assert engine.containers.list() == []
    assert engine.containers.get("aa").exit_code == 255
    resumed = [one.name for one in restart.resume(engine) if isinstance(one, Container)]
    assert sorted(resumed) == ["aa", "aa-stopped", "ff", "uu"]
    assert sorted(one.name for one in engine.containers.list()) == ["aa", "aa-stopped", "ff", "uu"]
