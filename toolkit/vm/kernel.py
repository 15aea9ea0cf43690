"""The guest's kernel: a Debian package, fetched with apt, unpacked in a cache and never installed.

The cache is a directory for each version; one that can be seen is complete.
"""

import os
import re
import shutil
import struct
import subprocess
import tempfile
from typing import NamedTuple

from toolkit.core.errors import IntegrityError, UnreachableError, UnsupportedError
from toolkit.linux import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_META_PACKAGES = ("linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64", "linux-image-virtual")
"""Those that depend on the newest kernel: Debian's for clouds (small, and virtio is in it), then Ubuntu's."""
_LAYOUT = "1"
"""Counted up when the cache's content changes."""


class Kernel(NamedTuple):
    """A kernel in the cache."""

    release: str
    """What `uname -r` will say."""
    image: str
    """The file that qemu starts."""
    modules: str
    """lib/modules/RELEASE."""


def cache_directory() -> str:
    """Return where kernels are kept: XDG's cache directory, since all of it can be fetched again."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(os.path.abspath(base), "container-toolkit", "vm")


def find(cache: str) -> Kernel | None:
    """Return the newest kernel in the cache."""
    try:
        names = os.listdir(cache)
    except FileNotFoundError:
        return None
    ready = [name for name in names if name.startswith(f"{_LAYOUT}-")]
    if not ready:
        return None
    newest = max(ready, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    return _kernel(f"{cache}/{newest}")


def _kernel(directory: str) -> Kernel:
    (release,) = os.listdir(f"{directory}/lib/modules")
    return Kernel(release, f"{directory}/kernel", f"{directory}/lib/modules/{release}")


def get(cache: str, depmod: str, say: "Callable[[str], None]") -> Kernel:
    """Return the newest kernel in the cache; fetch one if there is none.

    Args:
        cache: its directory.
        depmod: the program.
        say: told what takes long.

    Raises:
        UnsupportedError: no apt here, or it knows no such kernel.
        UnreachableError: apt could not fetch it.
    """
    found = find(cache)
    if found is not None:
        return found
    os.makedirs(cache, mode=0o755, exist_ok=True)
    directory = lock.open_directory(cache)
    try:
        lock.wait_lock(directory)
        found = find(cache)  # by somebody else, meanwhile
        return found if found is not None else _fetch(cache, depmod, say)
    finally:
        os.close(directory)


def _fetch(cache: str, depmod: str, say: "Callable[[str], None]") -> Kernel:
    for name in os.listdir(cache):  # we have the lock: what is unfinished was given up
        if name.startswith("new-"):
            shutil.rmtree(f"{cache}/{name}")
    package = _choose()
    say(f"fetching the kernel {package}, once")
    work = tempfile.mkdtemp(prefix="new-", dir=cache)
    try:
        _download(package, work)
        kernel = _unpack(work, depmod)
        final = f"{cache}/{_LAYOUT}-{kernel.release}"
        os.rename(f"{work}/ready", final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _kernel(final)


def _choose() -> str:
    """Return the package that has the newest kernel."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        message = "the kernel of a virtual machine comes as a Debian package, and there is no apt here"
        raise UnsupportedError(message, hint="use Debian or Ubuntu")
    for meta in _META_PACKAGES:
        asked = subprocess.run(
            ["apt-cache", "depends", "--important", meta], capture_output=True, text=True, check=False
        )
        depends = re.search(r"Depends: (linux-image-\d\S+)", asked.stdout)
        if depends:
            return depends.group(1)
    message = f"apt knows none of the kernels {', '.join(_META_PACKAGES)}"
    raise UnsupportedError(message, hint="run apt-get update")


def _download(package: str, work: str) -> None:
    fetched = subprocess.run(
        ["apt-get", "-q", "download", package], cwd=work, capture_output=True, text=True, check=False
    )
    if fetched.returncode != 0:
        reason = (fetched.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UnreachableError(f"apt cannot fetch {package}: {reason}", hint="run apt-get update and try again")


def _unpack(work: str, depmod: str) -> Kernel:
    (package,) = (name for name in os.listdir(work) if name.endswith(".deb"))
    subprocess.run(["dpkg-deb", "-x", f"{work}/{package}", f"{work}/tree"], check=True, capture_output=True)
    (image,) = (name for name in os.listdir(f"{work}/tree/boot") if name.startswith("vmlinuz-"))
    release = image.removeprefix("vmlinuz-")
    ready = f"{work}/ready"
    os.makedirs(f"{ready}/lib/modules")
    tree = f"{work}/tree/lib/modules" if os.path.isdir(f"{work}/tree/lib/modules") else f"{work}/tree/usr/lib/modules"
    os.rename(f"{tree}/{release}", f"{ready}/lib/modules/{release}")
    subprocess.run([depmod, "-b", ready, release], check=True, capture_output=True)
    with open(f"{work}/tree/boot/{image}", "rb") as file:
        packed = file.read()
    with open(f"{ready}/kernel", "wb") as file:
        file.write(unpacked_image(packed))
    return _kernel(ready)


def unpacked_image(image: bytes) -> bytes:
    """Return the ELF inside a bzImage, or the bzImage itself where its packing is unknown.

    qemu starts an ELF through its PVH entry, which saves the guest from
    decompressing 50 MB in emulation, several seconds of every boot.

    Raises:
        IntegrityError: it is no kernel.

    See Also:
        Documentation/arch/x86/boot.rst, "payload_offset"
    """
    if image[0x1FE:0x200] != b"\x55\xaa":
        raise IntegrityError("the package's kernel is no bzImage", hint="this is a bug, or the download is damaged")
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length - 4]  # its last four bytes are the unpacked size
    unpacked = _decompress(payload)
    return unpacked if unpacked.startswith(b"\x7fELF") else image


def _decompress(payload: bytes) -> bytes:
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(payload) as reader:
            return reader.read()
    if payload.startswith(b"\xfd7zXZ"):
        import lzma

        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        import zlib

        return zlib.decompressobj(31).decompress(payload)
    return b""
