"""A dockerd of the benchmark's own, spoken to as its API clients do: HTTP on a unix socket."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

_READY_S = 30.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class Docker:
    """The API of one dockerd."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._kept = _Connection(path)

    def call(self, method: str, path: str, body: object = None) -> bytes:
        """Ask on the connection that is kept open; return the answer's body."""
        self._kept.request(
            method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = self._kept.getresponse()
        content = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {answer.status} {content.decode()[:300]}")
        return content

    def load(self, archive: str) -> None:
        """Bring in the images of a `docker save` archive."""
        connection = _Connection(self.path)
        with open(archive, "rb") as file:
            connection.request("POST", "/images/load", file, {"Content-Type": "application/x-tar"})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise RuntimeError(f"load: {answer.status} {answer.read().decode()[:300]}")
            answer.read()
        connection.close()

    def create(
        self, image: str, command: list[str], *, network: str = "none", ports: "dict[int, int] | None" = None
    ) -> str:
        """Create a container, with its ports published at those of this machine; return its id."""
        exposed = {f"{inner}/tcp": [{"HostPort": str(outer)}] for inner, outer in (ports or {}).items()}
        made = self.call(
            "POST",
            "/containers/create",
            {
                "Image": image,
                "Cmd": command,
                "HostConfig": {"NetworkMode": network, "PortBindings": exposed},
                "ExposedPorts": {key: {} for key in exposed},
                "NetworkDisabled": False,
            },
        )
        return str(json.loads(made)["Id"])

    def start(self, ident: str) -> None:
        """Start it."""
        self.call("POST", f"/containers/{ident}/start")

    def run(self, image: str, command: list[str], *, network: str = "none") -> None:
        """Create, start, wait and remove."""
        ident = self.create(image, command, network=network)
        self.start(ident)
        code = json.loads(self.call("POST", f"/containers/{ident}/wait"))["StatusCode"]
        self.call("DELETE", f"/containers/{ident}")
        if code != 0:
            raise RuntimeError(f"{command} ended with {code}")

    def execute(self, ident: str, command: list[str]) -> None:
        """Run a command in a container; returns when it has ended."""
        made: dict[str, Any] = json.loads(
            self.call("POST", f"/containers/{ident}/exec", {"Cmd": command, "AttachStdout": True, "AttachStderr": True})
        )
        connection = _Connection(self.path)
        connection.request(
            "POST",
            f"/exec/{made['Id']}/start",
            json.dumps({"Detach": False, "Tty": False}),
            {"Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        answer.read()
        connection.close()
        code = json.loads(self.call("GET", f"/exec/{made['Id']}/json"))["ExitCode"]
        if code != 0:
            raise RuntimeError(f"{command} ended with {code}")

    def stop(self, ident: str) -> None:
        """Stop it."""
        self.call("POST", f"/containers/{ident}/stop?t=10")

    def remove(self, ident: str) -> None:
        """Remove it, running or not."""
        self.call("DELETE", f"/containers/{ident}?force=1")


@contextlib.contextmanager
def dockerd(directory: str, *, has_networks: bool = False) -> Iterator[Docker | None]:
    """Run a dockerd with all its files in `directory`; None where there is none on this machine.

    Args:
        directory: for its files.
        has_networks: it may make its bridge and rules; call it in a network namespace of one's own.
    """
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        yield None
        return
    os.makedirs(directory)
    path = f"{directory}/docker.sock"
    arguments = [
        *("--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec", "--pidfile", f"{directory}/pid"),
        *("--host", f"unix://{path}"),
        *(() if has_networks else ("--bridge", "none", "--iptables=false", "--ip6tables=false")),
        *("--storage-driver", "overlay2", "--log-level", "error"),
    ]
    with open(f"{directory}/log", "w") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=log, start_new_session=True)
    try:
        yield _ready(path, process, f"{directory}/log")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _ready(path: str, process: "subprocess.Popen[bytes]", log: str) -> Docker:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            made = Docker(path)
            made.call("GET", "/_ping")
            return made
        time.sleep(0.1)
    with open(log) as file:
        raise RuntimeError(f"dockerd does not answer: {file.read()[-500:]}")
