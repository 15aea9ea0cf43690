"""The playground: a command has exactly the powers that were chosen, and what it was refused is told."""

import shutil
import time
from collections.abc import Iterator

import pytest

from tests.support.cells import Cells
from toolkit.core.errors import InvalidError
from toolkit.linux import capability
from toolkit.notebook import listening
from toolkit.notebook.containers import the_engine
from toolkit.notebook.figures.powers import MEANINGS
from toolkit.notebook.pictures import playground
from toolkit.notebook.widgets import playground as module

pytestmark = pytest.mark.needs("root", "overlay", "seccomp", "cgroup:memory", "cgroup:pids")

_USUAL = tuple(capability.names(capability.DEFAULT & capability.bounding_set()))
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here")


@pytest.fixture(autouse=True)
def _nothing_is_left(cells: Cells) -> Iterator[None]:
    yield
    assert list(the_engine().containers.list(all=True)) == []


def test_process_has_dockers_capabilities_unless_told_otherwise() -> None:
    tried = playground().run("true")
    assert tried.effective == _USUAL
    assert (tried.exit_code, tried.seccomp, tried.has_no_new_privileges) == (0, "a seccomp filter", False)


def test_what_is_dropped_and_added_is_what_the_kernel_says() -> None:
    tried = playground().run("sh -c 'grep CapEff /proc/self/status'", drop=["chown", "KILL"], add=["CAP_NET_ADMIN"])
    wanted = {*_USUAL, "CAP_NET_ADMIN"} - {"CAP_CHOWN", "CAP_KILL"}
    assert set(tried.effective) == wanted
    assert int(tried.output.split()[1], 16) == capability.parse(wanted)
    assert playground().run("true", drop=["ALL"]).effective == ()


@pytest.mark.parametrize(
    ("command", "power"),
    [
        ("chown student /tmp", "CAP_CHOWN"),
        ("mknod /tmp/null c 1 3", "CAP_MKNOD"),
        ("chroot / true", "CAP_SYS_CHROOT"),
        ("mount -t tmpfs none /mnt", "CAP_SYS_ADMIN"),
        ("hostname other", "CAP_SYS_ADMIN"),
        ("ip link set lo down", "CAP_NET_ADMIN"),
    ],
)
def test_command_works_with_its_capability_and_fails_without(command: str, power: str) -> None:
    assert playground().run(command, drop=[power]).exit_code != 0
    assert playground().run(command, add=[power]).exit_code == 0


@needs_strace
def test_refused_call_is_told_with_its_errno() -> None:
    tried = playground().run("chown student /tmp", drop=["CHOWN"])
    assert any("chown" in call and "= -1 EPERM" in call for call in tried.refused)
    assert playground().run("chown student /tmp").refused == ()
    assert "not permitted: " in repr(tried)


def test_one_call_is_denied_and_no_other() -> None:
    tried = playground().run(["sh", "-c", "mkdir /tmp/a || mount -t tmpfs none /mnt && echo on"], seccomp="mkdir",
                             add=["SYS_ADMIN"])  # fmt: skip
    assert "cannot create directory" in tried.output
    assert "Operation not permitted" in tried.output
    assert tried.output.endswith("on\n")
    assert tried.seccomp == "a seccomp filter"


def test_no_filter_and_no_new_privileges_are_what_the_kernel_says() -> None:
    tried = playground().run("true", seccomp="unconfined", no_new_privileges=True)
    assert (tried.seccomp, tried.has_no_new_privileges) == ("no filter", True)
    assert playground().run("unshare --user id", seccomp="unconfined").exit_code == 0
    assert playground().run("unshare --user id").exit_code != 0


def test_clock_that_was_set_is_put_back() -> None:
    if not capability.bounding_set() & capability.parse(["SYS_TIME"]):
        pytest.skip("this machine does not give CAP_SYS_TIME")
    before = time.time() - time.monotonic()
    tried = playground().run(["date", "-s", "30 seconds"], add=["SYS_TIME"])
    assert abs(time.time() - time.monotonic() - before) < 0.5
    assert tried.exit_code == 0
    assert "It was put back." in tried.note


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("", {}, "no command"),
        ("echo 'x", {}, "No closing quotation"),
        ("true", {"drop": ["DANCE"]}, 'unknown capability: "CAP_DANCE"'),
        ("true", {"seccomp": "dance"}, "no system call 'dance'"),
    ],
)
def test_what_means_nothing_is_refused(command: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        playground().run(command, **options)  # type: ignore[arg-type]  # bad on purpose


def test_command_that_is_not_there_is_told_as_a_shell_does() -> None:
    assert playground().run("no-such-program").exit_code == 127


def test_page_runs_what_is_chosen() -> None:
    picture = playground()
    kept = [name for name in picture.kept if name != "CAP_CHOWN"] + ["CAP_NET_ADMIN"]
    message = {"do": "run", "command": "chown student /tmp", "kept": kept, "seccomp": "default",
               "no_new_privileges": False}  # fmt: skip
    picture._take(picture, message, [])
    assert picture.result["exit_code"] == 1
    assert set(picture.result["effective"]) == set(kept)
    assert not picture.running
    picture._take(picture, {**message, "seccomp": "dance"}, [])
    assert "no system call 'dance'" in picture.trouble["message"]
    picture._take(picture, {**message, "kept": []}, [])
    assert picture.result["effective"] == ()


def test_each_capability_that_there_is_has_a_meaning() -> None:
    assert tuple(MEANINGS) == capability.NAMES
    assert all(MEANINGS.values())


def test_figure_has_all_capabilities_and_the_last_result() -> None:
    picture = playground()
    assert picture.figure().html.count("<span title=") == len(capability.NAMES)
    tried = picture.run("chown student /tmp", drop=["ALL"])
    assert "capabilities: none" in picture.figure().text
    assert "exit code 1" in picture.figure().html
    assert "CapEff" in tried._repr_html_()


def test_what_strace_prints_is_read() -> None:
    text = (
        '12 openat(AT_FDCWD, "/x", O_RDONLY) = -1 ENOENT (No such file or directory)\n'
        '12 mkdir("/tmp/new", 0777)           = -1 EPERM (Operation not permitted)\n'
        '13 mkdir("/tmp/new", 0777)           = -1 EPERM (Operation not permitted)\n'
        "12 +++ exited with 1 +++\n"
        "12 getpid() = 1\n"
    )
    assert listening.refused(text) == ['mkdir("/tmp/new", 0777) = -1 EPERM (Operation not permitted)']


def test_without_strace_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "can", lambda: False)
    picture = playground()
    assert picture.run("chown student /tmp", drop=["CHOWN"]).refused == ()
    assert picture.result["listens"] is False


def test_offered_commands_are_those_that_the_image_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(command == "chown student /tmp" for command, _ in playground().commands)
    monkeypatch.setattr(module, "PATH", ("/nonexistent",))
    assert playground().commands == []
