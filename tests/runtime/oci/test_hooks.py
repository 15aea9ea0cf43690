"""Hooks: which run when, where, with which state on stdin, and what a failure does; the same for runc and ours."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import Bundle, Runtime

pytestmark = pytest.mark.needs("root", "busybox")

_OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")
_KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def _hook(script: str, **fields: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"], **fields}


def _record_all(bundle: Bundle) -> None:
    """Have each kind note its turn, its state and its namespaces: outside in the bundle, inside in the root."""
    hooks: dict[str, list[dict[str, Any]]] = {}
    for kind in _KINDS:
        where = (
            "/" if kind == "startContainer" else f"{bundle.rootfs}/" if kind == "createContainer" else f"{bundle.path}/"
        )
        script = (
            f"cat > {where}state-{kind}; readlink /proc/self/ns/mnt > {where}mnt-{kind}; echo {kind} >> {where}turns"
        )
        hooks[kind] = [_hook(script)]
    bundle.config["hooks"] = hooks


def _state(bundle: Bundle, kind: str) -> dict[str, Any]:
    inside = kind in ("createContainer", "startContainer")
    found: dict[str, Any] = json.loads(((bundle.rootfs if inside else bundle.path) / f"state-{kind}").read_text())
    return found


def test_all_six_kinds_run_in_their_turn(ours: Runtime, bundle: Bundle) -> None:
    """This runc runs its poststart hooks at the end of create, against the specification."""
    runtime = ours
    _record_all(bundle)
    bundle.process["args"] = ["sleep", "60"]
    with runtime.created(bundle) as ident:
        assert (bundle.path / "turns").read_text().split() == ["prestart", "createRuntime"]
        assert (bundle.rootfs / "turns").read_text().split() == ["createContainer"]
        pid = runtime.state(ident)["pid"]
        runtime("start", ident)
        assert (bundle.rootfs / "turns").read_text().split() == ["createContainer", "startContainer"]
        assert (bundle.path / "turns").read_text().split() == ["prestart", "createRuntime", "poststart"]
        runtime("delete", "--force", ident)
        assert (bundle.path / "turns").read_text().split() == ["prestart", "createRuntime", "poststart", "poststop"]
    for kind in _KINDS:
        state = _state(bundle, kind)
        assert (state["id"], state["bundle"]) == (ident, str(bundle.path))
    assert [_state(bundle, kind)["status"] for kind in _KINDS] == [
        *("creating", "creating", "creating", "created", "running", "stopped"),
    ]
    assert [_state(bundle, kind).get("pid", 0) for kind in _KINDS] == [pid, pid, 1, 1, pid, 0]
    mine = os.readlink("/proc/self/ns/mnt")
    for kind in _KINDS:
        inside = kind in ("createContainer", "startContainer")
        seen = ((bundle.rootfs if inside else bundle.path) / f"mnt-{kind}").read_text().strip()
        assert (seen == mine) is (not inside), kind


def test_hooks_of_a_kind_run_in_order_and_get_their_environment(runtime: Runtime, bundle: Bundle) -> None:
    lines = f"{bundle.path}/lines"
    bundle.config["hooks"] = {
        "createRuntime": [
            _hook(f"echo first $A >> {lines}", env=["A=a", "PATH=/bin"]),
            _hook(f"echo second $A $# $1 >> {lines}", args=["sh", "-c", f"echo second $A $# $1 >> {lines}", "sh", "x"]),
        ]
    }
    bundle.process["args"] = ["true"]
    assert runtime.run(bundle).code == 0
    assert Path(lines).read_text() == "first a\nsecond 1 x\n"


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "startContainer"])
def test_hook_that_fails_ends_the_container(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    bundle.config["hooks"] = {
        kind: [_hook("echo why >&2; exit 3")],
        "poststop": [_hook(f"echo stopped > {bundle.path}/stopped")],
    }
    bundle.script("touch /ran")
    done = runtime.run(bundle)
    assert done.code == 1
    assert "hook" in done.err
    assert not (bundle.rootfs / "ran").exists()
    assert runtime("list", "-q").out == ""
    assert not [group for group in bundle.groups if group.endswith("/box")]


def test_failing_hook_says_which_and_why(ours: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"createRuntime": [_hook("true"), _hook("echo no such luck >&2; exit 3")]}
    done = ours.run(bundle)
    assert done.err == "error running createRuntime hook #1: /bin/sh: exit status 3, output: no such luck\n"


def test_poststop_runs_after_a_create_that_failed(ours: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {
        "createRuntime": [_hook("exit 1")],
        "poststop": [_hook(f"cat > {bundle.path}/stopped")],
    }
    assert ours.run(bundle).code == 1
    assert json.loads((bundle.path / "stopped").read_text())["status"] == "stopped"


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer"])
def test_hook_that_hangs_is_killed_when_its_time_is_over(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    bundle.config["hooks"] = {kind: [_hook("exec sleep 60", timeout=1)]}
    done = runtime.run(bundle)
    assert done.code == 1
    assert "hook" in done.err
    assert "timeout" in done.err or "killed" in done.err


def test_missing_hook_is_an_error_with_its_path(ours: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"createRuntime": [{"path": "/no/such/hook"}]}
    done = ours.run(bundle)
    assert done.err.startswith("error running createRuntime hook #0: /no/such/hook: no such file or directory")


@pytest.mark.parametrize("kind", ["poststart", "poststop"])
def test_late_hook_that_fails_is_only_logged(ours: Runtime, bundle: Bundle, kind: str, tmp_path: Path) -> None:
    bundle.config["hooks"] = {kind: [_hook("exit 1"), _hook(f"touch {bundle.path}/next")]}
    bundle.process["args"] = ["true"]
    log = tmp_path / "log"
    bundle.write()
    done = ours("run", "--bundle", str(bundle.path), "it", before=("--log", str(log), "--log-format", "json"))
    assert (done.code, done.err) == (0, "")
    assert (bundle.path / "next").exists()
    entry = json.loads(log.read_text())
    assert entry["level"] == "warning"
    assert f"error running {kind} hook #0" in entry["msg"]


def test_hook_does_not_inherit_descriptors(ours: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {
        "createRuntime": [_hook(f"ls /proc/self/fd > {bundle.path}/outside")],
        "startContainer": [_hook("ls /proc/self/fd > /inside")],
    }
    bundle.process["args"] = ["true"]
    assert ours.run(bundle).code == 0
    assert (bundle.path / "outside").read_text().split() == ["0", "1", "2", "3"]
    assert (bundle.rootfs / "inside").read_text().split() == ["0", "1", "2", "3"]


def test_late_hook_runs_with_all_that_the_container_has(ours: Runtime, bundle: Bundle) -> None:
    """The createContainer hook sees the mounts of the container, at their place below the host's path."""
    bundle.config["hooks"] = {"createContainer": [_hook(f"ls {bundle.rootfs}/proc/self/status > {bundle.rootfs}/seen")]}
    bundle.process["args"] = ["true"]
    assert ours.run(bundle).code == 0
    assert "/proc/self/status" in (bundle.rootfs / "seen").read_text()
