"""Which calls of a process the kernel did not permit: the host's strace listens, where there is one."""

import contextlib
import re
import shutil
import subprocess
import tempfile
import time

from toolkit.core.errors import SyscallError
from toolkit.linux import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

_PATIENCE_S = 2.0
_REFUSED = re.compile(r"^(?:\d+ +)?(?P<call>\w+\(.*\) += -1 (?:EPERM|EACCES|EROFS|ENOSYS) .*)$")
_MOST = 8
_MAX_TEXT = 160


def can() -> bool:
    """Tell whether this machine has strace."""
    return shutil.which("strace") is not None


@contextlib.contextmanager
def to(pid: int) -> "Generator[list[str]]":
    """Listen to a process and its children; the list is filled when the block ends.

    Args:
        pid: the process, which must wait until the block begins; 0: listen to nobody.
    """
    heard: list[str] = []
    if not pid or not can():
        yield heard
        return
    with tempfile.NamedTemporaryFile(prefix="container-toolkit-strace-") as file:
        strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-s", "48", "-o", file.name, "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(strace, pid)
            yield heard
            with contextlib.suppress(subprocess.TimeoutExpired):
                strace.wait(_PATIENCE_S)  # it ends when all that it listens to have ended
        finally:
            strace.kill()
            strace.wait()
        heard += refused(file.read().decode(errors="replace"))


def _wait_for(strace: "subprocess.Popen[bytes]", pid: int) -> None:
    """Wait until it listens, which it may not be allowed to."""
    deadline = time.monotonic() + _PATIENCE_S
    while strace.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(SyscallError):
            if f"TracerPid:\t{strace.pid}\n" in procfs.read(f"/proc/{pid}/status"):
                return
        time.sleep(0.005)


def refused(text: str) -> list[str]:
    """Return the calls in strace's output that were not permitted, each once."""
    found = (_REFUSED.match(line) for line in text.splitlines())
    calls = (re.sub(r" +(= -1 )", r" \1", each["call"])[:_MAX_TEXT] for each in found if each)
    return list(dict.fromkeys(calls))[:_MOST]
