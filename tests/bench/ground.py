"""Where benchmarks run: a journaled ext4 on a loop device, in a mount namespace of the benchmark's own.

When the process ends, however it ends, the kernel takes the mount and the loop
device away; the backing file has no name from the start.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator

from toolkit.linux.mount import MNT_DETACH, MS_PRIVATE, MS_REC, mount, umount
from toolkit.linux.namespace import CLONE_NEWNS, unshare

_BYTES = 12 * 1024**3


def enter_own_mounts() -> None:
    """Move this process into a mount namespace of its own; nothing it mounts is seen outside."""
    unshare(CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_PRIVATE)


@contextlib.contextmanager
def journaled(directory: str = "/var/tmp") -> Iterator[str]:
    """Yield the path of a fresh ext4 with a journal; call `enter_own_mounts` first."""
    point = tempfile.mkdtemp(prefix="ct-bench-", dir=directory)
    image = f"{point}.ext4"
    with open(image, "wb") as file:
        file.truncate(_BYTES)
    try:
        options = "lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", options, image], check=True)
        subprocess.run(["mount", "-o", "loop", image, point], check=True)
    finally:
        os.unlink(image)
    try:
        yield point
    finally:
        umount(point, MNT_DETACH)  # with whatever lies mounted in it
        os.rmdir(point)
