"""JupyterLab as a learner sees it: a real server, a real kernel, a real browser."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

_START_S = 60
_POLL_S = 0.2


class Server(NamedTuple):
    """A JupyterLab that is running."""

    url: str
    token: str

    def get(self, path: str) -> Any:
        """Ask the server's API."""
        request = urllib.request.Request(  # noqa: S310 - our own server on loopback
            f"{self.url}/{path}", headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def wait_for_kernel(self, path: str, state: str, *, timeout_s: float) -> None:
        """Wait until the notebook at `path` has a kernel in this state that a page is connected to.

        Raises:
            TimeoutError: it did not come to that.
        """
        deadline = time.monotonic() + timeout_s
        kernel: dict[str, Any] = {}
        while time.monotonic() < deadline:
            kernels = [session["kernel"] for session in self.get("api/sessions") if session["path"] == path]
            kernel = kernels[0] if kernels else {}
            if kernel.get("execution_state") == state and kernel.get("connections"):
                return
            time.sleep(_POLL_S)
        raise TimeoutError(f"no kernel of {path} that is {state} after {timeout_s} s: {kernel}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(directory: str, scratch: str) -> Iterator[Server]:
    """Serve the notebooks of `directory` until the block ends.

    Args:
        directory: what the browser shows.
        scratch: where JupyterLab keeps its own things.
    """
    server = Server(f"http://127.0.0.1:{_free_port()}", secrets.token_hex(16))
    port = server.url.rpartition(":")[2]
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    environment = {
        **os.environ,
        "PYTHONPATH": root,
        "JUPYTER_CONFIG_DIR": f"{scratch}/config",
        "JUPYTER_DATA_DIR": f"{scratch}/data",
        "JUPYTER_RUNTIME_DIR": f"{scratch}/runtime",
        "IPYTHONDIR": f"{scratch}/ipython",
    }
    options = [
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={server.token}",
        f"--ServerApp.root_dir={directory}",
        f"--LabApp.workspaces_dir={scratch}/workspaces",
        f"--LabApp.user_settings_dir={scratch}/settings",
        "--LabApp.news_url=None",
        "--log-level=ERROR",
    ]
    with open(f"{scratch}/server.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=log
        )
    try:
        _wait(server, process, f"{scratch}/server.log")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(server: Server, process: subprocess.Popen[bytes], log: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.get("api/status")
        except OSError:
            time.sleep(_POLL_S)
        else:
            return
    with open(log, encoding="utf-8") as file:
        raise TimeoutError(f"JupyterLab does not answer: {file.read()}")
