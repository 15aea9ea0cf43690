"""The arena: each attack fails with its defences on and works with them off, and the host survives both."""

import fcntl
import glob
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.support.cells import Cells
from toolkit.core.errors import InvalidError, NotFoundError, UnsupportedError
from toolkit.linux import cgroup, lock
from toolkit.notebook import lesson, trial
from toolkit.notebook.attacks import ATTACKS, Attack
from toolkit.notebook.containers import the_engine
from toolkit.notebook.pictures import arena

pytestmark = pytest.mark.needs("root", "overlay", "seccomp", "cgroup:memory", "cgroup:pids", "cgroup:devices")

_SETTING = "/proc/sys/vm/stat_interval"
_CASES = [(attack, defence.name) for attack in ATTACKS for defence in attack.defences]


@pytest.fixture(autouse=True)
def _nothing_is_left(cells: Cells) -> Iterator[None]:
    """See after each test that the host is as it was."""

    def look() -> tuple[object, ...]:
        with open(_SETTING) as file:
            setting = file.read()
        loops = subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout
        arenas = [line for line in loops.splitlines() if "arena" in line]
        groups = cgroup.detect().present(trial.parent_of(the_engine()))
        containers = [each.name for each in the_engine().containers.list(all=True)]
        return setting, arenas, groups, containers, glob.glob("/tmp/container-toolkit-arena-*")

    before = look()
    assert before[1:] == ([], [], [], [])
    yield
    assert look() == before


def _skip_unmakeable(attack: Attack) -> None:
    try:
        with attack.prepare():
            pass
    except UnsupportedError as exc:
        pytest.skip(str(exc))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_fails_in_a_usual_container_and_works_where_nothing_defends(attack: Attack) -> None:
    _skip_unmakeable(attack)
    usual = arena().run(attack.name)
    assert not usual.succeeded, repr(usual)
    assert usual.why in {each.why for each in attack.defences if each.is_usual}
    bare = arena().run(attack.name, dict.fromkeys(usual.defences, False))
    assert bare.succeeded, repr(bare)
    assert bare.why == attack.works
    assert bare.evidence != usual.evidence
    assert not bare.ran.is_late


@pytest.mark.parametrize(("attack", "name"), _CASES, ids=lambda case: case if isinstance(case, str) else case.name)
def test_each_defence_holds_alone(attack: Attack, name: str) -> None:
    _skip_unmakeable(attack)
    outcome = arena(attack.name).run(attack.name, {each.name: each.name == name for each in attack.defences})
    assert not outcome.succeeded, repr(outcome)
    assert outcome.why == next(each.why for each in attack.defences if each.name == name)


def test_evidence_is_the_kernels() -> None:
    bomb = arena().run("fork bomb")
    assert (bomb.ran.peak_pids, bomb.ran.refused_forks) == (32, 1)
    assert "EAGAIN" in bomb.output
    hog = arena().run("memory hog")
    assert (hog.exit_code, hog.ran.oom_kills) == (137, 1)
    assert hog.ran.peak_memory_bytes <= 48 << 20
    assert "EPERM" in arena().run("new powers in a new user namespace").output


def test_whatever_runs_is_bounded_in_memory_processes_time_and_output() -> None:
    """Also where the container itself has no limit at all."""
    engine = the_engine()
    assert trial.run(engine, ("python3", "-c", "b = bytearray(1 << 30)")).exit_code == 137
    bomb = "bomb() { bomb | bomb & bomb; }; bomb 2>/dev/null"
    ran = trial.run(engine, ("sh", "-c", f"timeout 3 sh -c '{bomb}'; sleep 1"))
    assert 100 < ran.peak_pids <= trial.MOST_PIDS
    loud = trial.run(engine, ("yes",))
    assert loud.is_late
    assert len(loud.output) <= 32 * 1024
    assert loud.took_s < 5


def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_LONGEST_S", 2)
    ran = trial.run(the_engine(), ("sleep", "100"))
    assert ran.is_late
    assert ran.exit_code == 137
    assert ran.took_s < 5


def test_machine_that_cannot_bound_an_attack_is_spared() -> None:
    with pytest.raises(UnsupportedError, match="no cgroup controller pids, so nothing dangerous is tried"):
        trial.bounds(frozenset({"memory", "cpu"}))
    with pytest.raises(UnsupportedError, match="memory and no pids"):
        trial.bounds(frozenset())


def test_interrupted_attack_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def press(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trial._Seen, "look", press)
    picture = arena()
    with pytest.raises(KeyboardInterrupt):
        picture.run("fork bomb", {"pids limit": False})
    assert picture.running == ""


def test_names_that_mean_nothing_are_refused() -> None:
    with pytest.raises(NotFoundError, match="no attack 'dance'"):
        arena("dance")
    with pytest.raises(NotFoundError, match="no attack 'dance'"):
        arena().run("dance")
    with pytest.raises(InvalidError, match="no such defence against fork bomb: prayer; there is pids limit"):
        arena().run("fork bomb", {"prayer": True})


def test_page_runs_an_attack_and_sees_what_happened() -> None:
    picture = arena("fork bomb")
    for is_on in (True, False):
        picture._take(picture, {"do": "run", "attack": "fork bomb", "defences": {"pids limit": is_on}}, [])
    assert [each["succeeded"] for each in picture.outcomes["fork bomb"]] == [False, True]
    assert picture.switches["fork bomb"] == {"pids limit": False}
    picture._take(picture, {"do": "run", "attack": "dance", "defences": {}}, [])
    assert "no attack 'dance'" in picture.trouble["message"]


def test_figure_tells_what_happened_last() -> None:
    picture = arena("kill a process of the host's", "fork bomb")
    outcome = picture.run("kill a process of the host's", {"pid namespace": False})
    figure = picture.figure()
    assert "kill a process of the host&#x27;s" in figure.html
    assert "it worked" in figure.html
    assert "was killed by SIGKILL" in figure.text
    assert "fork bomb: Makes processes" in figure.text
    assert "it worked" in outcome._repr_html_()


def test_group_that_a_killed_notebook_has_left_is_taken_away_when_a_lesson_begins(cells: Cells) -> None:
    engine, hierarchy = the_engine(), cgroup.detect()
    parent = trial.parent_of(engine)
    trial.run(engine, ["true"])  # there is a lock from now on
    hierarchy.create(parent, trial.bounds(hierarchy.controllers()))
    with open(f"{engine.paths.run}/arena.lock") as others:
        lock.wait_lock(others.fileno(), shared=True)
        trial.sweep(engine)
        assert hierarchy.present(parent)
    assert lesson.needs_containers()
    assert not hierarchy.present(parent)


def test_two_at_once_change_the_kernels_setting_one_after_the_other() -> None:
    (attack,) = [each for each in ATTACKS if each.name == "change a kernel setting"]
    entered = threading.Event()

    def enter() -> None:
        with attack.prepare():
            entered.set()

    with open(_SETTING) as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as the other arena does
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.3)
    thread.join(10)
    assert entered.is_set()
