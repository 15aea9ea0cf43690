"""A monitor of an idle container sleeps without its memory, and does all that it ever did."""

import json
import os
import signal
import time
from functools import partial

import pytest

from tests.support.attacker import sabotage_zygote
from tests.support.engines import BUSYBOX, collect
from tests.support.family import Family, is_dead, settle
from tests.support.patience import wait_until
from toolkit.engine.container import EXITED, RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.linux import frozen

pytestmark = [
    pytest.mark.needs("root", "overlay", "busybox"),
    pytest.mark.skipif(os.uname().machine not in frozen.CODE, reason="no code for this machine"),
]

_PATIENCE_S = 60.0
_ASLEEP_KB = 250
"""What is seen is 50 to 60."""
_AWAKE_KB = 600
_MS = 1_000_000
_until = partial(wait_until, patience_s=_PATIENCE_S)


def _started(engine: Engine, script: str = "sleep 600", **options: object) -> Container:
    asked = ContainerOptions(BUSYBOX, ("sh", "-c", script), **options)  # type: ignore[arg-type]  # a test's words
    container = engine.containers.create(asked)
    container.start()
    return container


def _monitor(one: Container) -> int:
    with open(f"{one.run_dir}/status.json") as file:
        return int(json.load(file)["monitor"])


def _memory_kb(pid: int) -> dict[str, int]:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        lines = [line.split() for line in file]
    return {fields[0].rstrip(":"): int(fields[1]) for fields in lines if fields[-1] == "kB"}


def _asleep(one: Container, at_most_kb: int = _ASLEEP_KB) -> Container:
    """Wait until the monitor sleeps."""
    monitor = _monitor(one)
    _until(lambda: _memory_kb(monitor)["Pss"] < at_most_kb)
    return one


@pytest.fixture
def family(engine: Engine) -> Family:
    """Return who is who among the engine's processes."""
    return Family(engine)


def test_idle_monitor_weighs_next_to_nothing(engine: Engine) -> None:
    container = _asleep(_started(engine))
    monitor = _monitor(container)
    memory = _memory_kb(monitor)
    assert memory["Private_Dirty"] + memory["Private_Clean"] < _ASLEEP_KB
    assert memory["Pss_File"] + memory["Pss_Shmem"] == 0
    assert container.stop(0) == 128 + signal.SIGKILL


def test_first_container_of_a_zygote_is_like_all_others(engine: Engine) -> None:
    for container in [_started(engine) for _again in range(4)]:
        _asleep(container)


def test_end_of_a_container_is_seen_and_its_code_kept(engine: Engine) -> None:
    container = _asleep(_started(engine, "trap 'echo bye; exit 7' TERM; sleep 600 & wait"))
    assert container.stop(30) == 7
    assert container.status == EXITED
    assert [line.text for line in container.logs()] == ["bye\n"]


def test_output_wakes_it_and_it_sleeps_again(engine: Engine) -> None:
    container = _started(engine, "trap 'echo again' USR1; echo begun; while :; do sleep 600 & wait; kill $!; done")
    for count in range(3):
        _until(lambda count=count: len(list(container.logs())) == 1 + count)
        _asleep(container).kill("USR1")
    _until(lambda: [line.text for line in container.logs()] == ["begun\n", *["again\n"] * 3])
    assert container.stop(0) == 128 + signal.SIGKILL


def test_lines_written_while_it_sleeps_are_all_in_the_log(engine: Engine) -> None:
    script = "i=0; while read -r word; do i=$((i+1)); echo $i $word; echo $i >&2; done"
    container = _started(engine, script, open_stdin=True)
    for number in range(1, 3):
        _asleep(container)
        with container.attach() as attachment:
            assert attachment.write_stdin(b"word\n")
            seen = b""
            while seen.count(b"\n") < 2:
                output = attachment.read()
                assert output is not None
                seen += output.data
        assert sorted(seen.splitlines()) == sorted([f"{number} word".encode(), f"{number}".encode()])
    _asleep(container)
    assert sorted(line.text for line in container.logs()) == sorted(
        text for number in range(1, 3) for text in (f"{number} word\n", f"{number}\n")
    )
    assert container.stop(0) == 128 + signal.SIGKILL


def test_megabytes_that_wake_it_come_whole(engine: Engine) -> None:
    container = _asleep(_started(engine, "sleep 2.5; head -c 3000000 /dev/zero | tr '\\0' x; echo; sleep 600"))
    _until(lambda: sum(len(line.text) for line in container.logs()) == 3_000_001)
    _asleep(container, at_most_kb=500)  # it keeps what was left in its buffers


def test_exec_and_pause_are_as_ever(engine: Engine) -> None:
    container = _asleep(_started(engine))
    ran = collect(container.exec(ExecOptions(("sh", "-c", "echo inside; exit 4"))))
    assert (ran.code, ran.out) == (4, "inside\n")
    container.pause()
    container.unpause()
    assert container.status == RUNNING
    assert _memory_kb(_monitor(container))["Pss"] < _ASLEEP_KB  # none of that is the monitor's


def test_terminal_is_resized_after_a_sleep(engine: Engine) -> None:
    container = _asleep(_started(engine, "while read -r line; do stty size; done", tty=True, open_stdin=True))
    with container.attach() as attachment:
        attachment.resize(33, 77)
        attachment.write_stdin(b"\n")
        seen = b""
        while b"33 77" not in seen:
            output = attachment.read()
            assert output is not None, seen
            seen += output.data


def test_whoever_is_attached_keeps_it_awake(engine: Engine) -> None:
    container = _started(engine)
    with container.attach():
        time.sleep(2.5)
        assert _memory_kb(_monitor(container))["Pss"] > _AWAKE_KB
    _asleep(container)


def test_restart_policy_is_obeyed_after_a_sleep(engine: Engine) -> None:
    container = _asleep(_started(engine, restart_policy="always"))
    first = container.pid
    os.kill(first, signal.SIGKILL)
    _until(lambda: container.status == RUNNING and container.pid not in (0, first))
    assert container.inspect()["RestartCount"] == 1
    _asleep(container)
    assert container.stop(0) == 128 + signal.SIGKILL


def test_health_check_wakes_it_in_time(engine: Engine) -> None:
    test = ("CMD-SHELL", "echo well; test ! -e /tmp/ill")
    options = {"health_test": test, "health_interval_ns": 4000 * _MS, "health_retries": 1}
    container = _started(engine, **options)
    _until(lambda: container.inspect()["State"]["Health"]["Status"] == "healthy")
    _asleep(container)
    assert collect(container.exec(ExecOptions(("touch", "/tmp/ill")))).code == 0
    _until(lambda: container.inspect()["State"]["Health"]["Status"] == "unhealthy")


def test_time_limit_ends_a_container_whose_monitor_sleeps(engine: Engine) -> None:
    container = _asleep(_started(engine, timeout_s=8))
    assert container.wait() == 128 + signal.SIGKILL


def test_killed_sleeper_is_cleaned_up_after_like_any_monitor(engine: Engine, family: Family) -> None:
    container = _asleep(_started(engine))
    pid = container.pid
    os.kill(_monitor(container), signal.SIGKILL)
    _until(lambda: is_dead(pid))
    assert settle(family, engine, container) == []
    container.start()
    _asleep(container)


def test_sleeper_outlives_its_zygote(engine: Engine, family: Family) -> None:
    container = _asleep(_started(engine, "trap 'exit 9' TERM; sleep 600 & wait"))
    os.kill(family.zygote(), signal.SIGKILL)
    assert container.stop(30) == 9


def test_image_of_the_memory_is_open_nowhere_and_not_in_a_container(engine: Engine, family: Family) -> None:
    container = _asleep(_started(engine))
    for process in family.members().values():
        assert not any("frozen" in path for path in process.files), process
    with open(f"/proc/{_monitor(container)}/maps") as file:
        assert "/memfd:frozen (deleted)" in file.read()
    with open(f"/proc/{container.pid}/maps") as file:
        assert "frozen" not in file.read()


def test_monitors_of_a_zygote_that_cannot_freeze_poll(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage = """
        from toolkit.linux import frozen
        frozen.CODE.clear()
    """
    sabotage_zygote(engine, monkeypatch, sabotage)
    container = _started(engine, "trap 'echo bye; exit 7' TERM; sleep 600 & wait")
    time.sleep(2.5)
    assert _memory_kb(_monitor(container))["Pss"] > _AWAKE_KB
    assert container.stop(30) == 7
    with open(f"{engine.paths.run}/zygote.log") as log:
        assert "zygote: monitors will not sleep: there is no code for" in log.read()
