"""Who the calling thread is to file systems: the id that a file gets which it makes."""

from contextlib import contextmanager

from toolkit.linux import capability
from toolkit.linux.libc import c_uint, function
from toolkit.trace import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

_setfsuid = function("setfsuid", c_uint)
_setfsgid = function("setfsgid", c_uint)


@contextmanager
def file_system_user(uid: int, gid: int) -> "Generator[None]":
    """Make files as this user for a while, with root's powers all the same; this thread only.

    A file system that shows the ids of a user namespace (a tmpfs of it, an
    id-mapped mount) takes no file from somebody who is not in the map
    (EOVERFLOW).  Leaving root takes its powers over files out of the effective
    set: they are put back.

    See Also:
        setfsuid(2), capabilities(7), "Effect of user ID changes on capabilities"
    """
    powers = capability.read_sets("thread-self")
    _become(uid, gid)
    try:
        capability.capset(powers.effective, powers.permitted, powers.inheritable)
        yield
    finally:
        _become(0, 0)
        capability.capset(powers.effective, powers.permitted, powers.inheritable)


def _become(uid: int, gid: int) -> None:
    """Neither call tells whether it worked: they return the id before."""
    with span("process.setfsgid", f"setfsgid({gid})"):
        _setfsgid(gid)
    with span("process.setfsuid", f"setfsuid({uid})"):
        _setfsuid(uid)
