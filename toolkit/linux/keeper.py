"""Processes that share their memory: a keeper, so that execve need not take it down, and a successor in one's place.

The kernel takes the old memory of a process down within its execve, a
millisecond for a Python, unless somebody else uses it too; and the next
process of the kind costs a fork, another millisecond, and a copy of each page
that it touches.  So a worker is borne by a *keeper*, which shares its memory
and waits outside of the container.  When the worker has become a program
(`execve`) the memory has one user again, and the keeper goes on in it as if it
were the worker (`Outlived` is raised there), if somebody asks for that within
20 ms; else it ends 5 ms later, and the memory with it: at once it would, as
often as not, be put before the program on its processor.

A process that is to be born in other namespaces, or as another's child, need
not be a copy either: a *successor* goes on in the memory of who made it, who
ends.

Two processes cannot run Python in one memory.  So what they run while there
are two is machine code (toolkit/linux/keep/*.S) that uses registers alone.
What belongs to a process and not to its memory (descriptors, directory,
signals, credentials, namespaces) each has for itself all the time.
"""

import ctypes
import os
import select
import struct

from toolkit.core.record import NamedTuple
from toolkit.linux import machinecode, signals
from toolkit.linux.libc import MACHINE, c_char_p, c_int, c_long, c_void_p
from toolkit.linux.process import execve_text
from toolkit.trace import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

CODE = {
    "x86_64": bytes.fromhex(
        "4989f8b8da00000031ff0f05b8380000004c89c731f60f054885c00f8fb7000000c366662e0f1f84000000000066662e0f1f"
        "8400000000000f1f8400000000004989f84189f14989d2b8da00000031ff0f05b8380000004c89c731f60f054885c07f01c3"
        "b8b4010000bf03000000bec700000031d20f0585c0755d31c04489cf31f6ba010000000f054885c0754a49833a007444b807"
        "000000498d7a08be01000000ba140000000f0541f6420e10752841f6420e017411498b2249c7020000000031c0e996000000"
        "b80700000031ff31f6ba050000000f05b8e700000031ff0f0500000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000535541544155415641574989c8498920b83b0000000f0549c70000000000"
        "415f415e415d415c5d5bc3"
    ),
    "aarch64": bytes.fromhex(
        "e90300aa080c80d2000080d2010000d4881b80d2e00309aa010080d2020080d2030080d2040080d2010000d41f0000f10c07"
        "0054c0035fd61f2003d51f2003d5e90300aaea03012aeb0302aa080c80d2000080d2010000d4881b80d2e00309aa010080d2"
        "020080d2030080d2040080d2010000d41f0000f14c000054c0035fd6883680d2600080d2e11880d2020080d2010000d4e003"
        "00b5e80780d2e0030a2a010080d2220080d2010000d4200300b5690140f9e90200b4280980d260210091210080d262410091"
        "030080d2040080d27f0900f969070058690d00f9010000d46939403969012037c9000036690140f93f0100917f0100f90000"
        "80d221000014a80c80d260050010010080d2010000d4c80b80d2000080d2010000d400000000000000000000000000000000"
        "0000000000000000000000000000000000000000fd7bb6a9f35301a9f55b02a9f76303a9f96b04a9fb7305a9e827066dea2f"
        "076dec37086dee3f096deb0303aae9030091690100f9a81b80d2010000d47f0100f9ee3f496dec37486dea2f476de827466d"
        "fb7345a9f96b44a9f76343a9f55b42a9f35341a9fd7bcaa8c0035fd61f2003d50000000000000000404b4c0000000000002d"
        "310100000000"
    ),
}
"""What GNU as makes of toolkit/linux/keep/MACHINE.S."""
_SUCCEED_AT, _BEAR_AT, _EXECUTE_AT = 0, 64, 320
KEPT_FROM = 200
"""A keeper lets go of every descriptor from 3 on that is below this one."""
CLONE_VM = 0x100
CLONE_PARENT = 0x8000
SUCCESSOR = CLONE_VM | CLONE_PARENT | signals.SIGCHLD
"""Flags of clone(2) for a successor that is the child of its maker's parent."""
_POINT = struct.Struct("=qihh")
"""Where the keeper can go on, 0 while it cannot; then a struct pollfd; and room for a struct timespec."""


class Outlived(BaseException):
    """Raised by `Code.execve` in the keeper: the memory is its own now, and who called has become a program."""


class Code(NamedTuple):
    """The functions, for a process with one thread; each returns a negative errno where it cannot be done."""

    succeed: "Callable[[int], int]"
    """Takes the flags of clone(2).  Returns 0, in the successor, and its maker ends; else nothing has happened."""
    bear_at: "Callable[[int, int, int], int]"
    execute: "Callable[[bytes, Any, Any, int], int]"
    point: int
    """An address of memory that all who share it know."""

    def bear(self, flags: int, until: int, asked: int) -> int:
        """Make a process that shares our memory, and be its keeper.

        Args:
            flags: of clone(2).
            until: a pipe's reading end, whose other end the new process alone has; execve closes it.  The keeper
                ends at once where something is written there.
            asked: a descriptor that can be read when the keeper is to go on.

        Returns:
            0, in the new process; a negative errno in the old one where there is none.
        """
        ctypes.memmove(self.point, _POINT.pack(0, asked, select.POLLIN, 0), _POINT.size)
        return self.bear_at(flags, until, self.point)

    def execve(self, path: str, argv: "tuple[str, ...]", env: "dict[str, str]") -> None:
        """Become another program, and leave the memory to the keeper.  Returns only by raising.

        Raises:
            SyscallError: as `process.execve`.
            Outlived: in the keeper.
        """
        with span("process.execve", lambda: execve_text(path, argv, len(env))):
            pairs = (f"{name}={value}" for name, value in env.items())
            result = self.execute(os.fsencode(path), _strings(argv), _strings(pairs), self.point)
            if result == 0:
                raise Outlived
            raise OSError(-result, os.strerror(-result))


def _strings(texts: "Iterable[str]") -> "ctypes.Array[c_char_p]":
    encoded = [os.fsencode(text) for text in texts]
    if any(b"\0" in text for text in encoded):
        raise ValueError("embedded null byte")  # as os.execve says it
    return (c_char_p * (len(encoded) + 1))(*encoded, None)


def load() -> Code | None:
    """Make the machine code callable; return None where this machine has none, or allows no code that is made."""
    code = CODE.get(MACHINE)
    if code is None:
        return None
    address = machinecode.load(code)
    if not address:
        return None
    try:
        point = machinecode.room(_POINT.size)
    except OSError:
        return None
    succeed = ctypes.PYFUNCTYPE(c_long, c_long)
    bear = ctypes.PYFUNCTYPE(c_long, c_long, c_int, c_void_p)
    execute = ctypes.PYFUNCTYPE(c_long, c_char_p, c_void_p, c_void_p, c_void_p)
    return Code(succeed(address + _SUCCEED_AT), bear(address + _BEAR_AT), execute(address + _EXECUTE_AT), point)
