"""A real volume plugin: a process of its own that speaks docker's protocol on a unix socket or a port.

Its volumes are directories.  What it is asked is written down in a file, a line each; files named like a call, in its
directory, make it misbehave at that call (see `Plugin.misbehave`).
"""

import http.server
import json
import os
import socketserver
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.patience import wait_until

_PATIENCE_S = 10


class Plugin:
    """A plugin that runs, seen from the test."""

    def __init__(self, directory: str, process: "subprocess.Popen[bytes]") -> None:
        self.directory = directory
        self.process = process

    def asked(self) -> list[dict[str, Any]]:
        """Return the calls it has got: {"call": "VolumeDriver.Mount", "Name": ...}."""
        try:
            with open(f"{self.directory}/asked") as file:
                return [json.loads(line) for line in file]
        except FileNotFoundError:
            return []

    def calls(self, *verbs: str) -> list[str]:
        """Return which of these calls it has got, in their order."""
        found = [each["call"].rpartition(".")[2] for each in self.asked()]
        return [verb for verb in found if verb in verbs]

    def misbehave(self, verb: str, how: str) -> None:
        """Have it answer a call with this text; "HANG": not at all, "DIE": by its end, "SLOW": a byte now and then."""
        with open(f"{self.directory}/{verb}", "w") as file:
            file.write(how)

    def behave(self, verb: str) -> None:
        """Have it answer as it should again."""
        os.unlink(f"{self.directory}/{verb}")


@contextmanager
def running(directory: str, address: str) -> Iterator[Plugin]:
    """Run a plugin until the block ends.

    Args:
        directory: for its volumes and notes.
        address: the path of its socket, or a port on 127.0.0.1.
    """
    os.makedirs(directory, exist_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "tests.support.volume_plugin", directory, address])
    try:
        wait_until(lambda: os.path.exists(f"{directory}/ready"), _PATIENCE_S)
        yield Plugin(directory, process)
    finally:
        process.kill()
        process.wait()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one call."""

    directory = ""

    def do_POST(self) -> None:
        """Answer, or misbehave."""
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        question: dict[str, Any] = json.loads(content or b"{}")
        call = self.path.strip("/")
        with open(f"{self.directory}/asked", "a") as file:
            file.write(json.dumps({"call": call, **question}) + "\n")
        verb = call.rpartition(".")[2]
        try:
            with open(f"{self.directory}/{verb}") as file:
                how = file.read()
        except FileNotFoundError:
            how = json.dumps(getattr(self, f"do_{verb.lower()}")(question))
        if how == "DIE":
            os._exit(1)
        if how == "HANG":
            time.sleep(600)
        self.answer(how)

    def answer(self, text: str) -> None:
        """Send an answer; one that is an error comes with status 500, as docker's SDK does it."""
        is_slow = text == "SLOW"
        body = b"{" + b" " * 1000 if is_slow else text.encode()
        self.send_response(500 if '"Err": "' in text and '"Err": ""' not in text else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not is_slow:
            self.wfile.write(body)
            return
        for position in range(len(body)):
            self.wfile.write(body[position : position + 1])
            time.sleep(0.05)

    def where(self, question: dict[str, Any]) -> str:
        """Return the directory of a volume."""
        return f"{self.directory}/volumes/{question['Name']}"

    def do_activate(self, _question: dict[str, Any]) -> dict[str, Any]:
        return {"Implements": ["VolumeDriver"]}

    def do_capabilities(self, _question: dict[str, Any]) -> dict[str, Any]:
        return {"Capabilities": {"Scope": "global"}}

    def do_create(self, question: dict[str, Any]) -> dict[str, Any]:
        if "refuse" in (question.get("Opts") or {}):
            return {"Err": "it does not want to"}
        os.makedirs(self.where(question), exist_ok=True)
        return {"Err": ""}

    def do_remove(self, question: dict[str, Any]) -> dict[str, Any]:
        os.rename(self.where(question), f"{self.directory}/removed-{question['Name']}")
        return {}

    def do_mount(self, question: dict[str, Any]) -> dict[str, Any]:
        return {"Mountpoint": self.where(question)}

    def do_unmount(self, _question: dict[str, Any]) -> dict[str, Any]:
        return {}

    def do_path(self, question: dict[str, Any]) -> dict[str, Any]:
        return {"Mountpoint": self.where(question)}

    def do_get(self, question: dict[str, Any]) -> dict[str, Any]:
        if not os.path.isdir(self.where(question)):
            return {"Err": "no such volume"}
        return {
            "Volume": {"Name": question["Name"], "Mountpoint": self.where(question), "Status": {"colour": "red"}},
            "Err": "",
        }

    def do_list(self, _question: dict[str, Any]) -> dict[str, Any]:
        found = os.listdir(f"{self.directory}/volumes") if os.path.isdir(f"{self.directory}/volumes") else []
        return {"Volumes": [{"Name": name, "Mountpoint": ""} for name in found]}

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """Name the caller: a unix socket has no address."""
        return "engine"


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main(directory: str, address: str) -> None:
    """Serve until killed."""
    _Handler.directory = directory
    server: socketserver.BaseServer
    if address.isdecimal():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", int(address)), _Handler)
    else:
        if os.path.exists(address):
            os.unlink(address)
        server = _UnixServer(address, _Handler)
    with open(f"{directory}/ready", "w") as file:
        file.write(str(server.server_address))
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
