"""Lab 3: where a process is whose way out the student knows, and where it is when the student has locked the door."""

import contextlib
import os
import subprocess
import sys

from toolkit.lab import Look, evidence, task, trial
from toolkit.lab.rootfs import make_rootfs
from toolkit.linux import capability

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE = "Escape from chroot, then lock the door"
MINUTES = 60
RUN_S = 25
NEEDS = ("own view of mnt", "files from a root of its own", "files from layers", "defences fewer powers")
CONTAINERS = ("cell",)

_END = "at the end"
_ROOTFS = "rootfs"


@contextlib.contextmanager
def _jailed(look: Look, entry: str, exit_: str) -> "Iterator[int]":
    """Go to jail with the student's functions; yield the pid of who has tried to leave."""
    process = subprocess.Popen(
        [sys.executable, "jail.py", entry, exit_],
        cwd=look.directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        said = _listen(process)
        look.must(f"jail.py {entry} {exit_}", "comes to its end", "comes to its end" if said == _END else said)
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def _listen(process: "subprocess.Popen[str]") -> str:
    """Return the last line of a program that has ended, or the one that says that it is at the end."""
    assert process.stdout is not None
    line = "it says nothing"
    for line in process.stdout:
        if line.strip() == _END:
            break
    return line.strip()


def _place(look: Look, pid: int) -> str:
    if evidence.has_root(pid, "/"):
        return "the machine's"
    return _ROOTFS if evidence.has_root(pid, look.path(_ROOTFS)) else os.readlink(f"/proc/{pid}/root")


def _claim_file(look: Look, name: str) -> None:
    look.must(f"the file {name}", "there", "there" if os.path.exists(look.path(name)) else "missing")


@task(
    "L3.1",
    points=3,
    title="Out of chroot",
    hints=[
        "`chroot` moves what `/` means, and leaves the working directory where it is. What if that lies above `/`?",
        'A second chroot into a directory below: `os.mkdir("x")`, `os.chroot("x")`. Now you stand above your own root.',
        'So nothing stops `os.chdir("..")`, many times; the last step is `os.chroot(".")`.',
    ],
)
def out_of_chroot(look: Look) -> None:
    """See what root the process has after its escape, from outside."""
    _claim_file(look, "escape.py")
    with _jailed(look, "chroot", "none") as pid:
        look.must("/ of a process in the jail", _ROOTFS, _place(look, pid))
    with _jailed(look, "chroot", "escape") as pid:
        look.expect("/ of a process after your escape", "the machine's", _place(look, pid))


@task(
    "L3.2",
    points=3,
    title="A lock that holds",
    after=["L3.1"],
    hints=[
        "chroot hides the machine's root; pivot_root takes it away. You did it in lab 1, in `new_root`.",
        "It needs a mount namespace of its own first: `unshare(CLONE_NEWNS)`, then make all mounts private.",
        'Bind `rootfs` onto itself, go in, `pivot_root(".", ".")`, `umount(".", MNT_DETACH)`, `os.chdir("/")`.',
    ],
)
def lock_that_holds(look: Look) -> None:
    """See that the same escape fails after the student's lock_in()."""
    _claim_file(look, "escape.py")
    _claim_file(look, "lock.py")
    with _jailed(look, "chroot", "escape") as pid:
        look.must("/ of a process that escaped from chroot", "the machine's", _place(look, pid))
    with _jailed(look, "lock", "escape") as pid:
        look.must("/ of a process that tried the same after lock_in", _ROOTFS, _place(look, pid))
        own = evidence.namespaces(pid).get("mnt") != evidence.namespaces("self").get("mnt")
        look.expect("its view of mounts", "its own", "its own" if own else "the machine's")
    left = [point for point in evidence.mount_points("self") if point.startswith(f"{look.directory}/")]
    look.expect("mounts of it that the whole machine sees", "none", ", ".join(left) or "none")


@task(
    "L3.3",
    points=2,
    title="A door that was left open",
    after=["L3.2"],
    hints=[
        "An open file belongs to the process, wherever its root is. Which ones are open? `ls -l /proc/self/fd`",
        "0, 1 and 2 are input, output and complaints, and stay. All others have to be closed.",
        "`os.closerange(3, 65536)` closes what is open in that range.",
    ],
)
def open_door(look: Look) -> None:
    """See that nothing is left open through which one can leave."""
    _claim_file(look, "lock.py")
    with _jailed(look, "lock", "door") as pid:
        look.must("/ of a process that left by the open door", "the machine's", _place(look, pid))
    with _jailed(look, "closed", "door") as pid:
        open_ = sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd") if int(name) > 2)
        look.expect("descriptors beyond 0, 1 and 2 after close_doors", "none", _joined(open_))
        look.expect("/ of a process that tried the door then", _ROOTFS, _place(look, pid))


def _joined(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


@task(
    "L3.4",
    points=2,
    title="A cell without the tool",
    hints=[
        "chroot is a power of root that can be taken away: one of the capabilities. `man 7 capabilities` names it.",
        "It is CAP_SYS_CHROOT; options write it without the CAP_. Drop this one, and keep the others.",
        "`%container run -d --name cell --cap-drop SYS_CHROOT lab sleep 1000`",
    ],
)
def cell_without_the_tool(look: Look) -> None:
    """Read the capabilities of the container's first process, and try chroot in it."""
    cell = look.running("cell")
    missing = capability.DEFAULT & ~capability.read_sets(cell.pid).effective
    look.must("capabilities that its root lacks", "CAP_SYS_CHROOT", ", ".join(capability.names(missing)) or "none")
    said = trial.execute(cell, "chroot", "/", "true").output.strip()
    look.expect("what chroot says in it", "Operation not permitted", said, holds="not permitted" in said)


def setup(look: Look) -> None:
    """Make the jail."""
    make_rootfs(look.engine, look.path(_ROOTFS))
