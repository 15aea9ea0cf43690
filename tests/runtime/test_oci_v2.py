"""`container oci` beside crun on a pure cgroup v2: runs in the guest, since crun refuses a hybrid host."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from toolkit.linux.cgroup import detect

pytestmark = pytest.mark.needs("root", "busybox", "crun", "v2")
MIB = 1 << 20
RUNTIMES = {"ours": (sys.executable, "-m", "toolkit.cli", "oci"), "crun": ("crun",)}
_SETS = ("bounding", "effective", "permitted")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=list(RUNTIMES))
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Return what runs `RUNTIME ARGS`; what is left of the container `box` is deleted."""
    command = [*RUNTIMES[request.param], "--root", f"{tmp_path}/state"]

    def call(*argv: str) -> "subprocess.CompletedProcess[str]":
        """Files, not pipes: a container that goes on keeps them open."""
        with open(tmp_path / "out", "w+") as out, open(tmp_path / "err", "w+") as err:
            ran = subprocess.run([*command, *argv], stdout=out, stderr=err, timeout=120, check=False)
        texts = ((tmp_path / name).read_text() for name in ("out", "err"))
        return subprocess.CompletedProcess(ran.args, ran.returncode, *texts)

    yield call
    call("delete", "--force", "box")


@pytest.fixture
def bundle(tmp_path: Path, busybox_tree: str) -> Path:
    shutil.copytree(busybox_tree, tmp_path / "rootfs", symlinks=True)
    return tmp_path


def configure(bundle: Path, script: str, *, resources: dict[str, Any], mapped: bool = False, uid: int = 0) -> None:
    """Write a config: all namespaces, and a cgroup file system that may be written to."""
    namespaces = ["pid", "mount", "ipc", "uts", "network", "cgroup", *(["user"] if mapped else [])]
    ids = [{"containerID": 0, "hostID": 100_000, "size": 65_536}]
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in namespaces],
        "resources": resources,
        "cgroupsPath": f"/toolkit-test-{os.getpid()}",
        **({"uidMappings": ids, "gidMappings": ids} if mapped else {}),
    }
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec"]},
    ]
    process = {"args": ["sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": uid, "gid": uid}}
    config = {
        "ociVersion": "1.0.2",
        "process": {
            **process,
            "capabilities": {name: ["CAP_MKNOD"] for name in ("bounding", "effective", "permitted")},
        },
        "root": {"path": "rootfs"},
        "mounts": mounts,
        "linux": linux,
    }
    (bundle / "config.json").write_text(json.dumps(config))


LIMITS = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB},
    "cpu": {"quota": 50_000, "period": 100_000, "cpus": "0"},
    "pids": {"limit": 20},
    "unified": {"memory.high": str(48 * MIB)},
}
READ = "cd /sys/fs/cgroup; cat memory.max memory.swap.max memory.low memory.high cpu.max cpuset.cpus pids.max"


def test_limits_are_the_same(runtime: Run, bundle: Path) -> None:
    configure(bundle, READ + "; cat /proc/self/cgroup", resources=LIMITS)
    ran = runtime("run", "--bundle", str(bundle), "box")
    assert ran.stdout.split() == [
        str(64 * MIB),
        *(str(32 * MIB), str(32 * MIB), str(48 * MIB)),
        *("50000", "100000", "0", "20", "0::/"),
    ], ran.stderr


DIVIDE = (
    "cd /sys/fs/cgroup; mkdir leaf && echo $$ >leaf/cgroup.procs && echo +pids >cgroup.subtree_control && "
    "mkdir limited && echo 5 >limited/pids.max && cat limited/pids.max; echo max 2>/dev/null >memory.max || echo kept"
)


@pytest.mark.parametrize("runtime", ["ours"], indirect=True)  # Debian's crun gives it to the container's root alone
@pytest.mark.parametrize(("mapped", "uid"), [(True, 0), (True, 7), (False, 7)])
def test_group_is_delegated_to_the_user(runtime: Run, bundle: Path, mapped: bool, uid: int) -> None:  # noqa: FBT001
    configure(bundle, DIVIDE, resources={"memory": {"limit": 64 * MIB}}, mapped=mapped, uid=uid)
    ran = runtime("run", "--bundle", str(bundle), "box")
    assert ran.stdout.split() == ["5", "kept"], ran.stderr


def disk_rules() -> tuple[int, list[dict[str, Any]]]:
    """Return the major number of the guest's disks, and rules: all of them, and the second only to be read."""
    first, second = (os.stat(path).st_rdev for path in ("/dev/vda", "/dev/vdb"))
    major = os.major(first)
    return major, [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "b", "major": major, "access": "rwm"},
        {"allow": False, "type": "b", "major": major, "minor": os.minor(second), "access": "w"},
    ]


def try_disks(major: int) -> str:
    lines = [
        f"mknod /dev/{name} b {major} {minor} && echo made {name}; head -c 0 /dev/{name} && echo read {name}; "
        f": >/dev/{name} && echo written {name}"
        for name, minor in (("a", 0), ("b", os.minor(os.stat("/dev/vdb").st_rdev)))
    ]
    return f"({'; '.join(lines)}; :) 2>/dev/null"


@pytest.mark.needs("guest-disks")
def test_device_rules_are_answered_by_the_last_that_matches(runtime: Run, bundle: Path) -> None:
    major, rules = disk_rules()
    configure(bundle, try_disks(major), resources={"devices": rules})
    ran = runtime("run", "--bundle", str(bundle), "box")
    assert ran.stdout.splitlines() == ["made a", "read a", "written a", "made b", "read b"], ran.stderr


def test_pause_update_and_kill_work_on_the_group(runtime: Run, bundle: Path) -> None:
    configure(bundle, "sleep 1000 & sleep 1000", resources={"pids": {"limit": 20}, "memory": {"limit": 64 * MIB}})
    directory = detect().path(f"/toolkit-test-{os.getpid()}")
    assert runtime("run", "--bundle", str(bundle), "--detach", "box").returncode == 0
    assert runtime("pause", "box").returncode == 0
    assert "frozen 1" in Path(f"{directory}/cgroup.events").read_text()
    assert json.loads(runtime("state", "box").stdout)["status"] == "paused"
    assert runtime("resume", "box").returncode == 0
    assert runtime("update", "--memory", str(80 * MIB), "--pids-limit", "7", "box").returncode == 0
    assert Path(f"{directory}/memory.max").read_text().strip() == str(80 * MIB)
    assert Path(f"{directory}/pids.max").read_text().strip() == "7"
    assert runtime("kill", "box", "KILL").returncode == 0
    deadline = time.monotonic() + 30
    while json.loads(runtime("state", "box").stdout)["status"] != "stopped":
        assert time.monotonic() < deadline
    assert runtime("delete", "box").returncode == 0
    assert not os.path.exists(directory)
