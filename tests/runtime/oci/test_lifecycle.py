"""Create, start, kill, delete: states, exit codes and whose child the process is; the same for runc and ours."""

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundles import Bundle, Runtime, is_running
from tests.support.patience import wait_until
from toolkit.linux.process import set_child_subreaper

pytestmark = pytest.mark.needs("root", "busybox")


def test_states_from_created_to_gone(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with runtime.created(bundle) as ident:
        assert runtime.status(ident) == "created"
        assert runtime("start", ident).code == 0
        assert runtime.status(ident) == "running"
        assert runtime("pause", ident).code == 0
        assert runtime.status(ident) == "paused"
        assert runtime("resume", ident).code == 0
        assert runtime.status(ident) == "running"
        assert runtime("kill", ident, "KILL").code == 0
        runtime.wait_stopped(ident)
        assert runtime.state(ident)["pid"] == 0
        assert runtime("delete", ident).code == 0
        assert runtime("state", ident).code == 1


def test_state_has_the_fields_of_the_specification(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {"a.b": "c"}
    with runtime.created(bundle) as ident:
        state = runtime.state(ident)
    assert state["id"] == ident
    assert state["bundle"] == str(bundle.path)
    assert state["rootfs"] == str(bundle.rootfs)
    assert state["annotations"] == {"a.b": "c"}
    assert state["pid"] > 0
    assert set(state) == {
        *("ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"),
    }


def test_program_does_not_run_before_start(runtime: Runtime, bundle: Bundle) -> None:
    bundle.script("touch /ran; sleep 60")
    with runtime.created(bundle) as ident:
        assert not (bundle.rootfs / "ran").exists()
        runtime("start", ident)
        wait_until((bundle.rootfs / "ran").exists, 10)


def test_config_changed_after_create_changes_nothing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.script("touch /first; sleep 60")
    with runtime.created(bundle) as ident:
        bundle.script("touch /second; sleep 60")
        bundle.write()
        runtime("start", ident)
        wait_until((bundle.rootfs / "first").exists, 10)
        assert not (bundle.rootfs / "second").exists()


def test_init_becomes_the_callers_child(runtime: Runtime, bundle: Bundle) -> None:
    bundle.script("exit 42")
    set_child_subreaper(1)
    try:
        with runtime.created(bundle) as ident:
            pid = runtime.state(ident)["pid"]
            assert int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
            runtime("start", ident)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    finally:
        set_child_subreaper(0)


def test_nobody_of_ours_is_left_beside_init(ours: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with ours.running(bundle) as ident:
        pid = ours.state(ident)["pid"]
        found = subprocess.run(["pgrep", "-f", str(ours.root)], capture_output=True, text=True, check=False).stdout
    assert found.split() == []
    assert pid > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_created_container_can_be_killed(runtime: Runtime, bundle: Bundle, number: signal.Signals) -> None:
    with runtime.created(bundle) as ident:
        assert runtime("kill", ident, str(number.value)).code == 0
        runtime.wait_stopped(ident)


def test_stdio_is_the_callers(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.script("cat; echo to stderr >&2")
    (tmp_path / "in").write_text("from the caller\n")
    with (tmp_path / "in").open("rb") as stdin, runtime.created(bundle, stdin=stdin) as ident:
        out, err = runtime.stdout, runtime.stderr
        runtime("start", ident)
        runtime.wait_stopped(ident)
    assert out.read_text() == "from the caller\n"
    assert err.read_text() == "to stderr\n"


def test_pid_file_has_the_number_of_the_state(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    with runtime.created(bundle, "--pid-file", str(tmp_path / "pid")) as ident:
        assert (tmp_path / "pid").read_text() == str(runtime.state(ident)["pid"])


def test_run_returns_the_programs_code_and_leaves_nothing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.script("echo hello; exit 7")
    done = runtime.run(bundle)
    assert (done.code, done.out) == (7, "hello\n")
    assert runtime("list", "-q").out == ""


def test_run_returns_128_and_the_signal(runtime: Runtime, bundle: Bundle) -> None:
    bundle.script("kill -KILL $$; sleep 1; exit 3")
    del bundle.linux["namespaces"][0]  # the first process of a pid namespace cannot kill itself
    assert runtime.run(bundle).code == 128 + signal.SIGKILL


def test_run_detached_leaves_it_running(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    bundle.write()
    assert runtime("run", "--detach", "--bundle", str(bundle.path), "it").code == 0
    try:
        assert runtime.status("it") == "running"
    finally:
        runtime("delete", "--force", "it")


def test_signals_to_run_go_to_the_program(runtime: Runtime, bundle: Bundle) -> None:
    bundle.script("trap 'exit 9' USR1; touch /ready; while true; do sleep 0.05; done")
    bundle.write()
    with subprocess.Popen([*runtime.command, "run", "--bundle", str(bundle.path), "it"]) as running:
        wait_until((bundle.rootfs / "ready").exists, 10)
        running.send_signal(signal.SIGUSR1)
        assert running.wait(10) == 9


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("start", "none"), 1),
        (("state", "none"), 1),
        (("kill", "none", "KILL"), 1),
        (("delete", "none"), 1),
        (("delete", "--force", "none"), 0),
        (("exec", "none", "true"), 255),
        (("pause", "none"), 1),
        (("resume", "none"), 1),
        (("ps", "none"), 1),
        (("events", "--stats", "none"), 1),
        (("update", "--pids-limit", "5", "none"), 1),
    ],
)
def test_container_that_is_none(runtime: Runtime, words: tuple[str, ...], code: int) -> None:
    done = runtime(*words)
    assert done.code == code
    assert "does not exist" in done.err or code == 0


def test_what_is_refused_in_which_state(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with runtime.created(bundle) as ident:
        assert runtime("create", "--bundle", str(bundle.path), ident).code == 1
        assert runtime("resume", ident).code == 1
        runtime("start", ident)
        assert "already running" in runtime("start", ident).err
        assert "not stopped" in runtime("delete", ident).err
        assert runtime("resume", ident).code == 1
        runtime("pause", ident)
        assert "paused" in runtime("exec", ident, "true").err
        assert runtime("exec", ident, "true").code == 255
        runtime("resume", ident)
        runtime("kill", ident, "KILL")
        runtime.wait_stopped(ident)
        assert "stopped" in runtime("start", ident).err
        assert "not running" in runtime("kill", ident, "KILL").err
        assert runtime("exec", ident, "true").code == 255
        assert runtime("pause", ident).code == 1
        assert json.loads(runtime("ps", "--format", "json", ident).out or "null") in ([], None)
        assert runtime("events", "--stats", ident).code == 1


def test_kill_all_reaches_every_process(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [each for each in bundle.linux["namespaces"] if each["type"] != "pid"]
    bundle.script("sleep 60 & sleep 60 & touch /ready; wait")
    with runtime.running(bundle) as ident:
        wait_until((bundle.rootfs / "ready").exists, 10)
        pids: list[int] = json.loads(runtime("ps", "--format", "json", ident).out)
        assert len(pids) == 3
        assert runtime("kill", "--all", ident, "KILL").code == 0
        wait_until(lambda: not any(is_running(pid) for pid in pids), 10)


def test_force_deletes_what_runs(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with runtime.running(bundle) as ident:
        pidfd = os.pidfd_open(runtime.state(ident)["pid"])
        assert runtime("delete", "--force", ident).code == 0
        assert select.select([pidfd], [], [], 5)[0]
        os.close(pidfd)
        assert runtime("state", ident).code == 1


@pytest.mark.parametrize("ident", ["", ".", "..", "a/b", "a b", "a:b", "ä"])
def test_ids_that_are_none(ours: Runtime, bundle: Bundle, ident: str) -> None:
    bundle.write()
    done = ours("create", "--bundle", str(bundle.path), ident)
    assert done.code == 1
    assert "invalid container id" in done.err


def test_two_containers_share_a_root(ours: Runtime, make_bundle: Callable[[], Bundle]) -> None:
    one, other = make_bundle(), make_bundle()
    with ours.created(one) as first, ours.created(other) as second:
        shown = {each["id"]: each["status"] for each in json.loads(ours("list", "--format", "json").out)}
        assert shown == {first: "created", second: "created"}
        assert ours("list", "-q").out.split() == sorted((first, second))
