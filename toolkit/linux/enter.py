"""Running a program in namespaces of other processes, in a child: what nsenter does, with its calls told.

    run_in({"net": 4711, "uts": 4711}, ("hostname",))

The caller may have threads, which setns(2) forbids for some kinds; so a small
program of its own joins, and becomes the command.  It has the powers of the
caller, and shows nobody its memory or its program while it is on its way
(CVE-2019-5736): in the pid namespace of a container it would be seen there.
"""

import errno
import json
import os
import signal
import sys
from typing import NamedTuple

from toolkit.core.errors import InvalidError, SyscallError, UnsupportedError
from toolkit.linux import namespace, process
from toolkit.trace import recording, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

_ORDER = ("cgroup", "ipc", "uts", "net", "pid", "time", "mnt", "user")
"""The user namespace last: with it go the powers to join those that are not its own.  Files before it: see setns(2)."""
_BORN = frozenset({"pid", "time"})
"""Joined by the children of the caller, and not by itself."""
_MAX_OUTPUT_BYTES = 64 * 1024
_SOURCE_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
_PROGRAM = f"import sys; sys.path.insert(0, {_SOURCE_ROOT!r}); from toolkit.linux.enter import main; main(sys.argv[1:])"
_NOT_FOUND, _NOT_EXECUTABLE, _FAILED = 127, 126, 125
TIMED_OUT = 124


class Entered(NamedTuple):
    """What came of a command in other namespaces."""

    exit_code: int
    """128 and the signal's number where one ended it; 124: it took too long; 127 and 126 as a shell has them."""
    output: str
    """What it wrote, stdout and stderr as they came; cut off after 64 KiB."""
    calls: tuple[str, ...]
    """How it got there, as strace prints it."""


def run_in(targets: "Mapping[str, int]", command: "Sequence[str]", *, timeout_s: float = 10.0) -> Entered:
    """Run a command in chosen namespaces and wait for it.

    Args:
        targets: for each kind to be joined ("net", "mnt", ...) the pid of a process that is in it.
        command: the program and its arguments; looked for among the files of the mnt namespace that is joined.
        timeout_s: seconds after which it is killed.

    Raises:
        InvalidError: no command, or a kind that there is not.
        UnsupportedError: this kernel lacks the kind.
        SyscallError: ENOENT where the process is gone, EPERM without CAP_SYS_ADMIN.
    """
    if not command:
        raise InvalidError("no command to run", hint="such as hostname")
    unknown = sorted(targets.keys() - namespace.KINDS.keys())
    if unknown:
        raise InvalidError(f"no such kind of namespace: {', '.join(unknown)}", hint=f"one of {', '.join(_ORDER)}")
    fds: list[int] = []
    try:
        places = [kind for kind in _ORDER if kind in targets]
        fds += (_open(targets[kind], kind) for kind in places)
        return _run(
            [f"{kind}:{fd}:{targets[kind]}" for kind, fd in zip(places, fds, strict=True)], fds, command, timeout_s
        )
    finally:
        for fd in fds:
            os.close(fd)


def _open(pid: int, kind: str) -> int:
    path = f"/proc/{pid}/ns/{kind}"
    hints = {errno.ENOENT: "the process is gone", errno.EACCES: "run as root"}
    try:
        with span("namespace.open", f'openat(AT_FDCWD, "{path}", O_RDONLY|O_CLOEXEC)', hints) as here:
            return here.returns(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except SyscallError as exc:
        if exc.errno == errno.ENOENT and os.path.exists(f"/proc/{pid}/ns"):
            message = f"this kernel has no {kind} namespaces"
            raise UnsupportedError(message, hint="leave that one out") from exc
        raise


def _run(places: "Sequence[str]", fds: "Sequence[int]", command: "Sequence[str]", timeout_s: float) -> Entered:
    import subprocess

    reader, writer = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(writer), *places, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(writer, *fds),
            start_new_session=True,
        )
    finally:
        os.close(writer)
    try:
        output, is_late = _read(child, timeout_s)
        with open(reader, "rb", closefd=False) as report:
            told = json.loads(report.read() or b"{}")
    finally:
        os.close(reader)
    if "errno" in told:
        raise SyscallError(told["call"], told["errno"], hint=told["hint"])
    code = child.returncode
    return Entered(TIMED_OUT if is_late else 128 - code if code < 0 else code, output, tuple(told.get("calls", ())))


def _read(child: "subprocess.Popen[bytes]", timeout_s: float) -> tuple[str, bool]:
    """Read to the end, up to a limit of bytes and seconds; end whatever is left of it then."""
    import select
    import subprocess
    import time

    deadline, content, is_late = time.monotonic() + timeout_s, b"", False
    assert child.stdout is not None
    try:
        while len(content) < _MAX_OUTPUT_BYTES:
            ready, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
            is_late = not ready
            chunk = os.read(child.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                break
            content += chunk
        if not is_late and len(content) < _MAX_OUTPUT_BYTES:
            child.wait(max(0.1, deadline - time.monotonic()))  # who closes its output may go on
    except subprocess.TimeoutExpired:
        is_late = True
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all have ended
        child.stdout.close()
        child.wait()
    return content[:_MAX_OUTPUT_BYTES].decode(errors="replace"), is_late


# In the child


def main(arguments: "list[str]") -> None:
    """Join, and become the command: FD of the report, KIND:FD:PID for each, "--", the command."""
    place = arguments.index("--")
    report, command = int(arguments[0]), arguments[place + 1 :]
    process.set_parent_death_signal(signal.SIGKILL)
    process.set_dumpable(0)
    targets = [each.split(":") for each in arguments[1:place]]
    with recording() as recorder:
        try:
            for kind, fd, _pid in targets:
                namespace.setns(int(fd), namespace.KINDS[kind])
        except SyscallError as exc:
            _tell(report, {"call": exc.call, "errno": exc.errno, "hint": exc.hint})
            os._exit(_FAILED)
    calls = [
        event.strace().replace(f"setns({fd},", f"setns({fd}</proc/{pid}/ns/{kind}>,")
        for event, (kind, fd, pid) in zip(recorder.events, targets, strict=True)
    ]
    _tell(report, {"calls": calls})
    for _kind, fd, _pid in targets:
        os.close(int(fd))
    kinds = {kind for kind, _fd, _pid in targets}
    if "user" in kinds:
        process.setgroups(())
        process.setresgid(0)
        process.setresuid(0)
    if kinds & _BORN:
        _wait_as(os.fork())
        process.set_parent_death_signal(signal.SIGKILL)
    _become(command)


def _tell(report: int, message: object) -> None:
    os.write(report, json.dumps(message).encode())
    os.close(report)


def _wait_as(pid: int) -> None:
    """In the parent, end as the child does; in the child, go on."""
    if pid:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os._exit(128 - code if code < 0 else code)


def _become(command: "list[str]") -> None:
    try:
        os.execvp(command[0], command)  # noqa: S606 - this is what was asked for
    except OSError as exc:
        os.write(2, f"{command[0]}: {exc.strerror}\n".encode())
        os._exit(_NOT_FOUND if exc.errno in (errno.ENOENT, errno.ENOTDIR) else _NOT_EXECUTABLE)
