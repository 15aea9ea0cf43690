"""The OCI command line on a pure cgroup v2, where devices are a program in the kernel."""

import json
from pathlib import Path

import pytest

from tests.support.bundles import Bundle, Runtime
from tests.support.engines import run
from toolkit.engine.engine import Engine

pytestmark = pytest.mark.needs("root", "busybox", "v2")


def test_limits_of_the_specification_are_v2s(ours: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"] = {
        "memory": {"limit": 64 << 20, "reservation": 32 << 20},
        "cpu": {"shares": 1024, "quota": 5000, "period": 10000},
        "pids": {"limit": 19},
        "unified": {"memory.high": "50331648"},
    }
    bundle.script(
        "cd /sys/fs/cgroup; cat memory.max memory.low cpu.weight cpu.max pids.max memory.high; cat /proc/self/cgroup"
    )
    done = ours.run(bundle)
    expected = ["67108864", "33554432", "100", "5000", "10000", "19", "50331648", "0::/"]
    assert done.out.split() == expected, done.err


def test_devices_are_held_by_a_program(ours: Runtime, bundle: Bundle) -> None:
    rule = {"allow": True, "type": "c", "major": 5, "minor": 1, "access": "r"}
    bundle.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}, rule]}
    bundle.process["capabilities"] = {kind: ["CAP_MKNOD"] for kind in ("bounding", "effective", "permitted")}
    bundle.script(
        "echo x > /dev/null && echo null; mknod /tmp/k c 5 1; (: < /tmp/k) && echo read; echo x > /tmp/k;"
        "mknod /tmp/d b 7 0; cat /tmp/d"
    )
    done = ours.run(bundle)
    assert done.out.split() == ["null", "read"]
    assert done.err.lower().count("operation not permitted") == 2, done.err


def test_life_on_v2(ours: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with ours.running(bundle) as ident:
        pid = ours.state(ident)["pid"]
        assert Path(f"/proc/{pid}/cgroup").read_text() == f"0::{bundle.linux['cgroupsPath']}\n"
        assert ours("pause", ident).code == 0
        assert ours.status(ident) == "paused"
        assert ours("resume", ident).code == 0
        assert ours("exec", ident, "cat", "/proc/self/cgroup").out == "0::/\n"
        assert ours("update", "--memory", "67108864", "--pids-limit", "9", ident).code == 0
        done = ours("exec", ident, "cat", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max")
        assert done.out.split() == ["67108864", "9"], done.err
        stats = json.loads(ours("events", "--stats", ident).out)["data"]
        assert stats["memory"]["usage"]["limit"] == 67108864
        assert stats["pids"]["limit"] == 9
        assert ours("kill", ident, "KILL").code == 0
        ours.wait_stopped(ident)
        assert ours("delete", ident).code == 0
    assert not [group for group in bundle.groups if group.endswith("/box")]


@pytest.mark.needs("overlay", "crun")
def test_crun_makes_the_engines_containers(engine: Engine) -> None:
    ran = run(engine, "sh", "-c", "cat /sys/fs/cgroup/pids.max; exit 5", runtime="crun", pids_limit=21)
    assert (ran.code, ran.out) == (5, "21\n"), ran.err
