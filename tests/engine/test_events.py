"""What a container's life leaves in the journal of events, in docker's words and order."""

import os
import signal
import time

import pytest

from tests.support.engines import BUSYBOX, collect, run
from tests.support.family import Family
from tests.support.patience import wait_until
from toolkit.engine.container import EXITED, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def _actions(engine: Engine, one: Container | None = None) -> list[str]:
    return [event["Action"] for event in engine.events.past() if one is None or event["id"] == one.id]


def _until_end(engine: Engine, one: Container, count: int = 1) -> list[str]:
    """Return what happened to a container once its end has been told so often; its state shows it a moment before."""
    wait_until(lambda: _actions(engine, one).count("die") == count, 5)
    return _actions(engine, one)


def _started(engine: Engine, *argv: str, **options: object) -> Container:
    container = engine.containers.create(ContainerOptions(BUSYBOX, argv, **options))  # type: ignore[arg-type]  # a test's words
    container.start()
    return container


def test_run_with_rm_is_create_attach_start_die_destroy(engine: Engine) -> None:
    run(engine, "sh", "-c", "exit 3", labels={"tier": "front"}, name="web")
    happened = list(engine.events.past())
    assert [event["Action"] for event in happened] == ["create", "attach", "start", "die", "destroy"]
    attributes = happened[3]["Actor"]["Attributes"]
    assert attributes == {"image": BUSYBOX, "name": "web", "tier": "front", "exitCode": "3", "execDuration": "0"}
    assert [event["timeNano"] for event in happened] == sorted(event["timeNano"] for event in happened)


def test_stop_pause_kill_restart_are_told_as_docker_does(engine: Engine) -> None:
    container = _started(engine, "sleep", "60")
    container.pause()
    container.unpause()
    container.stop(0)
    container.restart(0)
    container.kill()
    container.wait()
    container.remove()
    assert _actions(engine, container) == [
        *("create", "start", "pause", "unpause"),
        *("kill", "kill", "die", "stop"),
        *("start", "restart"),
        *("kill", "die", "destroy"),
    ]
    signals = [
        event["Actor"]["Attributes"].get("signal") for event in engine.events.past() if event["Action"] == "kill"
    ]
    assert signals == ["15", "9", "9"]


def test_exec_is_told_with_its_command_and_its_code(engine: Engine) -> None:
    container = _started(engine, "sleep", "60")
    assert collect(container.exec(ExecOptions(("sh", "-c", "exit 4")))).code == 4
    happened = [event for event in engine.events.past() if event["Action"].startswith("exec")]
    assert [event["Action"] for event in happened] == [
        "exec_create: sh -c exit 4",
        "exec_start: sh -c exit 4",
        "exec_die",
    ]
    assert len({event["Actor"]["Attributes"]["execID"] for event in happened}) == 1
    assert happened[2]["Actor"]["Attributes"]["exitCode"] == "4"


def test_restart_policy_tells_each_life(engine: Engine) -> None:
    container = _started(engine, "false", restart_policy="on-failure", restart_retries=2)
    wait_until(lambda: container.status == EXITED, 20)
    assert _until_end(engine, container, 3) == ["create", *["start", "die"] * 3]


def test_start_and_end_are_told_by_the_monitor_in_their_order(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.events, "note", lambda *_args: None)  # a client that is killed in this very moment
    container = _started(engine, "true")
    container.wait()
    assert _until_end(engine, container) == ["start", "die"]


def test_end_is_told_when_client_and_zygote_are_gone(engine: Engine) -> None:
    family = Family(engine)
    container = _started(engine, "sh", "-c", "sleep 0.3; exit 5")
    os.kill(family.zygote(), signal.SIGKILL)
    container.wait()
    assert _until_end(engine, container)[-1] == "die"


def test_images_are_told_too(engine: Engine) -> None:
    record = engine.images.get(BUSYBOX)
    engine.images.tag(BUSYBOX, "other:1")
    engine.images.remove("other:1")
    happened = [(event["Action"], event["Actor"]) for event in engine.events.past() if event["Type"] == "image"]
    assert happened == [
        ("tag", {"ID": record.id, "Attributes": {"name": "other:1"}}),
        ("untag", {"ID": record.id, "Attributes": {"name": record.id}}),
    ]


@pytest.mark.needs("cgroup:memory")
def test_lack_of_memory_of_a_child_shows_while_the_container_runs(engine: Engine) -> None:
    script = "(x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done); sleep 60"
    container = _started(engine, "sh", "-c", script, memory_bytes=8 << 20, memory_swap_bytes=8 << 20)
    deadline_s = time.monotonic() + 20
    while not container.inspect()["State"]["OOMKilled"]:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert container.inspect()["State"]["Running"] is True


@pytest.mark.needs("cgroup:memory")
def test_lack_of_memory_is_told_before_the_end(engine: Engine) -> None:
    script = "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"
    container = _started(engine, "sh", "-c", script, memory_bytes=8 << 20, memory_swap_bytes=8 << 20)
    assert container.wait() == 137
    assert _until_end(engine, container)[-2:] == ["oom", "die"]
    assert container.inspect()["State"]["OOMKilled"] is True
