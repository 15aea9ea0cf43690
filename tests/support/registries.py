"""Debian's docker-registry on a free loopback port, for tests and benchmarks."""

import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, Protocol

import pytest

from tests.support.tokens import ISSUER, SERVICE, Key, TokenServer

USER, PASSWORD = "student", "sesame-7"
_START_S = 10.0

Auth = Literal["anonymous", "basic", "token"]


class Registry:
    """One running docker-registry with its own storage.

    Args:
        directory: holds its configuration, its log and its storage.
        auth: "basic" asks for USER and PASSWORD (htpasswd), "token" for a Bearer
            token of the `tokens` server, which knows the same user.
        anonymous_pull: whether the token server lets anybody pull.
    """

    def __init__(self, directory: str, auth: Auth = "anonymous", *, anonymous_pull: bool = True) -> None:
        self.directory = directory
        self.storage = f"{directory}/storage"
        self.tokens: TokenServer | None = None
        os.makedirs(self.storage, exist_ok=True)
        self._auth = self._auth_lines(auth, anonymous_pull=anonymous_pull)
        self.log_path = f"{directory}/registry.log"
        self.host = self._start()

    def _auth_lines(self, auth: Auth, *, anonymous_pull: bool) -> list[str]:
        if auth == "basic":
            path = f"{self.directory}/htpasswd"
            subprocess.run(["htpasswd", "-Bbc", path, USER, PASSWORD], check=True, capture_output=True)
            return ["auth:", "  htpasswd:", "    realm: tests", f"    path: {path}"]
        if auth == "token":
            key = Key(self.directory)
            self.tokens = TokenServer(key, {USER: PASSWORD}, allow_anonymous_pull=anonymous_pull)
            pairs = {
                "realm": self.tokens.realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": key.certificate_path,
            }
            return ["auth:", "  token:", *(f"    {name}: {value}" for name, value in pairs.items())]
        return []

    def _start(self) -> str:
        """Start on a free port; return host:port.

        Between finding a free port and using it another program may take it: try again then.
        """
        for _ in range(5):
            port = _free_port()
            path = f"{self.directory}/config.yml"
            with open(path, "w") as file:
                file.write("\n".join([*_config(self.storage, port), *self._auth, ""]))
            with open(self.log_path, "ab") as log:
                self._process = subprocess.Popen(["docker-registry", "serve", path], stdout=log, stderr=log)
            if _wait_until_up(self._process, port):
                return f"127.0.0.1:{port}"
        with open(self.log_path, errors="replace") as log:
            raise RuntimeError(f"docker-registry does not start: {log.read()[-500:]}")

    @property
    def url(self) -> str:
        """The address with its scheme."""
        return f"http://{self.host}"

    def close(self) -> None:
        """Stop the registry and its token server; keep the storage."""
        self._process.terminate()
        self._process.wait()
        if self.tokens is not None:
            self.tokens.close()


def _config(storage: str, port: int) -> list[str]:
    return [
        "version: 0.1",
        "log:",
        "  level: warn",
        "storage:",
        "  filesystem:",
        f"    rootdirectory: {storage}",
        "  delete:",
        "    enabled: true",
        "http:",
        f"  addr: 127.0.0.1:{port}",
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with suppress(OSError):
            connection.request("GET", "/v2/")
            if connection.getresponse().status in {200, 401}:
                connection.close()
                return True
        connection.close()
        time.sleep(0.02)
    process.kill()
    process.wait()
    return False


class StartRegistry(Protocol):
    """What the fixture `start_registry` returns."""

    def __call__(self, auth: Auth = "anonymous", *, anonymous_pull: bool = True) -> Registry: ...


@pytest.fixture(scope="session")
def start_registry() -> Iterator[StartRegistry]:
    """Start registries; all are stopped at the end of the session.

    Use it together with `@pytest.mark.needs("docker-registry")`, and "htpasswd"
    or "openssl" for the kinds of authentication.
    """
    base = tempfile.mkdtemp(prefix="ct-registry-")
    running: list[Registry] = []

    def start(auth: Auth = "anonymous", *, anonymous_pull: bool = True) -> Registry:
        directory = f"{base}/{len(running)}"
        os.mkdir(directory)
        running.append(Registry(directory, auth, anonymous_pull=anonymous_pull))
        return running[-1]

    try:
        yield start
    finally:
        for registry in running:
            registry.close()
        shutil.rmtree(base)
