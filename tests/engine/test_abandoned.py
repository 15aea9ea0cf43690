"""A container of --rm that was made to be started, by a process that died before it did: nobody else knows of it."""

import os
import signal

import pytest

from tests.support.engines import BUSYBOX, collect, in_processes
from toolkit.core.errors import ConflictError
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def _names(engine: Engine) -> list[str]:
    """Return the names of all containers as the next command sees them."""
    with Engine.open(engine.paths.root, engine.paths.run) as next_one:
        return sorted(one.name for one in next_one.containers.list(all=True))


def test_next_command_removes_it_and_nothing_that_was_only_created(engine: Engine) -> None:
    def make_and_die(mine: Engine, _number: int) -> int:
        mine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="run", auto_remove=True), will_start=True)
        mine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="kept", auto_remove=True))
        mine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="stays"), will_start=True)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert in_processes(engine, 1, make_and_die) == [-signal.SIGKILL]
    assert _names(engine) == ["kept", "stays"]
    assert os.listdir(engine.paths.running) == []
    engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="run"))


def test_while_its_maker_lives_nobody_touches_it(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), auto_remove=True), will_start=True)
    assert _names(engine) == [made.name]
    assert made.status == "created"
    with (
        Engine.open(engine.paths.root, engine.paths.run) as other,
        pytest.raises(ConflictError, match="started or removed by someone else"),
    ):
        other.containers.get(made.id).start()
    attachment = made.start(attach=True)
    assert attachment is not None
    assert collect(attachment).code == 0
    assert _names(engine) == []


def test_it_goes_too_when_its_maker_leaves_in_peace(engine: Engine) -> None:
    with Engine.open(engine.paths.root, engine.paths.run) as mine:
        mine.containers.create(ContainerOptions(BUSYBOX, ("true",), auto_remove=True), will_start=True)
    assert _names(engine) == []


def test_it_can_be_removed_by_its_maker(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), auto_remove=True), will_start=True)
    made.remove()
    assert _names(engine) == []
    assert os.listdir(engine.paths.running) == []


def test_name_that_is_taken_leaves_nothing_held(engine: Engine) -> None:
    engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="taken"))
    with pytest.raises(ConflictError, match="already in use"):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="taken", auto_remove=True), will_start=True)
    assert os.listdir(engine.paths.running) == []
    assert _names(engine) == ["taken"]


@pytest.mark.parametrize("auto_remove", [False, True])
@pytest.mark.parametrize("moment", ["just stored", "about to be told of"])
def test_interrupt_while_it_is_made_leaves_nothing(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    auto_remove: bool,  # noqa: FBT001 - a parameter
    moment: str,
) -> None:
    def interrupted(*arguments: object) -> None:
        if moment == "just stored":
            insert(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    insert = engine.state.insert
    with monkeypatch.context() as patch:
        if moment == "just stored":
            patch.setattr(engine.state, "insert", interrupted)
        else:
            patch.setattr(Container, "note", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.containers.create(ContainerOptions(BUSYBOX, ("true",), auto_remove=auto_remove), will_start=True)
    assert _names(engine) == []
    assert os.listdir(engine.paths.running) == []
