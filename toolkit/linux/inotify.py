"""Waiting for a directory's files to change, without looking again and again."""

import os

from toolkit.linux.flags import quoted
from toolkit.linux.libc import c_char_p, c_int, function
from toolkit.trace import span

IN_MODIFY = 0x00000002
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
_MOST = 64 * 1024
_init = function("inotify_init1", c_int)
_add = function("inotify_add_watch", c_int, c_char_p, c_int)


class Watch:
    """Readable when a file of one directory was written to, created or moved there since the last `drain`.

    See Also:
        inotify(7)
    """

    def __init__(self, directory: str) -> None:
        """Begin to watch.

        Raises:
            SyscallError: ENOENT if there is no such directory; EMFILE or ENOSPC if the user watches too much already.
        """
        with span("inotify.init", "inotify_init1(IN_CLOEXEC|IN_NONBLOCK)") as here:
            self._fd = here.returns(_init(os.O_CLOEXEC | os.O_NONBLOCK))
        try:
            text = f"inotify_add_watch({self._fd}, {quoted(directory)}, IN_MODIFY|IN_MOVED_TO|IN_CREATE)"
            with span("inotify.add", text) as here:
                here.returns(_add(self._fd, os.fsencode(directory), IN_MODIFY | IN_MOVED_TO | IN_CREATE))
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._fd

    def drain(self) -> None:
        """Forget what has happened so far."""
        try:
            while os.read(self._fd, _MOST):
                pass
        except BlockingIOError:
            pass  # all of it is read

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)
