"""Lab 1: what the kernel says about the student's container.

The container is known by its program: the `sleep` of the student's own rootfs,
which the kernel shows as /proc/PID/exe whatever the process itself sees.
"""

import os
import signal
import subprocess
import sys

from toolkit.lab import Look, evidence, task
from toolkit.lab.rootfs import make_rootfs
from toolkit.linux import namespace

TITLE = "A container in 40 lines"
MINUTES = 60
RUN_S = 25
NEEDS = ("own view of uts", "own view of pid", "own view of mnt", "own view of ipc", "files from a root of its own")

_PROGRAM = "box.py"
_SLEEP = "rootfs/usr/bin/sleep"


def _box(look: Look) -> int:
    """Return the pid of the student's container: the newest process that runs the sleep of the rootfs."""
    _leave_the_notebook_alone(look)
    program = look.path(_SLEEP)
    evidence.wait_until(lambda: bool(evidence.running(program)), 1.0)
    found = evidence.running(program)
    look.must("processes that run the sleep of your rootfs", 1, len(found))
    return found[0]


def _leave_the_notebook_alone(look: Look) -> None:
    """Claim that the notebook's own process was not moved: what it starts from then on would be, too."""
    if not look.kernel_pid:
        return
    own = evidence.namespaces(look.kernel_pid)
    outside = evidence.namespaces(evidence.status(look.kernel_pid).get("PPid", "self"))
    moved = [kind for kind in ("uts", "mnt", "ipc") if outside and own.get(kind) != outside.get(kind)]
    if moved:
        look.must("namespaces into which the notebook itself has moved (restart the kernel)", "none", ", ".join(moved))


def _claim_own(look: Look, pid: int, kind: str, what: str, points: float = 0.0) -> None:
    theirs, ours = evidence.namespaces(pid).get(kind), evidence.namespaces("self").get(kind)
    shown = "the machine's" if theirs == ours else "its own"
    look.must(what, "its own", shown, points=points)


@task(
    "L1.1",
    points=2,
    title="A name of its own",
    hints=[
        "Two calls: one gives the process a new view, the other changes what is seen in it.",
        "`unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS)` makes four new namespaces at once.",
        'Then `sethostname("box")`. Both are imported at the top of box.py already.',
    ],
)
def own_name(look: Look) -> None:
    """Look at the host name that the process sees."""
    pid = _box(look)
    _claim_own(look, pid, "uts", "its view of the host name", points=1)
    _claim_own(look, pid, "ipc", "its view of shared memory")
    look.expect("the host name inside", "box", evidence.host_name(pid))


@task(
    "L1.2",
    points=2,
    title="Process number 1",
    after=["L1.1"],
    hints=[
        "`unshare(CLONE_NEWPID)` does not move the process that calls it. Who is the first in the new namespace?",
        "The first child. So `pid = os.fork()`; in the child (where it returns 0) go on, in the parent wait.",
        "Parent: `_, status = os.waitpid(pid, 0)`, then `sys.exit(os.waitstatus_to_exitcode(status))`.",
    ],
)
def first_process(look: Look) -> None:
    """Look at the process's number inside, and at who waits outside."""
    pid = _box(look)
    numbers = evidence.numbers(pid)
    depth = len(evidence.numbers(os.getpid()))
    look.must("pid namespaces that it has a number in, more than this notebook", 1, len(numbers) - depth)
    look.must("its number inside", 1, numbers[-1], points=1)
    parent = evidence.status(pid).get("PPid", "0")
    waiting = evidence.program(parent)
    look.expect("the process that waits for it outside", _PROGRAM, waiting, holds=_PROGRAM in waiting)


@task(
    "L1.3",
    points=3,
    title="A root of its own",
    after=["L1.2"],
    hints=[
        "pivot_root wants a mount point as the new root. Any directory becomes one if it is bind-mounted onto itself.",
        'All mounts private; `mount("rootfs", "rootfs", None, MS_BIND)`; `os.chdir("rootfs")`; `pivot_root(".", ".")`.',
        'Now the old root lies on top of the new one: `umount(".", MNT_DETACH)`, and at the end `os.chdir("/")`.',
    ],
)
def own_root(look: Look) -> None:
    """Look at the root of the process, and at the root of its whole mount namespace."""
    pid = _box(look)
    _claim_own(look, pid, "mnt", "its view of mounts")
    rootfs = look.path("rootfs")
    shown = "your rootfs" if evidence.has_root(pid, rootfs) else os.readlink(f"/proc/{pid}/root")
    look.must("what it sees as /", "your rootfs", shown, points=1)
    old = "gone" if _is_namespace_root(pid, rootfs) else "still there, under the new one"
    look.expect("the machine's root, in its view of mounts", "gone", old)
    _claim_nothing_outside(look)


def _is_namespace_root(pid: int, directory: str) -> bool:
    """Tell whether whoever joins the mount namespace of a process lands in a directory of ours: chroot hides less."""
    wanted = os.stat(directory)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            namespace.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), namespace.CLONE_NEWNS)
            code = 0 if os.path.samestat(os.stat("/"), wanted) else 1
        finally:
            os._exit(code)  # whatever happens: the check goes on in its parent only
    return os.waitpid(child, 0)[1] == 0


def _claim_nothing_outside(look: Look) -> None:
    left = [point for point in evidence.mount_points("self") if point.startswith(f"{look.directory}/")]
    look.expect("mounts of it that the whole machine sees", "none", ", ".join(left) or "none")


@task(
    "L1.4",
    points=1,
    title="A list of processes that is true",
    after=["L1.3"],
    hints=[
        "The `/proc` of your rootfs is an empty directory until somebody mounts the file system `proc` there.",
        '`mount("proc", "/proc", "proc")`, and after new_root, when `/` is the new one.',
    ],
)
def own_proc(look: Look) -> None:
    """Look at what the process finds in its /proc."""
    pid = _box(look)
    listed = [name for name in os.listdir(f"/proc/{pid}/root/proc") if name.isdecimal()]
    look.expect("the processes that its /proc lists", "1", ", ".join(listed) or "none")


@task(
    "L1.5",
    points=2,
    title="A program that others can use",
    after=["L1.3"],
    hints=[
        "A shell knows how its program ended from the exit code. The parent has it: waitpid returned it.",
        "`os.waitstatus_to_exitcode(status)` is the code, or minus the signal's number where a signal ended it.",
        "Shells say 128 + signal then: `sys.exit(code if code >= 0 else 128 - code)`.",
    ],
)
def as_a_command(look: Look) -> None:
    """Use box.py as a command, with programs that end in different ways."""
    look.must("the file box.py", "there", "there" if os.path.exists(look.path(_PROGRAM)) else "missing")
    said = _use(look, "sh", "-c", "hostname; echo $$")
    look.must("what `hostname; echo $$` says in it", "box, 1", ", ".join(said.output.split("\n")[:2]) or "nothing")
    look.expect("its exit code when the program ends with 7", 7, _use(look, "sh", "-c", "exit 7").exit_code, points=1)
    look.expect("its exit code when signal 9 ends the program", 137, _killed(look))
    _claim_nothing_outside(look)


def _killed(look: Look) -> object:
    """Start a container that sleeps, kill the sleep from outside, and return what box.py exits with."""
    program = look.path(_SLEEP)
    before = evidence.running(program)
    box = subprocess.Popen(
        [sys.executable, _PROGRAM, "sleep", "1000"],
        cwd=look.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        evidence.wait_until(lambda: evidence.running(program) != before)
        for pid in set(evidence.running(program)) - set(before):
            os.kill(pid, signal.SIGKILL)
        return box.wait(timeout=3)
    except subprocess.TimeoutExpired:
        return "it does not end"
    finally:
        box.kill()
        box.wait()


def _use(look: Look, *command: str) -> evidence.Finished:
    return evidence.run([sys.executable, _PROGRAM, *command], look.directory)


def setup(look: Look) -> None:
    """Make the root file system that the container gets."""
    make_rootfs(look.engine, look.path("rootfs"))
