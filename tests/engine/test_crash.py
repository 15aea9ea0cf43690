"""SIGKILL of any of our processes at any step: nothing remains that the next command does not clean up."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.support.attacker import sabotage_zygote
from tests.support.engines import BUSYBOX, close_engine, collect, in_processes, run
from tests.support.family import Family, is_dead, look_at, settle
from tests.support.gates import start_gated
from tests.support.patience import wait_until
from tests.support.session import EngineRoot
from toolkit.core.errors import ConflictError, EngineError, NotFoundError, StartError
from toolkit.engine.container import CREATED, EXITED, RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.runtime.steps import NewProcess
from toolkit.runtime.steps.namespaces import FORK_CALLS

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


@pytest.fixture
def family(engine: Engine) -> Family:
    """Return who is who among the engine's processes."""
    return Family(engine)


def _create(engine: Engine, *argv: str, **options: object) -> Container:
    return engine.containers.create(ContainerOptions(BUSYBOX, argv, **options))  # type: ignore[arg-type]  # a test's words


def _steps(engine: Engine) -> int:
    container = _create(engine, "true")
    count = len(container.plan())
    container.remove()
    return count


# Every step, every victim


def _kill_at(index: int, kill: Callable[[], None]) -> Callable[[int], bool]:
    def gate(step: int) -> bool:
        if step == index:
            kill()
        return True

    return gate


@pytest.mark.parametrize("role", ["starter", "monitor"])
def test_supervisor_killed_at_any_step_leaves_nothing_and_the_container_can_be_started(
    engine: Engine, family: Family, role: str
) -> None:
    for index in range(_steps(engine)):
        container = _create(engine, "sh", "-c", "exit 3")

        def kill(one: Container = container) -> None:
            starter, monitor, _init = family.at_gate(one)
            os.kill(starter if role == "starter" else monitor, signal.SIGKILL)

        with pytest.raises(StartError):
            start_gated(container, _kill_at(index, kill))
        assert settle(family, engine, container) == [], f"killed before step {index}"
        container.start()
        assert container.wait() == 3, f"killed before step {index}"
        container.remove()


def test_init_killed_at_any_step_is_one_clear_error_and_leaves_nothing(engine: Engine, family: Family) -> None:
    plan = _create(engine, "true").plan()
    birth = next(index for index, step in enumerate(plan) if isinstance(step, NewProcess))
    for index in range(birth + 1, len(plan)):
        container = _create(engine, "sh", "-c", "exit 3")

        def kill(one: Container = container) -> None:
            init = family.at_gate(one)[2]
            assert init
            os.kill(init, signal.SIGKILL)

        with pytest.raises(StartError, match="died while it was being set up"):
            start_gated(container, _kill_at(index, kill))
        assert settle(family, engine, container, recover=False) == [], f"killed before step {index}"
        assert (container.status, container.exit_code) == (EXITED, 125)
        container.start()
        assert container.wait() == 3
        container.remove()


def test_zygote_killed_at_any_step_disturbs_nobody(engine: Engine, family: Family) -> None:
    for index in range(_steps(engine)):
        container = _create(engine, "sh", "-c", "exit 3")
        start_gated(container, _kill_at(index, lambda: os.kill(family.zygote(), signal.SIGKILL))).close()
        assert container.wait() == 3, f"killed before step {index}"
        container.remove()
        assert settle(family, engine, container) == []


@pytest.mark.parametrize("role", ["monitor", "worker"])
def test_whoever_is_killed_at_any_moment_of_a_quick_start_leaves_nothing(
    engine: Engine, family: Family, role: str
) -> None:
    assert run(engine, "true").code == 0
    for moment in range(40):
        container = _create(engine, "sleep", "60")
        _zygote, monitor, worker = family.reserve()
        session = engine.launcher.start(container, attach=False, trace=False, gated=False, console_size=None)
        time.sleep(moment * 0.0002)
        with suppress(ProcessLookupError):  # another pair had been made meanwhile, and ours was not asked
            os.kill(monitor if role == "monitor" else worker, signal.SIGKILL)
        session.receive()  # it has started, has failed, or its monitor is gone
        session.close()
        if container.status == RUNNING:
            container.remove(force=True)
        assert settle(family, engine, container) == [], f"killed after {moment * 0.2} ms"


@pytest.mark.parametrize("role", ["monitor", "worker", "zygote"])
def test_keeper_of_a_workers_memory_goes_with_it(engine: Engine, family: Family, role: str) -> None:
    run(engine, "true")
    pids = dict(zip(("zygote", "monitor", "worker"), family.reserve(), strict=True))
    keeper = family.keeper(pids["worker"])
    assert not is_dead(keeper)
    os.kill(pids[role], signal.SIGKILL)
    wait_until(lambda: is_dead(keeper), 5)
    assert run(engine, "true").code == 0


def test_keeper_is_gone_when_the_container_runs(engine: Engine, family: Family) -> None:
    run(engine, "true")
    for _chance in range(10):  # which of the pairs is woken is the kernel's choice
        _zygote, monitor, worker = family.reserve()
        keeper = family.keeper(worker)
        container = _create(engine, "sleep", "60")
        container.start()
        pid = container.pid
        if pid == worker:
            wait_until(lambda one=keeper: not os.path.exists(f"/proc/{one}"), 5)  # type: ignore[misc]
            with open(f"/proc/{monitor}/task/{monitor}/children") as children:
                assert children.read().split() == [str(worker)]
        container.remove(force=True)
        if pid == worker:
            return
    raise AssertionError("the pair that waits longest was never taken")


def test_killed_keeper_disturbs_nobody(engine: Engine, family: Family) -> None:
    run(engine, "true")
    os.kill(family.keeper(family.reserve()[2]), signal.SIGKILL)
    assert run(engine, "sh", "-c", "exit 3").code == 3


@pytest.mark.parametrize("code", ["None", "stem._code._replace(bear_at=lambda *_arguments: -1)"])
def test_worker_is_forked_where_its_memory_cannot_be_kept(
    engine: Engine, family: Family, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    sabotage_zygote(engine, monkeypatch, f"import toolkit.runtime.stem as stem; stem._code = {code}")
    container = _create(engine, "sh", "-c", "exit 3")
    attachment = container.start(attach=True, trace=True)
    assert attachment is not None
    assert collect(attachment).code == 3
    assert [event.call for event in attachment.events[:2]] == list(FORK_CALLS)
    _zygote, monitor, _worker = family.reserve()
    os.kill(monitor, signal.SIGKILL)
    assert run(engine, "true").code == 0
    container.remove()
    assert settle(family, engine, container) == []


@pytest.mark.parametrize("auto_remove", [False, True])
def test_client_killed_at_any_step_leaves_nothing(engine: Engine, family: Family, auto_remove: bool) -> None:  # noqa: FBT001 - a parameter
    for index in range(_steps(engine)):
        container = _create(engine, "sh", "-c", "exit 3", auto_remove=auto_remove)
        _die_while_starting(engine, container, index)
        assert settle(family, engine, container) == [], f"killed at step {index}"
        if auto_remove:
            with pytest.raises(NotFoundError):
                engine.containers.get(container.id)
            assert not os.path.exists(engine.paths.container(container.id))
        else:
            container.start()
            assert container.wait() == 3
            container.remove()


def _die_while_starting(engine: Engine, container: Container, index: int) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def start(mine: Engine, _number: int) -> int:
        start_gated(mine.containers.get(container.id), _kill_at(index, die))
        return 0

    assert in_processes(engine, 1, start) == [-signal.SIGKILL]


def _start_and_be_killed(engine: Engine, container: Container) -> None:
    def start(mine: Engine, _number: int) -> int:
        mine.containers.get(container.id).start(attach=True)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert in_processes(engine, 1, start) == [-signal.SIGKILL]


def test_giving_up_at_any_gate_leaves_nothing(engine: Engine, family: Family) -> None:
    for index in range(_steps(engine)):
        container = _create(engine, "true")
        with pytest.raises(StartError, match="given up"):
            start_gated(container, lambda step, stop=index: step < stop)  # type: ignore[misc]
        assert settle(family, engine, container, recover=False) == [], f"given up at step {index}"
        assert container.status == CREATED
        container.remove()


# A running container survives


def test_container_survives_client_and_zygote_with_log_and_exit_code(
    engine: Engine, family: Family, engine_root: EngineRoot
) -> None:
    script = "echo one; while [ ! -e /go ]; do sleep 0.02; done; echo two; exit 9"
    container = _create(engine, "sh", "-c", script)
    _start_and_be_killed(engine, container)
    os.kill(family.zygote(), signal.SIGKILL)
    assert container.status == RUNNING
    with container.attach() as attachment:
        with open(f"/proc/{container.pid}/root/go", "w"):
            pass
        assert b"".join(output.data for output in attachment) == b"two\n"
    assert container.wait() == 9
    assert [line.text for line in container.logs()] == ["one\n", "two\n"]


def test_exit_code_is_recorded_while_nobody_watches(engine: Engine, family: Family) -> None:
    container = _create(engine, "sh", "-c", "sleep 0.2; exit 11")
    container.start()
    os.kill(family.zygote(), signal.SIGKILL)
    deadline = time.monotonic() + 5
    while os.path.isdir(container.run_dir) and time.monotonic() < deadline:
        time.sleep(0.02)
    with open(engine.paths.exit_file(container.id)) as file:
        assert json.load(file)["code"] == 11


def test_killed_monitor_takes_its_container_along_and_the_loss_is_recorded(engine: Engine, family: Family) -> None:
    container = _create(engine, "sleep", "60")
    container.start()
    started_at = container.inspect()["State"]["StartedAt"]
    os.kill(family.holder(container), signal.SIGKILL)
    assert container.wait() == 137
    state = container.inspect()["State"]
    assert (state["Status"], state["Error"]) == ("exited", "the container's monitor was killed")
    assert state["StartedAt"] == started_at
    assert settle(family, engine, container) == []


def test_killed_monitor_of_a_container_that_ignores_its_death_is_cleaned_up(engine: Engine, family: Family) -> None:
    # A set-user-id program clears the parent death signal (PR_SET_PDEATHSIG): only the cgroup knows it then.
    container = _create(engine, "sh", "-c", "chmod u+s /bin/busybox && exec su ada -c 'echo ready; sleep 60'")
    container.start()
    next(container.logs(follow=True))
    pid = container.pid
    os.kill(family.holder(container), signal.SIGKILL)
    assert settle(family, engine, container) == []
    assert is_dead(pid)


def test_auto_remove_happens_although_its_client_was_killed(engine: Engine, engine_root: EngineRoot) -> None:
    container = _create(engine, "sleep", "0.3", auto_remove=True)
    _start_and_be_killed(engine, container)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and os.path.exists(engine.paths.container(container.id)):
        time.sleep(0.02)  # nobody opens the engine meanwhile: the monitor's successor does the work
    assert not os.path.exists(engine.paths.container(container.id))
    with pytest.raises(NotFoundError):
        engine.containers.get(container.id)


def test_detached_auto_remove_happens_by_itself(engine: Engine) -> None:
    container = _create(engine, "true", auto_remove=True)
    container.start()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and os.path.exists(engine.paths.container(container.id)):
        time.sleep(0.02)
    assert not os.path.exists(engine.paths.container(container.id))


def test_client_that_leaves_before_it_is_greeted_does_not_end_its_container(engine: Engine) -> None:
    container = _create(engine, "sh", "-c", "sleep 0.3; exit 6")
    engine.launcher.start(container, attach=False, trace=False, gated=False, console_size=None).close()
    assert container.wait() == 6


def test_zygote_that_was_killed_is_replaced(engine: Engine, family: Family) -> None:
    assert run(engine, "true").code == 0
    os.kill(family.zygote(), signal.SIGKILL)
    assert run(engine, "true").code == 0


@pytest.mark.timeout(30)
@pytest.mark.parametrize("userns_mode", ["", "private"])
def test_zygote_that_was_killed_is_replaced_while_a_container_runs(
    engine: Engine, family: Family, userns_mode: str
) -> None:
    container = _create(engine, "sleep", "60", userns_mode=userns_mode)
    container.start()
    attachment = container.exec(ExecOptions(("sleep", "60")))
    zygote = family.zygote()
    os.kill(zygote, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while not is_dead(zygote) and time.monotonic() < deadline:
        time.sleep(0.01)
    with attachment:
        # A listening socket that somebody has kept would take these connections, and nobody answer.
        assert collect(container.exec(ExecOptions(("true",)))).code == 0
        assert run(engine, "true").code == 0
    assert container.status == RUNNING


def test_start_that_meets_a_dying_zygote_is_made_again(
    engine: Engine, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(engine, "true").code == 0
    zygote = engine.launcher.zygote
    connect = zygote._connect
    victims = list(family.reserve())

    def connect_and_kill() -> object:
        sock = connect()
        while victims:
            with suppress(ProcessLookupError):  # the pair goes by itself when the zygote is gone
                os.kill(victims.pop(), signal.SIGKILL)
        return sock

    monkeypatch.setattr(zygote, "_connect", connect_and_kill)
    assert run(engine, "sh", "-c", "exit 3").code == 3


def test_zygote_is_nobodys_child_and_leaves_when_told(engine: Engine, family: Family) -> None:
    assert run(engine, "true").code == 0
    zygote = look_at(family.zygote())
    assert zygote is not None
    assert zygote.parent != os.getpid()
    engine.launcher.zygote.stop()
    deadline = time.monotonic() + 5
    while family.members() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert family.members() == {}


# Several at once


def test_five_processes_open_the_engine_and_run_at_once(engine: Engine, engine_root: EngineRoot) -> None:
    def one(mine: Engine, number: int) -> int:
        for again in range(5):
            container = _create(mine, "sh", "-c", f"exit {number + 10}", auto_remove=again % 2 == 0)
            with Engine.open(engine_root.root, engine_root.run):  # looks for wrecks while the others start
                attachment = container.start(attach=True)
            assert attachment is not None
            list(attachment)
            if attachment.exit_code != number + 10:
                return 1
            if again % 2 != 0:
                container.remove()
        return 0

    assert in_processes(engine, 5, one) == [0, 0, 0, 0, 0]
    assert list(engine.containers.list(all=True)) == []
    assert os.listdir(engine.paths.running) == []


def test_of_two_that_start_the_same_container_both_see_it_run_once(engine: Engine, engine_root: EngineRoot) -> None:
    for _again in range(10):
        container = _create(engine, "sh", "-c", "echo started; sleep 60")

        def start(mine: Engine, _number: int, ident: str = container.id) -> int:
            mine.containers.get(ident).start()
            return 0

        assert in_processes(engine, 2, start) == [0, 0]
        next(container.logs(follow=True))
        container.kill()
        container.wait()
        assert [line.text for line in container.logs()] == ["started\n"]
        container.remove()


def test_of_two_that_start_and_remove_the_same_container_one_wins(
    engine: Engine, family: Family, engine_root: EngineRoot
) -> None:
    for _again in range(20):
        container = _create(engine, "sh", "-c", "sleep 60")

        def act(mine: Engine, number: int, ident: str = container.id) -> int:
            try:
                one = mine.containers.get(ident)
                one.start() if number == 0 else one.remove()
            except (ConflictError, NotFoundError):
                return 1
            return 0

        started, removed = in_processes(engine, 2, act)
        if removed == 0:
            assert started == 1
            assert not os.path.exists(engine.paths.container(container.id))
        else:
            assert started == 0
            container.remove(force=True)
        assert settle(family, engine, container) == []


def test_all_who_remove_the_same_container_succeed_or_are_told(
    engine: Engine, family: Family, engine_root: EngineRoot
) -> None:
    for _again in range(10):
        container = _create(engine, "sleep", "60")
        container.start()

        def remove(mine: Engine, _number: int, ident: str = container.id) -> int:
            try:
                mine.containers.get(ident).remove(force=True)
            except (ConflictError, NotFoundError):
                return 1
            return 0

        assert 0 in in_processes(engine, 3, remove)
        assert settle(family, engine, container) == []


# Wrecks


def test_run_directory_without_a_claim_is_only_swept(engine: Engine) -> None:
    container = _create(engine, "true", auto_remove=True)
    os.mkdir(container.run_dir)
    engine.recovery.run()
    assert not os.path.exists(container.run_dir)
    assert engine.containers.get(container.id).status == CREATED


def test_run_directory_of_an_unknown_container_is_cleared(engine: Engine) -> None:
    run_dir = engine.paths.run_dir("f" * 64)
    os.mkdir(run_dir)
    for name in ("claim", "status.json", "attach.sock"):
        with open(f"{run_dir}/{name}", "w") as file:
            file.write('{"pid": 1, "started_at": ""}')
    engine.recovery.run()
    assert os.listdir(engine.paths.running) == []


def test_stale_status_of_a_reused_pid_is_not_believed(engine: Engine) -> None:
    container = _create(engine, "true")
    os.makedirs(engine.paths.container(container.id))
    os.mkdir(container.run_dir)
    with open(f"{container.run_dir}/claim", "w"), open(f"{container.run_dir}/status.json", "w") as file:
        json.dump({"pid": os.getpid(), "monitor": 1, "started_at": "2026-01-01T00:00:00.000000000Z"}, file)
    with pytest.raises(ConflictError):
        container.kill()  # this very process would have been hit
    assert (container.status, container.pid) == (EXITED, 0)


def test_removal_that_was_cut_is_ended_by_the_next_command(engine: Engine, family: Family) -> None:
    container = _create(engine, "true")
    container.start()
    container.wait()
    os.mkdir(container.run_dir)
    with open(f"{container.run_dir}/claim", "w"):
        pass
    engine.state.delete("container", container.id)  # killed right after this
    engine.recovery.run()
    assert not os.path.exists(engine.paths.container(container.id))
    assert settle(family, engine, container, recover=False) == []


def test_trash_is_emptied_by_the_next_command(engine: Engine) -> None:
    os.makedirs(f"{engine.paths.trash}/x/y")
    engine.recovery.run()
    assert os.listdir(engine.paths.trash) == []


def test_engine_whose_directories_were_moved_runs_its_containers(engine: Engine, engine_root: EngineRoot) -> None:
    container = _create(engine, "sh", "-c", "cat /mark; echo kept > /mark")
    container.start()
    container.wait()
    engine.shutdown()
    there = f"{os.path.dirname(engine_root.root)}/elsewhere"
    os.rename(engine_root.root, there)
    os.rename(engine_root.run, f"{there}-run")
    try:
        moved = Engine.open(there, f"{there}-run")
        same = moved.containers.get(container.id)
        same.start()
        same.wait()
        assert [line.text for line in same.logs() if line.stream == "stdout"] == ["kept\n"]
        close_engine(moved)
    finally:
        os.rename(there, engine_root.root)
        os.rename(f"{there}-run", engine_root.run)
    engine.state = Engine.open(engine_root.root, engine_root.run).state


def test_interrupt_while_starting_leaves_nothing(engine: Engine, family: Family) -> None:
    container = _create(engine, "true")

    def interrupted(step: int) -> bool:
        if step == 10:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        start_gated(container, interrupted)
    assert settle(family, engine, container) == []


def test_whoever_loses_the_race_for_a_run_directory_does_not_wait_for_the_container(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The loser's directory is swept as a wreck before it is locked, and the winner makes it anew.
    container = _create(engine, "sleep", "60")
    mkdir = os.mkdir

    def lose(path: str, mode: int = 0o777) -> None:
        mkdir(path, mode)
        if path == container.run_dir:
            monkeypatch.undo()
            os.rmdir(path)
            container.start()

    monkeypatch.setattr(os, "mkdir", lose)
    with pytest.raises(ConflictError, match="by someone else"):
        engine.containers.discard(container)
    assert container.status == RUNNING


# Execs


def test_killed_monitor_of_an_exec_takes_its_process_along_and_nothing_else(engine: Engine, family: Family) -> None:
    container = _create(engine, "sleep", "60")
    container.start()
    attachment = container.exec(ExecOptions(("sh", "-c", "echo $$; sleep 61")))
    assert attachment.read() is not None
    victims = [pid for pid in container.pids() if pid != container.pid]
    monitors = {found.parent for pid in victims if (found := look_at(pid)) is not None} - set(victims)
    assert len(monitors) == 1
    os.kill(monitors.pop(), signal.SIGKILL)
    with attachment:
        assert list(attachment) == []
    assert attachment.exit_code == -1
    deadline = time.monotonic() + 5
    while container.pids() != [container.pid] and time.monotonic() < deadline:
        # A child of the shell lives on, as after a kill of the shell; the container's own end takes it.
        time.sleep(0.01)
        for pid in container.pids():
            if pid != container.pid and not is_dead(pid) and look_at(pid) is not None:
                os.kill(pid, signal.SIGKILL)
    assert container.status == RUNNING


@pytest.mark.parametrize("role", ["monitor", "worker"])
def test_whoever_is_killed_at_any_moment_of_an_exec_leaves_nothing(engine: Engine, family: Family, role: str) -> None:
    container = _create(engine, "sleep", "600")
    container.start()
    ends: set[str] = set()
    for moment in [*range(25)] * 8:
        if moment == 0 and len(ends) > 1:
            break
        _zygote, monitor, worker = family.helper()
        options = ExecOptions(("sleep", "61"))
        # By a thread that has begun before: on a busy machine all is done when we are back from asking for it.
        killer = threading.Timer(moment * 0.0004, _kill, (monitor if role == "monitor" else worker,))
        killer.start()
        session = engine.launcher.exec(container, container.pid, options, exec_id="e", console_size=None)
        killer.join()
        received = session.receive()  # it has started, has failed, or its monitor is gone
        ends.add("lost" if received is None else json.loads(received[1])["event"])
        session.close()
        with suppress(FileNotFoundError, ProcessLookupError):  # while it ends, its children cannot be read either
            os.kill(_child_of(monitor), signal.SIGKILL)  # the worker has a successor
        wait_until(lambda one=monitor: is_dead(one), 5)  # type: ignore[misc]
        assert container.status == RUNNING
    assert len(ends) > 1, ends  # the moments were not all before, or all after
    assert collect(container.exec(ExecOptions(("sh", "-c", "exit 4")))).code == 4
    container.remove(force=True)
    assert settle(family, engine, container) == []


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _child_of(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        pids = children.read().split()
    if not pids:
        raise FileNotFoundError
    return int(pids[0])


def test_exec_needs_no_copy_of_its_helper(engine: Engine, family: Family) -> None:
    container = _create(engine, "sleep", "600")
    container.start()
    zygote, monitor, worker = family.helper()
    with container.exec(ExecOptions(("sh", "-c", "echo $PPID; sleep 61"))) as attachment:
        assert next(iter(attachment)).data == b"0\n"  # its parent is not in the container
        assert _child_of(monitor) != worker  # which has ended, and been reaped: a successor is in its place
        assert not os.path.exists(f"/proc/{worker}")
        with open(f"/proc/{monitor}/task/{monitor}/children") as children:
            assert len(children.read().split()) == 1
    assert family.helper()[0] == zygote
    container.remove(force=True)


def test_execs_at_the_same_time_need_not_wait_for_a_helper(engine: Engine) -> None:
    container = _create(engine, "sleep", "600")
    container.start()
    script = "sleep 0.3; exit $0"
    attachments = [container.exec(ExecOptions(("sh", "-c", script, str(code)))) for code in range(4)]
    assert [collect(one).code for one in attachments] == [0, 1, 2, 3]
    container.remove(force=True)


def test_exec_is_forked_where_there_is_no_successor(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage_zygote(engine, monkeypatch, "import toolkit.runtime.stem as stem; stem._code = None")
    container = _create(engine, "sleep", "600")
    container.start()
    assert collect(container.exec(ExecOptions(("sh", "-c", "exit 4")))).code == 4
    container.remove(force=True)


def test_exec_survives_client_and_zygote_only_as_long_as_the_container(engine: Engine, family: Family) -> None:
    container = _create(engine, "sleep", "60")
    container.start()
    attachment = container.exec(ExecOptions(("sleep", "61")))
    os.kill(family.zygote(), signal.SIGKILL)
    attachment.close()
    assert len(container.pids()) == 2
    container.kill()
    container.wait()
    assert settle(family, engine, container) == []


def test_exec_into_a_container_that_ends_meanwhile_is_one_clear_error(engine: Engine, family: Family) -> None:
    for moment in range(20):
        container = _create(engine, "sleep", "60")
        container.start()
        killer = threading.Timer(moment * 0.0005, container.kill)
        killer.start()
        try:
            with container.exec(ExecOptions(("true",))) as attachment:
                list(attachment)
        except EngineError as exc:
            assert len(str(exc).splitlines()) == 1  # noqa: PT017 - either outcome is right
        killer.join()
        container.wait()
        assert settle(family, engine, container) == []
        container.remove()
