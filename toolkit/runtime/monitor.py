"""The monitor: parent and reaper of one container's init, owner of its stdio, log and exit status.

It is there before the container is, does nothing while the starter works, takes
over what the starter hands it, and at the end writes the exit record to disk
before anything else.  It needs nobody: whoever asked may go away.

Invariant: until the container ends it runs next to no code.  It lives as long
as the container, and every page that Python touches is memory that it costs.
"""

import json
import os
import select
import socket
import struct
from _socket import AF_UNIX, SOCK_SEQPACKET
from _socket import socket as RawSocket  # noqa: N812 - the class under the standard library's own
from typing import NamedTuple

from toolkit.core import clock
from toolkit.runtime import frames, remains
from toolkit.runtime.meeting import ExitRecord
from toolkit.runtime.relay import Peer, Relay
from toolkit.runtime.request import Request

STARTER_FD = 3
"""The socket to the starter."""
_TIME_BYTES = 30
_MAX_REQUEST = 64 * 1024
_RIGHTS_SPACE = 64


class Handover(NamedTuple):
    """What a starter gives to the monitor; a descriptor is -1 where there is none."""

    pid: int
    pidfd: int
    unused_pid: int
    """The worker that was not used and has been killed: to be reaped; 0 if it is the init."""
    lock_fd: int
    """Holds the lock of the run directory: as long as it is held, this monitor lives."""
    listener_fd: int
    connection_fd: int
    log_fd: int
    stdin_fd: int
    """A terminal's master carries all three."""
    stdout_fd: int
    stderr_fd: int
    is_terminal: bool
    takes_stdin: bool
    stdin_once: bool

    def send(self, monitor: socket.socket, started_at: str, request: bytes) -> None:
        """Pass it on, with the request as it came: it is read again at the end."""
        fds = [self[index] for index in (*_QUIET, *_WATCHED) if self[index] >= 0]
        quiet_bytes = _FD_BYTES * sum(self[index] >= 0 for index in _QUIET)
        socket.send_fds(monitor, [_LAYOUT.pack(quiet_bytes, *self), started_at.encode(), request], fds)

    @classmethod
    def decode(cls, data: bytes, rights: bytes) -> "tuple[Handover, str, bytes]":
        """Return what was sent: itself, with the descriptors as they are called here, the time and the request."""
        _quiet_bytes, *fields = _LAYOUT.unpack_from(data)
        arrived = struct.iter_unpack("i", rights)
        for index in (*_QUIET, *_WATCHED):
            if fields[index] >= 0:
                fields[index] = next(arrived)[0]
                os.set_inheritable(fields[index], False)  # noqa: FBT003 - the standard library's own signature
        rest = _LAYOUT.size + _TIME_BYTES
        return cls(*fields), data[_LAYOUT.size : rest].decode(), data[rest:]


_LAYOUT = struct.Struct("<B10i3?")
_FD_BYTES = 4
_QUIET = (3, 6)
"""The fields of the lock and the log, on which nothing ever happens; they are sent first."""
_WATCHED = (1, 4, 5, 7, 8, 9)


def serve(starter_pid: int) -> None:
    """Be the monitor of what the starter starts, until that has ended.

    The two calls of poll in here are where a monitor spends its life.  One
    whose container does nothing never gets past the first.
    """
    starter = RawSocket(AF_UNIX, SOCK_SEQPACKET, 0, STARTER_FD)
    data, ancillary, _flags, _address = starter.recvmsg(_MAX_REQUEST, _RIGHTS_SPACE)
    starter.recv(1)  # nothing but its end: the starter is gone
    os.waitpid(starter_pid, 0)
    if not data:
        return  # the start has failed, and the starter has said so; its children die with us
    rights = ancillary[0][2]
    poll = select.poll()
    for (fd,) in struct.iter_unpack("i", rights[data[0] :]):
        poll.register(fd, select.POLLIN)
    poll.poll()
    _wake(*Handover.decode(data, rights))


def _wake(handover: Handover, started_at: str, request: bytes) -> None:
    """Something has happened: from here on carry bytes until the end."""
    if handover.unused_pid:
        os.waitpid(handover.unused_pid, 0)
    relay = Relay(handover.log_fd, stdin_once=handover.stdin_once)
    if handover.is_terminal:
        relay.set_terminal(handover.stdin_fd)
    else:
        relay.add_outputs(handover.stdout_fd, handover.stderr_fd)
        relay.set_stdin(handover.stdin_fd)
    if handover.listener_fd >= 0:
        relay.listen(socket.socket(fileno=handover.listener_fd))
    if handover.connection_fd >= 0:
        connection = socket.socket(fileno=handover.connection_fd)
        relay.add_peer(Peer(connection, output=True, stdin=handover.takes_stdin))
    relay.run(handover.pidfd)
    _finish(relay, handover, started_at, request)


def _finish(relay: Relay, handover: Handover, started_at: str, request_bytes: bytes) -> None:
    """Record how the container ended, clear up after it, tell those who are attached."""
    request = Request.from_json(json.loads(request_bytes))
    code = os.waitstatus_to_exitcode(os.waitpid(handover.pid, 0)[1])
    oom_killed = remains.was_oom_killed(request)
    how = ExitRecord(code if code >= 0 else 128 - code, oom_killed, started_at, clock.now())
    remains.record(request, how)
    remains.remove_cgroups(request)
    relay.close_log()
    remains.leave_run_dir(request)
    if handover.lock_fd >= 0:
        os.close(handover.lock_fd)  # all is done: what is left of a --rm container is for whoever takes the lock
    relay.say_goodbye(frames.control({"event": "exited"} | how._asdict()))
    if request.successor and not relay.has_peers:
        os.execv(request.successor[0], request.successor)  # noqa: S606 - the engine's own command
