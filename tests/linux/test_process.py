"""The calling process, terminals, locks and /proc: in a child where something would stay changed."""

import errno
import os
import resource
import signal
import struct
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.child import in_child
from toolkit.core.errors import SyscallError
from toolkit.linux import file, lock, process, procfs, pty
from toolkit.trace import recording


def _errno(function: Callable[[], object]) -> int:
    try:
        function()
    except SyscallError as exc:
        return exc.errno or 0
    return 0


def test_limit_holds_for_this_process() -> None:
    def attempt() -> tuple[int, int]:
        process.setrlimit("RLIMIT_NOFILE", 50, 60)
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    assert in_child(attempt) == (50, 60)


@pytest.mark.guest
def test_process_that_has_left_a_session_behind_is_gone() -> None:
    """Its number still names the session, of which kernels before 6.15 say EINVAL, and not ESRCH."""

    def leave_a_session() -> None:
        os.setsid()
        if os.fork() == 0:
            os.close(hold)
            os.read(held, 1)
        os._exit(0)

    held, hold = os.pipe()
    pid = os.fork()
    if pid == 0:
        leave_a_session()
    os.close(held)
    assert os.waitpid(pid, 0)[1] == 0
    os.kill(-pid, 0)  # somebody is in its session, and in its group
    assert _errno(lambda: process.pidfd_open(pid)) == errno.ESRCH
    assert process.find_pidfd(pid) == -1
    os.close(hold)


@pytest.mark.needs("root")
def test_raising_a_hard_limit_without_the_capability_is_eperm() -> None:
    def attempt() -> int:
        process.setrlimit("RLIMIT_NOFILE", 50, 60)
        process.setresuid(65534)
        return _errno(lambda: process.setrlimit("RLIMIT_NOFILE", 50, 70))

    assert in_child(attempt) == errno.EPERM


def test_every_limit_of_limits_conf_has_its_number() -> None:
    assert process.RLIMITS["RLIMIT_NOFILE"] == resource.RLIMIT_NOFILE
    assert len(set(process.RLIMITS.values())) == len(process.RLIMITS) >= 15


def test_death_signal_comes_when_the_parent_dies(tmp_path: Path) -> None:
    note = tmp_path / "note"

    def attempt() -> None:
        reader, writer = os.pipe()
        if os.fork() == 0:
            process.set_parent_death_signal(signal.SIGUSR1)
            signal.signal(signal.SIGUSR1, lambda *_: (note.write_text("dead"), os._exit(0)))
            os.write(writer, b"x")
            signal.pause()
            os._exit(1)
        os.read(reader, 1)

    in_child(attempt)
    for _again in range(200):
        if note.exists() and note.read_text():
            break
        signal.sigtimedwait([], 0.01)
    assert note.read_text() == "dead"


def test_name_is_what_ps_shows() -> None:
    def attempt() -> str:
        process.set_name("a-name-longer-than-15")
        with open("/proc/self/comm") as comm:
            return comm.read()

    assert in_child(attempt) == "a-name-longer-t\n"


@pytest.mark.needs("root")
def test_user_and_groups_are_changed_for_good() -> None:
    def attempt() -> tuple[object, ...]:
        process.setgroups((7, 8))
        process.setresgid(1001)
        process.setresuid(1000)
        return os.getresuid(), os.getresgid(), os.getgroups(), _errno(lambda: process.setresuid(0))

    assert in_child(attempt) == ((1000,) * 3, (1001,) * 3, [7, 8], errno.EPERM)


def test_umask_returns_the_one_before() -> None:
    def attempt() -> tuple[int, int]:
        process.umask(0o27)
        return process.umask(0), os.umask(0)

    assert in_child(attempt) == (0o27, 0)


def test_everything_from_a_descriptor_on_is_closed_by_execve() -> None:
    def attempt() -> list[bool]:
        fds = [os.open("/dev/null", os.O_RDONLY) for _again in range(3)]
        for fd in fds:
            os.set_inheritable(fd, True)  # noqa: FBT003 - the standard library's own signature
        process.close_on_exec_from(fds[1])
        return [os.get_inheritable(fd) for fd in fds]

    assert in_child(attempt) == [True, False, False]


def test_duplicate_is_kept_by_execve() -> None:
    def attempt() -> bool:
        process.dup2(os.open("/dev/null", os.O_RDONLY), 99)
        return os.get_inheritable(99)

    assert in_child(attempt) is True


def test_session_is_new() -> None:
    def attempt() -> bool:
        process.setsid()
        return os.getsid(0) == os.getpid()

    assert in_child(attempt) is True


def test_signal_reaches_the_process_behind_a_pidfd_and_no_other() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    pidfd = process.pidfd_open(pid)
    try:
        process.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        with pytest.raises(SyscallError) as caught:
            process.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert caught.value.errno == errno.ESRCH
    finally:
        os.close(pidfd)


def test_execve_of_something_that_is_no_program_is_enoexec(tmp_path: Path) -> None:
    path = tmp_path / "no-program"
    path.write_text("nothing")
    path.chmod(0o755)
    assert in_child(lambda: _errno(lambda: process.execve(str(path), ("x",), {}))) == errno.ENOEXEC


# Locks


def test_lock_is_exclusive_until_it_is_let_go(tmp_path: Path) -> None:
    first, second = lock.open_directory(str(tmp_path)), lock.open_directory(str(tmp_path))
    assert lock.try_lock(first)
    assert not lock.try_lock(second)
    assert not lock.try_lock(second, shared=True)
    lock.unlock(first)
    assert lock.try_lock(second)
    os.close(first)
    os.close(second)


def test_shared_locks_go_together(tmp_path: Path) -> None:
    fds = [lock.open_directory(str(tmp_path)) for _again in range(3)]
    assert lock.try_lock(fds[0], shared=True)
    assert lock.try_lock(fds[1], shared=True)
    assert not lock.try_lock(fds[2])
    for fd in fds:
        os.close(fd)


def test_lock_dies_with_its_owner_however_that_dies(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        lock.wait_lock(lock.open_directory(str(tmp_path)))
        os.write(writer, b"x")
        signal.pause()
        os._exit(0)
    os.read(reader, 1)
    fd = lock.open_directory(str(tmp_path))
    assert not lock.try_lock(fd)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert lock.try_lock(fd)
    for each in (fd, reader, writer):
        os.close(each)


def test_lock_that_was_taken_is_recorded_as_refused(tmp_path: Path) -> None:
    first, second = lock.open_directory(str(tmp_path)), lock.open_directory(str(tmp_path))
    lock.wait_lock(first)
    with recording() as recorder:
        lock.try_lock(second)
    assert recorder.events[0].strace() == f"flock({second}, LOCK_EX|LOCK_NB) = -1 EAGAIN"
    os.close(first)
    os.close(second)


def test_directory_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(SyscallError) as caught:
        lock.open_directory(str(tmp_path / "nonesuch"))
    assert caught.value.errno == errno.ENOENT


# /proc, files, terminals


def test_start_time_names_a_process_for_ever() -> None:
    assert procfs.start_time(os.getpid()) > 0
    assert procfs.start_time(2**22) == 0


def test_setting_is_written_in_one_write(tmp_path: Path) -> None:
    path = tmp_path / "setting"
    path.write_text("before")
    with recording() as recorder:
        file.write_text(str(path), "12")
    assert [event.call.partition("(")[0] for event in recorder.events] == ["openat", "write"]


def test_setting_that_does_not_exist_says_so() -> None:
    with pytest.raises(SyscallError, match="/proc/sys/nonesuch does not exist"):
        file.write_text("/proc/sys/nonesuch", "1")


@pytest.mark.needs("root")
def test_device_node_has_its_numbers_and_mode(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_PATH)
    mask = os.umask(0)
    file.mknod("null", 0o020666, 1, 3, directory)
    os.umask(mask)
    found = os.stat(tmp_path / "null")
    assert (found.st_rdev, found.st_mode) == (os.makedev(1, 3), 0o020666)
    os.close(directory)


@pytest.mark.needs("root")
def test_device_node_without_the_capability_is_eperm(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    def attempt() -> int:
        directory = os.open(tmp_path, os.O_PATH)
        process.setresuid(65534)
        return _errno(lambda: file.mknod("null", 0o020666, 1, 3, directory))

    assert in_child(attempt) == errno.EPERM


def test_terminal_carries_bytes_and_has_a_size() -> None:
    def attempt() -> tuple[bytes, bytes]:
        master = pty.open_master(os.open("/", os.O_PATH), "/dev/ptmx")
        process.setsid()
        slave = pty.open_slave(master)
        pty.set_controlling_terminal(slave)
        pty.set_window_size(slave, 12, 34)
        import fcntl

        size = fcntl.ioctl(master, termios.TIOCGWINSZ, b"\0" * 8)
        os.write(slave, b"hello\n")
        return os.read(master, 100), size

    assert in_child(attempt) == (b"hello\r\n", struct.pack("HHHH", 12, 34, 0, 0))


def test_what_is_no_terminal_multiplexer_is_enotty() -> None:
    root = os.open("/", os.O_PATH)
    try:
        with pytest.raises(SyscallError) as caught:
            pty.open_master(root, "/dev/null")
    finally:
        os.close(root)
    assert caught.value.errno == errno.ENOTTY
