"""System calls that are a way out, or a way into others, made from inside; each is seen to work without its defence."""

import ctypes
import os
from typing import Any

import pytest

from tests.support.attacker import LAB, UNCONFINED, attack, container_of, exec_attack, program, with_engine_in_child
from toolkit.engine.engine import Engine
from toolkit.engine.oci import FIRST_MAPPED_ID
from toolkit.engine.options import ContainerOptions
from toolkit.linux.libc import syscall
from toolkit.linux.seccomp.table import numbers

pytestmark = pytest.mark.needs("root", "overlay", "busybox", "seccomp")

# The filter


_CALLS = {
    "clone into a user namespace": 'call("clone", 0x10000000 | 17, 0, 0, 0, 0)',
    "unshare a user namespace": 'call("unshare", 0x10000000)',
    "unshare a mount namespace": 'call("unshare", 0x00020000)',
    "io_uring_setup": 'call("io_uring_setup", 8, ctypes.create_string_buffer(120))',
    "keyctl": 'call("keyctl", 0, -3, 1)',
    "add_key": 'call("add_key", b"user", b"k", b"v", 1, -3)',
    "userfaultfd": 'call("userfaultfd", 1)',
}


def _errno(engine: Engine, expression: str, **options: object) -> str:
    text = f"""
        result, why = {expression}
        if result == 0 and "clone" in {expression!r}:
            os._exit(0)
        print("worked" if result >= 0 else why, flush=True)
        os._exit(0)
    """
    return attack(engine, text, **options).out.strip()


@pytest.mark.parametrize("name", _CALLS)
def test_filter_refuses_the_call_and_nothing_else_does(target: Engine, name: str) -> None:
    assert _errno(target, _CALLS[name]) == "EPERM"
    caps = ("SYS_ADMIN",) if name == "unshare a mount namespace" else ()
    assert _errno(target, _CALLS[name], security_opt=UNCONFINED, cap_add=caps) == "worked"


def test_clone3_is_not_there_since_no_filter_can_look_into_it(target: Engine) -> None:
    assert _errno(target, 'call("clone3", 0, 88)') == "ENOSYS"
    assert _errno(target, 'call("clone3", 0, 88)', security_opt=UNCONFINED) == "EFAULT"


@pytest.mark.parametrize("name", ["bpf", "perf_event_open", "open_by_handle_at", "setns", "mount"])
def test_call_that_needs_a_capability_is_refused_by_the_kernel_too(target: Engine, name: str) -> None:
    """The filter alone must not be what stands between a container and these."""
    expression = f'call("{name}", 0, 0, 0, 0, 0)'
    assert _errno(target, expression) == "EPERM"
    arguments = {
        "bpf": "11, ctypes.create_string_buffer(8), 8",  # BPF_PROG_GET_NEXT_ID
        "perf_event_open": "ctypes.create_string_buffer(b'\\0\\0\\0\\0\\x70\\0\\0\\0', 112), -1, 0, -1, 0",
        "open_by_handle_at": "os.open('/', 0), ctypes.create_string_buffer(b'\\x08\\0\\0\\0\\x01\\0\\0\\0', 16), 0",
        "setns": "os.open('/proc/self/ns/mnt', 0), 0",
        "mount": "b'none', b'/tmp', b'tmpfs', 0, 0",
    }[name]
    assert _errno(target, f'call("{name}", {arguments})', security_opt=UNCONFINED) in ("EPERM", "EACCES")


# Keys


_SESSION_KEYRING = """
    KEYCTL_GET_KEYRING_ID, KEYCTL_SEARCH, KEYCTL_SETPERM, SESSION = 0, 10, 5, -3
    print(call("keyctl", KEYCTL_GET_KEYRING_ID, SESSION, 0)[0])
"""


def test_containers_share_no_keys_with_each_other_or_the_host(target: Engine) -> None:
    mine = syscall("keyctl", 0, -3, 1)
    options: dict[str, Any] = {"security_opt": UNCONFINED}
    plant = """
        call("keyctl", 5, -3, 0x3f3f3f3f)  # whoever looks for a keyring of this name may have it
        print(call("add_key", b"user", b"secret", b"of the first", 12, -3)[0], flush=True)
        import time
        time.sleep(600)
    """
    first = container_of(target, "sleep", "600", **options)
    planter = target.containers.create(ContainerOptions(LAB, program(plant), **options))
    attachment = planter.start(attach=True)
    assert attachment is not None
    with attachment:
        assert int(next(iter(attachment)).data) > 0
        found = attack(target, 'print(call("keyctl", 10, -3, b"user", b"secret", 0))', **options).out
        assert "ENOKEY" in found
    rings = {mine, int(exec_attack(first, _SESSION_KEYRING).out), int(attack(target, _SESSION_KEYRING, **options).out)}
    assert len(rings) == 3


@pytest.mark.needs("userns")
def test_containers_share_no_keys_where_their_quota_is_used_up(target: Engine) -> None:
    """Keys are counted by user, and all user namespaces begin with the same one."""
    options: dict[str, Any] = {"security_opt": UNCONFINED, "userns_mode": "private"}

    def use_up_and_look(mine: Engine) -> list[int]:
        add_key = numbers("x86_64")["add_key"]
        os.setresuid(FIRST_MAPPED_ID, FIRST_MAPPED_ID, 0)
        syscall("keyctl", 1, None)
        made = 0
        while made < 5000 and ctypes.CDLL(None).syscall(add_key, b"user", b"k%d" % made, b"v", 1, -3) >= 0:
            made += 1
        os.setresuid(0, 0, 0)
        assert 0 < made < 5000
        return [int(attack(mine, _SESSION_KEYRING, **options).out) for _again in range(2)]

    rings = with_engine_in_child(target, use_up_and_look)
    assert len({*rings, syscall("keyctl", 0, -3, 1)}) == 3


# Terminals


_TERMINALS = """
    import fcntl, termios
    for fd in (0, 1, 2):
        for name, number in (("TIOCSTI", termios.TIOCSTI), ("TIOCLINUX", 0x541C), ("TIOCCONS", termios.TIOCCONS)):
            try:
                fcntl.ioctl(fd, number, b"x")
                print(name, "worked on", fd)
            except OSError as exc:
                pass
    for path in ("/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1"):
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NOCTTY))
            print("opened", path)
        except OSError:
            pass
"""


def test_container_without_a_terminal_reaches_none(target: Engine) -> None:
    """Of the host's, or of whoever has started it: a line put into the shell behind `run` would be run by it."""
    assert attack(target, _TERMINALS).out == ""
    assert exec_attack(container_of(target), _TERMINALS).out == ""


@pytest.mark.needs("cgroup:devices")
def test_virtual_consoles_cannot_be_opened_under_another_name(target: Engine) -> None:
    text = """
        os.mknod("/console", 0o20666, os.makedev(5, 1))
        os.mknod("/tty0", 0o20666, os.makedev(4, 0))
        os.mknod("/kmem", 0o20666, os.makedev(1, 2))
        os.mknod("/vda", 0o60666, os.makedev(254, 0))
        os.mknod("/fuse", 0o20666, os.makedev(10, 229))
        for name in ("tty0", "kmem", "vda", "fuse"):
            try:
                os.close(os.open(f"/{name}", os.O_RDWR | os.O_NOCTTY))
                print("opened", name)
            except OSError as exc:
                print(errno.errorcode[exc.errno])
    """
    assert set(attack(target, text).out.split()) == {"EPERM"}


# Capabilities


def test_no_capability_is_inheritable_or_ambient(target: Engine) -> None:
    """CVE-2022-24769: a file with an inheritable capability would give it to every user in the container."""
    text = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapInh', 'CapAmb'))])"
    nothing = str(["0" * 16] * 2)
    for user in ("", "1000"):
        assert attack(target, text, user=user).out.strip() == nothing
        assert attack(target, text, user=user, cap_add=("NET_ADMIN",)).out.strip() == nothing
        assert exec_attack(container_of(target), text, user=user).out.strip() == nothing
        assert exec_attack(container_of(target), text, user=user, privileged=True).out.strip() == nothing
