"""A root file system of made-up ELF files: the linkers of other systems can be followed on this one."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from toolkit.image.embedded.host import Host
from toolkit.image.embedded.linker import Linker

_EM = {"x86_64": 62, "aarch64": 183}
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
_EHDR, _PHDR, _DYN = 64, 56, 16


def tiny_elf(
    *,
    needed: Sequence[str] = (),
    interpreter: str = "",
    soname: str = "",
    rpath: str = "",
    runpath: str = "",
    machine: str = "x86_64",
) -> bytes:
    """Return the smallest 64-bit ELF file that asks for this."""
    strings = bytearray(b"\0")

    def string(text: str) -> int:
        strings.extend(text.encode() + b"\0")
        return len(strings) - len(text) - 1

    tags = [(_NEEDED, string(name)) for name in needed]
    tags += [(tag, string(text)) for tag, text in ((_SONAME, soname), (_RPATH, rpath), (_RUNPATH, runpath)) if text]
    start = _EHDR + 3 * _PHDR
    table = start + (len(tags) + 3) * _DYN
    tags += [(_STRTAB, table), (_STRSZ, len(strings)), (0, 0)]
    interp_at = table + len(strings)
    interp = interpreter.encode() + b"\0" if interpreter else b""
    end = interp_at + len(interp)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, _EM[machine], 1, 0, _EHDR, 0, 0, _EHDR, _PHDR, 3, 0, 0, 0)
    programs = [(_PT_LOAD, 0, end), (_PT_DYNAMIC, start, table - start)]
    programs += [(_PT_INTERP, interp_at, len(interp))] if interp else [(0, 0, 0)]
    body = b"".join(struct.pack("<IIQQQQQQ", kind, 4, at, at, at, size, size, 8) for kind, at, size in programs)
    body += b"".join(struct.pack("<QQ", *tag) for tag in tags)
    return header + body + bytes(strings) + interp


class FakeHost:
    """A root file system under construction."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = Host(str(root))

    def elf(  # the facts of `tiny_elf`
        self,
        path: str,
        *,
        needed: Sequence[str] = (),
        interpreter: str = "",
        soname: str = "",
        rpath: str = "",
        runpath: str = "",
        machine: str = "x86_64",
    ) -> None:
        """Write an ELF file."""
        facts = tiny_elf(
            needed=needed, interpreter=interpreter, soname=soname, rpath=rpath, runpath=runpath, machine=machine
        )
        self.file(path, facts)

    def file(self, path: str, content: bytes, mode: int = 0o755) -> None:
        """Write a file, and the directories above it."""
        outside = self.root / path.lstrip("/")
        outside.parent.mkdir(parents=True, exist_ok=True)
        outside.write_bytes(content)
        outside.chmod(mode)

    def link(self, path: str, target: str) -> None:
        """Make a symlink, and the directories above it."""
        outside = self.root / path.lstrip("/")
        outside.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(target, outside)

    def closure(self, path: str) -> list[str]:
        """Return what our linker finds for the program at `path`."""
        return Linker(self.host).closure(path)
