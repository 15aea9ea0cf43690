"""What a storage driver gives to the rest: a description of a root file system, mounted by the runtime."""

from typing import NamedTuple


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
