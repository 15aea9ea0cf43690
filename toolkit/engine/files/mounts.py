"""What a container that does not run would have mounted, laid over its files for whoever copies from and to them.

Volumes whose driver would have to mount them first are left out: their place is there, and empty.
"""

import errno
import os
import stat

from toolkit.core.errors import ConflictError
from toolkit.engine import mounting
from toolkit.linux import file, mount, rooted
from toolkit.linux.mountpoint import by_fd, make_read_only
from toolkit.volume import local
from toolkit.volume.mount import BIND
from toolkit.volume.store import LOCAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine
    from toolkit.volume.point import MountPoint

_MISSING = (errno.ENOENT, errno.ENOTDIR)


def lay(engine: "Engine", container: "Container", root_fd: int, *, makes_targets: bool) -> None:
    """Bind a container's mounts over its root, in the mount namespace that this thread has for itself.

    Args:
        engine: whose it is.
        container: whose mounts.
        root_fd: the root.
        makes_targets: make the places that are not there yet, as its start would; else what is mounted there is not
            to be seen.
    """
    for point in sorted(mounting.points_of(container), key=lambda each: each.destination.count("/")):
        source = _open_source(engine, point)
        if source >= 0:
            try:
                _bind(root_fd, source, point, makes_target=makes_targets)
            finally:
                os.close(source)


def _open_source(engine: "Engine", point: "MountPoint") -> int:
    """Return a descriptor of what is to be mounted, -1 where there is nothing."""
    path = point.source
    if point.is_volume:
        record = engine.volumes.store.find(point.name)
        if record is None or record.driver != LOCAL or local.is_mounted_by_driver(record.options):
            return -1
        path = engine.volumes.store.data(point.name)
    elif point.kind != BIND:
        return -1
    try:
        fd = file.open_file(path, os.O_PATH)
        if not point.subpath:
            return fd
        try:
            return rooted.open_in_root(fd, point.subpath)
        finally:
            os.close(fd)
    except OSError as exc:
        if exc.errno in _MISSING:
            return -1
        raise


def _bind(root_fd: int, source: int, point: "MountPoint", *, makes_target: bool) -> None:
    is_directory = stat.S_ISDIR(os.fstat(source).st_mode)
    try:
        if makes_target:
            make = rooted.make_directories if is_directory else rooted.make_file
            target = make(root_fd, point.destination)
        else:
            target = rooted.open_in_root(root_fd, point.destination)
    except OSError as exc:
        if exc.errno not in _MISSING:
            raise
        if makes_target:
            message = f"{point.destination} cannot be mounted: something else is in its way"
            raise ConflictError(message, hint="see the container's files") from exc
        return
    try:
        mount.mount(by_fd(source), by_fd(target), None, mount.MS_BIND | mount.MS_REC)
    finally:
        os.close(target)
    if point.read_only:
        make_read_only(root_fd, point.destination)
