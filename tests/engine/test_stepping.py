"""The stepper: a container that waits between any two of its steps, and what can be seen of it from outside."""

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.engines import BUSYBOX, in_processes
from tests.support.family import Family, is_dead, settle
from tests.support.patience import wait_until
from toolkit.core.errors import CommandNotFoundError, ConflictError, InvalidError, NotFoundError, StartError
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.engine.stepping import Stepper
from toolkit.linux.namespace import namespace_inodes
from toolkit.runtime.steps import PivotRoot

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def _create(engine: Engine, *argv: str, **options: object) -> Container:
    made = ContainerOptions(BUSYBOX, argv or ("true",), auto_remove=True, **options)  # type: ignore[arg-type]  # a test's words
    return engine.containers.create(made, will_start=True)


@pytest.fixture
def stepper(engine: Engine) -> Iterator[Stepper]:
    with _create(engine, "sh", "-c", "echo out; echo err >&2; exit 3").step() as made:
        yield made


def _points(pid: int) -> list[str]:
    """Read the kernel's own list, not ours."""
    with open(f"/proc/{pid}/mountinfo") as file:
        return [line.split()[4] for line in file]


# Walking


def test_steps_are_those_of_the_plan(stepper: Stepper) -> None:
    assert [step.name for step in stepper.steps] == [type(step).__name__ for step in stepper.plan]
    assert [step.number for step in stepper.steps] == list(range(1, len(stepper.plan) + 1))
    assert (stepper.index, stepper.pid, stepper.state) == (0, 0, "half-made")


def test_next_does_one_step_and_says_what_it_did(stepper: Stepper) -> None:
    done = stepper.next()
    assert [step.name for step in done.steps] == ["NewProcess"]
    assert done.events[0].call.startswith("clone3(")
    assert done.events[0].cost_ns > 0
    assert done.following is not None
    assert done.following.name == stepper.steps[1].name
    assert f"process {stepper.pid}, inside number 1" in done.changes
    assert stepper.index == 1
    os.kill(stepper.pid, 0)


@pytest.mark.parametrize("where", ["pivot_root", "PIVOT_ROOT", "PivotRoot", "pivotroot"])
def test_run_until_stops_before_the_step_that_has_that_name_or_call(stepper: Stepper, where: str) -> None:
    stepper.run_until(where)
    assert isinstance(stepper.plan[stepper.index], PivotRoot)
    assert "/bin/busybox" not in os.listdir(f"/proc/{stepper.pid}/root")
    assert "boot" in os.listdir(f"/proc/{stepper.pid}/root") or "usr" in os.listdir(f"/proc/{stepper.pid}/root")


def test_run_until_takes_the_number_that_is_shown(stepper: Stepper) -> None:
    stepper.run_until(5)
    assert stepper.index == 4
    stepper.run_until("8")
    assert stepper.steps[stepper.index].number == 8


def test_run_until_of_what_comes_next_stays(stepper: Stepper) -> None:
    stepper.run_until(3)
    done = stepper.run_until(stepper.steps[2].name)
    assert (stepper.index, done.steps) == (2, ())


def test_wrong_name_lists_those_there_are(stepper: Stepper) -> None:
    with pytest.raises(InvalidError, match="no step of this plan is or calls 'nosuch'; still to come: NewProcess, "):
        stepper.run_until("nosuch")
    stepper.run_until(6)
    with pytest.raises(InvalidError, match="step 1, clone3, is done already"):
        stepper.run_until("clone3")
    with pytest.raises(InvalidError, match=r"step 3 is done already; step 6 comes next"):
        stepper.run_until(3)
    with pytest.raises(InvalidError, match="there is no step 0"):
        stepper.run_until(0)
    assert stepper.index == 5


def test_at_the_end_it_is_a_running_container_whose_output_can_be_read(stepper: Stepper) -> None:
    stepper.finish()
    assert stepper.wait() == 3
    assert sorted(stepper.output.split()) == ["err", "out"]
    assert (stepper.state, stepper.exit_code) == ("exited", 3)
    with pytest.raises(ConflictError, match="steps are done"):
        stepper.next()
    with pytest.raises(NotFoundError):
        stepper.container.engine.containers.get(stepper.container.id)


def test_output_so_far_is_read_without_waiting(engine: Engine) -> None:
    with _create(engine, "sh", "-c", "echo early; sleep 60").step() as stepper:
        stepper.finish()
        deadline = time.monotonic() + 5
        while stepper.output != "early\n":
            assert time.monotonic() < deadline
        assert stepper.wait(timeout_s=0.05) is None
        assert stepper.state == "running"
        stepper.abort()
        assert (stepper.state, stepper.exit_code) == ("exited", 137)


def test_one_that_runs_cannot_be_stepped(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60")))
    container.start()
    with pytest.raises(ConflictError, match="is running; one that is made has no steps left"):
        container.step()


def test_command_that_does_not_exist_is_found_out_at_its_step(engine: Engine) -> None:
    with _create(engine, "nosuch").step() as stepper, pytest.raises(CommandNotFoundError):
        stepper.finish()
    assert stepper.state == "gone"


# Looking


def test_mount_that_a_step_makes_is_the_kernels_and_is_marked(stepper: Stepper) -> None:
    stepper.run_until("MountOverlay")
    before = _points(stepper.pid)
    stepper.next()
    (new,) = stepper.mounts().new
    assert new.fstype == "overlay"
    assert _points(stepper.pid) == [*before, new.point]
    assert [each.point for each in stepper.mounts()] == _points(stepper.pid)
    stepper.next()
    assert new not in stepper.mounts().new


def test_namespaces_are_the_hosts_until_their_step(stepper: Stepper) -> None:
    stepper.next()
    own = {each.kind for each in stepper.namespaces() if each.is_own}
    assert own == {"pid"}
    stepper.run_until("SetHostname")
    spaces = {each.kind: each.inode for each in stepper.namespaces()}
    assert spaces == namespace_inodes(stepper.pid)
    assert {each.kind for each in stepper.namespaces() if each.is_own} >= {"pid", "uts", "mnt", "net", "ipc"}


def test_capabilities_go_at_their_step(stepper: Stepper) -> None:
    stepper.run_until("SetCapabilities")
    powers = stepper.look().powers
    assert powers is not None
    assert "CAP_SYS_ADMIN" in powers.effective
    stepper.next()
    powers = stepper.look().powers
    assert powers is not None
    assert "CAP_SYS_ADMIN" not in powers.effective
    assert "CAP_CHOWN" in powers.effective
    assert {name for name, _held in stepper.capabilities().new} == {"effective", "permitted"}


def test_cgroup_is_its_own_after_it_has_joined(stepper: Stepper) -> None:
    stepper.run_until("JoinCgroup")
    assert not any(stepper.container.id in group.path for group in stepper.cgroups())
    stepper.next()
    assert all(stepper.container.id in group.path for group in stepper.cgroups().new)
    assert stepper.cgroups().new


def test_calls_are_told_by_step_with_their_costs(stepper: Stepper) -> None:
    stepper.run_until("PivotRoot")
    at = stepper.index
    stepper.next()
    assert 'pivot_root(".", ".")' in [event.call for event in stepper.events_of(at)]
    assert [event.step for event in stepper.calls().new] == [at] * len(stepper.events_of(at))
    assert "pivot_root" in repr(stepper.calls())


def test_before_the_birth_there_is_nothing_to_see(stepper: Stepper) -> None:
    assert len(stepper.mounts()) == 0
    assert "there is no process yet" in repr(stepper.namespaces())
    with pytest.raises(ConflictError, match="nothing to go inside yet"):
        stepper.inside("ps")


# Acting inside


def test_inside_sees_the_hosts_files_until_pivot_root_and_then_the_images(stepper: Stepper) -> None:
    stepper.run_until("pivot_root")
    assert "boot" in stepper.inside("ls /").output.split() or "usr" in stepper.inside("ls /").output.split()
    before = set(stepper.inside("ls", "/").output.split())
    stepper.next()
    after = set(stepper.inside("ls", "/").output.split())
    assert after == {"bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"}
    assert before != after


def test_inside_is_in_the_namespaces_that_there_are_so_far(stepper: Stepper) -> None:
    stepper.run_until("SetHostname")
    host = os.uname().nodename
    assert stepper.inside("hostname").output.strip() == host
    stepper.next()
    assert stepper.inside("hostname").output.strip() == stepper.container.short_id
    assert os.uname().nodename == host


@pytest.mark.parametrize("options", [{}, {"userns_mode": "private"}, {"network": "host", "pid_mode": "host"}])
def test_inside_works_before_every_step(engine: Engine, options: dict[str, object]) -> None:
    refused: list[str] = []
    with _create(engine, **options).step() as stepper:
        while not stepper.pid:
            stepper.next()
        while stepper.is_half_made:
            try:
                assert stepper.inside("true").exit_code == 0
            except ConflictError as exc:
                refused.append(f"{stepper.steps[stepper.index].name}: {exc}")
            stepper.next()
    if "userns_mode" in options:
        why = "its user namespace has no users yet: no id of this machine means anybody there; step 5, WriteIdMaps, "
        assert refused == [f"{name}: {why}says who is who" for name in ("NewSession", "WriteIdMaps")]
    else:
        assert refused == []


def test_inside_has_no_more_powers_than_an_exec(stepper: Stepper) -> None:
    stepper.run_until("Exec")
    status = stepper.inside("grep", "CapEff", "/proc/self/status").output
    powers = stepper.look().powers
    assert powers is not None
    assert int(status.split()[1], 16).bit_count() == len(powers.effective) == 14


def test_program_that_is_not_there_is_explained(stepper: Stepper) -> None:
    stepper.next()
    with pytest.raises(CommandNotFoundError, match=r"the files are still the host's, until pivot_root in step \d+"):
        stepper.inside("nosuch")
    stepper.run_until("ChangeDirectory")
    with pytest.raises(CommandNotFoundError, match="only its programs are there"):
        stepper.inside("python3")


def test_inside_tells_the_exit_code(stepper: Stepper) -> None:
    stepper.run_until("Exec")
    ran = stepper.inside("sh", "-c", "echo no; exit 4")
    assert (ran.exit_code, ran.output) == (4, "no\n")
    assert repr(ran) == "no\n[exit code 4]"


# Leaving


def test_abort_leaves_nothing_and_may_be_repeated(engine: Engine) -> None:
    family = Family(engine)
    stepper = _create(engine).step()
    stepper.run_until("Exec")
    container = stepper.container
    stepper.abort()
    stepper.abort()
    assert settle(family, engine, container, recover=False) == []
    for deed in (stepper.next, stepper.finish, stepper.look, stepper.wait, lambda: stepper.inside("true")):
        with pytest.raises(ConflictError, match="given up"):
            deed()
    with pytest.raises(NotFoundError):
        engine.containers.get(container.id)


def test_end_of_the_block_gives_up(engine: Engine) -> None:
    with _create(engine).step() as stepper:
        stepper.run_until("pivot_root")
        pid = stepper.pid
    wait_until(lambda: is_dead(pid), 5)
    assert engine.containers.list(all=True) == []


def test_stepper_that_is_forgotten_leaves_nothing(engine: Engine) -> None:
    family = Family(engine)
    stepper = _create(engine).step()
    stepper.run_until("pivot_root")
    container = stepper.container
    del stepper
    gc.collect()
    assert settle(family, engine, container) == []
    assert engine.containers.list(all=True) == []


def test_two_at_once_do_not_meet(engine: Engine) -> None:
    with _create(engine, "echo", "one").step() as one, _create(engine, "echo", "two").step() as two:
        one.run_until("pivot_root")
        two.run_until("SetHostname")
        one.next()
        two.next()
        assert one.pid != two.pid
        assert one.inside("hostname").output.strip() == one.container.short_id
        assert two.inside("hostname").output.strip() == two.container.short_id
        two.finish()
        one.finish()
        assert (one.wait(), one.output, two.wait(), two.output) == (0, "one\n", 0, "two\n")


def test_kill_of_the_half_made_process_is_one_clear_error(engine: Engine) -> None:
    for deed in ("next", "look", "inside"):
        stepper = _create(engine).step()
        stepper.run_until("pivot_root")
        os.kill(stepper.pid, signal.SIGKILL)
        wait_until(lambda one=stepper: is_dead(one.pid), 5)  # type: ignore[misc]
        with pytest.raises(StartError, match="died while it was being set up"):
            stepper.inside("true") if deed == "inside" else getattr(stepper, deed)()
        assert stepper.state == "gone"
    assert engine.containers.list(all=True) == []


def test_death_of_the_zygote_disturbs_nobody(engine: Engine) -> None:
    family = Family(engine)
    with _create(engine, "sh", "-c", "exit 5").step() as stepper:
        stepper.run_until("pivot_root")
        os.kill(family.zygote(), signal.SIGKILL)
        stepper.next()
        assert stepper.inside("ls /").exit_code == 0
        stepper.finish()
        assert stepper.wait() == 5


def test_client_that_is_killed_in_the_middle_leaves_nothing(engine: Engine) -> None:
    family = Family(engine)
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), auto_remove=True))

    def die(mine: Engine, _number: int) -> int:
        stepper = mine.containers.get(container.id).step()
        stepper.run_until("pivot_root")
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert in_processes(engine, 1, die) == [-signal.SIGKILL]
    assert settle(family, engine, container) == []


@pytest.mark.parametrize("delay_s", [0.0, 0.001, 0.003, 0.01, 0.03])
def test_interrupt_leaves_a_stepper_that_goes_on_or_has_given_up(engine: Engine, delay_s: float) -> None:
    with _create(engine, "sh", "-c", "exit 7").step() as stepper:
        thread = threading.Thread(target=lambda: (time.sleep(delay_s), os.kill(os.getpid(), signal.SIGINT)))
        was_interrupted = False
        try:
            thread.start()
            stepper.finish()
            thread.join()
        except KeyboardInterrupt:
            was_interrupted = True
        thread.join()
        assert stepper.state in ("half-made", "gone", "running")
        if stepper.state == "half-made":
            assert was_interrupted
            at = stepper.index
            stepper.next()
            assert stepper.index == at + 1 or stepper.state == "running"
            if stepper.state == "half-made":
                stepper.finish()
        if stepper.state == "running":
            assert stepper.wait() == 7


# Speed


def test_step_takes_a_few_milliseconds(engine: Engine) -> None:
    with _create(engine).step() as stepper:
        took_ms: list[float] = []
        while stepper.is_half_made:
            start_s = time.perf_counter()
            stepper.next()
            took_ms.append((time.perf_counter() - start_s) * 1000)
    assert sorted(took_ms)[len(took_ms) // 2] < 15, took_ms
