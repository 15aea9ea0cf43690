"""From one container to another's processes, to the host's, and to the machine as a whole."""

import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support.attacker import LAB, attack, container_of, program
from tests.support.child import in_child
from tests.support.engines import BUSYBOX, collect, run
from toolkit.core.errors import ConflictError, EngineError, StartError
from toolkit.engine.container import RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

# Signals and ptrace


@pytest.fixture
def bystander() -> Iterator[int]:
    """Return the pid of a process of the host's, of root with all capabilities."""
    made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield made.pid
    made.kill()
    made.wait()


_KILL = (
    "try:\n    os.kill({pid}, 0)\n    print('reached')\nexcept OSError as exc:\n    print(errno.errorcode[exc.errno])"
)


def test_processes_of_the_host_have_no_number_inside(target: Engine, bystander: int) -> None:
    assert attack(target, _KILL.format(pid=bystander)).out == "ESRCH\n"
    assert attack(target, _KILL.format(pid=container_of(target).pid)).out == "ESRCH\n"
    assert attack(target, _KILL.format(pid=bystander), pid_mode="host").out == "reached\n"


_LOOK = """
    reached = []
    for name, look in (
        ("mem", lambda: open("/proc/{pid}/mem", "rb").close()),
        ("root", lambda: os.listdir("/proc/{pid}/root/")),
        ("environ", lambda: open("/proc/{pid}/environ").read()),
        ("exe", lambda: os.readlink("/proc/{pid}/exe")),
        ("ns", lambda: os.readlink("/proc/{pid}/ns/mnt")),
    ):
        try:
            look()
            reached.append(name)
        except OSError as exc:
            assert exc.errno == errno.EACCES, exc
    if call("ptrace", 0x4206, {pid}, 0, 0)[0] == 0:
        reached.append("ptrace")
    print(*reached)
"""


def test_host_seen_in_its_pid_namespace_cannot_be_looked_into(target: Engine, bystander: int) -> None:
    """It has more capabilities than the container: that is what the kernel compares."""
    look = _LOOK.format(pid=bystander)
    assert attack(target, look, pid_mode="host").out == "\n"
    assert attack(target, look, pid_mode="host", privileged=True).out.split() == [
        *("mem", "root", "environ", "exe", "ns", "ptrace")
    ]


def test_container_with_more_powers_cannot_be_looked_into_by_one_that_shares_its_processes(target: Engine) -> None:
    container_of(target, name="victim", privileged=True)
    look = _LOOK.format(pid=1)
    assert attack(target, look, pid_mode="container:victim").out == "\n"
    assert "mem" in attack(target, look, pid_mode="container:victim", privileged=True).out


def test_container_of_another_user_namespace_cannot_be_looked_into(target: Engine) -> None:
    container_of(target, name="victim")
    with pytest.raises(EngineError, match="proc"):  # not even see it: its procfs is not the user namespace's to mount
        attack(target, _LOOK.format(pid=1), pid_mode="container:victim", userns_mode="private")


# Memory and sockets that have names


_LISTEN = """
    import socket
    made = socket.socket(socket.AF_UNIX)
    made.bind("\\0toolkit-attack")
    made.listen()
    libc = ctypes.CDLL(None)
    print(libc.shmget(4711, 4096, 0o1666) >= 0, flush=True)
    open("/dev/shm/name", "w").write("x")
    os.posix_fallocate(os.open("/dev/shm/name", os.O_RDWR), 0, 10)
    import time
    time.sleep(600)
"""
_REACH = """
    import socket
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect("\\0toolkit-attack")
        print("socket")
    except OSError:
        pass
    if ctypes.CDLL(None).shmget(4711, 0, 0) >= 0:
        print("segment")
    if os.path.exists("/dev/shm/name"):
        print("memory")
"""


@pytest.fixture
def listener(target: Engine) -> Container:
    """Return a container that has an abstract socket, a System V segment and a file in /dev/shm."""
    options: dict[str, Any] = {"name": "listener", "ipc_mode": "shareable"}
    container = target.containers.create(ContainerOptions(LAB, program(_LISTEN), **options))
    attachment = container.start(attach=True)
    assert attachment is not None
    with attachment:
        assert b"True" in next(iter(attachment)).data
    time.sleep(0.1)
    return container


def test_names_of_one_container_mean_nothing_in_another(target: Engine, listener: Container) -> None:
    assert attack(target, _REACH).out == ""
    reached = attack(target, _REACH, network="container:listener", ipc_mode="container:listener").out.split()
    assert reached == ["socket", "segment", "memory"]


# The engine's own sockets and files


def test_sockets_and_state_of_the_engine_are_roots_alone(engine: Engine) -> None:
    container = container_of(engine, "sleep", "60", image=BUSYBOX, env=("SECRET=1",))
    run_dir, root = engine.paths.run, engine.paths.root
    home = engine.paths.container(container.id)
    zygote = next(f"{run_dir}/{name}" for name in os.listdir(run_dir) if name.endswith(".sock"))

    def stranger() -> list[str]:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        reached: list[str] = []
        for path in (zygote, f"{container.run_dir}/attach.sock"):
            with closing(socket.socket(socket.AF_UNIX)) as sock:
                try:
                    sock.connect(path)
                    reached.append(path)
                except OSError:
                    pass
        files = (engine.paths.state, f"{home}/config.json", engine.paths.log(container.id))
        reached += [
            path for path in (*files, f"{root}/layers/sha256", f"{run_dir}/containers") if os.access(path, os.R_OK)
        ]
        return reached

    above = os.path.dirname(root)
    before = [stat.S_IMODE(os.stat(path).st_mode) for path in (above, root, run_dir)]
    for path in (above, root, run_dir):
        os.chmod(path, 0o711)  # as the engine makes them in /var/lib and /run
    try:
        assert in_child(stranger) == []
    finally:
        for path, mode in zip((above, root, run_dir), before, strict=True):
            os.chmod(path, mode)


def test_container_reaches_no_socket_of_its_monitor(target: Engine) -> None:
    text = """
        import socket
        names = [line.split()[-1] for line in open("/proc/net/unix") if "/" in line]
        names += [f"/proc/1/fd/{fd}" for fd in range(64)]
        for name in names:
            try:
                socket.socket(socket.AF_UNIX).connect(name)
                print("reached", name)
            except OSError:
                pass
    """
    assert attack(target, text).out == ""


# Bombs


@pytest.mark.needs("cgroup:pids")
def test_fork_bomb_stays_within_its_limit(engine: Engine) -> None:
    bomb = "bomb() { bomb | bomb & bomb; }; bomb 2>/dev/null"
    container = container_of(engine, "sh", "-c", bomb, image=BUSYBOX, pids_limit=64)
    deadline = time.monotonic() + 10
    while len(container.pids()) < 50 and time.monotonic() < deadline and container.status == RUNNING:
        time.sleep(0.05)
    most = len(container.pids())
    assert run(engine, "echo", "works").out == "works\n"
    assert most <= 64
    container.remove(force=True)
    assert engine.cgroups.pids(container.id) == []


@pytest.mark.needs("cgroup:memory")
def test_memory_bomb_stays_within_its_limit(target: Engine) -> None:
    bomb = """
        if os.fork() == 0:
            kept = []
            while True:
                kept.append(bytearray(1 << 20))
                for at in range(0, 1 << 20, 4096):
                    kept[-1][at] = 1
        pid, status = os.wait()
        print("child ended by", status & 0x7f)
    """
    container = target.containers.create(ContainerOptions(LAB, program(bomb), memory_bytes=48 << 20))
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.01):
            try:
                used = container.stats().memory
            except EngineError:
                continue
            most = max(most, used.usage_bytes if used else 0)

    watcher = threading.Thread(target=watch)
    attachment = container.start(attach=True)
    assert attachment is not None
    watcher.start()
    ran = collect(attachment)
    done.set()
    watcher.join()
    assert "child ended by 9" in ran.out or ran.code == 137
    assert 0 < most <= 48 << 20
    assert container.inspect()["State"]["OOMKilled"]


# Whoever enters and leaves at the same moment


def test_exec_into_a_container_that_is_just_ending_is_one_clear_error_or_works(engine: Engine) -> None:
    for number in range(15):
        container = container_of(engine, "sleep", f"0.0{number:02}", image=BUSYBOX)
        try:
            ran = collect(container.exec(ExecOptions(("true",))))
        except (ConflictError, StartError):
            pass  # it has stopped
        else:
            assert ran.code in (0, 137), ran
        container.wait()
    assert "Traceback" not in _zygote_log(engine)


def _zygote_log(engine: Engine) -> str:
    with open(f"{engine.paths.run}/zygote.log") as file:
        return file.read()


def test_processes_that_an_exec_left_do_not_survive_the_container(engine: Engine) -> None:
    container = container_of(engine, "sleep", "60", image=BUSYBOX, pid_mode="host")
    stay = "trap '' TERM HUP INT; (sleep 4711 & sleep 4712 &) ; echo started"
    assert collect(container.exec(ExecOptions(("sh", "-c", stay)))).out == "started\n"
    assert len(container.pids()) >= 3
    container.remove(force=True)
    assert engine.cgroups.pids(container.id) == []


# Names


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", ".", "x\n", "\x1b[2J", "%s", "-rf"])
def test_name_is_never_a_path(engine: Engine, name: str) -> None:
    for find in (engine.containers.get, engine.images.get):
        with pytest.raises(EngineError):
            find(name)
    if name:
        with pytest.raises(EngineError):
            engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name=name))
