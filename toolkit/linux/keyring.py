"""Kernel keyrings, as far as isolation needs them."""

import errno
import os

from toolkit.linux.flags import quoted
from toolkit.linux.libc import syscall
from toolkit.trace import span

_KEYCTL_JOIN_SESSION_KEYRING = 1


def join_session(name: str) -> None:
    """Leave the session keyring of the caller for a new one; a kernel without keys has none to leave.

    See Also:
        keyctl(2), KEYCTL_JOIN_SESSION_KEYRING
    """
    with span("security.keyring", f"keyctl(KEYCTL_JOIN_SESSION_KEYRING, {quoted(name)})") as here:
        try:
            here.returns(syscall("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, os.fsencode(name)))
        except OSError as exc:
            if exc.errno not in (errno.ENOSYS, errno.EDQUOT):
                raise
