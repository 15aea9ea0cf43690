"""Waiting for a directory's files to change, without looking again and again."""

import errno
import os
import struct

from toolkit.linux.flags import flag_names, quoted
from toolkit.linux.libc import c_char_p, c_int, function
from toolkit.trace import span

IN_MODIFY = 0x00000002
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200
_CHANGES = IN_MODIFY | IN_MOVED_TO | IN_CREATE
_EVENT = struct.Struct("iIII")
_NAMES = {"IN_MODIFY": IN_MODIFY, "IN_MOVED_TO": IN_MOVED_TO, "IN_CREATE": IN_CREATE, "IN_DELETE": IN_DELETE}
_MOST = 64 * 1024
_init = function("inotify_init1", c_int)
_add = function("inotify_add_watch", c_int, c_char_p, c_int)
_remove = function("inotify_rm_watch", c_int, c_int)


class Watch:
    """Readable when something happened in one directory since it was read last.

    See Also:
        inotify(7)
    """

    def __init__(self, directory: str, what: int = _CHANGES) -> None:
        """Begin to watch.

        Args:
            directory: where.
            what: IN_*; a file was written to, created or moved there, where nobody says otherwise.

        Raises:
            SyscallError: ENOENT if there is no such directory; EMFILE or ENOSPC if the user watches too much already.
        """
        with span("inotify.init", "inotify_init1(IN_CLOEXEC|IN_NONBLOCK)") as here:
            self._fd = here.returns(_init(os.O_CLOEXEC | os.O_NONBLOCK))
        try:
            self.add(directory, what)
        except OSError:
            self.close()
            raise

    def add(self, directory: str, what: int) -> int:
        """Watch one more directory; return the number by which `happened` calls it.

        Raises:
            SyscallError: ENOENT if there is no such directory; ENOSPC if the user watches too much already.
        """
        text = f"inotify_add_watch({self._fd}, {quoted(directory)}, {flag_names(what, _NAMES)})"
        with span("inotify.add", text) as here:
            return here.returns(_add(self._fd, os.fsencode(directory), what))

    def remove(self, number: int) -> None:
        """Watch a directory no more; one that is gone is not watched anyway."""
        try:
            with span("inotify.remove", f"inotify_rm_watch({self._fd}, {number})") as here:
                here.returns(_remove(self._fd, number))
        except OSError as exc:
            if exc.errno != errno.EINVAL:
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

    def names(self) -> list[str]:
        """Return the names of what has happened to since; some may be missing where very much has."""
        return [name for _number, name in self.happened()]

    def happened(self) -> list[tuple[int, str]]:
        """Return as `names`, each with the number of its directory."""
        found: list[tuple[int, str]] = []
        try:
            while data := os.read(self._fd, _MOST):
                position = 0
                while position < len(data):
                    number, _what, _cookie, length = _EVENT.unpack_from(data, position)
                    position += _EVENT.size
                    found.append((number, os.fsdecode(data[position : position + length].rstrip(b"\0"))))
                    position += length
        except BlockingIOError:
            pass  # all of it is read
        return found

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)
