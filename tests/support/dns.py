"""Asking name servers, and being one: packets by hand, where real programs would hide what they do not like."""

import os
import socket
import struct
import subprocess
import sys
import textwrap

from tests.support.networks import Island, Place, await_that
from toolkit.network.dns import message

SERVER = "127.0.0.11"
_HEADER = struct.Struct("!6H")


def query(name: str, kind: int = message.A, *, number: int = 7, udp_bytes: int = 0) -> bytes:
    """Return a packet that asks for a name."""
    edns = struct.pack("!BHHIH", 0, message.OPT, udp_bytes, 0, 0) if udp_bytes else b""
    head = _HEADER.pack(number, 0x0100, 1, 0, 0, bool(edns))
    return head + message.encode_name(name) + struct.pack("!2H", kind, message.IN) + edns


def code(answer: bytes) -> int | None:
    """Return what an answer says; None where none came."""
    return message.code_of(answer) if answer else None


def is_truncated(answer: bytes) -> bool:
    """Tell whether an answer says that it is not the whole."""
    return bool(answer[2] & 2)


def addresses(answer: bytes) -> list[str]:
    """Return the IPv4 addresses in an answer whose records all are of the name that was asked for."""
    at = 12
    while answer[at]:
        at += 1 + answer[at]
    at += 5
    found: list[str] = []
    for _record in range(_HEADER.unpack_from(answer)[3]):
        kind, length = struct.unpack_from("!2xH6xH", answer, at)
        if kind == message.A:
            found.append(socket.inet_ntoa(answer[at + 12 : at + 12 + length]))
        at += 12 + length
    return found


def inside(island: Island, name: str) -> Place:
    """Return a container's network namespace; the caller closes it."""
    return Place(os.open(f"/proc/{island.pid_of(name)}/ns/net", os.O_RDONLY | os.O_CLOEXEC))


def ask(
    island: Island, asker: str, packet: bytes, *, timeout_s: float = 10, is_stream: bool = False, after: float = 0
) -> bytes:
    """Return what a container's name server answers to a packet, empty where it does not."""
    place = inside(island, asker)

    def exchange() -> bytes:
        kind = socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as talk:
            talk.settimeout(timeout_s)
            talk.connect((SERVER, 53))
            try:
                if not is_stream:
                    talk.send(packet)
                    return talk.recv(65535)
                talk.sendall(struct.pack("!H", len(packet)) + packet)
                head = talk.recv(2, socket.MSG_WAITALL)
                return talk.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL) if head else b""
            except (TimeoutError, ConnectionError):
                return b""

    try:
        return place.call(exchange)
    finally:
        os.close(place.fd)


def serve(island: Island, place: Place, address: str, behaviour: str) -> "subprocess.Popen[str]":
    """Have a program be a name server at an address in a place; it ends with the island.

    Args:
        island: whose place it is.
        place: where.
        address: at which; port 53, both protocols.
        behaviour: the body of a function of `data` (a packet), `stream` (whether it came over TCP) and `send`, which
            sends an answer; helpers: reply(data, code, ip, count), and `udp`, the socket.
    """
    program = _SERVER.replace("@BEHAVIOUR@", textwrap.indent(textwrap.dedent(behaviour), "    "))
    running = place.start(sys.executable, "-c", program, address)
    island.begun(running)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    return running


_SERVER = """
import select, socket, struct, sys, time
address = sys.argv[1]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
udp = socket.socket(family, socket.SOCK_DGRAM)
udp.bind((address, 53))
tcp = socket.socket(family, socket.SOCK_STREAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind((address, 53))
tcp.listen()

def question(data):
    at = 12
    while data[at]:
        at += 1 + data[at]
    return data[12:at + 5]

def reply(data, code=0, ip="", count=1):
    records = (b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\5\\0\\4" + socket.inet_aton(ip)) * count if ip else b""
    return data[:2] + struct.pack("!5H", 0x8180 | code, 1, count if ip else 0, 0, 0) + question(data) + records

def behave(data, stream, send, peer):
@BEHAVIOUR@

print("ready", flush=True)
while True:
    for ready in select.select([udp, tcp], [], [])[0]:
        if ready is udp:
            data, peer = udp.recvfrom(65535)
            behave(data, False, lambda answer: udp.sendto(answer, peer), peer)
        else:
            connection, peer = tcp.accept()
            data = connection.recv(65535)
            behave(data[2:], True, lambda answer: connection.sendall(struct.pack("!H", len(answer)) + answer), peer)
            connection.close()
"""

__all__ = ["SERVER", "addresses", "ask", "await_that", "code", "inside", "is_truncated", "query", "serve"]
