"""docker's default filter in the real kernel, and what the kernel says to bad programs."""

import ctypes
import errno
import mmap
import os
import platform
import socket
import struct
from collections.abc import Callable

import pytest

from tests.support.child import in_child
from toolkit.core.errors import SyscallError
from toolkit.linux import capability
from toolkit.linux.capability import ALL, DEFAULT
from toolkit.linux.libc import MACHINE
from toolkit.linux.seccomp import apply
from toolkit.linux.seccomp.compile import compile_filter
from toolkit.linux.seccomp.profile import default_profile
from toolkit.linux.seccomp.rules import Filter, Rule
from toolkit.linux.seccomp.table import numbers
from toolkit.trace import recording

pytestmark = pytest.mark.needs("seccomp", "root")
CLONE_NEWUSER, SIGCHLD = 0x10000000, 17
_syscall = ctypes.CDLL(None, use_errno=True).syscall


def raw(name: str, *arguments: int) -> str:
    """Make a system call as a program would, and return the errno's name, or "0" if it succeeded."""
    ctypes.set_errno(0)
    result = _syscall(ctypes.c_long(numbers(MACHINE)[name]), *(ctypes.c_long(each) for each in arguments))
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "0"


def under_filter(capabilities: int, attempt: Callable[[], str]) -> str:
    """Return what `attempt` returns in a child under the default filter for `capabilities`."""
    program = compile_filter(default_profile(capabilities, MACHINE), MACHINE)

    def run() -> str:
        apply.load(program)
        return attempt()

    return in_child(run)


PATH = ctypes.create_string_buffer(b"/nonexistent")
HERE = ctypes.addressof(PATH)


@pytest.mark.parametrize(
    ("name", "arguments", "blocked", "opened"),
    [
        ("mount", (HERE, HERE, HERE, 0, 0), "EPERM", "ENOENT"),
        ("umount2", (HERE, 0), "EPERM", "ENOENT"),
        ("unshare", (CLONE_NEWUSER | (1 << 40),), "EPERM", "EINVAL"),
        ("setns", (-1, 0), "EPERM", "EBADF"),
        ("clone3", (0, 0), "ENOSYS", "EINVAL"),
        ("bpf", (999, 0, 0), "EPERM", "EINVAL"),
        ("keyctl", (99, 0, 0, 0, 0), "EPERM", "EPERM"),
        ("io_uring_setup", (0, 0), "EPERM", "EPERM"),
        ("ptrace", (0x4206, 1 << 29, 0, 0), "ESRCH", "ESRCH"),
        ("personality", (0x40000,), "EPERM", "EPERM"),
        ("personality", (0xFFFFFFFF,), "0", "0"),
        ("getpid", (), "0", "0"),
    ],
)
def test_verdict_without_and_with_sys_admin(name: str, arguments: tuple[int, ...], blocked: str, opened: str) -> None:
    assert under_filter(DEFAULT, lambda: raw(name, *arguments)) == blocked
    assert under_filter(DEFAULT | capability.parse(["SYS_ADMIN"]), lambda: raw(name, *arguments)) == opened


def test_the_blocked_calls_are_blocked_by_the_filter_alone() -> None:
    """Without it, the kernel gives those calls other errors than EPERM."""
    assert in_child(lambda: raw("mount", HERE, HERE, HERE, 0, 0)) == "ENOENT"
    assert in_child(lambda: raw("personality", 0x40000)) == "0"
    assert in_child(lambda: raw("keyctl", 99, 0, 0, 0, 0)) in ("ENOTSUP", "EOPNOTSUPP", "ENOSYS")


def test_new_user_namespace_cannot_be_cloned() -> None:
    assert under_filter(DEFAULT, lambda: raw("clone", CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)) == "EPERM"


def test_fork_and_exec_work() -> None:
    assert under_filter(DEFAULT, lambda: os.popen("echo alive").read()) == "alive\n"  # noqa: S605 - a fixed command


@pytest.mark.parametrize(
    ("family", "kind", "expected"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, "0"),
        (socket.AF_UNIX, socket.SOCK_STREAM, "0"),
        (38, 5, "EPERM"),
        (40, 1, "EPERM"),
    ],
)
def test_socket_families(family: int, kind: int, expected: str) -> None:
    assert under_filter(DEFAULT, lambda: raw("socket", family, kind, 0)) == expected


@pytest.mark.skipif(MACHINE != "x86_64", reason="the upper half of an argument is cut off by x86_64's entry code")
def test_a_family_hidden_in_the_upper_half_is_blocked() -> None:
    """The kernel takes an int, the filter sees 64 bits; a rule of "not 38" would let this through."""
    assert under_filter(DEFAULT, lambda: raw("socket", (1 << 32) + 38, 5, 0)) == "EPERM"
    hidden = in_child(lambda: raw("socket", (1 << 32) + 1, 1, 0))
    assert hidden == "0", "the premise: the kernel does not look at the upper half"


def int80(number: int) -> int:
    """Make a system call of i386 from a 64-bit process: mov eax, number; int 0x80; ret."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x53\x31\xdb\x31\xc9\x31\xd2\xb8" + struct.pack("<I", number) + b"\xcd\x80\x5b\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())


@pytest.mark.skipif(MACHINE != "x86_64", reason="i386 programs run on x86_64")
@pytest.mark.needs("ia32")
def test_i386_calls_meet_the_same_filter() -> None:
    table = numbers("i386")

    def attempt() -> str:
        return repr([int80(table["getpid"]) == os.getpid(), int80(table["mount"]), int80(table["clone3"]), int80(700)])

    assert under_filter(DEFAULT, attempt) == repr([True, -errno.EPERM, -errno.ENOSYS, -errno.ENOSYS])


def test_filter_needs_no_new_privs_or_sys_admin() -> None:
    program = compile_filter(default_profile(DEFAULT, MACHINE), MACHINE)

    def without() -> None:
        capability.capset(0, 0)
        apply.load(program)

    def with_no_new_privs() -> str:
        capability.capset(0, 0)
        capability.set_no_new_privs()
        apply.load(program)
        return raw("mount", HERE, HERE, HERE, 0, 0)

    with pytest.raises(SyscallError, match=r"EACCES.*set no_new_privs first"):
        in_child(without)
    assert in_child(with_no_new_privs) == "EPERM"


def test_nonsense_program_is_refused() -> None:
    with pytest.raises(SyscallError, match=r"EINVAL.*does not take this program"):
        in_child(lambda: apply.load(b"\xff" * 16))


def test_status_shows_the_filter() -> None:
    def count() -> str:
        with open("/proc/self/status") as file:
            return "".join(line for line in file if line.startswith("Seccomp"))

    assert under_filter(ALL, count).split() == ["Seccomp:", "2", "Seccomp_filters:", "1"]


def test_load_is_one_event() -> None:
    program = compile_filter(default_profile(DEFAULT, MACHINE), MACHINE)

    def run() -> list[str]:
        with recording() as recorder:
            apply.load(program)
        return [event.strace() for event in recorder.events]

    (line,) = in_child(run)
    assert line.startswith("seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, {len=")
    assert line.endswith(" = 0")


@pytest.mark.parametrize(
    ("action", "status"),
    [("SCMP_ACT_KILL_PROCESS", -31), ("SCMP_ACT_TRAP", -31), ("SCMP_ACT_LOG", 0)],
)
def test_actions_in_the_kernel(action: str, status: int) -> None:
    rule = Rule(names=["sethostname"], action=action)
    program = compile_filter(Filter(defaultAction="SCMP_ACT_ALLOW", syscalls=[rule]), MACHINE)
    pid = os.fork()
    if pid == 0:
        apply.load(program)
        raw("sethostname", HERE, -1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == status


def test_notification_reaches_the_listener() -> None:
    rule = Rule(names=["sethostname"], action="SCMP_ACT_NOTIFY")
    program = compile_filter(Filter(defaultAction="SCMP_ACT_ALLOW", syscalls=[rule]), MACHINE)

    def listener() -> bool:
        fd = apply.load(program, apply.FLAG_NEW_LISTENER)
        return os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:seccomp notify"

    assert in_child(listener)


def test_machine_is_one_that_filters_know() -> None:
    assert platform.machine() == MACHINE
    assert MACHINE in ("x86_64", "aarch64")
