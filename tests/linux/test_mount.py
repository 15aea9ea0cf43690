"""Mounts and namespaces, made in a child only: what each call does, and how it fails."""

import errno
import os
from collections.abc import Callable

import pytest

from tests.support.child import in_child
from toolkit.core.errors import SyscallError
from toolkit.linux import mount as m
from toolkit.linux import namespace as ns
from toolkit.linux import netdevice, process, procfs
from toolkit.trace import recording

pytestmark = pytest.mark.needs("root", "tmpfs")


def _private(function: Callable[[], object], *, new: int = 0) -> object:
    """Call `function` in a child with mounts of its own and an empty /mnt."""

    def call() -> object:
        m.mount(None, "/", None, m.MS_REC | m.MS_PRIVATE)
        m.mount("tmpfs", "/mnt", "tmpfs")
        return function()

    return in_child(call, new=ns.CLONE_NEWNS | new)


def _errno(function: Callable[[], object]) -> int:
    try:
        function()
    except SyscallError as exc:
        return exc.errno or 0
    return 0


def _points() -> list[str]:
    with open("/proc/self/mountinfo") as file:
        return [line.split()[4] for line in file]


def test_mount_appears_and_umount_takes_it_away() -> None:
    def attempt() -> tuple[bool, bool]:
        os.mkdir("/mnt/x")
        m.mount("tmpfs", "/mnt/x", "tmpfs", m.MS_NOSUID, "size=1m")
        was_there = "/mnt/x" in _points()
        m.umount("/mnt/x")
        return was_there, "/mnt/x" in _points()

    assert _private(attempt) == (True, False)
    assert "/mnt/x" not in _points()


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (lambda: m.mount("x", "/mnt", "nonesuch"), errno.ENODEV),
        (lambda: m.mount("x", "/mnt/nonesuch", "tmpfs"), errno.ENOENT),
        (lambda: m.mount("x", "/mnt", "tmpfs", 0, "nonesuch=1"), errno.EINVAL),
        (lambda: m.mount("/etc", "/etc/passwd", None, m.MS_BIND), errno.ENOTDIR),
        (lambda: m.umount("/etc"), errno.EINVAL),
        (lambda: m.pivot_root("/etc", "/etc"), errno.EBUSY),
        (lambda: (os.mkdir("/mnt/x"), m.pivot_root("/mnt/x", "/mnt/x")), errno.EINVAL),
        (lambda: m.mount_setattr(m.AT_FDCWD, "/etc", set_attrs=m.MOUNT_ATTR_RDONLY), errno.EINVAL),
        (lambda: m.open_tree("/nonesuch"), errno.ENOENT),
        (lambda: ns.setns(0, ns.CLONE_NEWNET), errno.EINVAL),
        (lambda: ns.namespace_inodes(2**22), errno.ENOENT),
        (lambda: process.pidfd_open(2**22), errno.ESRCH),
        (lambda: netdevice.bring_up("nonesuch"), errno.ENODEV),
        (lambda: process.sethostname("x" * 65), errno.EINVAL),
        (lambda: process.setdomainname("x" * 65), errno.EINVAL),
        (lambda: process.setrlimit("RLIMIT_NOFILE", 5, 4), errno.EINVAL),
        (lambda: process.execve("/nonesuch", ("x",), {}), errno.ENOENT),
        (lambda: process.execve("/etc", ("x",), {}), errno.EACCES),
        (lambda: process.execve("/etc/passwd/x", ("x",), {}), errno.ENOTDIR),
        (lambda: procfs.read("/proc/nonesuch"), errno.ENOENT),
    ],
)
def test_refused_call_names_its_errno(call: Callable[[], object], number: int) -> None:
    assert _private(lambda: _errno(call), new=ns.CLONE_NEWUTS | ns.CLONE_NEWNET) == number


def test_busy_mount_is_ebusy_unless_it_is_detached() -> None:
    def attempt() -> tuple[int, bool]:
        os.chdir("/mnt")
        number = _errno(lambda: m.umount("/mnt"))
        m.umount("/mnt", m.MNT_DETACH)
        return number, "/mnt" in _points()

    assert _private(attempt) == (errno.EBUSY, False)


def test_without_privileges_mounting_is_eperm() -> None:
    def attempt() -> int:
        process.setresuid(65534)
        return _errno(lambda: m.mount("tmpfs", "/mnt", "tmpfs"))

    assert _private(attempt) == errno.EPERM


@pytest.mark.needs("overlay")
def test_overlay_that_cannot_write_where_it_should_says_where_it_could() -> None:
    def attempt() -> str:
        try:
            m.mount("overlay", "/mnt", "overlay", 0, "lowerdir=/etc,upperdir=/proc/sys,workdir=/proc/sys")
        except SyscallError as exc:
            return exc.hint
        return ""

    assert "give the engine a root (CONTAINER_ROOT) on ext4" in str(_private(attempt))


def test_bind_becomes_read_only_in_a_second_call() -> None:
    def attempt() -> int:
        for name in ("a", "b"):
            os.mkdir(f"/mnt/{name}")
        m.mount("/mnt/a", "/mnt/b", None, m.MS_BIND)
        m.mount(None, "/mnt/b", None, m.MS_REMOUNT | m.MS_BIND | m.MS_RDONLY)
        return _errno_of(lambda: os.mkdir("/mnt/b/x"))

    assert _private(attempt) == errno.EROFS


def _errno_of(function: Callable[[], object]) -> int:
    try:
        function()
    except OSError as exc:
        return exc.errno or 0
    return 0


def test_attributes_reach_a_whole_tree() -> None:
    def attempt() -> int:
        os.mkdir("/mnt/below")
        m.mount("tmpfs", "/mnt/below", "tmpfs")
        m.mount_setattr(m.AT_FDCWD, "/mnt", recursive=True, set_attrs=m.MOUNT_ATTR_RDONLY)
        return _errno_of(lambda: os.mkdir("/mnt/below/x"))

    assert _private(attempt) == errno.EROFS


def test_copied_mount_is_attached_by_its_descriptor() -> None:
    def attempt() -> str:
        os.mkdir("/mnt/a")
        os.mkdir("/mnt/b")
        m.mount("tmpfs", "/mnt/a", "tmpfs")
        with open("/mnt/a/file", "w") as file:
            file.write("moved")
        tree = m.open_tree("/mnt/a")
        target = os.open("/mnt/b", os.O_PATH)
        m.move_mount(tree, target)
        with open("/mnt/b/file") as file:
            return file.read()

    assert _private(attempt) == "moved"


def test_pivot_root_leaves_only_the_new_root() -> None:
    def attempt() -> list[str]:
        os.makedirs("/mnt/proc")
        os.chdir("/mnt")
        m.pivot_root(".", ".")
        m.umount(".", m.MNT_DETACH)
        os.chdir("/")
        return os.listdir("/")

    assert _private(attempt) == ["proc"]


def test_events_are_what_strace_prints() -> None:
    def attempt() -> list[str]:
        os.mkdir("/mnt/x")
        with recording() as recorder:
            m.mount("tmpfs", "/mnt/x", "tmpfs", m.MS_NOSUID | m.MS_NODEV, "size=1m")
            m.umount("/mnt/x", m.MNT_DETACH)
            _errno(lambda: m.umount("/mnt/x"))
        return [event.strace() for event in recorder.events]

    assert _private(attempt) == [
        'mount("tmpfs", "/mnt/x", "tmpfs", MS_NOSUID|MS_NODEV, "size=1m") = 0',
        'umount2("/mnt/x", MNT_DETACH) = 0',
        'umount2("/mnt/x", 0) = -1 EINVAL',
    ]


# Namespaces


@pytest.mark.parametrize("kind", ["mnt", "net", "ipc", "uts", "cgroup"])
def test_unshare_moves_into_a_new_namespace_of_that_kind_only(kind: str) -> None:
    before = ns.namespace_inodes()
    after = in_child(ns.namespace_inodes, new=ns.KINDS[kind])
    assert {name for name in before if before[name] != after.get(name)} == {kind}
    assert ns.namespace_inodes() == before


def test_pid_namespace_is_for_children() -> None:
    assert in_child(os.getpid, new=ns.CLONE_NEWPID) == 1


def test_setns_joins_the_namespace_behind_a_descriptor() -> None:
    def attempt() -> bool:
        home = os.open("/proc/self/ns/uts", os.O_RDONLY)
        first = ns.namespace_inodes()["uts"]
        ns.unshare(ns.CLONE_NEWUTS)
        assert ns.namespace_inodes()["uts"] != first
        ns.setns(home, ns.CLONE_NEWUTS)
        return ns.namespace_inodes()["uts"] == first

    assert in_child(attempt) is True


def test_clone3_returns_a_pidfd_of_the_child() -> None:
    def attempt() -> int:
        pid, pidfd = ns.clone3(ns.CLONE_NEWUTS)
        if pid == 0:
            os._exit(7)
        assert os.readlink(f"/proc/self/fd/{pidfd}").startswith("anon_inode:[pidfd]")
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert in_child(attempt) == 7


def test_hostname_is_the_namespaces_own() -> None:
    before = os.uname().nodename

    def attempt() -> str:
        process.sethostname("inside")
        return os.uname().nodename

    assert in_child(attempt, new=ns.CLONE_NEWUTS) == "inside"
    assert os.uname().nodename == before


def test_loopback_comes_up() -> None:
    def attempt() -> tuple[str, str]:
        import socket

        def state() -> str:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                return "up" if _errno_of(lambda: sock.connect(("127.0.0.1", 9))) == 0 else "down"

        before = state()
        netdevice.bring_up("lo")
        return before, state()

    assert in_child(attempt, new=ns.CLONE_NEWNET) == ("down", "up")
