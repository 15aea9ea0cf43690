"""Calls to a plugin: a POST with JSON, and JSON back, over a socket of the plugin's.

Whatever a plugin does or does not do ends in an answer or in an error, within a time that is known before.

See Also:
    https://docs.docker.com/engine/extend/plugin_api/, https://docs.docker.com/engine/extend/plugins_volume/
"""

import contextlib
import http.client
import json
import socket
import time
from typing import Any, cast

from toolkit.core.errors import PluginError

TIMEOUT_S = 30.0
"""As docker's: how long a call may take, with all its attempts to reach the plugin."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_TYPE = "application/vnd.docker.plugins.v1.2+json"
_HEADERS = {"Accept": _TYPE, "Content-Type": _TYPE, "Connection": "close"}
_MAX_ANSWER = 4 * 1024 * 1024
_OK = 200


def call(address: str, method: str, question: dict[str, Any], *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Ask a plugin something and return what it says.

    Only a connection that could not be made is tried again: the plugin has not
    heard anything then.

    Args:
        address: unix:///path, tcp://host:port or http://host:port.
        method: as "VolumeDriver.Mount".
        question: the JSON object it gets.
        timeout_s: for all of it.

    Raises:
        PluginError: there is no answer, or the answer is an error.
    """
    deadline = time.monotonic() + timeout_s
    connection = _Connection(address, deadline)
    try:
        _connect(connection, method, deadline)
        content = json.dumps(question).encode()
        connection.request("POST", f"/{method}", content, _HEADERS)
        with contextlib.closing(connection.getresponse()) as answer:
            body, status = answer.read(_MAX_ANSWER + 1), answer.status
    except TimeoutError as exc:
        raise _late(method, address, timeout_s) from exc
    except (OSError, http.client.HTTPException) as exc:
        why = str(exc) or type(exc).__name__
        message = f"{method}: the plugin at {address} broke off: {why}"
        raise PluginError(message, hint="see whether it still runs") from exc
    finally:
        connection.close()
    return _understood(method, status, body)


def _connect(connection: "_Connection", method: str, deadline: float) -> None:
    """Reach the plugin: one that is just being started may not listen yet."""
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            connection.connect()
        except (ConnectionError, FileNotFoundError) as exc:
            if time.monotonic() + pause_s > deadline:
                message = f"{method}: cannot reach the plugin at {connection.address}: {exc.strerror or exc}"
                raise PluginError(message, hint="start it, or remove its file from the plugin directory") from exc
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        else:
            return


def _late(method: str, address: str, timeout_s: float) -> PluginError:
    message = f"{method}: the plugin at {address} has not answered within {timeout_s:g} seconds"
    return PluginError(message, hint="it hangs, or needs longer: see its own log")


def _understood(method: str, status: int, body: bytes) -> dict[str, Any]:
    """Return the object that a plugin has answered with.

    Raises:
        PluginError: it is an error, or no object.
    """
    try:
        said: object = json.loads(body) if body.strip() and len(body) <= _MAX_ANSWER else None
    except ValueError:
        said = None
    if status != _OK:
        why = cast("dict[str, Any]", said).get("Err") if isinstance(said, dict) else None
        text = str(why or body[:200].decode(errors="replace").strip() or f"status {status}")
        raise PluginError(f"{method}: {text}", hint="the plugin says so")
    if said is None and not body.strip():
        return {}
    if not isinstance(said, dict):
        shown = body[:80].decode(errors="replace")
        raise PluginError(f"{method}: the plugin's answer is no JSON object: {shown!r}", hint="it is broken")
    document = cast("dict[str, Any]", said)
    if document.get("Err"):
        raise PluginError(f"{method}: {document['Err']}", hint="the plugin says so")
    return document


class _Connection(http.client.HTTPConnection):
    """A connection to a unix socket or a port, all of whose waits together end at a moment."""

    def __init__(self, address: str, deadline: float) -> None:
        self.address = address
        self._deadline = deadline
        scheme, _, rest = address.partition("://")
        self._path = rest if scheme == "unix" else ""
        super().__init__("localhost" if self._path else rest.rstrip("/"))

    def connect(self) -> None:
        """Connect, if that has not worked before."""
        if self.sock is not None:
            return
        made = _Socket(socket.AF_UNIX if self._path else socket.AF_INET, deadline=self._deadline)
        try:
            made.settimeout(made.left_s())
            made.connect(self._path or (self.host, self.port))
        except BaseException:
            made.close()
            raise
        self.sock = made


class _Socket(socket.socket):
    """A socket that gives up at a moment, however slowly bytes come."""

    def __init__(self, family: int, *, deadline: float) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._deadline = deadline

    def left_s(self) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def recv_into(self, *args: Any, **options: Any) -> int:
        self.settimeout(self.left_s())
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:
        self.settimeout(self.left_s())
        super().sendall(*args, **options)
