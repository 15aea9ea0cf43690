"""One container that asks: its sockets, its connections, and what others are being asked for it."""

import os
import socket
import struct

from toolkit.core.errors import EngineError, InvalidError
from toolkit.linux import netdevice
from toolkit.network.dns import message, reply, servers
from toolkit.network.dns.loop import Loop, Timer
from toolkit.network.dns.reply import Decider, Forward
from toolkit.network.dns.upstream import Exchange
from toolkit.network.inside import Inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toolkit.network.dns.names import IsHere, Names

_AT_ONCE = 32
"""Packets that are read from one container before the others have their turn."""
_MOST_EXCHANGES = 512
_MOST_CONNECTIONS = 32
_IDLE_S = 10.0
_LENGTH = struct.Struct("!H")


class Client:
    """A container, by its sockets in its network namespace."""

    def __init__(
        self,
        loop: Loop,
        owner: str,
        netns: int,
        sockets: "tuple[socket.socket, socket.socket]",
        names: "Callable[[], Names]",
        is_here: "IsHere",
    ) -> None:
        """Answer from now on.

        Args:
            loop: what waits.
            owner: the container's id.
            netns: the number of its network namespace.
            sockets: for packets, and for connections; both are bound.
            names: returns what is known of names at this moment.
            is_here: tells of an owner whether it runs.
        """
        self._loop, self.owner, self.netns = loop, owner, netns
        self.packets, self.listener = sockets
        self._names, self._is_here = names, is_here
        self._namespace = netdevice.namespace_of(self.packets.fileno())
        self._exchanges: set[Exchange] = set()
        self._connections: set[Connection] = set()
        for each in sockets:
            each.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        loop.watch(self.packets.fileno(), self._read)
        loop.watch(self.listener.fileno(), self._accept)

    def close(self) -> None:
        """Answer no more, and let go of the namespace."""
        for exchange in self._exchanges:
            exchange.abandon()
        for connection in list(self._connections):
            connection.close()
        for each in (self.packets, self.listener):
            self._loop.forget(each.fileno())
            each.close()
        os.close(self._namespace)

    def _read(self) -> None:
        for _packet in range(_AT_ONCE):
            try:
                data, peer = self.packets.recvfrom(message.MOST_BYTES)
            except OSError:
                return  # no more
            self.ask(data, lambda answer, to=peer: self._send(answer, to), is_stream=False)  # type: ignore[misc]  # mypy knows no defaults of lambdas

    def _send(self, answer: bytes, peer: "tuple[str, int]") -> None:
        try:
            self.packets.sendto(answer, peer)
        except OSError:
            pass  # whoever asked does not read: it asks again, or does not care

    def _accept(self) -> None:
        try:
            connection, _peer = self.listener.accept()
        except OSError:
            return  # it has gone, or there is no descriptor left
        if len(self._connections) >= _MOST_CONNECTIONS:
            connection.close()
            return
        self._connections.add(Connection(self._loop, connection, self.ask, self._connections.discard))

    def ask(self, data: bytes, tell: "Callable[[bytes], None]", *, is_stream: bool) -> None:
        """Have a packet be answered: now, or when others have."""
        try:
            question = message.parse_question(data)
        except InvalidError:
            answer = message.formerr(data)
            if answer:
                tell(answer)
            return
        if question.is_response:
            return
        most_bytes = message.MOST_BYTES if is_stream else question.udp_bytes
        decided = reply.decide(question, Decider(self.owner, self._names(), self._is_here, shuffled), most_bytes)
        if isinstance(decided, Forward):
            self._forward(question, data, decided, tell, is_stream=is_stream)
        else:
            tell(decided)

    def _forward(
        self,
        question: message.Question,
        data: bytes,
        to: Forward,
        tell: "Callable[[bytes], None]",
        *,
        is_stream: bool,
    ) -> None:
        if len(self._exchanges) >= _MOST_EXCHANGES:
            tell(message.answer(question, code=message.SERVFAIL))
            return
        most_bytes = message.MOST_BYTES if is_stream else question.udp_bytes

        def done(answer: bytes) -> None:
            self._exchanges.discard(exchange)
            tell(message.cut(answer, question, most_bytes))

        opener = self._open if to.servers else self._open_of_machine
        chosen = to.servers or servers.of_machine()
        exchange = Exchange(self._loop, chosen, opener, question, data, done, is_stream=is_stream)
        self._exchanges.add(exchange)
        exchange.begin()

    def _open(self, _server: str, family: int, kind: int) -> socket.socket:
        """Make a socket in the container's namespace: what it asks goes its own way, and reaches no further than it."""
        try:
            with Inside(self._namespace):
                return socket.socket(family, kind | socket.SOCK_CLOEXEC)
        except EngineError as exc:
            raise OSError(str(exc)) from exc

    def _open_of_machine(self, server: str, family: int, kind: int) -> socket.socket:
        """Make a socket for a server of this machine's: one on its loopback is reached from here alone."""
        if servers.is_loopback(server):
            return socket.socket(family, kind | socket.SOCK_CLOEXEC)
        return self._open(server, family, kind)


class Connection:
    """Somebody's connection: questions come, each with its length before it."""

    def __init__(
        self,
        loop: Loop,
        made: socket.socket,
        ask: "Ask",
        gone: "Callable[[Connection], None]",
    ) -> None:
        made.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._loop, self._socket, self._ask, self._gone = loop, made, ask, gone
        self._heard = b""
        self._timer: Timer = loop.after(_IDLE_S, self.close)
        loop.watch(made.fileno(), self._read)

    def close(self) -> None:
        """End it."""
        self._timer.cancel()
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        self._gone(self)

    def _read(self) -> None:
        try:
            data = self._socket.recv(message.MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._timer.cancel()
        self._timer = self._loop.after(_IDLE_S, self.close)
        self._heard += data
        while len(self._heard) >= 2 and len(self._heard) - 2 >= (length := _LENGTH.unpack_from(self._heard)[0]):
            packet, self._heard = self._heard[2 : 2 + length], self._heard[2 + length :]
            self._ask(packet, self._tell, is_stream=True)

    def _tell(self, answer: bytes) -> None:
        if self._socket.fileno() < 0:
            return  # it was closed while others were asked
        data = _LENGTH.pack(len(answer)) + answer
        try:
            if self._socket.send(data) == len(data):
                return
        except OSError:
            pass
        self.close()  # it does not read what it has asked for


def shuffled(addresses: tuple[str, ...]) -> "Sequence[str]":
    """Return addresses in another order each time; `random` costs a megabyte."""
    if len(addresses) < 2:
        return addresses
    return [address for _key, address in sorted((os.urandom(4), address) for address in addresses)]


if TYPE_CHECKING:
    from typing import Protocol

    class Ask(Protocol):
        """What `Client.ask` is."""

        def __call__(self, data: bytes, tell: Callable[[bytes], None], *, is_stream: bool) -> None:
            """Have a packet be answered."""
