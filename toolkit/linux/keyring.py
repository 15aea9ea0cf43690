"""Kernel keyrings, as far as isolation needs them."""

import errno

from toolkit.linux.libc import syscall
from toolkit.trace import span

_KEYCTL_JOIN_SESSION_KEYRING = 1


def join_session() -> None:
    """Leave the session keyring of the caller for a new one; a kernel without keys has none to leave.

    See Also:
        keyctl(2), KEYCTL_JOIN_SESSION_KEYRING
    """
    with span("security.keyring", "keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)") as here:
        try:
            here.returns(syscall("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, None))
        except OSError as exc:
            if exc.errno not in (errno.ENOSYS, errno.EDQUOT):
                raise
