"""Descriptors that go to somebody else: a terminal's master, and the listener of a seccomp filter."""

import array
import json
import os
import socket
from typing import Any

from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.runtime.spec import OCI_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.spec import Process

_LISTENER_NAME = "seccompFd"


class Console:
    """Where the master end of a process's terminal goes."""

    def __init__(self, process: "Process", socket_path: str, *, is_foreground: bool) -> None:
        """Check that it is clear.

        Raises:
            InvalidError: a terminal that nobody takes, or somebody waits for one that there is not.
        """
        has_terminal = process.get("terminal", False)
        if has_terminal and not socket_path and not is_foreground:
            message = "process.terminal: nobody takes the terminal of a container that runs on by itself"
            raise InvalidError(message, hint="give --console-socket, or set it to false")
        if socket_path and (not has_terminal or is_foreground):
            message = "--console-socket: there is no terminal to send"
            hint = "set process.terminal, and use --detach"
            raise InvalidError(message, hint=hint)
        self._path = socket_path
        self.master = -1
        """The master, where the command itself looks after it."""

    def take(self, fd: int) -> None:
        """Send the master on, or keep it."""
        if self._path:
            send_fd(self._path, b"/dev/ptmx", fd)
            os.close(fd)
        else:
            self.master = fd


def send_fd(path: str, data: bytes, fd: int) -> None:
    """Connect to a unix socket and send a descriptor.

    Raises:
        NotFoundError: nobody listens there.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(path)
            sock.sendmsg([data], rights)
        except OSError as exc:
            reason = (exc.strerror or str(exc)).lower()
            raise NotFoundError(f"dial unix {path}: {reason}", hint="who listens there?") from exc


def send_listener(path: str, fd: int, metadata: str, state: dict[str, Any], *, pid: int = 0) -> None:
    """Hand the listener of a seccomp filter, with the container's state, to who answers for the system calls.

    Args:
        path: of the socket where that one listens.
        fd: the listener; closed.
        metadata: the config's own words to it.
        state: the container's.
        pid: of the process that the filter is for; 0: the container's first.

    Raises:
        NotFoundError: nobody listens there.

    See Also:
        runtime-spec config-linux.md, The Container Process State
    """
    document = {"ociVersion": OCI_VERSION, "fds": [_LISTENER_NAME], "pid": pid or state["pid"], "state": state}
    if metadata:
        document["metadata"] = metadata
    try:
        send_fd(path, json.dumps(document).encode(), fd)
    finally:
        os.close(fd)
