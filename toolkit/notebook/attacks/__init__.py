"""The break-it arena: attacks on the host that are really made, in real containers, with and without each defence.

    attack.py      what an attack is, and how one is made
    files.py       through the root, the kernel's files, a disk
    processes.py   too many, too big, and into the host's
    calls.py       system calls that a filter refuses

Invariant: no attack can harm the machine, whichever defence is off.  It runs
within `trial`'s bounds of memory, processes and time; what it tries to reach
is something of ours that was put there for it (a file, a process), a setting
that does no harm and is put back, or one block of a disk, which it may only
read.  `tests/engine/test_attack*.py` are the same attacks and many more.
"""

from toolkit.notebook.attacks.attack import Attack, Defence, Outcome
from toolkit.notebook.attacks.calls import NEW_USER_NAMESPACE
from toolkit.notebook.attacks.files import CHROOT_ESCAPE, KERNEL_SETTING, READ_THE_DISK
from toolkit.notebook.attacks.processes import ENTER_THE_HOST, FORK_BOMB, KILL_A_NEIGHBOUR, MEMORY_HOG

ATTACKS: tuple[Attack, ...] = (
    CHROOT_ESCAPE,
    FORK_BOMB,
    MEMORY_HOG,
    READ_THE_DISK,
    KERNEL_SETTING,
    KILL_A_NEIGHBOUR,
    ENTER_THE_HOST,
    NEW_USER_NAMESPACE,
)

__all__ = ["ATTACKS", "Attack", "Defence", "Outcome"]
