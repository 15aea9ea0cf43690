"""Steps that fill /dev."""

import errno
import os
import stat
from itertools import groupby

from toolkit.core.errors import InvalidError
from toolkit.core.record import NamedTuple
from toolkit.linux import file, mount, process, rooted
from toolkit.linux.flags import quoted
from toolkit.linux.mountpoint import by_fd
from toolkit.runtime.steps.base import INIT, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context

_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_KIND_NAMES = {"c": "S_IFCHR", "u": "S_IFCHR", "b": "S_IFBLK", "p": "S_IFIFO"}


@step(
    INIT,
    "rootfs",
    why="/dev is empty: without null, zero and urandom hardly any program runs, and no disk may be among them.",
    see="mknod(2), runtime-spec config-linux.md Default Devices",
)
class MakeDevices(NamedTuple):
    """Make the device nodes that every program expects."""

    devices: tuple[tuple[str, str, int, int, int, int, int], ...]
    """Path, type (c, b or p), major, minor, mode, uid, gid."""

    def calls(self) -> tuple[str, ...]:
        return tuple(
            f"mknod({quoted(path)}, {_KIND_NAMES.get(kind, kind)}|0{mode:o}, {file.makedev_text(major, minor)})"
            for path, kind, major, minor, mode, _uid, _gid in self.devices
        )

    def apply(self, context: "Context") -> None:
        mask = process.umask(0)
        try:
            for parent, devices in groupby(self.devices, lambda device: device[0].rpartition("/")[0]):
                directory = rooted.make_directories(context.root_fd, parent)
                try:
                    for device in devices:
                        _make_device(directory, *device)
                finally:
                    os.close(directory)
        finally:
            process.umask(mask)


def _make_device(directory: int, path: str, kind: str, major: int, minor: int, mode: int, uid: int, gid: int) -> None:
    bits = _KINDS.get(kind)
    if bits is None:
        raise InvalidError(f"device {path} has the unknown type '{kind}'", hint="c, b, u or p")
    name = path.rpartition("/")[2]
    file.mknod(name, bits | mode, major, minor, directory)
    if uid or gid:
        file.chown(name, uid, gid, directory)


@step(
    INIT,
    "rootfs",
    why="A user namespace may not make device nodes, but it may see the host's harmless ones.",
    see="user_namespaces(7), mknod(2)",
)
class BindDevices(NamedTuple):
    """Lend the container the host's own device nodes."""

    paths: tuple[str, ...]

    def calls(self) -> tuple[str, ...]:
        return tuple(f"mount({quoted(path)}, {quoted(path)}, NULL, MS_BIND, NULL)" for path in self.paths)

    def apply(self, context: "Context") -> None:
        for path in self.paths:
            fd = rooted.make_file(context.root_fd, path)
            try:
                mount.mount(path, by_fd(fd), None, mount.MS_BIND)
            finally:
                os.close(fd)


@step(
    INIT,
    "rootfs",
    why="/dev/stdin and its kind are links into /proc: each process finds its own.",
    see="runtime-spec config-linux.md /dev symbolic links",
)
class LinkDevices(NamedTuple):
    """Make the usual links in /dev."""

    links: tuple[tuple[str, str], ...]
    """Name below /dev, what it points to."""

    def calls(self) -> tuple[str, ...]:
        return tuple(f'symlink({quoted(target)}, "/dev/{name}")' for name, target in self.links)

    def apply(self, context: "Context") -> None:
        directory = rooted.open_in_root(context.root_fd, "/dev", os.O_PATH | os.O_DIRECTORY)
        try:
            for name, target in self.links:
                try:
                    file.symlink(target, name, directory)
                except OSError as exc:
                    if exc.errno != errno.EEXIST:  # a bind-mounted /dev has its own
                        raise
        finally:
            os.close(directory)
