"""What /proc says about a student's processes, for checks."""

import os
import signal
import subprocess
import time
from typing import NamedTuple

from toolkit.core.errors import SyscallError
from toolkit.linux import namespace, procfs
from toolkit.linux.mount import unescaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_POLL_S = 0.02


class Finished(NamedTuple):
    """A program that was run and has ended."""

    exit_code: int | None
    """Negative where a signal has ended it; None: it had to be ended at its time limit."""
    output: str


def pids() -> list[int]:
    """Return the pids of all processes that can be seen."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())


def running(program: str) -> list[int]:
    """Return the pids of the processes that run a program file, whatever they see as its path."""
    wanted = os.stat(program)
    return [pid for pid in pids() if _is_same(f"/proc/{pid}/exe", wanted)]


def has_root(pid: int, directory: str) -> bool:
    """Tell whether a process sees a directory of ours as its `/`."""
    return _is_same(f"/proc/{pid}/root", os.stat(directory))


def _is_same(path: str, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), wanted)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def status(pid: int | str) -> dict[str, str]:
    """Return /proc/PID/status by name; empty where the process is gone."""
    try:
        lines = procfs.read(f"/proc/{pid}/status").splitlines()
    except SyscallError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def program(pid: int | str) -> str:
    """Return the first two words of a process's command line, without directories; "none" where there are none."""
    try:
        words = procfs.read(f"/proc/{pid}/cmdline").split("\0")
    except SyscallError:
        return "none"
    return " ".join(os.path.basename(word) for word in words[:2]) or "none"


def numbers(pid: int) -> list[int]:
    """Return a process's number in each pid namespace that it has one in, from ours inwards; empty: it is gone."""
    return [int(word) for word in status(pid).get("NSpid", "").split()]


def inside(first: int) -> list[int]:
    """Return the pids, as we see them, of all processes in the pid namespace of a process."""
    wanted = namespaces(first).get("pid")
    return [pid for pid in pids() if wanted and namespaces(pid).get("pid") == wanted]


def zombies(first: int) -> list[int]:
    """Return the children of a container's processes that have ended and that nobody has waited for.

    A zombie has no namespaces any more: it is known by its parent.
    """
    members = {str(pid) for pid in inside(first)}
    return [pid for pid in pids() if (found := status(pid)).get("State", "")[:1] == "Z" and found["PPid"] in members]


def namespaces(pid: int | str) -> dict[str, int]:
    """Return the inode of each namespace of a process; empty where it is gone."""
    try:
        return namespace.namespace_inodes(pid)
    except (SyscallError, FileNotFoundError, ProcessLookupError):
        return {}


def mount_points(pid: int | str) -> list[str]:
    """Return the mount points that a process sees; empty where it is gone."""
    try:
        lines = procfs.read(f"/proc/{pid}/mountinfo").splitlines()
    except SyscallError:
        return []
    return [unescaped(line.split()[4]) for line in lines]


def host_name(pid: int) -> str:
    """Return the host name that a process sees.  Moves this process into its UTS namespace: ours is a check's own."""
    fd = os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespace.setns(fd, namespace.CLONE_NEWUTS)
    finally:
        os.close(fd)
    return os.uname().nodename


def wait_until(claim: "Callable[[], bool]", limit_s: float = 2.0) -> bool:
    """Look again and again until something is so; tell whether it is before the limit."""
    deadline = time.monotonic() + limit_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def run(
    argv: "Sequence[str]", directory: str, *, limit_s: float = 10.0, env: "Mapping[str, str] | None" = None
) -> Finished:
    """Run a program of a student's, and end it and all that it has started at the limit."""
    process = subprocess.Popen(
        argv,
        cwd=directory,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit_s)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        code = None
    return Finished(code, output)
