"""The process that all others of a virtual machine die with.

It starts qemu and the virtiofsds as its children, each of which the kernel
kills when it ends (PR_SET_PDEATHSIG); and it ends when the other end of its
socket is closed, which the death of whoever holds it does.  So a machine
leaves no process behind, whichever of them is killed; and it has no file.

It is a process of its own because a notebook's kernel has threads: such a
process must not fork, and its children would get the signal of a thread's end.
"""

import json
import os
import select
import signal
import sys
from typing import NamedTuple, NoReturn

from toolkit.core.errors import EngineError
from toolkit.linux import process
from toolkit.linux.mount import (
    AT_FDCWD,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_REC,
    mount,
    mount_setattr,
)
from toolkit.linux.namespace import CLONE_NEWNS, unshare

_NOT_STARTED = 127


class Program(NamedTuple):
    """A process of the machine."""

    name: str
    argv: tuple[str, ...]
    fds: tuple[int, ...]
    """What it inherits, under the same numbers; stdout and stderr are the keeper's."""
    sees_read_only: bool = False
    """It has a mount namespace in which nothing can be written, to whatever file system."""


def main() -> None:
    """Start what argv[2] lists, and stay until nobody has the other end of the socket argv[1], or qemu has ended."""
    link = int(sys.argv[1])
    programs = [Program(*fields) for fields in json.loads(sys.argv[2])]
    children: dict[int, tuple[str, int]] = {}
    """By descriptor (pidfd): name and process id."""
    try:
        for program in programs:
            pid = _start(program)
            children[process.pidfd_open(pid)] = (program.name, pid)
        for fd in {fd for program in programs for fd in program.fds}:
            os.close(fd)  # so that those at the other ends see when qemu is gone
        _wait(link, children)
    finally:
        for _, pid in children.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _wait(link: int, children: dict[int, tuple[str, int]]) -> None:
    """Return when the caller is gone, or a program, without which the others are of no use."""
    poll = select.poll()
    for fd in (link, *children):
        poll.register(fd, select.POLLIN)
    for fd, _ in poll.poll():
        if fd != link:
            name, pid = children.pop(fd)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if code != 0:
                sys.stderr.write(f"{name} ended with {code}\n")


def _start(program: Program) -> int:
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(program, keeper)
    return pid


def _become(program: Program, keeper: int) -> NoReturn:
    try:
        process.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != keeper:  # it died before the signal was set
            os._exit(_NOT_STARTED)
        if program.sees_read_only:
            _make_read_only()
        process.close_on_exec_from(3)
        for fd in program.fds:
            os.set_inheritable(fd, True)  # noqa: FBT003 - the standard library's own signature
        os.execv(program.argv[0], program.argv)  # noqa: S606 - to become it is the purpose
    except (EngineError, OSError) as exc:
        sys.stderr.write(f"{program.name} cannot be started: {exc}\n")
        sys.stderr.flush()
    os._exit(_NOT_STARTED)


def _make_read_only() -> None:
    """Leave the mounts of the others, and make every one of the copies read-only."""
    unshare(CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount_setattr(AT_FDCWD, "/", recursive=True, set_attrs=MOUNT_ATTR_RDONLY)


def command_line(link: int, programs: list[Program]) -> list[str]:
    """Return the command line of a keeper for these programs."""
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = f"import sys; sys.path.insert(0, {source!r}); from toolkit.vm.keeper import main; main()"
    return [sys.executable, "-I", "-S", "-c", program, str(link), json.dumps(programs)]
