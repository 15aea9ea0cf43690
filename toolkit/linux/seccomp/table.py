"""System call names to numbers, for each architecture that a filter may hold."""

import functools
import os

ARCHITECTURES = ("x86_64", "i386", "x32", "aarch64", "arm")
X32_BIT = 0x40000000
AUDIT_ARCH = {
    "x86_64": 0xC000003E,
    "x32": 0xC000003E,
    "i386": 0x40000003,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
}
"""What the kernel puts into seccomp_data.arch (include/uapi/linux/audit.h)."""

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "syscalls.tsv")


@functools.cache
def numbers(architecture: str) -> dict[str, int]:
    """Return name to number, X32_BIT included, of the system calls that an architecture has."""
    column = ARCHITECTURES.index(architecture) + 1
    extra = X32_BIT if architecture == "x32" else 0
    with open(_PATH, encoding="ascii") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return {row[0]: int(row[column]) | extra for row in rows if row[column] != "-"}


@functools.cache
def known() -> frozenset[str]:
    """Return every system call name that some architecture has."""
    with open(_PATH, encoding="ascii") as file:
        return frozenset(line.partition("\t")[0] for line in file if not line.startswith("#"))


# i386 began with one system call for all of sockets and one for all of System V IPC; the first
# argument tells which (include/uapi/linux/net.h, include/uapi/linux/ipc.h).  Newer kernels have
# most of them as calls of their own too.
SOCKETCALL = {
    name: number
    for number, name in enumerate(
        (
            "socket",
            "bind",
            "connect",
            "listen",
            "accept",
            "getsockname",
            "getpeername",
            "socketpair",
            "send",
            "recv",
            "sendto",
            "recvfrom",
            "shutdown",
            "setsockopt",
            "getsockopt",
            "sendmsg",
            "recvmsg",
            "accept4",
            "recvmmsg",
            "sendmmsg",
        ),
        start=1,
    )
}
IPC = {
    "semop": 1,
    "semget": 2,
    "semctl": 3,
    "semtimedop": 4,
    "msgsnd": 11,
    "msgrcv": 12,
    "msgget": 13,
    "msgctl": 14,
    "shmat": 21,
    "shmdt": 22,
    "shmget": 23,
    "shmctl": 24,
}
