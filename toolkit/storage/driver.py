"""What a storage driver gives to the rest: a description of a root file system, mounted by the runtime."""

from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    class Driver(Protocol):
        """A union file system; a module can be one."""

        @property
        def NAME(self) -> str:  # noqa: N802 - a constant of the module
            """What users call it."""
            ...

        def root_filesystem(self, layers: "Sequence[str]", directory: str, /, *, volatile: bool) -> "RootFilesystem":
            """Describe the root of the container that keeps its files in `directory`; touch nothing.

            Args:
                layers: the image's unpacked layers, the lowest first.
                directory: the container's own directory.
                volatile: whether the changes may be lost in a crash of the machine.

            Raises:
                UnsupportedError: more layers than the driver can stack.
            """
            ...

        def prepare(self, root: "RootFilesystem", attributes: "tuple[int, int, int] | None" = None, /) -> None:
            """Make the directories of a root, or make those of an earlier run usable again.

            Args:
                root: as `root_filesystem` described it.
                attributes: mode, uid and gid of the container's `/`, where the image says.
            """
            ...

        def changes(self, root: "RootFilesystem", /) -> "Iterator[Change]":
            """Yield what the container changed, parents before children, in the order of names."""
            ...

        def size(self, root: "RootFilesystem", /) -> int:
            """Return the bytes of content that the container itself holds."""
            ...


class RootFilesystem(NamedTuple):
    """A container's root, not mounted yet: that is a step of the runtime's plan."""

    lower: tuple[str, ...]
    """Unpacked layers, the topmost first."""
    upper: str
    """Where the container's changes land."""
    work: str
    """What overlayfs needs beside `upper`, on the same file system."""
    options: tuple[str, ...]
    """More mount options."""
    path: str = ""
    """Not empty: the root is this directory, and nothing is to be stacked; a bind mount."""


class Change(NamedTuple):
    """One difference between a container and its image, as `docker diff` shows it."""

    kind: str
    """"A" added, "C" changed, "D" deleted."""
    path: str
    """Absolute, in the container."""
