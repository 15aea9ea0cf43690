"""One more process in a container: what it inherits, what flags change, and what it must not get."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bundles import Bundle, Runtime
from tests.support.patience import wait_until
from toolkit.linux.cgroup import detect

pytestmark = pytest.mark.needs("root", "busybox")


@pytest.fixture
def box(runtime: Runtime, bundle: Bundle) -> Iterator[tuple[Runtime, str]]:
    """Return a runtime and its running container."""
    bundle.process["args"] = ["sleep", "60"]
    bundle.process["env"].append("OWN=of the container")
    with runtime.running(bundle) as ident:
        yield runtime, ident


@pytest.mark.parametrize(
    ("flags", "script", "answer"),
    [
        ((), "echo hello", "hello\n"),
        ((), "echo $OWN", "of the container\n"),
        (("--env", "A=b", "--env", "C=d e"), "echo $A $C", "b d e\n"),
        (("--cwd", "/tmp"), "pwd", "/tmp\n"),
        (("--user", "5:6"), "id -u; id -g", "5\n6\n"),
        (("--user", "5:6", "--additional-gids", "7", "--additional-gids", "8"), "id -G", "6 7 8\n"),
        (("--cap", "CAP_SYS_TIME"), "grep CapEff /proc/self/status", "CapEff:\t0000000022000420\n"),
        (("--cap", "CAP_SYS_TIME"), "grep CapInh /proc/self/status", "CapInh:\t0000000000000000\n"),
        ((), "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"),
        ((), "ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 "),
        ((), "cat /proc/1/comm", "sleep\n"),
    ],
)
def test_answers(box: tuple[Runtime, str], flags: tuple[str, ...], script: str, answer: str) -> None:
    runtime, ident = box
    done = runtime("exec", *flags, ident, "sh", "-c", script)
    assert (done.code, done.out) == (0, answer), done.err


def test_exit_codes(box: tuple[Runtime, str]) -> None:
    runtime, ident = box
    assert runtime("exec", ident, "sh", "-c", "exit 9").code == 9
    assert runtime("exec", ident, "sh", "-c", "kill -TERM $$").code == 143
    done = runtime("exec", ident, "no-such-program")
    assert done.code == 255
    assert 'exec: "no-such-program": executable file not found in $PATH' in done.err.replace("\\", "")
    assert runtime("exec", ident, "/etc").code == 255


def test_process_file(box: tuple[Runtime, str], tmp_path: Path) -> None:
    runtime, ident = box
    process = {
        "args": ["sh", "-c", "pwd; id -u; echo $X; grep CapEff /proc/self/status"],
        "cwd": "/tmp",
        "user": {"uid": 3},
    }
    (tmp_path / "process.json").write_text(json.dumps({**process, "env": ["PATH=/bin", "X=y"]}))
    done = runtime("exec", "--process", str(tmp_path / "process.json"), ident)
    assert (done.code, done.out) == (0, "/tmp\n3\ny\nCapEff:\t0000000000000000\n")


def test_detached_leaves_the_process_to_the_caller(box: tuple[Runtime, str], tmp_path: Path) -> None:
    runtime, ident = box
    done = runtime("exec", "--detach", "--pid-file", str(tmp_path / "pid"), ident, "sleep", "60")
    assert done.code == 0
    pid = int((tmp_path / "pid").read_text())
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0060\x00"
    assert pid in json.loads(runtime("ps", "--format", "json", ident).out)


def test_terminal_of_an_exec(box: tuple[Runtime, str]) -> None:
    runtime, ident = box
    command = " ".join(
        [*runtime.command, "exec", "-t", ident, "sh", "-c", "'test -t 0 && test -t 1 && echo is a terminal'"]
    )
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=20,
        check=True,
    )
    assert "is a terminal" in done.stdout


def test_exec_is_in_the_containers_groups(box: tuple[Runtime, str]) -> None:
    runtime, ident = box
    pid = runtime.state(ident)["pid"]
    groups = Path(f"/proc/{pid}/cgroup").read_text()
    runtime("exec", "--detach", ident, "sleep", "61")
    pids = json.loads(runtime("ps", "--format", "json", ident).out)
    assert len(pids) == 2
    assert {Path(f"/proc/{each}/cgroup").read_text() for each in pids} == {groups}


@pytest.mark.needs("cgroup1:pids", "cgroup1:memory")
def test_exec_in_a_group_below_the_containers(runtime: Runtime, bundle: Bundle) -> None:
    hierarchy = detect()
    bundle.process["args"] = ["sleep", "60"]
    with runtime.running(bundle) as ident:
        mounts = dict.fromkeys((*hierarchy.v1.values(), hierarchy.v2))
        groups = [f"{mount}{bundle.linux['cgroupsPath']}/lower" for mount in mounts if mount]
        try:
            for group in groups:
                os.mkdir(group)
                for name in ("cpuset.cpus", "cpuset.mems"):  # who has none of either lets no process in
                    if os.path.exists(f"{group}/{name}"):
                        Path(group, name).write_text(Path(group).parent.joinpath(name).read_text())
            plain = runtime("exec", "--cgroup", "lower", ident, "cat", "/proc/self/cgroup")
            assert [line.split(":")[2] for line in plain.out.splitlines() if "pids" in line] == ["/lower"], plain.err
            one = runtime(
                "exec", "--cgroup", "pids:lower", ident, "grep", "-e", ":pids:", "-e", ":memory:", "/proc/self/cgroup"
            )
            found = {line.split(":")[1]: line.split(":")[2] for line in one.out.splitlines()}
            assert found == {"pids": "/lower", "memory": "/"}, one.err
            for wrong in ("nowhere", "pids:nowhere", "nonesuch:lower"):
                failed = runtime("exec", "--cgroup", wrong, ident, "true")
                assert (failed.code != 0, failed.out) == (True, "")
            assert runtime("exec", "--cgroup", "a", "--cgroup", "b", ident, "true").code != 0
        finally:
            for group in groups:
                os.rmdir(group)


def test_exec_in_a_created_container(runtime: Runtime, bundle: Bundle) -> None:
    with runtime.created(bundle) as ident:
        assert runtime("exec", ident, "echo", "early").out == "early\n"
        assert runtime.status(ident) == "created"


def test_exec_in_a_paused_container_waits(ours: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with ours.running(bundle) as ident:
        ours("pause", ident)
        with subprocess.Popen([*ours.command, "exec", "--ignore-paused", ident, "touch", "/woke"]) as waiting:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(1)
            assert not (bundle.rootfs / "woke").exists()
            ours("resume", ident)
            assert waiting.wait(10) == 0
        assert (bundle.rootfs / "woke").exists()


def test_exec_into_a_user_namespace(ours: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    bundle.linux["namespaces"].append({"type": "user"})
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.linux.update(uidMappings=mapping, gidMappings=mapping)
    with ours.running(bundle) as ident:
        assert ours("exec", ident, "cat", "/proc/self/uid_map").out.split() == ["0", "100000", "65536"]


def test_affinity_of_an_exec(ours: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    bundle.process["args"] = ["sleep", "60"]
    process = {"args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/", "env": ["PATH=/bin"]}
    process["execCPUAffinity"] = {"initial": "0-1", "final": str(cpu)}
    (tmp_path / "process.json").write_text(json.dumps(process))
    with ours.running(bundle) as ident:
        assert ours("exec", "--process", str(tmp_path / "process.json"), ident).out.split()[1] == str(cpu)


def test_every_stream_is_the_callers(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["args"] = ["sleep", "60"]
    (tmp_path / "in").write_text("input\n")
    with runtime.running(bundle) as ident, (tmp_path / "in").open("rb") as stdin:
        done = runtime("exec", ident, "sh", "-c", "cat; echo error >&2", stdin=stdin)
    assert (done.out, done.err) == ("input\n", "error\n")


def test_nothing_of_ours_is_left_of_an_exec(ours: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with ours.running(bundle) as ident:
        ours("exec", "--detach", ident, "true")
        wait_until(lambda: len(json.loads(ours("ps", "--format", "json", ident).out)) == 1, 10)
