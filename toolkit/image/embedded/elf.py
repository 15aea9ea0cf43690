"""What an ELF file asks of its dynamic linker: the interpreter, the libraries, where to look.

Read with pyelftools from the program headers alone, as the linker does itself:
a stripped program has no sections that could be trusted.
"""

from typing import NamedTuple

from elftools.common.exceptions import ELFError
from elftools.construct.core import ConstructError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

_MAGIC = b"\x7fELF"


class Elf(NamedTuple):
    """The part of an ELF file that decides which other files it needs."""

    machine: str
    """As the psABI names it: "EM_X86_64", "EM_AARCH64"."""
    bits: int
    """32 or 64."""
    interpreter: str
    """PT_INTERP, the dynamic linker of a program; empty for libraries and static programs."""
    soname: str
    """DT_SONAME, empty where there is none."""
    needed: tuple[str, ...]
    """DT_NEEDED, in order."""
    rpath: tuple[str, ...]
    """DT_RPATH, not expanded."""
    runpath: tuple[str, ...]
    """DT_RUNPATH, not expanded."""

    def runs_with(self, other: "Elf") -> bool:
        """Tell whether both can live in one process: same machine, same word size."""
        return self.machine == other.machine and self.bits == other.bits


def read_elf(path: str) -> Elf | None:
    """Read the file at `path`; None where it is not an ELF file.

    See Also:
        elf(5); System V ABI, "Dynamic Linking"
    """
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return None
        file.seek(0)
        try:
            return _read(ELFFile(file))
        except (ELFError, ConstructError):  # a torn or exotic file: not one that a linker would load
            return None


def _read(file: ELFFile) -> Elf:
    interpreter = ""
    tags: dict[str, list[str]] = {}
    for segment in file.iter_segments():
        if isinstance(segment, InterpSegment):
            interpreter = str(segment.get_interp_name())
        elif isinstance(segment, DynamicSegment):
            tags = _string_tags(segment)
    return Elf(
        machine=str(file["e_machine"]),
        bits=int(file.elfclass),
        interpreter=interpreter,
        soname="".join(tags.get("DT_SONAME", ())),
        needed=tuple(tags.get("DT_NEEDED", ())),
        rpath=_directories(tags.get("DT_RPATH", ())),
        runpath=_directories(tags.get("DT_RUNPATH", ())),
    )


_ATTRIBUTES = {"DT_NEEDED": "needed", "DT_SONAME": "soname", "DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}


def _string_tags(segment: DynamicSegment) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for tag in segment.iter_tags():
        name = str(tag.entry.d_tag)
        if name in _ATTRIBUTES:
            found.setdefault(name, []).append(str(getattr(tag, _ATTRIBUTES[name])))
    return found


def _directories(values: "list[str] | tuple[()]") -> tuple[str, ...]:
    return tuple(part for value in values for part in value.split(":") if part)
