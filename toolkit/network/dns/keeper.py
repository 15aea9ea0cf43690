"""The network process's side of the name server: starts it, and keeps a second hand on its sockets.

Each of the two processes has all sockets.  When the name server is killed, the
next one gets them from here: a question that came meanwhile has waited in its
socket, and is answered.  When the network process is killed, the name server
goes on, and the next network process gets the sockets from there.  When both
are, containers have no name server until the next network process makes new
sockets, in the namespaces of those that still run.
"""

import os
import select
import signal
import sys
import time
from typing import NamedTuple

from toolkit.core import document
from toolkit.core.errors import EngineError
from toolkit.linux import resident, sock
from toolkit.network import owners, wire
from toolkit.network.dns import names, server, sockets
from toolkit.network.netlink import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from toolkit.network.model import Endpoint, Network

SOCKET = "dns.sock"
LOG = "dns.log"
_BACKLOG = 4
_PAUSE_S = 1.0
_PATIENCE_S = 2.0
"""How long a name server may take to listen, or to go on telling: one that is stopped must not stop us for long."""


class Held(NamedTuple):
    """The sockets of one container."""

    netns: int
    """The number of the namespace that they are in."""
    fds: tuple[int, int]


class Keeper:
    """The name server of one engine, as the network process sees it."""

    def __init__(self, run_dir: str, arguments: tuple[str, str], code: str, poll: "select.poll") -> None:
        """Find the one that runs, and what it has; start none.

        Args:
            run_dir: an engine's runtime directory.
            arguments: its database, and the directory with those of all that live.
            code: names the code that we run: a name server of other code is replaced.
            poll: where the network process waits.
        """
        self._run_dir, self._arguments, self._code, self._poll = run_dir, arguments, code, poll
        self._held: dict[str, Held] = {}
        self._channel: sock.Socket | None = None
        self._child = 0
        self._started_s = -_PAUSE_S
        channel = self._connect()
        if channel is not None:
            self._take_over(channel)

    def fileno(self) -> int:
        """Return the descriptor to poll, -1 where there is no name server."""
        return -1 if self._channel is None else self._channel.fileno()

    # Containers

    def serve(self, owner: str, netns_fd: int) -> None:
        """Have an owner's namespace have a name server; one that it has already stays.

        Raises:
            SyscallError: that is no network namespace, or may not be entered.
            EngineError: somebody there has the port.
        """
        netns = os.fstat(netns_fd).st_ino
        if owner in self._held:
            if self._held[owner].netns == netns:
                return
            self.drop(owner)
        try:
            made = sockets.open_in(netns_fd)
        except OSError as exc:
            if isinstance(exc, EngineError):
                raise
            raise EngineError(f"no name server in the container: {exc.strerror}") from exc
        self._held[owner] = Held(netns, (made[0].detach(), made[1].detach()))
        if self._has_server():
            self._add(owner)

    def drop(self, owner: str) -> None:
        """Let go of an owner's namespace."""
        if self._close(owner):
            self._say({"op": "drop", "owner": owner})

    def find_lost(self, networks: "Iterable[Network]", endpoints: "Iterable[Endpoint]", running: str) -> None:
        """Have all have a name server that should and do not, because both processes were killed."""
        named = {each.id for each in networks if names.has_names(each)}
        for one in endpoints:
            if one.network in named and one.owner not in self._held:
                fd = _namespace_of(one, running)
                if fd >= 0:
                    try:
                        self.serve(one.owner, fd)
                    except EngineError as exc:
                        sys.stderr.write(f"{one.owner}: {exc}\n")
                    finally:
                        os.close(fd)

    def _close(self, owner: str) -> bool:
        held = self._held.pop(owner, None)
        if held is None:
            return False
        for fd in held.fds:
            os.close(fd)
        return True

    # The process

    def hear(self) -> None:
        """Take what the name server says: who has ended; or that it has itself."""
        if self._channel is None:
            return
        try:
            said = _receive(self._channel)
        except TimeoutError:
            return
        if said is None:
            self._lose()
            return
        message, fds = said
        for fd in fds:
            os.close(fd)
        held = self._held.get(message.get("owner", ""))
        if message["op"] == "gone" and held is not None and held.netns == message["netns"]:
            self._close(message["owner"])  # if it has not begun again meanwhile, in another namespace

    def _lose(self) -> None:
        """Go on when the name server has died: the next one gets all sockets, at once, but not again and again."""
        self._hang_up()
        self._end_child()
        for owner in [owner for owner in self._held if not owners.is_here(self._arguments[1], owner)]:
            self._close(owner)
        if self._held and time.monotonic() - self._started_s >= _PAUSE_S:
            self._has_server()

    def _end_child(self) -> None:
        """Reap the name server that we have started, if there is one; it may be stuck, and not dead at all."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = 0

    def is_missing(self) -> bool:
        """Tell whether there should be a name server and is none: it has died again within a second."""
        return self._channel is None and bool(self._held)

    def try_again(self) -> None:
        """Start one where it is missing."""
        if self.is_missing():
            self._has_server()

    def _has_server(self) -> bool:
        """Have a name server, with all sockets where it is new; tell whether it had been there."""
        if self._channel is not None:
            return True
        self._started_s = time.monotonic()
        channel = self._connect()
        if channel is not None:
            self._take_over(channel)
        if self._channel is None:
            self._begin()
        return False

    def _begin(self) -> None:
        """Start one, and tell it everything."""
        self._spawn()
        for owner in self._held:
            self._add(owner)

    def _add(self, owner: str) -> None:
        held = self._held[owner]
        self._say({"op": "add", "owner": owner, "netns": held.netns}, held.fds)

    def _say(self, message: wire.Message, fds: tuple[int, ...] = ()) -> None:
        if self._channel is not None:
            try:
                sock.send(self._channel, [document.encode(message)], fds)
            except OSError:
                self._hang_up()  # it has died, or does not listen any more: the next one is told everything

    def _connect(self) -> sock.Socket | None:
        made = sock.unix(sock.SOCK_SEQPACKET)
        try:
            sock.connect_in(made, self._run_dir, SOCKET)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        return made

    def _take_over(self, channel: sock.Socket) -> None:
        """Take a hand on the sockets of a name server that has gone on without us; end one of other code."""
        channel.settimeout(_PATIENCE_S)
        is_ours = False
        listed: set[str] = set()
        try:
            sock.send(channel, [document.encode({"op": "list"})])
            while (said := _receive(channel)) is not None:
                message, fds = said
                if message["op"] == "end":
                    is_ours = message["code"] == self._code
                    break
                if self._learn(message, fds):
                    listed.add(message["owner"])
            if not is_ours:
                sock.send(channel, [document.encode({"op": "leave"})])
        except OSError:
            is_ours = False  # it does not answer; the next one has what it has told
        if is_ours:
            self._have(channel)
            for owner in self._held.keys() - listed:
                self._add(owner)
        else:
            channel.close()
            if self._held:
                self._begin()

    def _learn(self, message: wire.Message, fds: list[int]) -> bool:
        """Take what a name server says that it has of an owner; tell whether it is what we have."""
        mine = self._held.get(message["owner"])
        if message["op"] == "add" and mine is None and len(fds) == 2:
            self._held[message["owner"]] = Held(message["netns"], (fds[0], fds[1]))
            return True
        for fd in fds:  # also where one has got lost, because we have too many
            os.close(fd)
        return mine is not None and mine.netns == message["netns"]

    def _have(self, channel: sock.Socket) -> None:
        self._channel = channel
        channel.settimeout(_PATIENCE_S)
        self._poll.register(channel.fileno(), select.POLLIN)

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._poll.unregister(self._channel.fileno())
            self._channel.close()
            self._channel = None

    def _spawn(self) -> None:
        """Start it on a socket that listens already, and connect."""
        self._end_child()
        listener = resident.listen_in(self._run_dir, SOCKET, _BACKLOG, sock.SOCK_SEQPACKET)
        try:
            self._child = self._launch(listener.fileno(), f"{self._run_dir}/{SOCKET}")
            made = self._connect()
        finally:
            listener.close()
        if made is not None:
            self._have(made)

    def _launch(self, listener_fd: int, path: str) -> int:
        program = f"import sys; sys.path[:0] = {sys.path[:1]!r}; from toolkit.network.dns.resident import main; main()"
        return resident.spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", program, path, *self._arguments, self._code],
            os.environ,
            log=f"{self._run_dir}/{LOG}",
            listener_fd=listener_fd,
            kept_signals=(signal.SIGINT,),
        )


def _receive(channel: sock.Socket) -> tuple[wire.Message, list[int]] | None:
    """Return what was said, with its descriptors; None at the end."""
    try:
        data, fds = sock.receive(channel, server.MOST_PACKET, 2)
    except ConnectionResetError:
        return None
    return (document.decode(data), fds) if data else None


def _namespace_of(one: "Endpoint", running: str) -> int:
    """Return a descriptor of the namespace of who has an endpoint, -1 where it cannot be found.

    A pid that was written down may be another's by now.  So what is behind it counts only if this endpoint's end of the
    cable is there, by its hardware address.
    """
    pid = owners.pid(running, one.owner)
    if not pid:
        return -1
    try:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        with Route(fd) as inside:
            link = inside.find(one.link)
    except OSError:
        link = None
    if link is None or link.mac != one.mac:
        os.close(fd)
        return -1
    return fd
