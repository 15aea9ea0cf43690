"""The monitor: parent and reaper of one container's init, owner of its stdio, log and exit status.

It is there before the container is, does nothing while the worker works, keeps
what it is handed, and at the end writes the exit record to disk before anything
else.  It needs nobody: whoever asked may go away.

Invariant: until the container ends, or writes something, a monitor runs next to
no code.  It lives as long as the container, and every page that Python touches
is memory that it costs until it sleeps (`doze`), and has to be looked through
then.  `serve` is written for that.
"""

import os
import select
import struct
import time
from _socket import MSG_CMSG_CLOEXEC

from toolkit.core import clock, document
from toolkit.core.errors import StartError
from toolkit.linux import namespace, process, sock
from toolkit.runtime import channel, frames, handover, journal, remains, restart, starter
from toolkit.runtime.doze import Poll
from toolkit.runtime.handover import Handover
from toolkit.runtime.log import TurningLog
from toolkit.runtime.meeting import ExitRecord
from toolkit.runtime.policy import Policy
from toolkit.runtime.relay import Peer, Relay
from toolkit.runtime.request import Request
from toolkit.runtime.tending import Tending
from toolkit.trace import wire

CHANNEL_FD = 4
"""The socket to the worker."""
MAKER_FD = 3
"""The socket to the keeper that has borne it, if there is one."""
POLLIN = select.POLLIN
_MAX_PACKET = 128 * 1024
_RIGHTS_SPACE = 64


def serve(pid: int, helper: int = 0, channel_fd: int = CHANNEL_FD, maker: int = 0, *, is_warm: bool = False) -> bool:  # noqa: C901, PLR0912, PLR0915 - each call more would cost pages: see above
    """Be the monitor of the process `pid`, until that has ended.

    The two waits in here are where a monitor spends its life; one whose
    container does nothing, and is watched by nobody, never gets past the second.

    Args:
        pid: the worker in reserve; 0: who it is will be told.
        helper: a starter to be reaped when it has handed over.
        channel_fd: the socket to the worker.
        maker: the keeper that has borne it, see `stem`, and ends when MAKER_FD is closed; 0: there is none.
        is_warm: this process has been a monitor before.

    Returns:
        Whether this process, and the keeper, can be of use once more.
    """
    packets = sock.adopt(channel_fd, sock.SOCK_SEQPACKET)
    poll = Poll()
    poll.register(channel_fd, 0)  # its end alone: who is woken for each packet is put beside the worker, and in its way
    handed = rights = started = status = foretold = executing = terminal = kind = b""
    while True:
        data, ancillary, _flags, _address = packets.recvmsg(_MAX_PACKET, _RIGHTS_SPACE, MSG_CMSG_CLOEXEC)
        kind = data[:1]
        if kind == b"H":
            handed, rights = data, ancillary[0][2]
        elif kind == b"S":
            started = data[1:]
            if handed[handover.ATTACHED_AT] and not is_warm:
                _get_warm(handed, rights)
            poll.poll()
        elif kind == b"N":
            status = data[1:]
        elif kind == b"J":
            foretold = data[1:]
        elif kind == b"E":
            executing = data
        elif kind == b"T":
            terminal = ancillary[0][2]
        elif kind == b"P":
            before, pid = pid, int(data[1:])
            if before not in (0, pid):
                os.waitpid(before, 0)  # its maker, in whose place it is
        else:
            break
    if helper:
        os.waitpid(helper, 0)
    if kind or not executing:
        packets.close()
        if maker:
            os.close(MAKER_FD)
            os.waitpid(maker, 0)
        _serve_unusual(data, ancillary[0][2] if ancillary else b"", (handed, rights), pid)
        return False
    (connection,) = struct.unpack_from("i", rights, handed[2])
    if status:
        os.rename(status + b".new", status)
    if foretold:
        journal.happened(foretold)
    if len(executing) > 1:
        started = _exec_frame(executing) + started
    mounts = _keep_mounts(pid) if handed[handover.KEEPS_AT] else -1
    try:
        os.write(connection, started)
    except BrokenPipeError:
        pass  # whoever asked has left; the container stays
    if maker and not handed[handover.ATTACHED_AT]:
        os.close(MAKER_FD)
        os.waitpid(maker, 0)
        maker = 0
    pidfd = os.pidfd_open(pid)
    poll.unregister(channel_fd)
    poll.register(pidfd, POLLIN)
    for (fd,) in struct.iter_unpack("i", rights[handed[1] :] + terminal):
        poll.register(fd, POLLIN)
    if not handed[handover.TENDED_AT] and not handed[handover.ATTACHED_AT]:  # who is attached waits for each touch
        while not poll.rest():
            pass
    return _wake(Handover.decode(handed, rights), terminal, pid, pidfd, maker, mounts)


def _keep_mounts(pid: int) -> int:
    """Return what keeps a process's mounts when it has ended, -1 where it has ended already.

    Else its end would be known first when they are gone, and what else is to be written to the disk below its files
    is written (an overlay syncs all of it).
    """
    try:
        return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _exec_frame(executing: bytes) -> bytes:
    """Return the event of an execve that has just worked, as a frame."""
    (event,) = wire.decode(executing[1:])
    if event.cost_ns == 0:
        event = event._replace(cost_ns=time.monotonic_ns() - event.start_ns)
    return frames.trace([event])


def _serve_unusual(data: bytes, rights: bytes, handed: tuple[bytes, bytes], pid: int) -> None:
    """Go on where the worker did not become the program."""
    kind = data[:1]
    fds = list(struct.unpack(f"{len(rights) // 4}i", rights))
    if kind == handover.OUTSIDE:
        os.waitpid(pid, 0)
        namespace.bear_children_here()  # not beside the worker
        begin_outside(data[1:], fds)
    elif kind == handover.FAILED:
        os.waitpid(pid, 0)
        order = document.decode(data[1:])
        if handed[0]:  # the lock came with it, and the request; the worker has them no longer
            made = Handover.decode(*handed)
            fds.append(made.lock_fd)
            order["request"] = made.request.hex()
        _undo(order, fds)
    elif handed[0] and pid:
        os.waitpid(pid, 0)  # it was killed in the middle: so is what it had begun, by whoever finds the lock free
        made = Handover.decode(*handed)
        request = Request.decode(made.request)
        if not request.run_dir:  # an exec has none, and nobody would tell
            died = StartError("the process died while it was being set up", hint="see the container's limits")
            remains.undo(request, died, -1, sock.adopt(made.connection_fd))


def begin_outside(request: bytes, fds: list[int]) -> None:
    """Be the monitor of a process that somebody outside of its namespaces has to make.

    Args:
        request: as it came.
        fds: the connection to whoever asked, and the lock of the run directory if there is one.
    """
    asked = Request.decode(request)
    if not asked.run_dir:
        _execute(request, fds)
        return
    if asked.undertaker:
        process.set_child_subreaper(1)  # another runtime makes the container's first process, and ends
    ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
    helper = os.fork()
    if helper == 0:
        ours.close()
        starter.begin(request, fds, theirs)
    theirs.close()
    for fd in fds:
        os.close(fd)
    serve(0, helper, ours.detach())


def _execute(request: bytes, fds: list[int]) -> None:
    """Make one more process in a container ourselves: an exec does not live so long that a helper would pay."""
    start = starter.Start(request, fds)
    made = start.make()
    if made is None:
        return
    started = made.started(start.pid)
    if start.executing:
        started = _exec_frame(b"E" + start.executing) + started
    try:
        os.write(made.connection_fd, started)
    except BrokenPipeError:
        pass  # as in `serve`
    terminal = struct.pack("i", start.master_fd) if start.master_fd >= 0 else b""
    _wake(made, terminal, start.pid, start.pidfd)


def _undo(document: channel.Message, fds: list[int]) -> None:
    """Clear up after a start that failed, in the order of ownership; then tell why."""
    request = Request.decode(bytes.fromhex(document["request"]))
    connection = sock.adopt(fds[0])
    remains.undo(request, channel.error_of(document["failed"]), fds[1] if len(fds) > 1 else -1, connection)


def _wake(handed: Handover, terminal: bytes, pid: int, pidfd: int, maker: int = 0, mounts: int = -1) -> bool:
    """Something has happened: from here on carry bytes until the end; return what `serve` does."""
    relay = Relay(handed.log_fd, stdin_once=handed.stdin_once)
    if maker:
        relay.await_end(MAKER_FD, maker)
    if terminal:
        relay.set_terminal(struct.unpack("i", terminal)[0])
    elif not handed.is_terminal:
        relay.add_outputs(handed.stdout_fd, handed.stderr_fd)
        relay.set_stdin(handed.stdin_fd)
    if handed.listener_fd >= 0:
        relay.listen(sock.adopt(handed.listener_fd))
    asker: Peer | None = None
    if handed.stays_attached:
        asker = Peer(sock.adopt(handed.connection_fd), output=True, stdin=handed.takes_stdin)
        relay.add_peer(asker)
    else:
        os.close(handed.connection_fd)
    request = Request.decode(handed.request)
    wants_restart = False
    if handed.is_tended:
        wants_restart = _tend(relay, handed, request, pid, pidfd)
    else:
        relay.run(pidfd)
    is_free = _finish(relay, handed, request, pid, asker, mounts, wants_restart=wants_restart)
    return is_free and relay.awaits(MAKER_FD)


def _get_warm(handed: bytes, rights: bytes) -> None:
    """Touch what the end will touch while nobody waits for it: whoever is attached waits for each page then."""
    made = Handover.decode(handed, rights)
    remains.was_oom_killed(Request.decode(made.request))
    _goodbye(ExitRecord(0, oom_killed=False, started_at=made.started_at, finished_at=clock.now()))
    relay = Relay(-1, stdin_once=False)
    ours, theirs = sock.pair(sock.SOCK_STREAM)
    ended, writer = os.pipe()
    os.close(writer)
    relay.add_outputs(os.dup(ended), os.dup(ended))
    relay.set_stdin(-1)
    relay.add_peer(Peer(ours, output=True, stdin=False))
    relay.run(ended)
    relay.say_goodbye(b".")
    relay.dismiss()
    os.close(ended)
    theirs.close()


def _goodbye(how: ExitRecord) -> bytes:
    """Return the last frame that those who are attached get."""
    return frames.control({"event": "exited"} | how._asdict())


def _tend(relay: Relay, handed: Handover, request: Request, pid: int, pidfd: int) -> bool:
    """Carry bytes and do what else is due; tell whether the container is to be started again because it was unwell."""
    if request.log_keeping:
        max_bytes, max_files, attributes = request.log_keeping
        relay.log = TurningLog(handed.log_fd, request.log, max_bytes, max_files, attributes)
    if request.care is None:
        relay.run(pidfd)
        return False
    tending = Tending(request, pid, relay.poll, begin_outside)
    try:
        relay.run(pidfd, tending)
    finally:
        tending.close()
    return tending.wants_restart


def _finish(
    relay: Relay, handed: Handover, request: Request, pid: int, asker: Peer | None, mounts: int, *, wants_restart: bool
) -> bool:
    """Record how the container ended, clear up after it, tell those who are attached; tell whether that was all."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    oom_killed = remains.was_oom_killed(request)
    how = ExitRecord(code if code >= 0 else 128 - code, oom_killed, handed.started_at, clock.now())
    goodbye = _goodbye(how)
    if request.successor and not request.is_kept and _is_left_to(asker, relay, goodbye):
        remains.remove_cgroups(request)
        os.close(handed.lock_fd)
        relay.leave()
        _close(mounts)
        return True
    remains.record(request, how)
    relay.close_log()
    again = restart.after(request, how, is_wanted=wants_restart)
    if again is not None and restart.announce(request, how, again):
        _restart(relay, request, how, again, handed.lock_fd, mounts)
        return False
    remains.remove_cgroups(request)
    claim = remains.claim_files(request) if mounts >= 0 else -1
    remains.leave_run_dir(request)
    remains.note_end(request, how)
    _close(handed.lock_fd)  # all is done: what is left of a --rm container is for whoever takes the lock
    relay.say_goodbye(goodbye)
    relay.leave()  # nobody waits for what is left to do
    _close(mounts)
    _close(claim)
    if request.successor:
        os.execv(request.successor[0], request.successor)  # noqa: S606 - the engine's own command
    return True


def _is_left_to(asker: Peer | None, relay: Relay, goodbye: bytes) -> bool:
    """Tell whether the one who started a --rm container is still there, and has been told: the rest is for it.

    It removes the files, how it ended included, while we remove its groups and
    let go of the lock.  Should one of us be killed before, the next
    command does it.
    """
    if relay.is_attached(asker):
        relay.say_goodbye(goodbye)
    return relay.is_attached(asker)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _restart(relay: Relay, request: Request, how: ExitRecord, policy: Policy, lock_fd: int, mounts: int) -> None:
    """Tell those who are attached that it has ended; start it again when its time has come."""
    remains.remove_cgroups(request)
    remains.note_end(request, how)
    relay.say_goodbye(_goodbye(how))
    relay.dismiss()
    _close(mounts)
    if restart.wait_out(request, policy, relay.listener):
        restart.succeed(request, policy, lock_fd)
    remains.leave_run_dir(request)
    os.close(lock_fd)
