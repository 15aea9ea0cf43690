"""Descriptors that go in, and those that must not: terminals, sockets, listeners."""

import array
import fcntl
import json
import os
import socket
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import Bundle, Runtime

pytestmark = pytest.mark.needs("root", "busybox")


class Receiver:
    """Listens at a unix socket for one descriptor, and what comes with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = -1
        self.data = b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def _receive(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self.data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
            self.fd = array.array("i", ancillary[0][2])[0]
            while more := connection.recv(65536):
                self.data += more

    def wait(self) -> int:
        """Return the descriptor when it has come."""
        self._thread.join(10)
        self._listener.close()
        return self.fd


@contextmanager
def _receiver(tmp_path: Path) -> Iterator[Receiver]:
    directory = tmp_path / "s"
    directory.mkdir(exist_ok=True)
    receiver = Receiver(directory / os.urandom(2).hex())
    yield receiver
    if receiver.fd >= 0:
        os.close(receiver.fd)


def _read_all(fd: int) -> str:
    text = b""
    try:
        while data := os.read(fd, 4096):
            text += data
    except OSError:  # EIO: the last slave is closed
        pass
    return text.decode()


def test_master_goes_to_the_console_socket(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process.update(terminal=True, consoleSize={"height": 33, "width": 77})
    bundle.script("test -t 0 && test -t 1 && test -t 2 && echo three; ls /dev/console; read line; echo got $line")
    with _receiver(tmp_path) as receiver, runtime.created(bundle, "--console-socket", str(receiver.path)) as ident:
        master = receiver.wait()
        assert struct.unpack("HHHH", fcntl.ioctl(master, termios.TIOCGWINSZ, b"\0" * 8))[:2] == (33, 77)
        runtime("start", ident)
        os.write(master, b"a line\n")
        runtime.wait_stopped(ident)
        text = _read_all(master)
    assert "three" in text
    assert "/dev/console" in text
    assert "got a line" in text


def test_exec_sends_its_own_terminal(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["args"] = ["sleep", "60"]
    with runtime.running(bundle) as ident, _receiver(tmp_path) as receiver:
        flags = ("--tty", "--detach", "--console-socket", str(receiver.path))
        assert runtime("exec", *flags, ident, "sh", "-c", "test -t 0 && echo yes").code == 0
        assert _read_all(receiver.wait()) == "yes\r\n"


def test_terminal_that_nobody_takes_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.write()
    done = runtime("create", "--bundle", str(bundle.path), "it")
    assert done.code == 1
    assert "terminal" in done.err or "tty" in done.err
    assert runtime("list", "-q").out == ""


def test_console_socket_without_a_terminal_is_refused(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.write()
    done = runtime("create", "--console-socket", str(tmp_path / "none"), "--bundle", str(bundle.path), "it")
    assert done.code == 1
    assert runtime("list", "-q").out == ""


def test_socket_where_nobody_listens_undoes_all(ours: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["terminal"] = True
    bundle.write()
    done = ours("create", "--console-socket", str(tmp_path / "none"), "--bundle", str(bundle.path), "it")
    assert done.code == 1
    assert f"dial unix {tmp_path}/none: no such file or directory" in done.err
    assert ours("list", "-q").out == ""
    assert bundle.groups == [] or not any(group.endswith("/box") for group in bundle.groups)


@pytest.mark.parametrize(("flag", "kept"), [(0, ""), (1, "3"), (2, "3 4")])
def test_descriptors_that_are_kept(runtime: Runtime, bundle: Bundle, tmp_path: Path, flag: int, kept: str) -> None:
    (tmp_path / "given").write_text("given\n")
    bundle.script("for n in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$n ] && [ -e /proc/$$/fd/$n ] && echo $n; done; true")
    opened = [os.open(tmp_path / "given", os.O_RDONLY) for _ in range(3)]
    done = _run_with(runtime, bundle, opened, ("--preserve-fds", str(flag)) if flag else ())
    assert done.out.split() == kept.split(), done.err


def test_more_descriptors_than_there_are_are_no_way_to_our_own(ours: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given\n")
    bundle.script("for n in $(seq 3 99); do [ -e /proc/$$/fd/$n ] && echo $n; done; true")
    opened = [os.open(tmp_path / "given", os.O_RDONLY) for _ in range(3)]
    done = _run_with(ours, bundle, opened, ("--preserve-fds", "100"))
    assert [number for number in done.out.split() if int(number) < 10] == ["3", "4", "5"], done.err
    assert len(done.out.split()) <= 4, "the shell's own, besides"


def _run_with(runtime: Runtime, bundle: Bundle, fds: list[int], flags: tuple[str, ...], **env: str) -> Any:
    """Run a bundle with these descriptors as 3, 4, ..."""

    def arrange() -> None:
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
        for target, fd in enumerate(moved, 3):
            os.dup2(fd, target)
        os.closerange(3 + len(moved), 200)

    try:
        return runtime.run(bundle, *flags, preexec_fn=arrange, close_fds=False, env=env)
    finally:
        for fd in fds:
            os.close(fd)


def test_sockets_of_an_activation_are_kept(ours: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given\n")
    bundle.script("cat <&3; echo $LISTEN_FDS $LISTEN_PID $$")
    done = _run_with(ours, bundle, [os.open(tmp_path / "given", os.O_RDONLY)], (), LISTEN_FDS="1")
    assert done.out == "given\n1 1 1\n", done.err


def test_sockets_of_another_process_are_not(ours: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given\n")
    bundle.script("ls /proc/self/fd | wc -l; echo $LISTEN_FDS")
    given = [os.open(tmp_path / "given", os.O_RDONLY)]
    assert _run_with(ours, bundle, given, (), LISTEN_FDS="1", LISTEN_PID="1").out.split() == ["4"]


def test_waiting_init_holds_nothing_of_the_caller(ours: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """A pipe that the caller has left open would never end, and a directory of the host's is a way out."""
    directory = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(directory, True)  # noqa: FBT003 - the standard library's own signature
    try:
        with ours.created(bundle, close_fds=False) as ident:
            base = f"/proc/{ours.state(ident)['pid']}/fd"
            held = [os.readlink(f"{base}/{name}") for name in os.listdir(base) if int(name) > 2]
    finally:
        os.close(directory)
    assert not [path for path in held if path.startswith("/") and not path.endswith(".fifo")]


_RECEIVE, _SEND = 0xC0502100, 0xC0182101
"""SECCOMP_IOCTL_NOTIF_RECV and _SEND of 80 and 24 bytes (include/uapi/linux/seccomp.h)."""


def test_listener_gets_the_calls_and_the_state(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["annotations"] = {"who": "me"}
    bundle.script("mkdir /made; echo $?")
    with _receiver(tmp_path) as receiver:
        bundle.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "listenerPath": str(receiver.path),
            "listenerMetadata": "meta",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
        }
        with runtime.created(bundle) as ident:
            listener = receiver.wait()
            document = json.loads(receiver.data)
            out = runtime.stdout
            answering = threading.Thread(target=_answer_once, args=(listener, 40))
            answering.start()
            runtime("start", ident)
            answering.join(10)
            runtime.wait_stopped(ident)
            assert out.read_text() == "1\n"
            assert document["fds"] == ["seccompFd"]
            assert document["metadata"] == "meta"
            assert document["state"]["id"] == ident
            assert document["state"]["annotations"] == {"who": "me"}
            assert document["pid"] == document["state"]["pid"] > 0
            assert "Function not implemented" not in runtime.stderr.read_text()


def _answer_once(listener: int, error: int) -> None:
    """Take one call and let it fail with an errno."""
    request = bytearray(80)
    fcntl.ioctl(listener, _RECEIVE, request)
    (ident,) = struct.unpack_from("=Q", request)
    fcntl.ioctl(listener, _SEND, struct.pack("=QqiI", ident, 0, -error, 0))
