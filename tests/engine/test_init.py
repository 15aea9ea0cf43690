"""--init in real containers: orphans are reaped, signals arrive, nothing of the host's can be reached through it."""

import os
import time
from functools import partial

import pytest

from tests.support.engines import BUSYBOX, collect, sh
from tests.support.patience import wait_until
from toolkit.core.errors import CommandNotFoundError
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def _started(engine: Engine, script: str, **options: object) -> Container:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", script), init=True, **options))  # type: ignore[arg-type]  # a test's words
    container.start()
    return container


_until = partial(wait_until, patience_s=20)


@pytest.mark.parametrize("options", [{}, {"userns_mode": "private"}, {"user": "ada"}, {"read_only": True}])
def test_program_is_the_child_of_a_tiny_init(engine: Engine, options: dict[str, object]) -> None:
    script = "echo $$ $PPID; cat /proc/1/comm; tr '\\0' ' ' </proc/1/cmdline; exit 7"
    ran = sh(engine, script, init=True, **options)
    assert ran.code == 7
    first, comm, cmdline = ran.out.splitlines()
    assert (first, comm) == ("2 1", "init")
    assert cmdline.startswith("/sbin/container-init -- sh -c ")


def test_without_it_the_program_is_the_first_process(engine: Engine) -> None:
    assert sh(engine, "echo $$").out == "1\n"


def test_orphans_are_reaped(engine: Engine) -> None:
    container = _started(engine, "for i in 1 2 3 4 5; do (sleep 0.1 &); done; exec sleep 60")
    _until(lambda: len(container.pids()) == 2)
    states = collect(container.exec(ExecOptions(("sh", "-c", "grep -h State: /proc/[0-9]*/status")))).out
    assert "Z" not in states


def test_signals_reach_the_program_and_its_code_comes_back(engine: Engine) -> None:
    container = _started(engine, "trap 'echo usr' USR1; trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done")
    _until(lambda: "up\n" in [line.text for line in container.logs()])
    container.kill("USR1")
    _until(lambda: "usr\n" in [line.text for line in container.logs()])
    assert container.stop(10) == 9


def test_program_without_handlers_ends_at_sigterm(engine: Engine) -> None:
    # As pid 1 it would ignore it, and stop would take its ten seconds.
    container = _started(engine, "exec sleep 60")
    before_s = time.monotonic()
    assert container.stop(10) == 143
    assert time.monotonic() - before_s < 8


def test_missing_program_is_127_as_without_init(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("nonesuch",), init=True))
    with pytest.raises(CommandNotFoundError):
        container.start()
    assert not engine.cgroups.pids(container.id)


def test_its_executable_is_no_file_of_the_host_and_cannot_be_written(engine: Engine) -> None:
    script = """
    readlink /proc/1/exe
    (echo x > /proc/1/exe) 2>/dev/null && echo written
    ls -l /proc/1/fd | grep -c -v -E '/dev/null|pipe:|total' || true
    grep -c -E ' /(usr|lib|work|root)' /proc/1/maps || true
    """
    ran = sh(engine, script, init=True, privileged=True)
    assert ran.out.splitlines() == ["/memfd:init (deleted)", "0", "0"]


def test_terminal_belongs_to_the_program(engine: Engine) -> None:
    script = "trap 'echo interrupted; exit 6' INT; echo up; while :; do sleep 0.05; done"
    container = engine.containers.create(
        ContainerOptions(BUSYBOX, ("sh", "-c", script), init=True, tty=True, open_stdin=True)
    )
    attachment = container.start(attach=True)
    assert attachment is not None
    seen = b""
    while b"up" not in seen:
        output = attachment.read()
        assert output is not None
        seen += output.data
    attachment.write_stdin(b"\x03")
    assert collect(attachment).code == 6


def test_it_costs_next_to_nothing(engine: Engine) -> None:
    container = _started(engine, "exec sleep 60")
    with open(f"/proc/{container.pid}/smaps_rollup") as file:
        rss_kb = next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
    assert rss_kb <= 64
    assert len(os.listdir(f"/proc/{container.pid}/fd")) == 3
