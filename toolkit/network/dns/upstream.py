"""Asking others: several servers, one after the other, and believing only who was asked what was asked.

A server that says nothing for a while gets no more time, but the next one is
asked besides; the first good answer counts.  All of it is over before the
clients' own patience (5 s, resolv.conf(5)) is.  A question leaves by a new
socket with a number of its own: whoever wants to answer in another's name has
32 bits to guess.
"""

import errno
import os
import socket
import struct

from toolkit.network.dns import message
from toolkit.network.dns.loop import READ, WRITE, Loop, Timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    OpenSocket = Callable[[str, int, int], socket.socket]

PORT = 53
PATIENCE_S = 1.4
TRIES = 3
_LENGTH = struct.Struct("!H")
_NOT_NOW = (errno.EAGAIN, errno.EINPROGRESS)
_NO_ANSWERS = (message.FORMERR, message.SERVFAIL, message.NOTIMP, message.REFUSED)
"""What a server says that cannot answer, while another may."""


class Exchange:
    """One question that others are asked."""

    def __init__(
        self,
        loop: Loop,
        servers: "Sequence[str]",
        open_socket: "OpenSocket",
        question: message.Question,
        data: bytes,
        done: "Callable[[bytes], None]",
        *,
        is_stream: bool,
    ) -> None:
        """Begin to ask.

        Args:
            loop: what waits.
            servers: addresses; the first three count.
            open_socket: makes a socket for an address, of a family and a kind.
            question: what is asked.
            data: the packet, as it came.
            done: is told the answer, with the number that the question came with; SERVFAIL where there is none.
            is_stream: the question came over TCP, and the answer may be long.
        """
        self._loop, self._open = loop, open_socket
        self._question, self._data, self._done = question, data, done
        self._is_stream = is_stream
        self._left = [*servers[:TRIES]] * TRIES if len(servers) < TRIES else [*servers[:TRIES]]
        del self._left[TRIES:]
        self._refused: set[str] = set()
        self._attempts: dict[int, Attempt] = {}
        self._worst = message.answer(question, code=message.SERVFAIL)
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Ask the next server, if there is one; else wait for those that were asked, if there are any."""
        if self._timer is not None:
            self._timer.cancel()
        while self._left:
            server = self._left.pop(0)
            if server not in self._refused and self._ask(server):
                self._timer = self._loop.after(PATIENCE_S, self._next)
                return
        if not self._attempts:
            self._end(self._worst)
            return
        self._timer = self._loop.after(PATIENCE_S, self._give_up)

    def _next(self) -> None:
        if self._left:
            self.begin()
        else:
            self._give_up()

    def _give_up(self) -> None:
        self._end(self._worst)

    def _ask(self, server: str) -> bool:
        kind = socket.SOCK_STREAM if self._is_stream else socket.SOCK_DGRAM
        try:
            made = self._open(server, socket.AF_INET6 if ":" in server else socket.AF_INET, kind)
        except OSError:
            return False  # no descriptor is left, or the namespace is gone
        attempt = Attempt(self, server, made, message.renumbered(self._data, int.from_bytes(os.urandom(2))))
        if not attempt.begin(self._loop, is_stream=self._is_stream):
            made.close()
            return False
        self._attempts[made.fileno()] = attempt
        return True

    def hear(self, attempt: "Attempt", data: bytes) -> None:
        """Take what came from a server; what is no answer to the question is as if it had not come."""
        if not message.answers(data, attempt.number, self._question):
            return
        data = message.renumbered(data, self._question.number)
        if message.code_of(data) in _NO_ANSWERS:
            if data[4:6] == b"\0\1":
                self._worst = data
            self.fail(attempt)
        else:
            self._end(data)

    def fail(self, attempt: "Attempt") -> None:
        """Go on without a server that cannot answer."""
        self._refused.add(attempt.server)
        self._close(attempt)
        self.begin()

    def _close(self, attempt: "Attempt") -> None:
        self._attempts.pop(attempt.talk.fileno(), None)
        self._loop.forget(attempt.talk.fileno())
        attempt.talk.close()

    def abandon(self) -> None:
        """Ask no more, and tell nobody."""
        if self._timer is not None:
            self._timer.cancel()
        for attempt in list(self._attempts.values()):
            self._close(attempt)

    def _end(self, data: bytes) -> None:
        self.abandon()
        self._done(data)


class Attempt:
    """A question that one server was asked."""

    __slots__ = ("_heard", "_loop", "_owner", "_unsent", "number", "server", "talk")

    def __init__(self, owner: Exchange, server: str, made: socket.socket, data: bytes) -> None:
        self._owner, self.server, self.talk = owner, server, made
        self.number: int = _LENGTH.unpack_from(data)[0]
        self._unsent = data
        self._heard = b""

    def begin(self, loop: Loop, *, is_stream: bool) -> bool:
        """Send it, or begin to; tell whether that could be done."""
        self._loop = loop
        try:
            self.talk.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            code = self.talk.connect_ex((self.server, PORT))  # so that the kernel drops what others send
            if code and code not in _NOT_NOW:
                return False
            if is_stream:
                self._unsent = _LENGTH.pack(len(self._unsent)) + self._unsent
                loop.watch(self.talk.fileno(), self._write, WRITE)
            else:
                self.talk.send(self._unsent)
                loop.watch(self.talk.fileno(), self._read_packet)
        except OSError:
            return False
        return True

    def _read_packet(self) -> None:
        try:
            data = self.talk.recv(message.MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._owner.fail(self)  # nobody listens there
            return
        self._owner.hear(self, data)

    def _write(self) -> None:
        try:
            sent = self.talk.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._owner.fail(self)
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.watch(self.talk.fileno(), self._read_stream, READ)

    def _read_stream(self) -> None:
        try:
            data = self.talk.recv(message.MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._heard += data
        if len(self._heard) >= 2 and len(self._heard) - 2 >= _LENGTH.unpack_from(self._heard)[0]:
            self._owner.hear(self, self._heard[2 : 2 + _LENGTH.unpack_from(self._heard)[0]])
            if self.talk.fileno() >= 0:
                self._owner.fail(self)  # it has said something else; there is nothing more to come
        elif not data:
            self._owner.fail(self)
