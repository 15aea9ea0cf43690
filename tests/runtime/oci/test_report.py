"""What the runtime tells: lists, processes, statistics, features, a config to begin with, and limits that change."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundles import Bundle, Runtime, normalised
from toolkit.runtime import validate

pytestmark = pytest.mark.needs("root", "busybox")


def test_list_has_runcs_columns(runtime: Runtime, bundle: Bundle) -> None:
    with runtime.created(bundle) as ident:
        head, line = runtime("list").out.splitlines()
        assert head.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
        assert line.split()[:4] == [ident, str(runtime.state(ident)["pid"]), "created", str(bundle.path)]


def test_ps_in_both_forms(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with runtime.running(bundle) as ident:
        pid = runtime.state(ident)["pid"]
        assert json.loads(runtime("ps", "--format", "json", ident).out) == [pid]
        head, line = runtime("ps", ident).out.splitlines()
        assert head.split()[:2] == ["UID", "PID"]
        assert line.split()[1] == str(pid)
        assert runtime("ps", ident, "-o", "pid,comm").out.split() == ["PID", "COMMAND", str(pid), "sleep"]


@pytest.mark.needs("runc")
def test_statistics_have_runcs_fields(ours: Runtime, runc: Runtime, make_bundle: Callable[[], Bundle]) -> None:
    found: list[dict[str, object]] = []
    for runtime in (runc, ours):
        bundle = make_bundle()
        bundle.process["args"] = ["sleep", "60"]
        bundle.linux["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 12}}
        with runtime.running(bundle) as ident:
            document = json.loads(runtime("events", "--stats", ident).out)
        assert (document["type"], document["id"]) == ("stats", ident)
        found.append(document["data"])
    theirs, mine = found
    assert set(theirs) <= set(mine)
    for path in (
        ("cpu", "usage", "total"),
        ("memory", "usage", "usage"),
        ("pids", "current"),
        ("memory", "raw", "rss"),
    ):
        one, other = theirs, mine
        for name in path:
            one, other = one[name], other[name]  # type: ignore[assignment]  # a document of objects
        assert type(one) is type(other) is int, path
    assert mine["memory"]["usage"]["limit"] == theirs["memory"]["usage"]["limit"] == 64 << 20  # type: ignore[index]
    assert mine["pids"]["limit"] == theirs["pids"]["limit"] == 12  # type: ignore[index]  # likewise


def test_events_go_on_until_the_end(ours: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "0.5"]
    with ours.running(bundle) as ident:
        lines = ours("events", "--interval", "200ms", ident).out.splitlines()
    assert len(lines) >= 2
    assert {json.loads(line)["type"] for line in lines} == {"stats"}


def test_limits_change_by_flags(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with runtime.running(bundle) as ident:
        flags = ("--memory", "67108864", "--pids-limit", "33", "--cpu-share", "77", "--cpu-quota", "5000")
        assert runtime("update", *flags, ident).code == 0
        script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.shares cpu/cpu.cfs_quota_us"
        assert runtime("exec", ident, "sh", "-c", script).out.split() == ["67108864", "33", "77", "5000"]


def test_limits_change_by_document(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["args"] = ["sleep", "60"]
    (tmp_path / "limits").write_text(json.dumps({"pids": {"limit": 44}, "memory": {"limit": 33554432}}))
    with runtime.running(bundle) as ident:
        with (tmp_path / "limits").open("rb") as stdin:
            assert runtime("update", "--resources", "-", ident, stdin=stdin).code == 0
        script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max"
        assert runtime("exec", ident, "sh", "-c", script).out.split() == ["33554432", "44"]


@pytest.mark.parametrize("value", ["x", "1.5", "-"])
def test_limit_that_is_no_number(ours: Runtime, bundle: Bundle, value: str) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with ours.running(bundle) as ident:
        done = ours("update", "--pids-limit", value, ident)
    assert (done.code, done.err) == (1, f"invalid value for --pids-limit: '{value}'\n")


def test_features_name_what_the_validation_knows(ours: Runtime) -> None:
    document = json.loads(ours("features").out)
    assert (document["ociVersionMin"], document["ociVersionMax"]) == ("1.0.0", "1.2.1")
    linux = document["linux"]
    assert {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"} == set(linux["namespaces"])
    assert {"rro", "rnosuid", "tmpcopyup", "idmap", "ridmap", "rbind", "rshared"} <= set(document["mountOptions"])
    assert linux["cgroup"] == {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": True}
    assert "SCMP_ACT_NOTIFY" in linux["seccomp"]["actions"]
    assert linux["mountExtensions"]["idmap"]["enabled"] is True


def test_spec_writes_a_config_that_runs(ours: Runtime, bundle: Bundle) -> None:
    assert ours("spec", "--bundle", str(bundle.path)).code == 0
    document = json.loads((bundle.path / "config.json").read_text())
    validate.config(document)
    document["process"] |= {"terminal": False, "args": ["hostname"]}
    document["linux"]["cgroupsPath"] = bundle.linux["cgroupsPath"]
    (bundle.path / "config.json").write_text(json.dumps(document))
    assert ours("run", "--bundle", str(bundle.path), "it").out == "container\n"
    assert "exists" in ours("spec", "--bundle", str(bundle.path)).err


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/toolkit-test-{pid}/a", "/toolkit-test-{pid}/a"),
        ("toolkit-test-{pid}/b", "{own}/toolkit-test-{pid}/b"),
        ("", "{own}/{id}"),
    ],
)
def test_place_of_the_groups_is_runcs(runtime: Runtime, bundle: Bundle, path: str, expected: str) -> None:
    bundle.linux["cgroupsPath"] = path.format(pid=os.getpid())
    bundle.process["args"] = ["sleep", "60"]
    with runtime.running(bundle) as ident:
        there = _memberships(runtime.state(ident)["pid"])
    own = _memberships("self")
    assert set(there) == set(own)
    for controller, place in there.items():
        base = "" if own[controller] == "/" else own[controller]
        assert place == expected.format(pid=os.getpid(), own=base, id=ident), controller
    for top in {f"toolkit-test-{os.getpid()}"} if path else set():
        _remove_everywhere(top)


def _memberships(pid: int | str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {names: path for _, names, path in (line.split(":", 2) for line in lines)}


def _remove_everywhere(name: str) -> None:
    for root, names, _ in os.walk("/sys/fs/cgroup", topdown=False):
        if name in names:
            os.rmdir(f"{root}/{name}")


@pytest.mark.needs("runc")
def test_help_and_version(ours: Runtime) -> None:
    assert ours(before=("--version",)).out.splitlines()[1] == "spec: 1.2.1"
    assert "Usage:  container oci create [OPTIONS] ID" in ours("create", "--help").out
    assert normalised(ours("nonsense").err).startswith("unknown command 'nonsense'")
    assert ours("start").code == 1
    assert ours("create", "--no-such-flag", "x").err == "unknown flag: --no-such-flag\n"
