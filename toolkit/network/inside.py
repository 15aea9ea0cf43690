"""Being in another network namespace for a moment: a socket belongs for good to the one that it was made in."""

import os

from toolkit.linux import namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Inside:
    """Have the calling thread be in a network namespace until the end of the block."""

    def __init__(self, netns_fd: int) -> None:
        self._there = netns_fd
        self._here = -1

    def __enter__(self) -> "Self":
        """Go there.

        Raises:
            SyscallError: that is no network namespace, or may not be entered.
        """
        self._here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespace.setns(self._there, namespace.CLONE_NEWNET)
        except BaseException:
            os.close(self._here)
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            namespace.setns(self._here, namespace.CLONE_NEWNET)
        finally:
            os.close(self._here)
