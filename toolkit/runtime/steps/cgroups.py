"""Steps that put a limit on what the container may use."""

import errno
import os
from binascii import a2b_base64

from toolkit.core.errors import SyscallError
from toolkit.core.record import NamedTuple
from toolkit.linux import bpf, mount, rooted
from toolkit.linux.cgroup import files
from toolkit.linux.flags import quoted
from toolkit.linux.mountpoint import by_fd
from toolkit.runtime.steps.base import INIT, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context


@step(INIT, "cgroup", why="Limits stand before the process does: it never runs outside of them.", see="cgroups(7)")
class CreateCgroup(NamedTuple):
    """Make the container's directories in the cgroup tree and write its limits there."""

    directories: tuple[str, ...]
    writes: tuple[tuple[str, str], ...]
    actor: str = ""
    """OUTSIDE where init lacks the power, because it is in a user namespace."""

    def calls(self) -> tuple[str, ...]:
        made = tuple(f"mkdir({quoted(directory)}, 0755)" for directory in self.directories)
        return made + tuple(f"write({quoted(path)}, {quoted(value)})" for path, value in self.writes)

    def apply(self, context: "Context") -> None:
        for directory in self.directories:
            files.make(directory)  # or left by a start that was killed: its limits are written anew
        files.write_all(self.writes)


@step(
    INIT,
    "cgroup",
    why="cgroup v2 has no list of devices: a small program in the kernel answers each open, so no disk is reached.",
    see="Device controller in cgroup-v2.rst; bpf(2)",
)
class LimitDevices(NamedTuple):
    """Put the program that decides about devices on the container's cgroup."""

    directory: str
    program: str
    """eBPF, in base64."""
    actor: str = ""
    """As CreateCgroup's."""

    def calls(self) -> tuple[str, ...]:
        return bpf.attach_device_program_text(self.directory, len(a2b_base64(self.program)))

    def apply(self, context: "Context") -> None:
        bpf.attach_device_program(self.directory, a2b_base64(self.program))


@step(
    INIT,
    "cgroup",
    why="Who sees the group as the root of the tree, and may write there, must own it to divide it among its own.",
    see="config-linux.md, Cgroup ownership; Delegation in cgroup-v2.rst",
)
class DelegateCgroup(NamedTuple):
    """Give the group to the container's user, but for its limits, which stay those of the host."""

    directory: str
    uid: int
    """The host's number of that user."""
    actor: str = ""
    """As CreateCgroup's."""

    def calls(self) -> tuple[str, ...]:
        return tuple(f"chown({quoted(path)}, {self.uid}, -1)" for path in (self.directory, *self._files()))

    def _files(self) -> list[str]:
        names = files.find("/sys/kernel/cgroup/delegate") or "cgroup.procs cgroup.threads cgroup.subtree_control"
        return [f"{self.directory}/{name}" for name in names.split()]

    def apply(self, context: "Context") -> None:
        for path in (self.directory, *self._files()):
            try:
                files.give(path, self.uid)
            except SyscallError as error:
                if error.errno != errno.ENOENT:  # of a controller that the group does not have
                    raise


@step(
    INIT,
    "cgroup",
    why="0 means the writer itself: on cgroup v1 a hundred times quicker than moving another process by its id.",
    see="cgroups(7)",
)
class JoinCgroup(NamedTuple):
    """Move init into its cgroups, by its own hand."""

    files: tuple[str, ...]

    def calls(self) -> tuple[str, ...]:
        return tuple(f'write({quoted(path)}, "0", 1)' for path in self.files)

    def apply(self, context: "Context") -> None:
        for path in self.files:
            files.write(path, "0", area="cgroup.join")


@step(
    INIT,
    "rootfs",
    why="The container's own cgroups, so that programs can read their limits; on v1 each controller has a tree.",
    see="cgroups(7), cgroup_namespaces(7)",
)
class MountCgroups(NamedTuple):
    """Show the container its groups in the trees of cgroup v1, below one directory in memory."""

    destination: str
    trees: tuple[tuple[str, str], ...]
    """Of each the name of its directory and the controllers, as mount data."""
    flags: int

    def calls(self) -> tuple[str, ...]:
        where = self.destination
        made = [mount.mount_text("tmpfs", where, "tmpfs", _ABOVE, _ABOVE_DATA)]
        for name, controllers in self.trees:
            made.append(f"mkdirat(DIRECTORY, {quoted(name)}, 0755)")
            made.append(mount.mount_text("cgroup", f"{where}/{name}", "cgroup", self.flags, controllers))
        if self.flags & mount.MS_RDONLY:
            made.append(mount.mount_text(None, where, None, _SHUT, None))
        return tuple(made)

    def apply(self, context: "Context") -> None:
        target = rooted.make_directories(context.root_fd, self.destination)
        try:
            mount.mount("tmpfs", by_fd(target), "tmpfs", _ABOVE, _ABOVE_DATA)
        finally:
            os.close(target)
        above = rooted.open_in_root(context.root_fd, self.destination, os.O_PATH | os.O_DIRECTORY)
        try:
            for name, controllers in self.trees:  # nobody else has this directory yet: the way there cannot be bent
                rooted.make_directory(above, name)
                mount.mount("cgroup", f"{by_fd(above)}/{name}", "cgroup", self.flags, controllers)
            if self.flags & mount.MS_RDONLY:
                mount.mount(None, by_fd(above), None, _SHUT)
        finally:
            os.close(above)


_ABOVE = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
_ABOVE_DATA = "mode=755,size=64k"
_SHUT = mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY | _ABOVE
