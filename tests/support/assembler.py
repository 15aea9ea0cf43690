"""Machine code from its source, to hold what is in the package against."""

import subprocess
from pathlib import Path

_PREFIXES = {"x86_64": "", "aarch64": "aarch64-linux-gnu-"}


def assembled(source: Path, directory: Path) -> bytes:
    """Return what GNU as makes of MACHINE.S; `directory` gets its files."""
    prefix, made, raw = _PREFIXES[source.stem], directory / "code.o", directory / "code.bin"
    subprocess.run([f"{prefix}as", "-o", made, source], check=True)
    subprocess.run([f"{prefix}objcopy", "-O", "binary", "-j", ".text", made, raw], check=True)
    return raw.read_bytes()


def linked(machine: str, directory: Path, *sources: Path) -> Path:
    """Return a program of these sources, of which one has `_start`, that lies at a fixed address in `directory`."""
    prefix, made = _PREFIXES[machine], [directory / f"{index}.o" for index, _source in enumerate(sources)]
    for source, target in zip(sources, made, strict=True):
        subprocess.run([f"{prefix}as", "-o", target, source], check=True)
    subprocess.run([f"{prefix}ld", "-Ttext=0x400000", "-o", directory / "program", *made], check=True)
    return directory / "program"
