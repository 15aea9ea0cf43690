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
