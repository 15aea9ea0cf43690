"""A step that shows something of another container's."""

import os

from toolkit.core.record import NamedTuple
from toolkit.linux import file, mount, namespace, rooted
from toolkit.linux.flags import quoted
from toolkit.runtime.steps.base import INIT, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context


@step(
    INIT,
    "rootfs",
    why="Two containers with one ipc namespace share memory by its name, so they need the same /dev/shm too.",
    see="setns(2), open_tree(2), move_mount(2)",
)
class BorrowMount(NamedTuple):
    """Mount here what another container has mounted in its own mount namespace."""

    namespace: str
    """Path of the other mount namespace."""
    source: str
    """In there."""
    destination: str

    def calls(self) -> tuple[str, ...]:
        return (
            f"openat(AT_FDCWD, {quoted(self.namespace)}, O_RDONLY|O_CLOEXEC)",
            "setns(THERE, CLONE_NEWNS)",
            f"open_tree(AT_FDCWD, {quoted(self.source)}, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)",
            "setns(HERE, CLONE_NEWNS)",
            f'move_mount(TREE, "", {quoted(self.destination)}, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
        )

    def apply(self, context: "Context") -> None:
        target = rooted.make_directories(context.root_fd, self.destination)
        tree = self._clone()
        try:
            mount.move_mount(tree, target)
        finally:
            os.close(tree)
            os.close(target)

    def _clone(self) -> int:
        """Take a copy of the mount; only who is in a mount namespace may."""
        here = file.open_file("/proc/self/ns/mnt", os.O_RDONLY)
        there = file.open_file(self.namespace, os.O_RDONLY)
        try:
            namespace.setns(there, namespace.CLONE_NEWNS)
            try:
                return self._open()
            finally:
                namespace.setns(here, namespace.CLONE_NEWNS)
        finally:
            os.close(there)
            os.close(here)

    def _open(self) -> int:
        """No symlink is followed: the other container must not choose what is borrowed."""
        root = file.open_file("/", os.O_PATH | os.O_DIRECTORY)
        try:
            fd = rooted.openat2(root, self.source.lstrip("/"), os.O_PATH, resolve=rooted.RESOLVE_NO_SYMLINKS)
        finally:
            os.close(root)
        try:
            return mount.open_tree("", directory_fd=fd)
        finally:
            os.close(fd)
