"""What the guest starts from: busybox, the modules of a boot, two scripts, and the command.

It is made anew for each run, in memory: that takes less time than asking
whether an older one is still right.
"""

import os
import shlex
import stat
from typing import NamedTuple

from toolkit.vm import cpio, modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.vm.kernel import Kernel

_DIRECTORIES = ("bin", "dev", "host", "modules", "proc", "root", "sys", "upper")
_SCRIPTS = os.path.join(os.path.dirname(__file__), "guest")
FRESH = ("/var/lib/container-toolkit", "/var/lib/containers", "/var/lib/docker", "/var/lib/containerd")
"""Where engines keep what runs; each is empty in the guest, and not on an overlay."""


class Task(NamedTuple):
    """What the guest is to do."""

    command: tuple[str, ...]
    environment: "Mapping[str, str]"
    directory: str
    shares: tuple[str, ...] = ()
    """Directories of the host that the guest writes to."""
    tty: bool = False
    stdin: bool = False
    size: tuple[int, int] | None = None
    """Rows and columns of the terminal."""


def make(kernel: "Kernel", busybox: str, task: Task) -> bytes:
    """Return the initramfs."""
    with open(f"{kernel.modules}/modules.dep", encoding="utf-8") as file:
        order = modules.in_order(modules.parse_dependencies(file.read()))
    names = [f"{number:02}.ko" for number in range(len(order))]
    entries = [cpio.directory(name) for name in _DIRECTORIES]
    entries.append(cpio.Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    with open(busybox, "rb") as binary:
        entries.append(cpio.file("bin/busybox", binary.read(), 0o755))
    entries += (
        cpio.file(f"modules/{name}", modules.read(f"{kernel.modules}/{path}"))
        for name, path in zip(names, order, strict=True)
    )
    entries.append(cpio.file("modules/order", "".join(f"{name}\n" for name in names).encode()))
    entries.append(cpio.file("init", _script("init.sh"), 0o755))
    entries.append(cpio.file("command.sh", _script("command.sh")))
    entries.append(cpio.file("settings", os.fsencode(settings(kernel, task))))
    entries.append(cpio.file("run.sh", os.fsencode(run_script(task))))
    return cpio.encode(entries)


def _script(name: str) -> bytes:
    with open(f"{_SCRIPTS}/{name}", "rb") as file:
        return file.read()


def settings(kernel: "Kernel", task: Task) -> str:
    """Return the shell variables that the guest's scripts read."""
    values = {
        "RELEASE": kernel.release,
        "MODULES": kernel.modules,
        "SHARES": "\n".join(task.shares),
        "FRESH": "\n".join(FRESH),
        "TTY": "yes" if task.tty else "",
        "STDIN": "yes" if task.stdin else "",
        "SIZE": f"rows {task.size[0]} cols {task.size[1]}" if task.size else "",
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def run_script(task: Task) -> str:
    """Return the script that becomes the command; it fails as `docker run` does where it cannot."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in task.environment.items()]
    directory = shlex.quote(task.directory)
    lines = [
        *exports,
        f"cd {directory} || exit 125",
        f"exec {shlex.join(task.command)}",
    ]
    return "\n".join(lines) + "\n"
