"""Unix sockets without the module `socket`: what comes through, and who owns the descriptors."""

import os
import socket

import pytest

from toolkit.linux import sock


def test_descriptors_arrive_with_their_message_and_close_on_exec() -> None:
    ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
    read, write = os.pipe()
    sock.send(ours, [b"he", b"llo"], (read, write))
    data, fds = sock.receive(theirs, 100, 2)
    assert data == b"hello"
    os.write(fds[1], b"x")
    assert os.read(read, 1) == b"x"
    assert not any(map(os.get_inheritable, fds))
    for fd in (read, write, *fds):
        os.close(fd)
    ours.close()
    theirs.close()


def test_message_without_descriptors_brings_none() -> None:
    ours, theirs = sock.pair(sock.SOCK_STREAM)
    sock.send(ours, [b"x"])
    assert sock.receive(theirs, 100, 2) == (b"x", [])
    ours.close()
    assert sock.receive(theirs, 100, 2) == (b"", [])
    theirs.close()


def test_adopted_socket_owns_its_descriptor() -> None:
    ours, theirs = socket.socketpair()
    adopted = sock.adopt(ours.detach())
    adopted.sendall(b"x")
    adopted.close()
    assert (theirs.recv(1), theirs.recv(1)) == (b"x", b"")
    theirs.close()


def test_listener_accepts_whoever_connects(tmp_path: object) -> None:
    path = f"{tmp_path}/s"
    listener = sock.listen_at(path, 1)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        connection = sock.accept(listener)
        connection.sendall(b"x")
        assert client.recv(1) == b"x"
        assert not os.get_inheritable(connection.fileno())
        connection.close()
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        sock.accept(listener)
    listener.close()


def test_listener_does_not_take_the_place_of_another(tmp_path: object) -> None:
    listener = sock.listen_at(f"{tmp_path}/s", 1)
    with pytest.raises(OSError, match="in use"):
        sock.listen_at(f"{tmp_path}/s", 1)
    listener.close()
