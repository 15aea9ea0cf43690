"""A terminal whose holder goes is hung up, as when a window is closed: nothing goes on alone (adr/0020)."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.support.engines import BUSYBOX
from tests.support.patience import wait_until
from toolkit.core.errors import NotFoundError
from toolkit.engine.attachment import Attachment
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def begin(engine: Engine, *argv: str, auto_remove: bool = True) -> tuple[Container, Attachment]:
    options = ContainerOptions(BUSYBOX, argv, tty=True, open_stdin=True, auto_remove=auto_remove)
    container = engine.containers.create(options)
    attachment = container.start(attach=True, console_size=(24, 80))
    assert attachment is not None
    return container, attachment


def is_gone(engine: Engine, container: Container) -> Callable[[], bool]:
    def look() -> bool:
        try:
            engine.containers.get(container.id)
        except NotFoundError:
            return True
        return False

    return look


@pytest.mark.parametrize("argv", [("sh",), ("sleep", "1000"), ("sh", "-c", "trap '' HUP; sleep 1000; sleep 1000")])
def test_container_of_a_closed_terminal_ends_and_is_removed(engine: Engine, argv: tuple[str, ...]) -> None:
    container, attachment = begin(engine, *argv)
    attachment.hold()
    attachment.close()
    wait_until(is_gone(engine, container), 10)


def test_container_of_a_closed_terminal_is_kept_where_it_is_not_for_removal(engine: Engine) -> None:
    container, attachment = begin(engine, "sh", auto_remove=False)
    attachment.hold()
    attachment.close()
    assert container.wait() in (0, 129, 137)  # a shell may end by itself when it reads the end, or by the signal
    assert container.status == "exited"


def test_shell_may_do_a_last_thing(engine: Engine) -> None:
    container, attachment = begin(
        engine, "sh", "-c", "trap 'exit 7' HUP; while :; do sleep 0.05; done", auto_remove=False
    )
    attachment.hold()
    time.sleep(0.3)  # it sets its trap
    attachment.close()
    assert container.wait() == 7


def test_container_goes_on_where_nobody_holds_it(engine: Engine) -> None:
    container, attachment = begin(engine, "sleep", "1000")
    attachment.hold()
    attachment.hold(on=False)
    attachment.close()
    time.sleep(2.5)
    assert container.status == "running"


@pytest.mark.parametrize("is_held", [True, False])
def test_last_word_of_who_goes_counts_while_the_container_writes(engine: Engine, is_held: bool) -> None:  # noqa: FBT001 - a case
    for _ in range(5):
        container, attachment = begin(engine, "yes")
        attachment.read()
        if not is_held:
            attachment.hold()
            attachment.read()
        attachment.hold(on=is_held)
        attachment.close()
        if is_held:
            wait_until(is_gone(engine, container), 10)
        else:
            time.sleep(0.2)
            assert container.status == "running"
            container.remove(force=True)


def test_last_holder_counts(engine: Engine) -> None:
    container, first = begin(engine, "sleep", "1000")
    first.hold()
    second = container.attach()
    second.hold()
    time.sleep(0.2)  # the monitor learns of it before it learns that the first has gone
    first.close()
    time.sleep(2.5)
    assert container.status == "running"
    second.close()
    wait_until(is_gone(engine, container), 10)


def test_hang_up_tells_the_exit_code(engine: Engine) -> None:
    _container, attachment = begin(engine, "sleep", "1000")
    with attachment:
        attachment.hang_up()
        assert [output.data for output in attachment] == []
    assert attachment.exit_code == 137


def test_exec_of_a_closed_terminal_ends_and_the_container_goes_on(engine: Engine) -> None:
    container, attachment = begin(engine, "sleep", "1000")
    with attachment, container.exec(ExecOptions(("sleep", "999"), tty=True, open_stdin=True)) as other:
        wait_until(lambda: len(container.pids()) == 2, 10)
        other.hold()
        other.close()
        wait_until(lambda: len(container.pids()) == 1, 10)
        assert container.status == "running"


def test_holder_that_is_killed_is_gone(engine: Engine) -> None:
    engine.state.close()  # sqlite does not survive a fork
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with Engine.open(engine.paths.root, engine.paths.run) as mine:
                container, attachment = begin(mine, "sh")
                attachment.hold()
                os.write(writer, container.id.encode())
                signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    engine.state.__init__(engine.paths.state)  # type: ignore[misc]  # open it again
    ident = os.read(reader, 64).decode()
    container = engine.containers.get(ident)
    assert container.status == "running"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_until(is_gone(engine, container), 10)
    os.close(reader)
