"""A registry that misbehaves on request: a real socket, and a script for each path.

    with ScriptedServer() as server:
        server.on("GET", "/v2/a/manifests/latest", reset, answer(200, body=b"{}"))

Each request takes the next act of its path; the last act stays.  What has no
script is answered 404.
"""

import os
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Self

from tests.support.oci import Image


class Request(NamedTuple):
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Act = Callable[[socket.socket, Request], None]


class ScriptedServer:
    """Serves its script on a free loopback port."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._script: dict[tuple[str, str], list[Act]] = {}
        self._lock = threading.Lock()
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                server.serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.closing = threading.Event()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *acts: Act) -> None:
        """Set the script of a path (without its query)."""
        self._script[method, path] = list(acts)

    def serve_image(self, name: str, reference: str, image: Image) -> None:
        """Script an image as a well-behaved registry would serve it."""
        for part in image.parts:
            self.serve_image(name, part.digest, part)
        for key in (reference, image.digest):
            headers = {"Content-Type": image.media_type, "Docker-Content-Digest": image.digest}
            for method in ("GET", "HEAD"):
                self.on(method, f"/v2/{name}/manifests/{key}", answer(200, headers, image.content))
        for digest, content in image.blobs.items():
            self.on("GET", f"/v2/{name}/blobs/{digest}", ranged(content))

    def count(self, method: str, path: str) -> int:
        """Return how many such requests came."""
        return sum(request.method == method and request.path.partition("?")[0] == path for request in self.requests)

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection."""
        stream = connection.makefile("rb")
        with suppress(ConnectionError):  # clients that break off are what many a test is about
            while request := _read(stream):
                with self._lock:
                    self.requests.append(request)
                    acts = self._script.get((request.method, request.path.partition("?")[0]), [answer(404)])
                    act = acts.pop(0) if len(acts) > 1 else acts[0]
                act(connection, request)
                if connection.fileno() < 0:
                    return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _read(stream: "socket.SocketIO | object") -> Request | None:
    if stream.peek(1)[:1] == b"\x16":  # type: ignore[attr-defined]  # as below
        return None  # a TLS handshake, which real servers refuse at once
    line: bytes = stream.readline()  # type: ignore[attr-defined]  # makefile's own type depends on its arguments
    parts = line.decode("latin-1").split()
    if len(parts) != 3:
        return None  # the end
    headers: dict[str, str] = {}
    while (field := stream.readline().strip()) != b"":  # type: ignore[attr-defined]  # as above
        name, _, value = field.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body: bytes = stream.read(int(headers.get("content-length", "0")))  # type: ignore[attr-defined]  # as above
    return Request(parts[0], parts[1], headers, body)


def answer(status: int, headers: dict[str, str] | None = None, body: bytes = b"", *, length: int | None = None) -> Act:
    """Answer in full; `length` lies about the body's size."""

    def act(connection: socket.socket, request: Request) -> None:
        connection.sendall(head(status, len(body) if length is None else length, headers))
        if request.method != "HEAD":
            connection.sendall(body)

    return act


def cut(content: bytes, after: int) -> Act:
    """Send a blob (from where Range says) and break the connection after some bytes."""

    def act(connection: socket.socket, request: Request) -> None:
        start = _start(request)
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        connection.sendall(head(206 if start else 200, len(content) - start, headers))
        connection.sendall(content[start : start + after])
        close(connection)

    return act


def ranged(content: bytes) -> Act:
    """Send a blob, or the range that is asked for."""

    def act(connection: socket.socket, request: Request) -> None:
        start = _start(request)
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        connection.sendall(head(206 if start else 200, len(content) - start, headers) + content[start:])

    return act


def reset(connection: socket.socket, _request: Request) -> None:
    """Answer with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


def close(connection: socket.socket, _request: Request | None = None) -> None:
    """Close the connection, after what has been sent."""
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def endless(connection: socket.socket, _request: Request) -> None:
    """Send a body that never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def hang(seconds: float, then: Act) -> Act:
    """Say nothing for a while."""

    def act(connection: socket.socket, request: Request) -> None:
        time.sleep(seconds)
        then(connection, request)

    return act


def head(status: int, length: int, headers: dict[str, str] | None = None) -> bytes:
    """Return the head of an answer."""
    fields = {"Content-Length": str(length), **(headers or {})}
    return "\r\n".join([f"HTTP/1.1 {status} Status", *(f"{k}: {v}" for k, v in fields.items()), "", ""]).encode()


def _start(request: Request) -> int:
    text = request.headers.get("range", "bytes=0-")
    return int(text.removeprefix("bytes=").partition("-")[0])
