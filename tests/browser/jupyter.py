"""A JupyterLab server of its own for each module of tests: own port, own settings, a copy of the notebooks."""

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

from playwright.sync_api import BrowserContext, sync_playwright

_START_S = 60.0
_SETTINGS = {
    # A notebook that only renders what is in sight cannot be read by a test.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync"]  # fmt: skip


@contextlib.contextmanager
def browse() -> Iterator[BrowserContext]:
    """Run Debian's chromium, with a profile of its own that goes with it; all pages share its cache."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=_FLAGS)
        try:
            yield running.new_context()
        finally:
            running.close()


class Server(NamedTuple):
    """A running JupyterLab."""

    url: str
    token: str
    directory: pathlib.Path
    """Holds the notebooks."""
    pid: int

    def page(self, notebook: str) -> str:
        """Return an address at which a notebook opens, in a workspace of its own: with no tab of an earlier page."""
        return f"{self.url}/lab/workspaces/{secrets.token_hex(4)}/tree/{notebook}?token={self.token}"

    def get(self, path: str) -> Any:
        """Ask the server's REST API."""
        return self._ask("GET", path)

    def session(self, notebook: str) -> Any:
        """Return what the server says of the open notebook of that name; None where it is not open."""
        return next((each for each in self.get("sessions") if each["path"] == notebook), None)

    def is_idle(self, notebook: str) -> bool:
        """Tell whether the notebook has a kernel, a page is connected to it, and it has nothing to do."""
        session = self.session(notebook)
        kernel = session["kernel"] if session is not None else None
        return kernel is not None and kernel["connections"] > 0 and kernel["execution_state"] == "idle"

    def end_kernels(self) -> None:
        """Shut down all notebooks' kernels, as the button in the list of running kernels does."""
        for session in self.get("sessions"):
            self._ask("DELETE", f"sessions/{session['id']}")

    def _ask(self, method: str, path: str) -> Any:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method, headers=headers)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read() or "null")


@contextlib.contextmanager
def serve(notebooks: pathlib.Path, home: pathlib.Path, environ: dict[str, str]) -> Iterator[Server]:
    """Run JupyterLab on a directory, with everything that it writes under `home`."""
    for name, values in _SETTINGS.items():
        path = home / "config/lab/user-settings/@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    log_path = home / "jupyter.log"
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
             "--LabApp.expose_app_in_browser=True", "--ServerApp.port_retries=0",
             f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={notebooks}"],
            env={
                **os.environ,
                "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
                "JUPYTER_CONFIG_DIR": f"{home}/config",
                "JUPYTERLAB_SETTINGS_DIR": f"{home}/config/lab/user-settings",
                "JUPYTERLAB_WORKSPACES_DIR": f"{home}/workspaces",
                "JUPYTER_RUNTIME_DIR": f"{home}/runtime",
                "IPYTHONDIR": f"{home}/ipython",
                "MPLCONFIGDIR": f"{home}/matplotlib",
                **environ,
            },
            stdout=log,
            stderr=log,
        )  # fmt: skip
    server = Server(f"http://127.0.0.1:{port}", token, notebooks, process.pid)
    try:
        _wait_until_up(server, process, log_path)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)  # it ends its kernels first
        process.wait(timeout=30)


def _wait_until_up(server: Server, process: "subprocess.Popen[bytes]", log_path: pathlib.Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            server.get("status")
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab does not start: {log_path.read_text()[-2000:]}")
