"""The monitor's eternal life: carrying bytes between a container and those who are attached.

One poll loop, no threads. A reader that is slow slows the container down once
its buffer is full, and a container that does not read its stdin slows down
whoever sends it; a reader that is gone is forgotten; the log gets everything.

Somebody attached may hold the line, as whoever sits at a terminal does: when
all who did so are gone, the terminal is hung up (adr/0020).
"""

import errno
import os
import select
import time

from toolkit.linux import pty, signals, sock
from toolkit.runtime import frames
from toolkit.runtime.doze import Poll
from toolkit.runtime.log import LogWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.runtime.tending import Tending

_CHUNK = 64 * 1024
_MAX_BUFFER = 1024 * 1024
_FLUSH_TIMEOUT_MS = 5000
_MOST_IN_A_PIPE = 2 * 1024 * 1024
"""Twice /proc/sys/fs/pipe-max-size; who still writes (in the host's pid namespace, say) must not hold up the end."""
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NO_ROOM_PAUSE_S = 0.05
_MOST_UNREAD_CHUNKS = 8
"""More than a socket's buffer holds."""
_HANGUP_GRACE_S = 2.0
"""For a shell to save its history; an init that has asked for no SIGHUP gets none, and is killed then."""
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_STREAM_NAMES = {frames.STDOUT: "stdout", frames.STDERR: "stderr"}


class Peer:
    """Someone attached: a socket, what came in and what is still to go out."""

    def __init__(self, connection: sock.Socket, *, output: bool, stdin: bool) -> None:
        connection.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self.sock = connection
        self.fd = connection.fileno()
        self.reader = frames.FrameReader()
        self.out = bytearray()
        self.output = output
        self.stdin = stdin
        self.holds = False
        """The terminal is hung up when this peer is gone."""

    def send(self, data: bytes) -> bool:
        """Send what fits now and keep the rest; tell whether the peer is still there."""
        self.out += data
        return self.flush()

    def flush(self) -> bool:
        """Send more of what is kept."""
        try:
            while self.out:
                del self.out[: self.sock.send(self.out)]
        except BlockingIOError:
            pass
        except OSError as exc:
            if exc.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
            return False
        return True


class Relay:
    """The descriptors of one container, and the loop over them."""

    def __init__(self, log_fd: int, *, stdin_once: bool) -> None:
        self.poll = Poll()
        self.log: LogWriter | None = LogWriter(log_fd) if log_fd >= 0 else None
        self._stdin_once = stdin_once
        self._outputs: dict[int, int] = {}
        self._stdin_fd = -1
        self._stdin_buffer = bytearray()
        self._stdin_is_full = False
        self._stdin_closing = False
        self._master_fd = -1
        self.listener: sock.Socket | None = None
        self._peers: dict[int, Peer] = {}
        self._paused = False
        self._spare_fd = -1
        self._pidfd = -1
        self._is_hung_up = False
        self._kill_at_s = 0.0
        self._children: dict[int, int] = {}

    def await_end(self, fd: int, pid: int) -> None:
        """Reap a child of this process once `fd`, the way to it, says that it has ended."""
        self._children[fd] = pid
        self.poll.register(fd, select.POLLIN)

    def awaits(self, fd: int) -> bool:
        """Tell whether that child still lives, as far as was seen."""
        return fd in self._children

    def add_outputs(self, stdout_fd: int, stderr_fd: int) -> None:
        """Carry what can be read from these two."""
        self._add_output(stdout_fd, frames.STDOUT)
        self._add_output(stderr_fd, frames.STDERR)

    def _add_output(self, fd: int, kind: int) -> None:
        os.set_blocking(fd, False)
        self._outputs[fd] = kind
        self.poll.register(fd, select.POLLIN)

    def set_stdin(self, fd: int) -> None:
        """Carry what peers send as stdin to `fd`; -1: nowhere."""
        self._stdin_fd = fd
        if fd >= 0:
            os.set_blocking(fd, False)

    def set_terminal(self, master_fd: int) -> None:
        """Use a terminal's master for all three streams."""
        self._master_fd = master_fd
        self._add_output(master_fd, frames.STDOUT)
        self._stdin_fd = master_fd

    def listen(self, listener: sock.Socket) -> None:
        """Let others attach through `listener`."""
        self.listener = listener
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._spare_fd = _open_spare()
        self.poll.register(listener.fileno(), select.POLLIN)

    def add_peer(self, peer: Peer) -> None:
        """Attach someone."""
        self._peers[peer.fd] = peer
        self.poll.register(peer.fd, select.POLLIN)

    def is_attached(self, peer: Peer | None) -> bool:
        """Tell whether `peer` is still there."""
        return peer is not None and self._peers.get(peer.fd) is peer

    def run(self, pidfd: int, tending: "Tending | None" = None) -> None:
        """Carry bytes, and do what else is due, until the process behind `pidfd` has ended and its output is read."""
        self.poll.register(pidfd, select.POLLIN)
        self._pidfd = pidfd
        while not self._step(pidfd, tending):
            if tending is not None:
                tending.act()
            self._kill_in_time()
        self._pidfd = -1
        self.poll.unregister(pidfd)
        self._drain()

    def _step(self, pidfd: int, tending: "Tending | None") -> bool:
        ended = False
        wait = self.poll.poll if self._peers else self.poll.rest
        for fd, events in wait(self._patience_ms(tending)):
            if fd == pidfd:
                ended = True
            elif fd in self._outputs and events & _READABLE:
                self._read_output(fd)
            elif self.listener is not None and fd == self.listener.fileno():
                self._accept()
            elif fd in self._peers:
                self._serve(self._peers[fd], events)
            elif fd in self._children:
                self.poll.unregister(fd)
                os.waitpid(self._children.pop(fd), 0)
            elif tending is not None:
                tending.take(fd)
            if fd == self._stdin_fd and events & (select.POLLOUT | select.POLLERR):
                self._write_stdin()
        return ended

    def _patience_ms(self, tending: "Tending | None") -> float | None:
        patience_ms = None if tending is None else tending.patience_ms()
        if not self._kill_at_s:
            return patience_ms
        left_ms = max(0.0, self._kill_at_s - time.monotonic()) * 1000
        return left_ms if patience_ms is None else min(left_ms, patience_ms)

    def _drain(self) -> None:
        """Read what the container wrote last; do not wait for others who hold its pipes."""
        for fd in list(self._outputs):
            left = _MOST_IN_A_PIPE // _CHUNK
            while left and fd in self._outputs and self._read_output(fd):
                left -= 1
                self._wait_for_slow_peers()

    def _read_output(self, fd: int) -> bool:
        kind = self._outputs[fd]
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError as exc:
            if exc.errno != errno.EIO:  # a terminal whose last slave is closed
                raise
            chunk = b""
        if not chunk:
            self._forget_output(fd)
            return False
        if self.log is not None:
            self.log.write(_STREAM_NAMES[kind], chunk)
        data = frames.frame(kind, chunk)
        for peer in [peer for peer in self._peers.values() if peer.output]:
            if peer.send(data):
                self._watch(peer)
            else:
                self._lose(peer)
        self._pace()
        return True

    def _forget_output(self, fd: int) -> None:
        del self._outputs[fd]
        self.poll.unregister(fd)
        if fd != self._master_fd:
            os.close(fd)

    def _pace(self) -> None:
        """Stop reading from the container while a peer's buffer is full; go on when it has room."""
        full = any(len(peer.out) > _MAX_BUFFER for peer in self._peers.values())
        if full != self._paused:
            self._paused = full
            for fd in self._outputs:
                self.poll.modify(fd, 0 if full else select.POLLIN)

    def _wait_for_slow_peers(self) -> None:
        while self._paused:
            ready = self.poll.poll(_FLUSH_TIMEOUT_MS)
            peers = [(self._peers[fd], events) for fd, events in ready if fd in self._peers]
            if not peers:
                for peer in [peer for peer in self._peers.values() if len(peer.out) > _MAX_BUFFER]:
                    self._drop(peer)
            for peer, events in peers:
                self._serve(peer, events)

    def _watch(self, peer: Peer) -> None:
        reads = 0 if peer.stdin and self._stdin_is_full else select.POLLIN
        self.poll.modify(peer.fd, reads | (select.POLLOUT if peer.out else 0))

    def _lose(self, peer: Peer) -> None:
        """Forget a peer that takes nothing any more; what it said before it went still counts."""
        for _ in range(_MOST_UNREAD_CHUNKS):
            if self._peers.get(peer.fd) is not peer:
                return
            self._read_peer(peer)
        self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        if self._peers.pop(peer.fd, None) is None:
            return
        self.poll.unregister(peer.fd)
        peer.sock.close()
        self._pace()
        if peer.stdin and self._stdin_once:
            self.close_stdin()
        if peer.holds and not any(other.holds for other in self._peers.values()):
            self._hang_up()

    def _hang_up(self) -> None:
        """Close the terminal: its foreground processes get SIGHUP, whoever reads it an end, init a moment to end."""
        if self._pidfd < 0 or self._is_hung_up:
            return
        self._is_hung_up = True
        self._kill_at_s = time.monotonic() + _HANGUP_GRACE_S
        master_fd = self._master_fd
        if master_fd < 0:
            return
        if master_fd in self._outputs:
            self._forget_output(master_fd)
        self._unregister(master_fd)
        self._master_fd = self._stdin_fd = -1
        self._stdin_buffer.clear()
        os.close(master_fd)

    def _kill_in_time(self) -> None:
        if self._kill_at_s and time.monotonic() >= self._kill_at_s:
            self._kill_at_s = 0.0
            try:
                signals.pidfd_send_signal(self._pidfd, signals.SIGKILL)
            except ProcessLookupError:
                pass  # it has just ended

    def _accept(self) -> None:
        assert self.listener is not None
        try:
            connection = sock.accept(self.listener)
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as exc:
            if exc.errno not in _NO_ROOM:
                raise
            self._refuse()
            return
        self.add_peer(Peer(connection, output=False, stdin=False))

    def _refuse(self) -> None:
        """Turn away who cannot be served for lack of descriptors; left waiting, it would wake us without end."""
        assert self.listener is not None
        if self._spare_fd < 0:
            time.sleep(_NO_ROOM_PAUSE_S)
        else:
            os.close(self._spare_fd)
            self._spare_fd = -1
        try:
            sock.accept(self.listener).close()
        except OSError as exc:  # somebody else has taken what was free
            if exc.errno not in (*_NO_ROOM, errno.EAGAIN, errno.ECONNABORTED):
                raise
        self._spare_fd = _open_spare()

    def _serve(self, peer: Peer, events: int) -> None:
        if events & select.POLLOUT:
            if not peer.flush():
                self._lose(peer)
                return
            self._watch(peer)
            self._pace()
        if events & _READABLE:
            self._read_peer(peer)

    def _read_peer(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if data:
            peer.reader.feed(data)
            self._take_frames(peer)
        else:
            self._drop(peer)

    def _take_frames(self, peer: Peer) -> None:
        try:
            while self._peers.get(peer.fd) is peer and (received := peer.reader.pop()) is not None:
                kind, content = received
                if kind == frames.STDIN and peer.stdin:
                    self._stdin_buffer += content
                    self._write_stdin()
                elif kind == frames.CONTROL:
                    self._obey(peer, frames.parse_control(content))
        except (ValueError, KeyError, RecursionError):  # not our protocol, or JSON too deep for Python's parser
            self._drop(peer)

    def _obey(self, peer: Peer, message: "dict[str, Any]") -> None:
        operation = message.get("op")
        if operation == "resize" and self._master_fd >= 0:
            pty.set_window_size(self._master_fd, _size(message["rows"]), _size(message["columns"]))
        elif operation == "hold":
            peer.holds = bool(message["on"])
        elif operation == "hang-up":
            self._hang_up()
        elif operation == "close-stdin" and peer.stdin:
            self._stdin_closing = True
            self._write_stdin()
        elif operation == "attach":
            peer.output = bool(message.get("output", True))
            peer.stdin = bool(message.get("stdin", False))
            if peer.send(frames.control({"event": "attached"})):
                self._watch(peer)
            else:
                self._drop(peer)

    def _write_stdin(self) -> None:
        if self._stdin_fd < 0:
            self._stdin_buffer.clear()
            self._pace_stdin()
            return
        try:
            while self._stdin_buffer:
                del self._stdin_buffer[: os.write(self._stdin_fd, self._stdin_buffer[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError as exc:
            if exc.errno not in (errno.EPIPE, errno.EIO):
                raise
            self._stdin_buffer.clear()
        self._watch_stdin()
        self._pace_stdin()
        if self._stdin_closing and not self._stdin_buffer:
            self.close_stdin()

    def _pace_stdin(self) -> None:
        """Stop reading from those who send stdin while the container does not take it; go on when it does."""
        is_full = len(self._stdin_buffer) > _MAX_BUFFER
        if is_full != self._stdin_is_full:
            self._stdin_is_full = is_full
            for peer in self._peers.values():
                if peer.stdin:
                    self._watch(peer)

    def _watch_stdin(self) -> None:
        """Ask to be woken when stdin takes more, only while there is more."""
        wanted = select.POLLOUT if self._stdin_buffer else 0
        if self._stdin_fd in self._outputs:
            self.poll.modify(self._stdin_fd, wanted | (0 if self._paused else select.POLLIN))
        elif wanted:
            self.poll.register(self._stdin_fd, wanted)
        else:
            self._unregister(self._stdin_fd)

    def _unregister(self, fd: int) -> None:
        try:
            self.poll.unregister(fd)
        except KeyError:
            pass  # it was not being watched

    def close_stdin(self) -> None:
        """End the container's stdin; a terminal has no end and waits for whoever attaches next (as moby's attach)."""
        if self._stdin_fd < 0 or self._stdin_fd == self._master_fd:
            return
        self._unregister(self._stdin_fd)
        os.close(self._stdin_fd)
        self._stdin_fd = -1

    def say_goodbye(self, last_frame: bytes) -> None:
        """Send a last frame to everyone and wait, not for ever, until they have it."""
        for peer in list(self._peers.values()):
            if not peer.send(last_frame):
                self._drop(peer)
                continue
            while peer.out:
                waiting = select.poll()
                waiting.register(peer.fd, select.POLLOUT)
                if not waiting.poll(_FLUSH_TIMEOUT_MS) or not peer.flush():
                    break

    def dismiss(self) -> None:
        """Let go of everybody who is attached."""
        for peer in list(self._peers.values()):
            self._drop(peer)

    def leave(self) -> None:
        """Let go of everybody, those included who have connected and were not heard any more."""
        self.dismiss()
        if self.listener is not None:
            self.listener.close()

    def close_log(self) -> None:
        """Write the log's last line and close it."""
        if self.log is not None:
            self.log.close()


def _open_spare() -> int:
    """Keep a descriptor in hand, to accept (and turn away) somebody when there is none left; -1: too late."""
    try:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _size(value: object) -> int:
    """Return a terminal's rows or columns; struct winsize has 16 bits for them."""
    if not isinstance(value, int) or not 0 <= value < 1 << 16:
        raise ValueError(f"no size of a terminal: {value!r}")
    return value
