"""How a layer says "not here": in a tar by names, on disk in the overlay file system's own form.

See Also:
    OCI image-spec, layer.md, "Whiteouts"; Documentation/filesystems/overlayfs.rst,
    "whiteouts and opaque directories"
"""

import errno
import os
import stat

PREFIX = b".wh."
"""In a tar: the file whose name follows is deleted."""
OPAQUE = b".wh..wh..opq"
"""In a tar: nothing of lower layers is to be seen in this directory."""
AUFS_PREFIX = b".wh..wh."
"""In a tar, at its root: book-keeping of aufs, which means nothing here."""
OVERLAY_XATTRS = (b"trusted.overlay.", b"user.overlay.")
"""On disk: the overlay's own attributes, never a layer's."""
OPAQUE_XATTR = b"trusted.overlay.opaque"


def is_whiteout(found: os.stat_result) -> bool:
    """Tell whether a file is the overlay's mark for "not here": a character device 0:0."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(fd: int) -> bool:
    """Tell whether an open directory hides the same directory of lower layers."""
    try:
        return os.getxattr(fd, OPAQUE_XATTR) == b"y"
    except OSError as exc:
        if exc.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise


def set_opaque(fd: int) -> None:
    """Let an open directory hide the same directory of lower layers."""
    os.setxattr(fd, OPAQUE_XATTR, b"y")
