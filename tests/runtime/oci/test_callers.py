"""podman, containerd and dockerd drive our runtime as they drive runc: the same answers, the same exit codes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.bundles import Done

_ROOT = Path(__file__).parents[3]
_TIMEOUT_S = 60.0


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Return a program that is our runtime, as others call it."""
    script = tmp_path / "runtime"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={_ROOT} exec {sys.executable} -m toolkit.cli oci "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def archive(busybox_tree: str, tmp_path: Path) -> Path:
    """Return a tar of a root file system."""
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(busybox_tree, arcname=".")
    return path


def _do(*words: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Done:
    done = subprocess.run(
        words,
        input=stdin,
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a directory with a short name: the address of a socket is 107 bytes, and podman takes 50."""
    base = Path("/tmp") / f"oci{os.getpid()}{os.urandom(2).hex()}"
    base.mkdir(0o700)
    yield base
    shutil.rmtree(base)


Client = Callable[..., Done]


@contextmanager
def _daemon(words: list[str], log: Path, is_ready: Callable[[], bool]) -> Iterator[None]:
    with log.open("wb") as out, subprocess.Popen(words, stdout=out, stderr=out, start_new_session=True) as running:
        deadline = time.monotonic() + 30
        while not is_ready():
            assert running.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        try:
            yield
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def _runc() -> str:
    return shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "runc"


# podman


def _podman_flags(base: Path) -> list[str]:
    return [f"--{name}={base}/{name}" for name in ("root", "runroot", "tmpdir")]


@pytest.fixture
def podman(tmp_path: Path, short: Path, archive: Path) -> Iterator[Client]:
    """Return podman with a store of its own; the runtime is the first argument."""
    config = tmp_path / "containers.conf"
    limits = '"nofile=1024:1024", "nproc=1024:1024"'
    config.write_text(
        f'[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\n[containers]\ndefault_ulimits=[{limits}]\nnetns="none"\n'
    )
    base = _podman_flags(short)

    def client(runtime: str, *words: str, stdin: bytes = b"") -> Done:
        command = ["podman", *base, "--storage-driver=vfs", f"--runtime={runtime}", *words]
        return _do(*command, stdin=stdin, env={"CONTAINERS_CONF": str(config)})

    imported = client(_runc(), "import", str(archive), "busy")
    assert imported.code == 0, imported.err
    yield client
    client(_runc(), "system", "reset", "--force")
    _remove_groups_of_podman()


def _remove_groups_of_podman() -> None:
    """Remove the groups that podman keeps between two containers, unless somebody else's are in them."""
    for root in Path("/sys/fs/cgroup").glob("*/libpod_parent"):
        for group in (*root.glob("*/"), root):
            with suppress(OSError):
                group.rmdir()


@pytest.mark.needs("root", "busybox", "podman", "runc")
def test_podman_gets_the_same_of_both(podman: Client, program: str) -> None:
    script = [
        (("run", "--rm", "busy", "sh", "-c", "echo out; echo err >&2; exit 5"), b""),
        (("run", "--rm", "-i", "busy", "cat"), b"through stdin\n"),
        (("run", "--rm", "busy", "no-such-program"), b""),
        (("run", "--rm", "busy", "/etc"), b""),
        (("run", "--rm", "--user", "5:6", "--cap-drop", "all", "busy", "grep", "Cap", "/proc/self/status"), b""),
        (("run", "--rm", "--read-only", "--tmpfs", "/t", "busy", "sh", "-c", "touch /x; touch /t/x && echo ok"), b""),
        (("run", "--rm", "-m", "64m", "busy", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes"), b""),
        (("run", "--rm", "--uidmap", "0:100000:1000", "busy", "cat", "/proc/self/uid_map"), b""),
        (("run", "--rm", "--sysctl", "kernel.msgmax=999", "busy", "cat", "/proc/sys/kernel/msgmax"), b""),
        (("run", "-d", "--name", "web", "busy", "sleep", "60"), b""),
        (("exec", "web", "sh", "-c", "cat /proc/1/comm; exit 9"), b""),
        (("exec", "-e", "A=b", "-w", "/tmp", "web", "sh", "-c", "pwd; echo $A"), b""),
        (("exec", "web", "no-such-program"), b""),
        (("pause", "web"), b""),
        (("ps", "--format", "{{.Names}} {{.State}}"), b""),
        (("unpause", "web"), b""),
        (("top", "web", "comm"), b""),
        (("stop", "-t", "0", "web"), b""),
        (("inspect", "web", "--format", "{{.State.ExitCode}} {{.State.Status}}"), b""),
        (("start", "web"), b""),
        (("kill", "web"), b""),
        (("rm", "-f", "web"), b""),
    ]
    answers = [[podman(runtime, *words, stdin=stdin) for words, stdin in script] for runtime in (_runc(), program)]
    for (words, _), theirs, mine in zip(script, *answers, strict=True):
        assert (mine.code, _without_ids(mine.out)) == (theirs.code, _without_ids(theirs.out)), (words, mine.err)


def _without_ids(text: str) -> str:
    """Leave out what differs by itself: ids, and the words of an error, which docker prints to stdout."""
    return re.sub(r"OCI runtime .*", "ERROR", re.sub(r"[0-9a-f]{64}", "ID", text))


@pytest.mark.needs("root", "busybox", "podman")
def test_podman_gives_a_terminal(podman: Client, program: str, tmp_path: Path, short: Path) -> None:
    line = " ".join(["podman", *_podman_flags(short)])
    command = (
        f"{line} --storage-driver=vfs --runtime={program} run --rm -t busy sh -c 'test -t 0 && test -t 2 && echo tty'"
    )
    done = _do("script", "-qec", command, "/dev/null", env={"CONTAINERS_CONF": str(tmp_path / "containers.conf")})
    assert done.out.strip() == "tty"


# containerd


@pytest.fixture
def ctr(tmp_path: Path, short: Path, podman: Client) -> Iterator[Client]:
    """Return ctr, with a containerd of its own."""
    base = short
    config = base / "config.toml"
    config.write_text(
        f'version = 2\nroot = "{tmp_path}/ctd"\nstate = "{base}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{base}/sock"\n[plugins."io.containerd.internal.v1.opt"]\npath = "{base}/opt"\n'
    )

    def client(*words: str, stdin: bytes = b"") -> Done:
        return _do("ctr", "-a", f"{base}/sock", *words, stdin=stdin)

    with _daemon(["containerd", "--config", str(config)], tmp_path / "log", lambda: client("version").code == 0):
        assert podman(_runc(), "save", "-o", str(tmp_path / "image.tar"), "busy").code == 0
        assert client("images", "import", "--snapshotter", "native", str(tmp_path / "image.tar")).code == 0
        yield client


@pytest.mark.needs("root", "busybox", "podman", "containerd", "ctr", "runc")
def test_containerd_gets_the_same_of_both(ctr: Client, program: str) -> None:
    answers: list[list[tuple[int, str]]] = []
    for runtime in (_runc(), program):
        flags = ("--snapshotter", "native", "--runtime", "io.containerd.runc.v2", "--runc-binary", runtime)
        image = "localhost/busy:latest"
        steps = [
            ("run", "--rm", *flags, image, "one", "sh", "-c", "echo out; exit 4"),
            ("run", "--rm", *flags, image, "two", "no-such-program"),
            ("container", "delete", "two"),
            ("run", "-d", *flags, image, "web", "sleep", "60"),
            ("task", "exec", "--exec-id", "e1", "web", "sh", "-c", "cat /proc/1/comm; exit 3"),
            ("task", "exec", "--exec-id", "e2", "web", "no-such-program"),
            ("task", "pause", "web"),
            ("task", "ls"),
            ("task", "resume", "web"),
            ("task", "ls"),
            ("task", "kill", "-s", "KILL", "web"),
            ("task", "delete", "-f", "web"),
            ("container", "delete", "web"),
            ("container", "ls", "-q"),
        ]
        found = [ctr(*words) for words in steps]
        answers.append([(done.code, re.sub(r" *\b\d+\b *", " PID ", done.out)) for done in found])
    assert answers[1] == answers[0]
    assert answers[1][0] == (4, "out\n")


# dockerd


@pytest.fixture
def docker(tmp_path: Path, short: Path, archive: Path, program: str) -> Iterator[Client]:
    """Return docker, with a daemon of its own that has our runtime registered."""
    base = short

    def client(*words: str, stdin: bytes = b"") -> Done:
        return _do("docker", "-H", f"unix://{base}/sock", *words, stdin=stdin)

    words = [
        *("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"),
        *(f"--data-root={tmp_path}/docker", f"--exec-root={base}/exec", f"--pidfile={base}/pid"),
        *(f"--host=unix://{base}/sock", f"--add-runtime=mine={program}"),
    ]
    with _daemon(words, tmp_path / "docker.log", lambda: client("version").code == 0):
        assert client("import", str(archive), "busy").code == 0
        yield client


@pytest.mark.needs("root", "busybox", "docker", "dockerd", "runc")
def test_dockerd_gets_the_same_of_both(docker: Client) -> None:
    answers: list[list[tuple[int, str]]] = []
    for runtime in ("runc", "mine"):
        flags = ("--runtime", runtime, "--network", "none")
        steps = [
            (("run", "--rm", *flags, "busy", "sh", "-c", "echo out; exit 5"), b""),
            (("run", "--rm", "-i", *flags, "busy", "cat"), b"in\n"),
            (("run", "--rm", *flags, "busy", "no-such-program"), b""),
            (("run", "--rm", *flags, "busy", "/etc"), b""),
            (("run", "--rm", *flags, "-m", "20m", "busy", "sh", "-c", "a=x; while true; do a=$a$a; done"), b""),
            (("run", "-d", "--name", "web", *flags, "-m", "64m", "--cpus", "0.5", "busy", "sleep", "60"), b""),
            (("exec", "web", "sh", "-c", "cat /proc/1/comm; exit 7"), b""),
            (("exec", "web", "no-such-program"), b""),
            (("exec", "web", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes"), b""),
            (("update", "--memory", "100m", "--memory-swap", "-1", "web"), b""),
            (("exec", "web", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes"), b""),
            (("pause", "web"), b""),
            (("inspect", "-f", "{{.State.Status}}", "web"), b""),
            (("unpause", "web"), b""),
            (("restart", "-t", "0", "web"), b""),
            (("stop", "-t", "0", "web"), b""),
            (("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web"), b""),
            (("rm", "web"), b""),
        ]
        found = [docker(*words, stdin=stdin) for words, stdin in steps]
        answers.append([(done.code, _without_ids(done.out)) for done in found])
    assert answers[1] == answers[0]
    assert answers[1][:2] == [(5, "out\n"), (0, "in\n")]
    assert [code for code, _ in answers[1][2:5]] == [127, 126, 137]
