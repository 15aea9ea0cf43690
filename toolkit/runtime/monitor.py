"""The monitor: parent and reaper of one container's init, owner of its stdio, log and exit status.

A child of the zygote becomes a monitor when a request arrives.  It carries out
the plan, looks after the process, and at the end writes the exit record to
disk before anything else.  It needs nobody: whoever asked may go away.
"""

import errno
import json
import os
import socket
import sys
import time
from typing import Any

from toolkit.core import clock
from toolkit.core.errors import EngineError
from toolkit.linux import lock, process
from toolkit.runtime import channel, frames
from toolkit.runtime.context import Context
from toolkit.runtime.log import LogWriter
from toolkit.runtime.meeting import ATTACH_SOCKET, STATUS_FILE, ExitRecord
from toolkit.runtime.perform import AbortedError, carry_out
from toolkit.runtime.relay import Peer, Relay
from toolkit.runtime.request import Request
from toolkit.runtime.steps import MONITOR
from toolkit.trace import Event, Recorder
from toolkit.trace.recorder import set_current

_CGROUP_REMOVAL_TRIES = 200
_CGROUP_REMOVAL_PAUSE_S = 0.005


class _Requester:
    """Whoever asked, while the plan is carried out: is told and may be asked at gates."""

    def __init__(self, sock: socket.socket, reader: frames.FrameReader) -> None:
        self.sock = sock
        self.reader = reader

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self.sock.sendall(frames.control(message))
        except OSError as exc:
            if exc.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise

    def events(self, events: list[Event]) -> None:
        if events:
            self.tell({"event": "trace", "events": [event.to_json() for event in events]})

    def gate(self, index: int) -> None:
        """Tell that step `index` comes next and wait for the word; a watcher who is gone ends it."""
        self.tell({"event": "gate", "step": index})
        while True:
            data = self.sock.recv(65536)
            if not data:
                raise AbortedError("whoever watched this container being made is gone")
            self.reader.feed(data)
            while (received := self.reader.pop()) is not None:
                operation = json.loads(received[1]).get("op") if received[0] == frames.CONTROL else None
                if operation == "go":
                    return
                if operation == "abort":
                    raise AbortedError("the container was given up half-made, as asked")


def serve(sock: socket.socket) -> None:
    """Be the monitor for the request that comes on `sock`."""
    reader = frames.FrameReader()
    request, lock_fd = _read_request(sock, reader)
    process.set_name(f"monitor {request.id[:7]}")
    Monitor(request, _Requester(sock, reader), lock_fd).run()


def _read_request(sock: socket.socket, reader: frames.FrameReader) -> tuple[Request, int]:
    lock_fd = -1
    while True:
        data, fds, _flags, _address = socket.recv_fds(sock, 65536, 1)
        for fd in fds:
            os.set_inheritable(fd, False)  # noqa: FBT003 - the standard library's own signature
            lock_fd = fd
        if not data:
            os._exit(0)  # whoever connected has changed its mind
        reader.feed(data)
        if (received := reader.pop()) is not None:
            return Request.from_json(json.loads(received[1])), lock_fd


class Monitor:
    """One container (or exec) from its plan to its end."""

    def __init__(self, request: Request, requester: _Requester, lock_fd: int) -> None:
        self._request = request
        self._requester = requester
        self._lock_fd = lock_fd
        """Holds the lock of the run directory: as long as it is held, this monitor lives."""
        self._context = Context()
        self._oom_kills_before = 0

    def run(self) -> None:
        """Carry out the plan, then look after the process until it has ended."""
        request = self._request
        relay = Relay(LogWriter(request.log) if request.log else None, stdin_once=request.stdin_once)
        self._make_pipes(relay)
        try:
            self._carry_out()
        except EngineError as exc:
            self._give_up(exc)
            return
        started_at = clock.now()
        self._enter_service(relay, started_at)
        relay.run(self._context.pidfd)
        _pid, status = os.waitpid(self._context.pid, 0)
        self._finish(relay, status, started_at)

    def _make_pipes(self, relay: Relay) -> None:
        if self._request.tty:
            return
        read_out, write_out = os.pipe()
        read_err, write_err = os.pipe()
        if self._request.stdin:
            read_in, write_in = os.pipe()
            relay.set_stdin(write_in)
        else:
            read_in = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        relay.add_output(read_out, frames.STDOUT)
        relay.add_output(read_err, frames.STDERR)
        self._context.stdio = (read_in, write_out, write_err)

    def _carry_out(self) -> None:
        request = self._request
        if request.trace:
            set_current(Recorder(MONITOR))
        try:
            carry_out(request.plan, self._context, self._requester, gated=request.gated)
        finally:
            if self._context.actor == MONITOR:
                set_current(None)

    def _enter_service(self, relay: Relay, started_at: str) -> None:
        """From here on the container runs: say so on disk, to whoever asked, and to all who ask later."""
        request, context = self._request, self._context
        if context.channel is not None:
            context.channel.close()
        if context.master_fd >= 0:
            relay.set_terminal(context.master_fd)
        if request.run_dir:
            relay.listen(_listen(request.run_dir))
            status = {"pid": context.pid, "monitor": os.getpid(), "started_at": started_at}
            _write_whole(f"{request.run_dir}/{STATUS_FILE}", json.dumps(status))
        greeting = frames.control({"event": "started", "pid": context.pid, "started_at": started_at})
        if request.foreground:
            asker = self._requester
            relay.add_peer(Peer(asker.sock, asker.reader, output=True, stdin=request.stdin), greeting)
        else:
            self._requester.sock.sendall(greeting)
            self._requester.sock.close()

    def _give_up(self, exc: EngineError) -> None:
        """Undo a start that failed, in the order of ownership, then tell why."""
        context = self._context
        if context.pid:
            process.pidfd_send_signal(context.pidfd, 9)
            os.waitpid(context.pid, 0)
        self._remove_cgroups()
        now = clock.now()
        if not isinstance(exc, AbortedError):
            self._record(ExitRecord(exc.exit_code, oom_killed=False, started_at=now, finished_at=now, error=str(exc)))
        self._leave_run_dir()
        self._release()
        self._requester.tell({"event": "failed"} | channel.failure(exc, -1))

    def _finish(self, relay: Relay, status: int, started_at: str) -> None:
        code = os.waitstatus_to_exitcode(status)
        record = ExitRecord(code if code >= 0 else 128 - code, self._was_oom_killed(), started_at, clock.now())
        self._record(record)
        self._remove_cgroups()
        relay.close()
        self._leave_run_dir()
        self._release()
        relay.say_goodbye(frames.control({"event": "exited"} | record._asdict()))
        if self._request.successor and not relay.has_peers:
            os.execv(self._request.successor[0], self._request.successor)  # noqa: S606 - the engine's own command

    def _record(self, record: ExitRecord) -> None:
        if self._request.exit_file:
            _write_whole(self._request.exit_file, json.dumps(record._asdict()))

    def _was_oom_killed(self) -> bool:
        if not self._request.oom_file:
            return False
        try:
            with open(self._request.oom_file) as counters:
                return any(line.startswith("oom_kill ") and int(line.split()[1]) > 0 for line in counters)
        except FileNotFoundError:
            return False

    def _remove_cgroups(self) -> None:
        """Remove the container's groups; what its init left running in them goes first."""
        if not self._request.cgroups:
            return
        if self._request.kill_file:
            try:
                with open(self._request.kill_file, "w") as kill:
                    kill.write("1")
            except OSError as exc:
                if exc.errno not in (errno.ENOENT, errno.ENODEV):
                    raise
        for directory in self._request.cgroups:
            _remove_cgroup(directory)

    def _release(self) -> None:
        """Let go of the lock: all is done, what is left of a --rm container is for whoever takes it."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)

    def _leave_run_dir(self) -> None:
        """Take the runtime files away; with a successor the directory stays as its work order."""
        run_dir = self._request.run_dir
        if not run_dir:
            return
        for name in (ATTACH_SOCKET, STATUS_FILE):
            try:
                os.unlink(f"{run_dir}/{name}")
            except FileNotFoundError:
                pass  # the start failed before it was made
        if not self._request.successor:
            os.rmdir(run_dir)


def _listen(run_dir: str) -> socket.socket:
    """Listen in a directory whose path may be too long for a socket address."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = lock.open_directory(run_dir)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{ATTACH_SOCKET}")
    finally:
        os.close(directory)
    listener.listen(16)
    return listener


def _write_whole(path: str, text: str) -> None:
    """Write a file so that it is seen whole or not at all."""
    temporary = f"{path}.new"
    with open(temporary, "w") as file:
        file.write(text)
    os.rename(temporary, path)


def _remove_cgroup(directory: str) -> None:
    for _try in range(_CGROUP_REMOVAL_TRIES):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as exc:
            if exc.errno != errno.EBUSY:
                raise
            time.sleep(_CGROUP_REMOVAL_PAUSE_S)
        else:
            return
    sys.stderr.write(f"monitor: {directory} is still in use\n")
