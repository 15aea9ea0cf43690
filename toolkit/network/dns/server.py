"""The process that answers: one for an engine, for the containers in all networks that have names.

It is told by the network process who is there, with the sockets in the
container's namespace, and gives them back to the next network process.  That
somebody is gone it learns itself: from the end of the run directory, and from
the status there of one that waits to be started again.  Sockets keep a
namespace in being, so this may not depend on anybody else.

What names mean it reads from the engine's database, again when that has
changed: nobody has to tell it, and nothing can be out of date.

    {"op": "add", "owner": ID, "netns": N}   with two descriptors: for packets, for connections
    {"op": "drop", "owner": ID}
    {"op": "list"}                           answered by an "add" for each, and {"op": "end", "code": MARK}
    {"op": "leave"}                          the next process has the sockets
    {"op": "gone", "owner": ID, "netns": N}  said by this one

See Also:
    `toolkit.network.dns.keeper`, the other side
"""

import gc
import os
import socket
import sys

from toolkit.core import document
from toolkit.core.errors import EngineError
from toolkit.core.state import State
from toolkit.linux import inotify, sock
from toolkit.network import owners, wire
from toolkit.network.dns import names
from toolkit.network.dns.client import Client
from toolkit.network.dns.loop import Loop
from toolkit.network.store import Store

MOST_PACKET = 4096
_LOOK_S = 60.0
_MOST_COMPLAINTS = 100


class Server:
    """Who is there, and what answers them."""

    def __init__(self, listener: sock.Socket, path: str, database: str, running: str, code: str) -> None:
        """Wait for the network process.

        Args:
            listener: where it connects.
            path: of that socket.
            database: the engine's state.
            running: where there is a directory for each owner that lives.
            code: names the code that this process runs.
        """
        self._listener, self._path, self._running, self._code = listener, path, running, code
        self._place = _inode(path)
        self._view = View(database)
        self._complaints = 0
        self._loop = Loop(self._complain)
        self._clients: dict[str, Client] = {}
        self._watched: dict[int, str] = {}
        self._channel: sock.Socket | None = None
        self._leaves = False
        self._watch = inotify.Watch(running, inotify.IN_DELETE)
        self._loop.watch(self._watch.fileno(), self._look)
        self._loop.watch(listener.fileno(), self._accept)
        self._look_again()

    def _complain(self, exc: BaseException) -> None:
        """Write to the log what should not have happened; not for ever, for it may be a container's doing."""
        self._complaints += 1
        if self._complaints <= _MOST_COMPLAINTS:
            sys.excepthook(type(exc), exc, exc.__traceback__)

    def serve(self) -> None:
        """Answer until there is nobody any more who asks, or could come to."""
        gc.collect()
        gc.freeze()
        while not self._leaves:
            self._loop.turn()
        if self._place == _inode(self._path):
            os.unlink(self._path)

    def _leave_if_idle(self) -> None:
        if self._channel is None and not self._clients:
            self._leaves = True

    def _look_again(self) -> None:
        """See from time to time whether all are still there: inotify forgets where very much happens."""
        for owner in [owner for owner in self._clients if not owners.is_here(self._running, owner)]:
            self._drop(owner, tells=True)
        if self._place != _inode(self._path):
            self._leaves = True
        self._loop.after(_LOOK_S, self._look_again)

    # The network process

    def _accept(self) -> None:
        try:
            channel = sock.accept(self._listener, sock.SOCK_SEQPACKET)
        except OSError:
            return
        self._hang_up()  # there is one network process, and this is the newer one
        self._channel = channel
        channel.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._loop.watch(channel.fileno(), self._hear)

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None

    def _hear(self) -> None:
        assert self._channel is not None
        try:
            data, fds = sock.receive(self._channel, MOST_PACKET, 2)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._hang_up()
            self._leave_if_idle()
            return
        self._look()  # an end that came before this word
        said: wire.Message = document.decode(data)
        if said["op"] == "add":
            self._add(said["owner"], said["netns"], fds)
        elif said["op"] == "drop":
            self._drop(said["owner"], tells=False)
        elif said["op"] == "list":
            self._list()
        elif said["op"] == "leave":
            self._leaves = True

    def _say(self, said: wire.Message, fds: tuple[int, ...] = ()) -> None:
        if self._channel is not None:
            try:
                sock.send(self._channel, [document.encode(said)], fds)
            except OSError:
                self._hang_up()  # it asks for a list when it comes again

    def _list(self) -> None:
        for one in self._clients.values():
            fds = (one.packets.fileno(), one.listener.fileno())
            self._say({"op": "add", "owner": one.owner, "netns": one.netns}, fds)
        self._say({"op": "end", "code": self._code})

    def _add(self, owner: str, netns: int, fds: list[int]) -> None:
        self._drop(owner, tells=False)
        if len(fds) != 2:
            for fd in fds:  # one has got lost, because we have too many
                os.close(fd)
            return
        packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, fileno=fds[0])
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=fds[1])
        try:
            watched = self._watch.add(f"{self._running}/{owner}", inotify.IN_MOVED_TO)
        except OSError:
            packets.close()
            listener.close()
            self._say({"op": "gone", "owner": owner, "netns": netns})
            return
        self._clients[owner] = Client(
            self._loop, owner, netns, (packets, listener), self._view.names, self._clients.__contains__
        )
        self._watched[watched] = owner

    def _drop(self, owner: str, *, tells: bool) -> None:
        client = self._clients.pop(owner, None)
        if client is None:
            return
        client.close()
        for number in [number for number, each in self._watched.items() if each == owner]:
            del self._watched[number]
            self._watch.remove(number)
        if tells:
            self._say({"op": "gone", "owner": owner, "netns": client.netns})
            self._leave_if_idle()

    # The ends of those who ask

    def _look(self) -> None:
        """Let go of those that have ended since: by their directories' ends, or a status that says that they wait."""
        for number, name in self._watch.happened():
            owner = self._watched.get(number)
            if owner is None:
                self._drop(name, tells=True)
            elif name == owners.STATUS_FILE and owners.waits(self._running, owner):
                self._drop(owner, tells=True)


class View:
    """What the engine's database says of names, read again when it has changed."""

    def __init__(self, database: str) -> None:
        self._state = State(database)
        self._store = Store(self._state, lambda _owner: True)
        self._version = -1
        self._names = names.Names((), ())

    def names(self) -> names.Names:
        """Return what is known at this moment; what was known, where the database cannot be read."""
        try:
            version = self._state.version
            if version != self._version:
                self._names = names.Names(self._store.networks(), self._store.all_endpoints())
                self._version = version
        except EngineError:
            pass  # a full disk, most likely
        return self._names


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0
