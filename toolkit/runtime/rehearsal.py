"""Going through a start before anyone asks for one, where that changes nothing.

After a fork each page that Python writes to (reference counts, and what the
interpreter learns of the code it runs) must be copied: 3 us, and 4 KB of the
process's own.  A zygote rehearses what its children will do, so that they find
pages that need no write; a worker, which waits with time to spare, once more,
so that whoever asks does not wait for the copies.
"""

import os

from toolkit.core.errors import EngineError
from toolkit.linux import capability, signals, sock
from toolkit.runtime import handover, monitor, steps
from toolkit.runtime.context import Context
from toolkit.runtime.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.trace import Event

_TIMES = 4
_REQUEST = Request(id="rehearsal", cgroups=("/proc/self/none",), foreground=True).encode()
_ROOT = "/proc/self"
"""Takes no new file, and its directories no mount of an unknown kind: there every step is refused."""
_STEPS = steps.encode(
    (
        steps.CreateCgroup(("/proc/self/none",), (("/proc/self/none/pids.max", "10"),)),
        steps.JoinCgroup(("/proc/self/none/tasks",)),
        steps.MountOverlay(("/none",), "/none", "/none", (), "/proc/self/none"),
        steps.MountFilesystem("/fdinfo", "none", "none", 0, ""),
        steps.MakeDevices((("/fdinfo/none", "c", 1, 3, 0o666, 0, 0),)),
        steps.LinkDevices((("none", "none"),)),
        steps.ReadonlyPath("/none"),
        steps.MaskPath("/none"),
        steps.WriteSysctls((("none", "0"),)),
        steps.ConnectStdio(),
        steps.ChangeDirectory("/"),
        steps.LoadSeccomp("", 0, 0, ""),
        steps.BoundCapabilities(capability.ALL),
        steps.SetUser(0, 0, (), 0o022, keep_capabilities=False),
        steps.Exec(("none",), ("PATH=/none",)),
    )
)


class _Nobody:
    """Reports that nobody reads."""

    def born(self, pid: int) -> None:
        """Never called."""

    def is_heard(self) -> bool:
        """Never called."""
        return False

    def master(self, fd: int) -> None:
        """Never called."""

    def executing(self, event: "Event | None") -> None:
        """Never called."""

    def failed(self, message: "dict[str, object]") -> None:
        """Never called."""


def rehearse() -> None:
    """Rehearse workers and monitors, in a zygote."""
    ignored = signals.signal(signals.SIGCHLD, signals.SIG_DFL)  # else there would be nobody to wait for
    before = _open_fds()
    for _again in range(_TIMES):
        rehearse_worker()
        rehearse_monitor()
    for fd in _open_fds() - before:  # a monitor leaves its own to the end of its process
        try:
            os.close(fd)
        except OSError:
            pass  # the descriptor of the listing itself
    signals.signal(signals.SIGCHLD, ignored)


def _open_fds() -> set[int]:
    return set(map(int, os.listdir("/proc/self/fd")))


def rehearse_worker() -> None:
    """Make what a monitor needs and throw it away; try steps that must fail."""
    request = Request.decode(_REQUEST)
    ours, theirs = sock.pair(sock.SOCK_STREAM)
    made, stdio = handover.prepare(request, _REQUEST, ours, -1)
    made.send(theirs)
    made.announce(theirs, os.getpid())
    ours.close()
    theirs.close()
    for fd in {fd for fd in (*made.fds, *stdio) if fd >= 0 and fd != made.connection_fd}:
        os.close(fd)
    context = Context(steps.INIT, _Nobody(), (0, 1, 2))
    context.root_fd = os.open(_ROOT, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for step in [steps.decode(_STEPS) for _again in range(_TIMES)][-1]:  # as many as a plan has
        steps.about(step)
        try:
            step.apply(context)
        except EngineError:
            pass  # as it should be
    os.close(context.root_fd)


def rehearse_monitor() -> None:
    """Be the monitor of a process that says one word and ends."""
    request = Request(id="rehearsal", foreground=True, oom_file="/proc/self/limits")
    asker, connection = sock.pair(sock.SOCK_STREAM)
    channel, of_worker = sock.pair(sock.SOCK_SEQPACKET)
    made, stdio = handover.prepare(request, request.encode(), connection, -1)
    log = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.write(stdio[1], b".")
        os._exit(0)
    made._replace(log_fd=log).send(of_worker)
    made.announce(of_worker, pid)
    handover.send(of_worker, handover.EXECUTING)
    of_worker.close()
    for fd in (log, *stdio, made.stdout_fd, made.stderr_fd):
        os.close(fd)
    connection.close()
    monitor.serve(pid, channel_fd=channel.detach())
    asker.close()
