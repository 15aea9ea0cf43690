"""Running from a program that nobody can write to, before anything of ours enters a container (CVE-2019-5736)."""

import os
import sys

from toolkit.core.errors import UnsupportedError
from toolkit.linux import sealed

_DETACHED = "/"
"""What /proc/self/exe says of a program on a mount that is attached nowhere."""
_IN_MEMORY = "/memfd:"


def is_sealed() -> bool:
    """Tell whether this process runs from such a program already."""
    program = os.readlink("/proc/self/exe")
    return program == _DETACHED or program.startswith(_IN_MEMORY)


def ensure_sealed(*, owns_process: bool) -> None:
    """Begin this process again from a read-only copy of its program, unless it runs from one.

    Costs the start of an interpreter, as runc pays for the copy of its own
    program.  Pid, descriptors and environment stay.

    Args:
        owns_process: the process is this command's own, and not a notebook's.

    Raises:
        UnsupportedError: it is somebody else's, and cannot begin again.
    """
    if is_sealed():
        return
    if not owns_process:
        message = "an OCI container cannot be made from inside another program"
        raise UnsupportedError(message, hint="run `container oci` as a command of its own")
    program = sealed.open_program(sys.executable)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(f"/proc/self/fd/{program}", [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very program
