"""The mounts of a container: from what was asked for to what is stored with it, and from that to the OCI config.

Decided when the container is made, by docker's rules of who comes first; made then too: volumes that there are not,
and what the image has in their place.  What needs a driver is mounted when the container starts.

See Also:
    moby, daemon/volumes.go (registerMountPoints) and daemon/oci_linux.go (withMounts)
"""

import errno
import os
import stat
from typing import Any

from toolkit.core.errors import ConflictError, EngineError, InvalidError, NotFoundError, PluginError, StorageFullError
from toolkit.volume import local, mount
from toolkit.volume.mount import BIND, TMPFS, VOLUME, MountSpec, parse_short
from toolkit.volume.point import MountPoint, decode
from toolkit.volume.store import ANONYMOUS_LABEL, LOCAL, Record, check_name, new_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine
    from toolkit.engine.options import ContainerOptions

_NO_SPACE = "no space left for the volume"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MISSING = (errno.ENOENT, errno.ENOTDIR)


def decide(engine: "Engine", options: "ContainerOptions", image: "Mapping[str, Any]") -> tuple[MountPoint, ...]:
    """Return the mounts that a container is to have; nothing is made yet.

    One that is asked for goes over one of another container, and that over one
    that the image names.

    Raises:
        InvalidError: what means nothing, or two mounts for one place.
        NotFoundError: another container, or a bind mount's source, that there is not.
    """
    found: dict[str, MountPoint] = {}
    for text in options.volumes_from:
        found.update((point.destination, point) for point in _of_other(engine, text))
    asked: set[str] = {os.path.normpath(path) for path in options.tmpfs}
    specs = [parse_short(text, options.volume_driver) for text in options.binds]
    specs += [mount.check(spec) for spec in options.mounts]
    for spec in specs:
        if spec.target in asked:
            raise InvalidError(f"Duplicate mount point: {spec.target}", hint="mount one thing in one place")
        asked.add(spec.target)
        found[spec.target] = _point(engine, options, spec)
    for path in (*options.volumes, *(image.get("Volumes") or ())):
        spec = mount.check(MountSpec(VOLUME, path, driver=options.volume_driver))
        if spec.target not in found and spec.target not in asked:
            found[spec.target] = _point(engine, options, spec)._replace(mode="")
    return tuple(found.values())


def _of_other(engine: "Engine", text: str) -> "Iterable[MountPoint]":
    name, is_read_only, _mode = mount.parse_from(text)
    other = engine.containers.get(name)
    for point in decode(other.doc.get("mounts", ())):
        yield point._replace(read_only=point.read_only or is_read_only, no_copy=True, mode="")


def _point(engine: "Engine", options: "ContainerOptions", spec: MountSpec) -> MountPoint:
    point = MountPoint(
        spec.kind,
        spec.target,
        mode=spec.mode,
        read_only=spec.read_only,
        recursion=spec.recursion,
        idmap=spec.idmap,
    )
    if spec.idmap == "container" and options.userns_mode in ("", "host"):
        message = "idmap without ranges needs a user namespace of the container's own"
        raise InvalidError(message, hint="give --userns private too, or write idmap=uids=FILE-SHOWN-SIZE")
    if spec.kind == TMPFS:
        return point._replace(tmpfs_size_bytes=spec.tmpfs_size_bytes, tmpfs_mode=spec.tmpfs_mode)
    if spec.kind == BIND:
        if not spec.makes_source and not os.path.lexists(spec.source):
            message = f'invalid mount config for type "bind": bind source path does not exist: {spec.source}'
            raise NotFoundError(message, hint="make it first; -v makes a directory of its own accord")
        return point._replace(
            source=spec.source, propagation=spec.propagation or "rprivate", makes_source=spec.makes_source
        )
    return _volume_point(engine, point, spec)


def _volume_point(engine: "Engine", point: MountPoint, spec: MountSpec) -> MountPoint:
    known = engine.volumes.store.find(spec.source) if spec.source else None
    driver = known.driver if known and not spec.driver else spec.driver or LOCAL
    if spec.source and driver == LOCAL:
        check_name(spec.source)
    if driver == LOCAL:
        local.check_options(spec.source, spec.driver_options)
    is_anonymous = not spec.source
    labels = {**spec.labels, ANONYMOUS_LABEL: ""} if is_anonymous else dict(spec.labels)
    return point._replace(
        name=spec.source or new_name(),
        driver=driver,
        mode=point.mode or ("z" if driver == LOCAL else ""),  # as docker shows it
        no_copy=spec.no_copy,
        subpath=spec.subpath,
        is_anonymous=is_anonymous,
        driver_options=dict(spec.driver_options),
        labels=labels,
    )


# Making


def make(engine: "Engine", container: "Container") -> None:
    """Make the volumes of a new container that there are not, and fill those that are empty.

    Raises:
        EngineError: it could not be done; the volumes that were made for this container alone are gone again.
    """
    points = points_of(container)
    try:
        for point in points:
            if point.is_volume:
                _ensure(engine, point)
        fill(engine, container, points)
    except BaseException:
        remove_anonymous(engine, container.id, container.doc)
        raise


def points_of(container: "Container") -> tuple[MountPoint, ...]:
    """Return the mounts that were decided for a container."""
    return decode(container.doc.get("mounts", ()))


def _ensure(engine: "Engine", point: MountPoint) -> Record:
    """Return the record of a volume, made where there is none: it may have been removed since."""
    record = engine.volumes.store.find(point.name)
    if record is None or record.driver != point.driver:  # the second is told of
        made = engine.volumes.create(point.name, driver=point.driver, options=point.driver_options, labels=point.labels)
        record = made.record
    return record


def fill(engine: "Engine", container: "Container", points: tuple[MountPoint, ...]) -> None:
    """Have local volumes that are empty begin with what the image has in their place.

    Those that a driver has to mount first are filled when the container starts.

    Raises:
        InvalidError: the image has a file there.
        StorageFullError: there is no space; the volume is as it was.
    """
    from toolkit.volume.fill import Place

    store = engine.volumes.store
    wanted: list[tuple[MountPoint, Place]] = []
    for point in points:
        if point.is_volume and point.driver == LOCAL and not _is_mounted_by_driver(engine, point):
            place = Place(store.data(point.name), store.place(point.name))
            with store.locked(point.name):
                store.make_place(point.name)  # whoever was killed in the middle of its removal
                place.finish()
                if place.is_empty() and not point.no_copy and not point.subpath:
                    wanted.append((point, place))
    _copy_up(engine, container, wanted)


def _copy_up(engine: "Engine", container: "Container", wanted: "list[tuple[MountPoint, Any]]") -> None:
    """Copy what the image has into volumes, each with its lock held."""
    if not wanted:
        return
    from toolkit.engine.files.view import image_opened

    with image_opened(engine, container.doc["diff_ids"]) as root_fd:
        for point, place in wanted:
            source = _open_in_image(root_fd, point.destination)
            if source < 0:
                continue
            try:
                with engine.volumes.store.locked(point.name):
                    place.fill(source)
            except OSError as exc:
                if not isinstance(exc, EngineError) and exc.errno in _FULL:
                    message = f"{_NO_SPACE} {point.name}, which begins with what the image has in {point.destination}"
                    raise StorageFullError(message, hint="free some space, or mount it with nocopy") from exc
                raise
            finally:
                os.close(source)


def _open_in_image(root_fd: int, path: str) -> int:
    """Return a descriptor of a directory of the image, -1 where it has none.

    Raises:
        InvalidError: it has a file there.
    """
    from toolkit.linux import rooted

    try:
        fd = rooted.open_in_root(root_fd, path)
    except OSError as exc:
        if exc.errno in _MISSING:
            return -1
        raise
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    message = f"cannot mount volume over existing file, file exists {path}"
    raise InvalidError(message, hint="mount it in another place, or bind a file there")


def _is_mounted_by_driver(engine: "Engine", point: MountPoint) -> bool:
    record = engine.volumes.store.find(point.name)
    return record is not None and local.is_mounted_by_driver(record.options)


def is_held(engine: "Engine", container: "Container") -> bool:
    """Tell whether a driver has to mount something for the container, and unmount it at its end."""
    return any(
        point.is_volume and (point.driver != LOCAL or _is_mounted_by_driver(engine, point))
        for point in points_of(container)
    )


# Starting


def hold(engine: "Engine", container: "Container") -> "dict[str, str]":
    """Have everything be where it can be mounted from, before a start; return where each volume lies, by name.

    Raises:
        EngineError: a source is missing, or a driver refuses; whoever starts it lets go of the rest (`release`).
    """
    sources: dict[str, str] = {}
    points = points_of(container)
    fill_now = [point for point in points if point.is_volume and point.driver == LOCAL]
    for point in points:
        if point.kind == BIND:
            _make_source(point)
        elif point.is_volume and point.name not in sources:
            record = _ensure(engine, point)
            sources[point.name] = engine.volumes.mount(record, container.id)
            if point not in fill_now or local.is_mounted_by_driver(record.options):
                _fill_mounted(engine, container, point, sources[point.name])
    if fill_now:
        fill(engine, container, points)
    _note_mounts(engine, container, points)
    return sources


def _make_source(point: MountPoint) -> None:
    """Make the directory that -v names, or say that there is nothing to bind, or not as it was asked for."""
    if point.propagation not in ("", "private", "rprivate"):
        _check_propagation(point)
    if os.path.lexists(point.source):
        return
    if not point.makes_source:
        message = f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
        raise NotFoundError(message, hint="it was there when the container was made")
    try:
        os.makedirs(point.source, 0o755, exist_ok=True)
    except OSError as exc:
        message = f"error while creating mount source path '{point.source}': mkdir {exc.filename}: {exc.strerror}"
        raise ConflictError(message, hint="make it, or name another") from exc


def _check_propagation(point: MountPoint) -> None:
    """Refuse to connect a mount to the host's where the host's is connected to none."""
    is_shared = point.propagation.endswith("shared")
    where, tags = _mount_of(point.source)
    if "shared:" in tags or ("master:" in tags and not is_shared):
        return
    wanted = "a shared mount" if is_shared else "a shared or slave mount"
    message = f"path {point.source} is mounted on {where} but it is not {wanted}"
    raise InvalidError(message, hint=f"make it one: mount --make-rshared {where}")


def _mount_of(path: str) -> tuple[str, str]:
    """Return where the mount is attached that a path lies on, and its optional fields.

    See Also:
        proc_pid_mountinfo(5)
    """
    from toolkit.linux.mount import unescaped

    found = ("/", "")
    real = os.path.realpath(path)
    with open("/proc/self/mountinfo") as listing:
        for line in listing:
            before, _, _after = line.partition(" - ")
            fields = before.split(" ", 6)
            point = unescaped(fields[4])
            is_above = real == point or real.startswith(point.rstrip("/") + "/")
            if is_above and len(point) >= len(found[0]):
                found = (point, fields[6] if len(fields) > 6 else "")
    return found


def _fill_mounted(engine: "Engine", container: "Container", point: MountPoint, source: str) -> None:
    from toolkit.volume.fill import Place

    place = Place.inside(source)
    if point.no_copy or point.read_only or point.subpath or not os.path.isdir(source):
        return
    place.finish()
    if place.is_empty():
        _copy_up(engine, container, [(point, place)])


def _note_mounts(engine: "Engine", container: "Container", points: tuple[MountPoint, ...]) -> None:
    happened = [
        (
            "volume",
            "mount",
            point.name,
            {
                "container": container.id,
                "destination": point.destination,
                "driver": point.driver,
                "propagation": point.propagation,
                "read/write": "false" if point.read_only else "true",
            },
        )
        for point in points
        if point.is_volume
    ]
    if happened:
        engine.events.note_all(*happened)


def unmounted(container: "Container") -> "list[tuple[str, str, str, dict[str, str]]]":
    """Return the events of the end of its volumes' use."""
    return [
        ("volume", "unmount", name, {"container": container.id, "driver": driver})
        for name, driver in volumes_of(container)
    ]


def volumes_of(container: "Container") -> "tuple[tuple[str, str], ...]":
    """Return the names and drivers of its volumes, each once."""
    return tuple({point.name: point.driver for point in points_of(container) if point.is_volume}.items())


def sources(engine: "Engine", container: "Container") -> "dict[str, str]":
    """Return where each volume would lie, by name, without having anything mounted: for a plan that is only shown."""
    return {
        point.name: engine.volumes.store.data(point.name) if point.driver == LOCAL else f"/(where {point.driver} says)"
        for point in points_of(container)
        if point.is_volume
    }


# Ending


def remove_anonymous(engine: "Engine", ident: str, doc: "Mapping[str, Any]") -> None:
    """Remove the volumes that were made for a container alone; those that others use too stay."""
    for point in decode(doc.get("mounts", ())):
        if point.is_volume and point.is_anonymous:
            try:
                engine.volumes.remove(point.name, except_for=ident)
            except (ConflictError, NotFoundError, PluginError):
                continue  # --volumes-from has given it to another, it was not made, or its driver is gone


def inspect(engine: "Engine", container: "Container") -> "list[dict[str, Any]]":
    """Return the Mounts of a container as docker's API shows them."""
    shown: list[dict[str, Any]] = []
    for point in points_of(container):
        source = point.source
        if point.is_volume:
            source = engine.volumes.where(point.name, point.driver, container.id)
        shown.append(point.inspect(source))
    return shown
