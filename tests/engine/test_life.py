"""From create to rm: what a container does, and what docker says it should."""

import signal
import time

import pytest

from tests.support.engines import BUSYBOX, collect, run, sh
from toolkit.core.errors import (
    CommandNotExecutableError,
    CommandNotFoundError,
    ConflictError,
    EngineError,
    InvalidError,
    NotFoundError,
    StartError,
)
from toolkit.engine.container import CREATED, EXITED, RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def _create(engine: Engine, *argv: str, **options: object) -> Container:
    return engine.containers.create(ContainerOptions(BUSYBOX, argv, **options))  # type: ignore[arg-type]  # a test's words


def _started(engine: Engine, *argv: str, **options: object) -> Container:
    container = _create(engine, *argv, **options)
    container.start()
    return container


@pytest.fixture
def sleeper(engine: Engine) -> Container:
    """Return a running container whose init dies of SIGTERM."""
    return _started(engine, "sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")


# Output and exit codes


def test_output_and_exit_code_come_back(engine: Engine) -> None:
    assert sh(engine, "echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")


def test_success_is_0(engine: Engine) -> None:
    assert run(engine, "true").code == 0


def test_death_by_a_signal_is_128_and_its_number(engine: Engine) -> None:
    # As a child of init: pid 1 ignores signals that it has no handler for.
    container = _started(engine, "sleep", "60")
    container.kill("KILL")
    assert container.wait() == 128 + signal.SIGKILL


def test_command_that_is_nowhere_in_path_is_127(engine: Engine) -> None:
    with pytest.raises(CommandNotFoundError) as caught:
        run(engine, "nonesuch")
    assert caught.value.exit_code == 127
    assert "executable file not found in $PATH" in str(caught.value)


def test_path_that_does_not_exist_is_127(engine: Engine) -> None:
    with pytest.raises(CommandNotFoundError, match="no such file or directory"):
        run(engine, "/nonesuch/x")


def test_directory_as_a_command_is_126(engine: Engine) -> None:
    with pytest.raises(CommandNotExecutableError) as caught:
        run(engine, "/etc")
    assert caught.value.exit_code == 126


def test_file_without_x_is_126(engine: Engine) -> None:
    with pytest.raises(CommandNotExecutableError, match="permission denied"):
        run(engine, "/etc/passwd")


def test_failed_start_leaves_nothing_and_says_why_later(engine: Engine) -> None:
    container = _create(engine, "nonesuch", name="broken")
    with pytest.raises(StartError):
        container.start()
    found = engine.containers.get("broken")
    assert (found.status, found.exit_code) == (EXITED, 127)
    assert "nonesuch" in found.inspect()["State"]["Error"]
    assert not engine.cgroups.pids(container.id)


def test_failed_start_with_auto_remove_forgets_the_container(engine: Engine) -> None:
    with pytest.raises(CommandNotFoundError):
        run(engine, "nonesuch")
    assert list(engine.containers.list(all=True)) == []


# States


def test_states_are_created_running_exited(engine: Engine) -> None:
    container = _create(engine, "sleep", "60")
    assert (container.status, container.pid, container.exit_code) == (CREATED, 0, None)
    container.start()
    assert (container.status, container.exit_code) == (RUNNING, None)
    assert container.pid > 0
    container.kill()
    container.wait()
    assert (container.status, container.pid, container.exit_code) == (EXITED, 0, 137)


def test_wait_on_a_container_that_never_started_returns_0(engine: Engine) -> None:
    assert _create(engine, "true").wait() == 0


def test_wait_returns_the_code_of_one_that_has_ended_already(engine: Engine) -> None:
    container = _started(engine, "sh", "-c", "exit 5")
    assert container.wait() == 5
    assert container.wait() == 5


def test_starting_a_running_container_changes_nothing(sleeper: Container) -> None:
    pid = sleeper.pid
    sleeper.start()
    assert sleeper.pid == pid


def test_container_can_be_started_again_and_keeps_its_files(engine: Engine) -> None:
    container = _started(engine, "sh", "-c", "cat /mark; echo was here >> /mark")
    container.wait()
    container.start()
    container.wait()
    assert [line.text for line in container.logs() if line.stream == "stdout"] == ["was here\n"]


def test_stop_sends_the_stop_signal(sleeper: Container) -> None:
    next(sleeper.logs(follow=True))  # the trap is set
    assert sleeper.stop(10) == 7


def test_stop_kills_what_does_not_listen(engine: Engine) -> None:
    container = _started(engine, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    next(container.logs(follow=True))
    began = time.monotonic()
    assert container.stop(0.2) == 137
    assert time.monotonic() - began < 5


def test_stop_uses_the_signal_of_the_options(engine: Engine) -> None:
    script = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done"
    container = _started(engine, "sh", "-c", script, stop_signal="SIGUSR1")
    next(container.logs(follow=True))
    assert container.stop(10) == 9


def test_stop_of_one_that_has_ended_returns_its_code(engine: Engine) -> None:
    container = _started(engine, "sh", "-c", "exit 4")
    container.wait()
    assert container.stop() == 4


@pytest.mark.parametrize("again", range(3))
def test_stop_of_one_that_removes_itself_returns_its_code(engine: Engine, again: int) -> None:
    container = _started(engine, "sh", "-c", "trap '' TERM; echo ready; sleep 60", auto_remove=True)
    assert container.stop(0.1 * again) == 137
    with pytest.raises(NotFoundError):
        engine.containers.get(container.id)


@pytest.mark.parametrize("again", range(3))
def test_removal_by_force_of_one_that_removes_itself_is_no_error(engine: Engine, again: int) -> None:
    container = _started(engine, "sleep", f"6{again}", auto_remove=True)
    container.remove(force=True)
    with pytest.raises(NotFoundError):
        engine.containers.get(container.id)


def test_removal_by_force_of_one_that_has_just_ended_is_no_error(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = _started(engine, "sleep", "60")
    watch = Container.watch

    def too_late(self: Container) -> object:
        session = watch(self)
        monkeypatch.undo()
        self.kill()
        self.wait()
        return session

    monkeypatch.setattr(Container, "watch", too_late)
    container.remove(force=True)
    with pytest.raises(NotFoundError):
        engine.containers.get(container.id)


def test_kill_of_one_that_does_not_run_is_a_conflict(engine: Engine) -> None:
    with pytest.raises(ConflictError, match="is not running"):
        _create(engine, "true").kill()


def test_unknown_signal_is_refused(sleeper: Container) -> None:
    with pytest.raises(InvalidError, match="invalid signal: NONESUCH"):
        sleeper.kill("NONESUCH")


def test_running_container_is_not_removed(sleeper: Container) -> None:
    with pytest.raises(ConflictError, match="it is running"):
        sleeper.remove()
    assert sleeper.status == RUNNING


def test_force_removes_a_running_container(engine: Engine, sleeper: Container) -> None:
    sleeper.remove(force=True)
    with pytest.raises(NotFoundError):
        engine.containers.get(sleeper.id)


def test_force_removes_one_that_ends_at_this_very_moment(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    container = _started(engine, "sleep", "60")
    watch = container.watch

    def end_first() -> object:
        session = watch()
        monkeypatch.undo()
        container.kill()
        container.wait()
        return session

    monkeypatch.setattr(container, "watch", end_first)
    container.remove(force=True)
    with pytest.raises(NotFoundError):
        engine.containers.get(container.id)


def test_removed_container_is_gone(engine: Engine) -> None:
    container = _create(engine, "true", name="gone")
    container.remove()
    with pytest.raises(NotFoundError, match="No such container: gone"):
        engine.containers.get("gone")


def test_wait_on_a_removed_container_says_so(engine: Engine) -> None:
    container = _create(engine, "true")
    container.remove()
    with pytest.raises(NotFoundError):
        container.wait()


# Finding


def test_name_prefix_and_whole_id_find_a_container(engine: Engine) -> None:
    container = _create(engine, "true", name="web")
    for reference in ("web", "/web", container.id, container.id[:12], container.id[:5].upper()):
        assert engine.containers.get(reference).id == container.id


def test_taken_name_is_a_conflict_in_dockers_words(engine: Engine) -> None:
    first = _create(engine, "true", name="web")
    with pytest.raises(ConflictError, match=f'The container name "/web" is already in use by container "{first.id}"'):
        _create(engine, "true", name="web")


def test_container_without_a_name_gets_one(engine: Engine) -> None:
    left, _, right = _create(engine, "true").name.partition("_")
    assert left
    assert right


def test_unknown_image_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFoundError, match="nonesuch"):
        run(engine, "true", image="nonesuch")


def test_list_shows_those_that_run_and_all_on_demand(engine: Engine, sleeper: Container) -> None:
    other = _create(engine, "true")
    assert [one.id for one in engine.containers.list()] == [sleeper.id]
    assert [one.id for one in engine.containers.list(all=True)] == [other.id, sleeper.id]


# Exec


def test_exec_runs_in_the_namespaces_of_the_container(sleeper: Container) -> None:
    script = "hostname; for kind in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$kind; done"
    inside = collect(sleeper.exec(ExecOptions(("sh", "-c", script)))).out
    theirs = collect(sleeper.exec(ExecOptions(("sh", "-c", script.replace("self", "1"))))).out
    assert inside == theirs
    assert inside.startswith(sleeper.short_id)


def test_exec_returns_its_own_code(sleeper: Container) -> None:
    assert collect(sleeper.exec(ExecOptions(("sh", "-c", "echo err >&2; exit 6")))) == (6, "", "err\n")
    assert sleeper.status == RUNNING


def test_exec_of_nothing_that_exists_is_127(sleeper: Container) -> None:
    with pytest.raises(CommandNotFoundError):
        sleeper.exec(ExecOptions(("nonesuch",)))
    assert sleeper.status == RUNNING


def test_exec_has_stdin(sleeper: Container) -> None:
    attachment = sleeper.exec(ExecOptions(("wc", "-c"), open_stdin=True))
    attachment.write_stdin(b"12345")
    attachment.close_stdin()
    assert collect(attachment).out.strip() == "5"


def test_exec_takes_user_directory_and_environment(sleeper: Container) -> None:
    options = ExecOptions(("sh", "-c", "id -u; pwd; echo $COLOUR"), user="ada", working_dir="/tmp", env=("COLOUR=red",))
    assert collect(sleeper.exec(options)).out == "1000\n/tmp\nred\n"


def test_exec_is_in_the_containers_cgroup(sleeper: Container) -> None:
    cgroups = "cat /proc/{}/cgroup"
    mine = collect(sleeper.exec(ExecOptions(("sh", "-c", cgroups.format("self"))))).out
    theirs = collect(sleeper.exec(ExecOptions(("sh", "-c", cgroups.format("1"))))).out
    assert mine == theirs


def test_exec_leaks_no_descriptors(sleeper: Container) -> None:
    assert collect(sleeper.exec(ExecOptions(("ls", "/proc/self/fd")))).out.split() == ["0", "1", "2", "3"]


def test_exec_ends_with_the_container(sleeper: Container) -> None:
    attachment = sleeper.exec(ExecOptions(("sleep", "60")))
    sleeper.kill()
    assert collect(attachment).code == 137


def test_exec_into_one_that_does_not_run_is_a_conflict(engine: Engine) -> None:
    with pytest.raises(ConflictError, match="is not running"):
        _create(engine, "true").exec(ExecOptions(("true",)))


# Logs, inspect, stats


def test_logs_keep_stream_and_order(engine: Engine) -> None:
    container = _started(engine, "sh", "-c", "echo one; sleep 0.05; echo two >&2; sleep 0.05; printf three")
    container.wait()
    assert [(line.stream, line.text) for line in container.logs()] == [
        ("stdout", "one\n"),
        ("stderr", "two\n"),
        ("stdout", "three"),
    ]


def test_following_ends_when_the_container_does(engine: Engine) -> None:
    container = _started(engine, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    assert [line.text for line in container.logs(follow=True)] == ["1\n", "2\n", "3\n"]
    assert container.status == EXITED


def test_inspect_tells_state_and_config(engine: Engine, sleeper: Container) -> None:
    document = sleeper.inspect()
    assert document["State"]["Running"] is True
    assert document["State"]["Pid"] == sleeper.pid
    assert document["Name"] == f"/{sleeper.name}"
    assert document["Path"] == "sh"
    assert document["Config"]["Image"] == BUSYBOX


def test_stats_and_pids_come_from_the_cgroup(sleeper: Container) -> None:
    assert sleeper.pid in sleeper.pids()
    assert sleeper.stats().pids.current >= 1


def test_stats_of_one_that_does_not_run_is_a_conflict(engine: Engine) -> None:
    with pytest.raises(ConflictError):
        _create(engine, "true").stats()


def test_info_counts_containers(engine: Engine, sleeper: Container) -> None:
    _create(engine, "true")
    information = engine.info()
    assert (information["Containers"], information["ContainersRunning"]) == (2, 1)


def test_every_error_has_one_line(engine: Engine) -> None:
    for argv in (("nonesuch",), ("/etc",), ("/nonesuch",)):
        with pytest.raises(EngineError) as caught:
            run(engine, *argv)
        assert len(str(caught.value).splitlines()) == 1
