"""The extension of the Jupyter server, in the server that the tests run and in what pip installs."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest

from tests.browser.conftest import OpenCells
from tests.browser.jupyter import Server
from toolkit.linux import process
from toolkit.notebook.server import _load_jupyter_server_extension, _prompt

NAME = "toolkit.notebook.server"


def take(pid: int, fd: int) -> socket.socket | None:
    """Return a copy of another process's descriptor, where it is a socket."""
    pidfd = os.pidfd_open(pid)
    try:
        if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
            return None
        return socket.socket(fileno=process.pidfd_getfd(pidfd, fd))
    except OSError:  # it was closed meanwhile
        return None
    finally:
        os.close(pidfd)


def is_prompt(found: socket.socket, port: int) -> bool:
    """Tell whether it is a connection to this port that sends without Nagle's algorithm."""
    if found.family != socket.AF_INET or found.getsockname()[1] != port:
        return False
    is_listening = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return not is_listening and bool(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


def prompt_connections(server: Server) -> int:
    """Count the server's connections to pages that send at once."""
    port = int(server.url.rpartition(":")[2])
    count = 0
    for name in os.listdir(f"/proc/{server.pid}/fd"):
        if found := take(server.pid, int(name)):
            with found:
                count += is_prompt(found, port)
    return count


@pytest.mark.needs("root", "chromium")
@pytest.mark.timeout(180)
def test_what_a_kernel_says_goes_to_the_page_at_once(open_cells: OpenCells, server: Server) -> None:
    assert prompt_connections(server) == 0
    notebook = open_cells("1 + 1")
    notebook.run_cell(0)
    assert prompt_connections(server) == 1


def test_jupyter_finds_it_where_the_package_is_installed() -> None:
    command = [sys.executable, "-m", "jupyter", "server", "extension", "list"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    (line,) = [line for line in (shown.stdout + shown.stderr).splitlines() if NAME in line and "enabled" in line]
    assert "enabled" in line
    assert pathlib.Path(sys.prefix, "etc/jupyter/jupyter_server_config.d/container-toolkit.json").is_file()


class Handler:
    def __init__(self) -> None:
        self.said: list[object] = []
        self.set_nodelay = self.said.append


class Connection:
    def __init__(self, handler: Handler) -> None:
        self.websocket_handler = handler

    def connect(self) -> str:
        self.websocket_handler.said.append("connect")
        return "connected"


def test_algorithm_is_off_before_the_first_message() -> None:
    handler = Handler()
    assert _prompt(Connection)(handler).connect() == "connected"
    assert handler.said == [True, "connect"]


class Application:
    def __init__(self, **settings: object) -> None:
        self.web_app = self
        self.settings = settings


def test_only_the_kind_of_connection_is_changed() -> None:
    application = Application(other=1, kernel_websocket_connection_class=Connection)
    _load_jupyter_server_extension(application)
    made = application.settings.pop("kernel_websocket_connection_class")
    assert isinstance(made, type)
    assert issubclass(made, Connection)
    assert application.settings == {"other": 1}


def test_server_that_has_no_such_setting_is_left_alone() -> None:
    application = Application(other=1)
    _load_jupyter_server_extension(application)
    assert application.settings == {"other": 1}
