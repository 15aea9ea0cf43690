"""--init: a first process that reaps and passes signals on, and the program as its child.

The init is a program of a few hundred bytes (toolkit/runtime/init/*.S): nothing
is downloaded, nothing of the host's is mounted into the container, and it lies
in a sealed memfd, so that /proc/1/exe leads to no file of the host's and can
not be written to (CVE-2019-5736's class).  A Python that stayed as the first
process would cost megabytes, and have the host's libraries open.
"""

import os
import struct

from toolkit.core.errors import StartError
from toolkit.core.record import NamedTuple
from toolkit.linux import memfd, process, signals
from toolkit.linux.libc import MACHINE
from toolkit.runtime.steps.base import INIT, step
from toolkit.runtime.steps.program import restore_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context

NAME = "/sbin/container-init"
"""What `ps` shows."""
_BASE = 0x400000
CODE = {
    "x86_64": bytes.fromhex(
        "488b0424488b74c41031ed0fb6460583e83083f809770a6bed0a01c548ffc6ebea6aff4989e4b80e000000bf020000004c89"
        "e631d241ba080000000f0568696e6974b89d000000bf0f0000004889e60f05b89d000000bf24000000be0100000031d24531"
        "d24531c00f054989e5b83d00000048c7c7ffffffff4c89eeba010000004531d20f0585c07823742839e875dd418b450089c7"
        "83e77f740881c780000000eb030fb6fcb8e70000000f05bf01000000ebf2b8800000004c89e731f631d241ba080000000f05"
        "83f8fc74a085c078dc83f811749789c6b83e00000089ef0f05eb8a"
    ),
    "aarch64": bytes.fromhex(
        "e00340f9e16f208b210840f921140091f3031f2a430180522214403842c000515f24007168000054730a031bfbffff171400"
        "809236cd8d52368dae72f45bbfa9f4030091e81080d2400080d2e10314aae2031faa030180d2010000d4e81480d2e00180d2"
        "81220091010000d4e81480d2800480d2210080d2e2031faae3031faae4031faa010000d495220091882080d200008092e103"
        "15aa220080d2e3031faa010000d41f0000718b010054a00100541f00136bc1feff54a10240b9201800726000005400000211"
        "02000014203c0853c80b80d2010000d420008052fdffff17281180d2e00314aae1031faae2031faa030180d2010000d41f10"
        "003180fcff541f000071abfeff541f44007100fcff54e103002a281080d2e003132a010000d4dbffff17"
    ),
}
"""What GNU as makes of toolkit/runtime/init/MACHINE.S."""
_ELF_NUMBERS = {"x86_64": 62, "aarch64": 183}
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_READ_EXECUTE = 5
_ALIGNMENT = 0x10000


def program(machine: str) -> bytes:
    """Return the init as a program of `machine`: ELF's header, one segment to read and execute, the code.

    See Also:
        elf(5)
    """
    code = CODE[machine]
    start = _HEADER.size + _SEGMENT.size
    magic = b"\x7fELF" + bytes((2, 1, 1))  # 64 bits, little-endian, version 1
    header = _HEADER.pack(
        magic, 2, _ELF_NUMBERS[machine], 1, _BASE + start, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, 1, 0, 0, 0
    )
    size = start + len(code)
    return header + _SEGMENT.pack(1, _READ_EXECUTE, 0, _BASE, _BASE, size, size, _ALIGNMENT) + code


@step(
    INIT,
    "program",
    why="As pid 1 the program would have to reap every orphan, and signals that it does not handle would be lost.",
    see="pid_namespaces(7), memfd_create(2)",
)
class BecomeInit(NamedTuple):
    """Become a tiny init; go on as its child."""

    argv: tuple[str, ...]
    """Of the program, for `ps`."""

    def calls(self) -> tuple[str, ...]:
        return (
            'memfd_create("init", MFD_CLOEXEC|MFD_ALLOW_SEALING)',
            "fcntl(MEMFD, F_ADD_SEALS, F_SEAL_SEAL|F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_WRITE)",
            "fork()",
            'execveat(MEMFD, "", [...], [...], AT_EMPTY_PATH)',
        )

    def apply(self, context: "Context") -> None:
        if MACHINE not in CODE:
            raise StartError(f"there is no init for {MACHINE}", hint="leave out --init")
        program_fd = memfd.sealed("init", program(MACHINE))
        is_init, until_init = os.pipe()  # both close-on-exec: its end says that the init is there
        pid = os.fork()
        if pid:
            self._stay(pid, program_fd)
        os.close(until_init)
        os.close(program_fd)
        process.set_parent_death_signal(signals.SIGKILL)
        if os.read(is_init, 1):
            os._exit(1)
        os.close(is_init)

    def _stay(self, pid: int, program_fd: int) -> None:
        """Be the init, of the process `pid`, which gets the terminal if there is one.

        Raises:
            StartError: this kernel does not run programs that lie in memory.
        """
        try:
            os.setpgid(pid, pid)
            if os.isatty(0):
                os.tcsetpgrp(0, pid)
            restore_signals()
            os.execve(program_fd, (NAME, "--", *self.argv), {"MAIN": str(pid)})  # noqa: S606 - to become it is the purpose
        except OSError as exc:
            os.kill(pid, signals.SIGKILL)
            os.waitpid(pid, 0)
            hint = "allow it: sysctl vm.memfd_noexec=0, and execveat in the seccomp profile; or leave out --init"
            raise StartError(f"the container's init cannot be executed: {exc}", hint=hint) from exc
