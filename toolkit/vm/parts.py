"""The programs that a virtual machine is made of, and what to do where one is missing."""

import os
import shutil
from typing import NamedTuple

from toolkit.core.errors import UnsupportedError

_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/libexec:/usr/lib/qemu"
"""Where programs lie that are not for everybody's PATH; the last two have virtiofsd."""


class Part(NamedTuple):
    """One program."""

    name: str
    package: str
    """Debian's package that brings it."""
    purpose: str


QEMU = Part("qemu-system-x86_64", "qemu-system-x86", "is the machine")
VIRTIOFSD = Part("virtiofsd", "virtiofsd", "gives it this machine's files")
BUSYBOX = Part("busybox", "busybox-static", "is the first program in it")
DEPMOD = Part("depmod", "kmod", "sorts the modules of its kernel")
PARTS = (QEMU, VIRTIOFSD, BUSYBOX, DEPMOD)
_MACHINE = "x86_64"


class Found(NamedTuple):
    """A part on this machine."""

    part: Part
    path: str
    """Empty where it is missing."""
    lack: str = ""
    """What is wrong, in a few words."""


def find(part: Part) -> Found:
    """Look for a part."""
    path = shutil.which(part.name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATH}") or ""
    if not path:
        return Found(part, "", "not installed")
    if part is BUSYBOX and not _is_static(path):
        return Found(part, "", f"{path} needs libraries, which are not there when it starts")
    return Found(part, path)


def find_all() -> list[Found]:
    """Look for every part."""
    return [find(part) for part in PARTS]


def require() -> dict[Part, str]:
    """Return where each part is.

    Raises:
        UnsupportedError: this is not the kind of machine, or a program is missing; the hint is how to install it.
    """
    if os.uname().machine != _MACHINE:
        message = f"virtual machines are made on {_MACHINE} only, and this is {os.uname().machine}"
        raise UnsupportedError(message, hint="run the command in a container instead")
    found = find_all()
    missing = [each.part for each in found if not each.path]
    if missing:
        names = ", ".join(part.name for part in missing)
        message = f"a virtual machine needs {names}, which {'is' if len(missing) == 1 else 'are'} not installed"
        raise UnsupportedError(message, hint=cure(missing))
    return {each.part: each.path for each in found}


def cure(missing: list[Part]) -> str:
    """Return how to install what is missing."""
    packages = dict.fromkeys(_package(part) for part in missing)
    return f"install it: apt-get install {' '.join(packages)}"


def _package(part: Part) -> str:
    """Return the package's name in this release: until Debian 12, virtiofsd was part of qemu itself."""
    if part is VIRTIOFSD and not _is_known(part.package):
        return "qemu-system-common"
    return part.package


def _is_known(package: str) -> bool:
    import subprocess

    if shutil.which("apt-cache") is None:
        return True
    asked = subprocess.run(
        ["apt-cache", "show", package], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    return asked.returncode == 0


def _is_static(path: str) -> bool:
    from elftools.elf.elffile import ELFFile

    with open(path, "rb") as file:
        return all(segment["p_type"] != "PT_INTERP" for segment in ELFFile(file).iter_segments())
