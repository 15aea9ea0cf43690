"""Ways through the file system: kernel files, mounts, cgroup files, leaked directories, races."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.attacker import (
    UNCONFINED,
    alter_plans,
    attack,
    container_of,
    exec_attack,
    sabotage_zygote,
    with_engine_in_child,
    without,
)
from tests.support.child import in_child
from tests.support.engines import BUSYBOX, add_image, run, sh
from tests.support.gates import start_gated
from toolkit.core.errors import EngineError, StartError, SyscallError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.linux import mount, namespace, rooted
from toolkit.runtime.steps import (
    ConnectStdio,
    MaskPath,
    MountCgroups,
    MountFilesystem,
    ReadonlyPath,
    SetPropagation,
    Step,
)

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

# The kernel's files


_WRITE = """
    for path in sys.argv[1:]:
        try:
            os.close(os.open(path, os.O_WRONLY))
            print("opened", path)
        except FileNotFoundError:
            pass
        except OSError as exc:
            print(errno.errorcode[exc.errno], path)
"""
_KERNEL_FILES = (
    *("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger"),
    *("/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/ksm/run"),
)


def _opened(engine: Engine, *paths: str, **options: Any) -> set[str]:
    """Return which files a container may open to write; none is written to."""
    text = "import sys; sys.argv[1:] = " + repr(paths) + "\n" + _WRITE.replace("\n    ", "\n")
    lines = [line.split() for line in attack(engine, text, **options).out.splitlines()]
    assert lines
    return {path for word, path in lines if word == "opened"}


def test_kernel_files_cannot_be_opened_to_write(target: Engine) -> None:
    assert _opened(target, *_KERNEL_FILES) == set()
    assert _opened(target, *_KERNEL_FILES, cap_add=("SYS_ADMIN",)) == set()
    assert _opened(target, *_KERNEL_FILES, userns_mode="private") == set()


def test_without_read_only_paths_they_could_be_opened(target: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_plans(target, monkeypatch, without(ReadonlyPath))
    assert "/proc/sys/kernel/core_pattern" in _opened(target, *_KERNEL_FILES)


_SECRETS = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts", "/proc/sched_debug")


def test_kernel_secrets_are_empty(target: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"""
        for path in {_SECRETS}:
            if os.path.exists(path):
                print(len(open(path, "rb").read(100)))
    """
    assert set(attack(target, text).out.split()) == {"0"}
    alter_plans(target, monkeypatch, without(MaskPath))
    assert max(map(int, attack(target, text).out.split())) > 0


@pytest.mark.parametrize("link", ["/elsewhere", "elsewhere/../elsewhere", "/sys"])
def test_kernel_secrets_are_empty_where_proc_is_a_symlink(
    engine: Engine, busybox_tree: str, tmp_path: Path, link: str
) -> None:
    """The masks go where procfs went, or procfs cannot be seen (CVE-2019-19921's class)."""
    tree = tmp_path / "tree"
    os.system(f"cp -al {busybox_tree} {tree}")  # noqa: S605 - our own paths
    (tree / "proc").rmdir()
    (tree / "elsewhere").mkdir()
    (tree / "proc").symlink_to(link)
    add_image(engine.images.store, "evil", str(tree))
    script = "cat /proc/interrupts /proc/keys /proc/timer_list /elsewhere/interrupts /elsewhere/timer_list 2>/dev/null"
    assert sh(engine, script, image="evil").out == ""


# A second procfs


_SECOND_PROC = """
    CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID = 0x10000000, 0x20000, 0x20000000
    uid = os.getuid()
    assert call("unshare", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)[0] == 0
    if os.fork() == 0:
        os.makedirs("/tmp/proc", exist_ok=True)
        result, why = call("mount", b"proc", b"/tmp/proc", b"proc", 0, 0)
        print("mounted" if result == 0 else why, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.needs("userns")
def test_unmasked_procfs_cannot_be_mounted_beside_the_masked_one(
    target: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root of a user namespace of its own may mount procfs, but not one that reveals more than those it sees."""
    assert attack(target, _SECOND_PROC, security_opt=UNCONFINED).out == "EPERM\n"
    alter_plans(target, monkeypatch, without(MaskPath, ReadonlyPath))
    assert attack(target, _SECOND_PROC, security_opt=UNCONFINED).out == "mounted\n"


# Mounts over the kernel's files (CVE-2019-16884)


@pytest.mark.parametrize("path", ["/proc", "/proc/sys", "/proc/acpi", "/proc/self/attr", "/link/sys", "/a/../proc/sys"])
def test_nothing_is_mounted_over_proc(engine: Engine, busybox_tree: str, tmp_path: Path, path: str) -> None:
    tree = tmp_path / "tree"
    os.system(f"cp -al {busybox_tree} {tree}")  # noqa: S605 - our own paths
    (tree / "link").symlink_to("/proc")
    add_image(engine.images.store, "evil", str(tree))
    with pytest.raises(EngineError, match="cannot be mounted because it is inside /proc"):
        run(engine, "true", image="evil", tmpfs={path: ""})


def test_without_that_rule_a_mount_hides_what_is_read_only(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    off = "import toolkit.runtime.steps.mounts as m; m.MountFilesystem._refuse_inside_proc = lambda *_args: None"
    sabotage_zygote(engine, monkeypatch, off)
    assert sh(engine, "ls /proc/sys | wc -l", tmpfs={"/proc/sys": ""}).out.strip() == "0"


def test_what_shows_a_container_its_limits_may_lie_in_proc(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def show(plan: tuple[Step, ...]) -> tuple[Step, ...]:
        at = next(index for index, step in enumerate(plan) if isinstance(step, ConnectStdio))
        return (*plan[:at], MountFilesystem("/proc/uptime", "bind", "/etc/hostname", mount.MS_BIND, ""), *plan[at:])

    alter_plans(engine, monkeypatch, show)
    assert run(engine, "cat", "/proc/uptime").out == Path("/etc/hostname").read_text()


# Control groups (CVE-2022-0492's class)


_CGROUPS = """
    import glob
    found = []
    for path in glob.glob("/sys/fs/cgroup/*") + ["/sys/fs/cgroup"]:
        for name in ("release_agent", "notify_on_release", "cgroup.procs", "tasks", "devices.allow"):
            try:
                os.close(os.open(f"{path}/{name}", os.O_WRONLY))
                found.append(f"{path}/{name}")
            except OSError:
                pass
        try:
            os.mkdir(f"{path}/x")
            found.append(f"{path}/x")
        except OSError:
            pass
    for fstype, data in ((b"cgroup", b"rdma"), (b"cgroup", b"devices"), (b"cgroup", b"memory"), (b"cgroup2", None)):
        os.makedirs("/tmp/c", exist_ok=True)
        if call("mount", b"c", b"/tmp/c", fstype, 0, data or 0)[0] == 0:
            found.append("mounted " + fstype.decode())
    print(len(glob.glob("/sys/fs/cgroup/*")), *found)
"""


@pytest.mark.needs("cgroup:any")
def test_container_changes_nothing_in_its_cgroups(target: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    count, *found = attack(target, _CGROUPS).out.split()
    assert int(count) > 0
    assert found == []
    assert exec_attack(container_of(target), _CGROUPS).out.split()[1:] == []

    def writable(plan: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(
            step._replace(flags=step.flags & ~mount.MS_RDONLY)
            if isinstance(step, MountCgroups)
            or (isinstance(step, MountFilesystem) and step.destination == "/sys/fs/cgroup")
            else step
            for step in plan
        )

    alter_plans(target, monkeypatch, writable)
    assert any(path.endswith(("cgroup.procs", "tasks")) for path in attack(target, _CGROUPS).out.split())


# Propagation


def _share_all_and_run(engine: Engine) -> list[str]:
    """Run a container where all mounts of the host are shared, as systemd has them; return what came back."""
    namespace.unshare(namespace.CLONE_NEWNS)
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_SHARED)
    container = container_of(engine, "sleep", "60", image=BUSYBOX)
    try:
        with open("/proc/self/mountinfo") as file:
            return [line for line in file if engine.paths.run in line.split()[4]]
    finally:
        container.remove(force=True)
        engine.shutdown()


def test_no_mount_comes_back_to_a_host_that_shares_them(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_engine_in_child(engine, _share_all_and_run) == []

    def shared(mine: Engine) -> list[str]:
        alter_plans(mine, monkeypatch, without(SetPropagation))
        return _share_all_and_run(mine)

    with pytest.raises(SyscallError, match="pivot_root"):  # or else what it mounts would be seen
        with_engine_in_child(engine, shared)


# Leaked directories (CVE-2024-21626)


_LEAK = """
import os
import toolkit.runtime.zygote as zygote
shed = zygote._shed
def leak(files):
    shed(files)
    os.dup2(os.open("/", os.O_RDONLY | os.O_DIRECTORY), 100)
zygote._shed = leak
"""
_NO_LOOK = "import toolkit.linux.file as file; file.is_inside_root = lambda: True"
_CAN_SEE = "test -e ../../../../../..{root} && echo sees the host; ls /proc/self/fd"


def test_leaked_directory_of_the_host_leads_nowhere(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage_zygote(engine, monkeypatch, _LEAK)
    script = _CAN_SEE.format(root=engine.paths.root)
    with pytest.raises(StartError, match="is outside of the container"):
        sh(engine, script, working_dir="/proc/self/fd/100")
    ran = sh(engine, script)
    assert "100" not in ran.out.split()  # nor does the program inherit it


def test_without_a_look_at_the_working_directory_it_would(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage_zygote(engine, monkeypatch, _LEAK + _NO_LOOK)
    script = _CAN_SEE.format(root=engine.paths.root)
    assert "sees the host" in sh(engine, script, working_dir="/proc/self/fd/100").out


def test_leaked_directory_leads_no_exec_out(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.engine.options import ExecOptions

    sabotage_zygote(engine, monkeypatch, _LEAK)
    container = container_of(engine, "sleep", "60", image=BUSYBOX)
    for directory in ("/proc/self/fd/100", "/proc/self/fd/100/etc"):
        with pytest.raises(StartError, match="is outside of the container"):
            container.exec(ExecOptions(("true",), working_dir=directory))


def test_half_made_process_holds_no_directory_of_the_hosts(engine: Engine) -> None:
    """At the last gate, before execve: whatever it has open, /proc/self/fd/N is no way out."""
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("true",)))
    last = len(container.plan(gated=True)) - 1
    found: list[str] = []

    def look(step: int) -> bool:
        if step == last:
            pid = max(int(name) for name in os.listdir("/proc") if name.isdecimal() and _is_in(name, engine))
            found.extend(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
        return True

    start_gated(container, look).close()
    container.wait()
    assert found
    assert all(name.startswith(("pipe:", "socket:", "/dev/null", "anon_inode:[pidfd]")) for name in found), found


def _is_in(name: str, engine: Engine) -> bool:
    """Tell whether a process has a root that is not ours; the half-made one is the only such in a quiet engine."""
    try:
        with open(f"/proc/{name}/cgroup") as file:
            return any("/container-toolkit/" in line for line in file) and os.readlink(f"/proc/{name}/root") == "/"
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


# Races for a mount's target (CVE-2021-30465)


_SWAP = """
import ctypes, sys
libc = ctypes.CDLL(None)
a, b = (path.encode() for path in sys.argv[1:])
while True:
    libc.renameat2(-100, a, -100, b, 2)
"""


@pytest.fixture
def swapper(tmp_path: Path) -> Iterator[Path]:
    """Have another process swap a directory of a root for a symlink out of it, as fast as it can; return the root."""
    root = tmp_path / "root"
    for name in ("root/volume/target", "outside/target"):
        (tmp_path / name).mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "outside")
    racer = subprocess.Popen([sys.executable, "-c", _SWAP, str(root / "volume"), str(root / "link")])
    yield root
    racer.send_signal(signal.SIGKILL)
    racer.wait()


_MOUNTS = 300


def _mount_often(root: Path, open_target: Any) -> tuple[int, int]:
    """Mount in `root` again and again; return how often it worked, and how often it was outside."""
    namespace.unshare(namespace.CLONE_NEWNS)
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    root_fd = os.open(root, os.O_PATH)
    worked = outside = 0
    until = time.monotonic() + 2.0
    while time.monotonic() < until and worked < _MOUNTS:
        try:
            fd = open_target(root_fd)
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.EAGAIN, errno.ENOTDIR, errno.EXDEV):
                raise
            continue
        mount.mount("tmpfs", f"/proc/self/fd/{fd}", "tmpfs")
        os.close(fd)
        with open("/proc/self/mountinfo") as file:
            outside += not file.read().splitlines()[-1].split()[4].startswith(f"{root}/")
        worked += 1
    return worked, outside


def test_mount_never_lands_outside_while_its_way_is_swapped(swapper: Path) -> None:
    worked, outside = in_child(
        lambda: _mount_often(swapper, lambda root_fd: rooted.make_directories(root_fd, "/volume/target"))
    )
    assert worked > 50
    assert outside == 0


def test_mount_by_path_would_land_outside(swapper: Path) -> None:
    naive = f"{swapper}/volume/target"
    _worked, outside = in_child(lambda: _mount_often(swapper, lambda _fd: os.open(naive, os.O_PATH)))
    assert outside > 0
