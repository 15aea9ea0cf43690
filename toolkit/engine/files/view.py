"""The root directory of a container as a descriptor: of the one that runs, or laid together for a moment.

A container that runs is seen through its first process, with all that is
mounted in there.  The file system of one that does not is mounted in a mount
namespace that only a thread of ours is in: no mount of it appears on the host,
and it is gone when the thread is, even if this process is killed.
"""

import os
import threading
from contextlib import contextmanager
from typing import NamedTuple, cast

from toolkit.core.errors import ConflictError
from toolkit.engine.files.ids import IdMap, read_map
from toolkit.linux import file, mount, namespace, process, rooted
from toolkit.runtime import steps
from toolkit.runtime.context import NO_STDIO, Context
from toolkit.storage import overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine
    from toolkit.runtime.context import Reports

_ENGINES_FILES = ("hostname", "hosts", "resolv.conf")


class View(NamedTuple):
    """A container's files, as long as it is open."""

    root_fd: int
    uids: IdMap
    """Between the ids that its own programs see and those of the files as seen from here."""
    gids: IdMap


@contextmanager
def opened(
    engine: "Engine", container: "Container", *, writes: bool = False, has_mounts: bool = True
) -> "Generator[View]":
    """Open the root of a container.

    Args:
        engine: whose it is.
        container: which.
        writes: files will be changed; a container that does not run can then not be started or removed meanwhile.
        has_mounts: with what is mounted in it; else what it keeps on disk alone.

    Raises:
        ConflictError: somebody else starts or removes it at this moment, or it has just ended.
    """
    status = container.read_status()
    if status.is_alive and has_mounts:
        with _running(container, status.pid) as view:
            yield view
    elif status.is_alive or not writes:
        with _laid_together(engine, container, writes=False, has_mounts=has_mounts) as view:
            yield view
    else:
        with _held(engine, container), _laid_together(engine, container, writes=True, has_mounts=True) as view:
            yield view


@contextmanager
def image_opened(engine: "Engine", diff_ids: "Sequence[str]") -> "Generator[int]":
    """Open the root of an image, to read from: the layers laid together, nothing of any container."""
    layers = [engine.images.layer_path(diff_id) for diff_id in diff_ids]
    root = overlay.root_filesystem(layers, "", volatile=False)
    step = steps.MountOverlay(root.lower, "", "", root.options, engine.paths.rootfs)
    with _in_namespace_of_its_own(lambda: _mount(step)) as root_fd:
        yield root_fd


@contextmanager
def _running(container: "Container", pid: int) -> "Generator[View]":
    pidfd = root_fd = -1
    try:
        try:
            pidfd = process.pidfd_open(pid)
            root_fd = file.open_file(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY)
            uids, gids = read_map(f"/proc/{pid}/uid_map"), read_map(f"/proc/{pid}/gid_map")
            process.pidfd_send_signal(pidfd, 0)  # it was this process, to the end
        except OSError as exc:
            raise ConflictError(f"container {container.name} is not running", hint="it has just ended") from exc
        yield View(root_fd, uids, gids)
    finally:
        for fd in (pidfd, root_fd):
            if fd >= 0:
                os.close(fd)


@contextmanager
def _held(engine: "Engine", container: "Container") -> "Generator[None]":
    """Keep a container from being started or removed."""
    from toolkit.engine.recovery import remove_run_dir

    lock_fd = engine.recovery.take(container.id, container.name, claims=False)
    try:
        engine.containers.get(container.id)
        yield
    finally:
        remove_run_dir(container.run_dir)
        os.close(lock_fd)


@contextmanager
def _laid_together(engine: "Engine", container: "Container", *, writes: bool, has_mounts: bool) -> "Generator[View]":
    directory = engine.paths.container(container.id)
    layers = [engine.images.layer_path(diff_id) for diff_id in container.doc["diff_ids"]]
    root = overlay.root_filesystem(layers, directory, volatile=False)
    if writes:
        os.makedirs(directory, 0o710, exist_ok=True)
        overlay.prepare(root)
        step = steps.MountOverlay(root.lower, root.upper, root.work, root.options, engine.paths.rootfs)
    else:
        # The changes as the topmost layer of those that are only read: another mount may be writing to them.
        stack = (root.upper, *root.lower) if os.path.isdir(root.upper) else root.lower
        step = steps.MountOverlay(stack, "", "", root.options, engine.paths.rootfs)

    has_volumes = has_mounts and "mounts" in container.doc

    def lay() -> int:
        root_fd = _mount(step)
        if has_volumes:
            from toolkit.engine.files import mounts

            mounts.lay(engine, container, root_fd, makes_targets=writes)
        if has_mounts:
            for name in _ENGINES_FILES:
                _bind_over(root_fd, f"{directory}/{name}", f"/etc/{name}")
        return root_fd

    with _in_namespace_of_its_own(lay) as root_fd:
        yield View(root_fd, (), ())


def _mount(step: "steps.MountOverlay") -> int:
    if len(step.lower) == 1 and not step.upper:  # overlayfs wants two directories at least
        return file.open_file(step.lower[0], os.O_PATH | os.O_DIRECTORY)
    context = Context(steps.INIT, cast("Reports", None), NO_STDIO)
    step.apply(context)
    return context.root_fd


def _bind_over(root_fd: int, source: str, path: str) -> None:
    """Show a file of the engine's where the container sees it; one that neither has is left out."""
    try:
        target = rooted.open_in_root(root_fd, path)
    except OSError:
        return  # the image has no such file, and a container that runs would have got one
    try:
        if os.path.exists(source):
            mount.mount(source, f"/proc/self/fd/{target}", None, mount.MS_BIND)
    finally:
        os.close(target)


@contextmanager
def _in_namespace_of_its_own(lay: "Callable[[], int]") -> "Generator[int]":
    """Have a thread leave for a mount namespace of its own and mount there; it waits there until we are done."""
    ready, done = threading.Event(), threading.Event()
    result: list[int] = []
    failure: list[BaseException] = []

    def live() -> None:
        try:
            namespace.unshare(namespace.CLONE_NEWNS)
            mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
            result.append(lay())
        except BaseException as exc:  # noqa: BLE001 - raised again in the thread that waits for it
            failure.append(exc)
        ready.set()
        done.wait()

    thread = threading.Thread(target=live, name="mounts", daemon=True)
    thread.start()
    try:
        ready.wait()
        if failure:
            raise failure[0]
        yield result[0]
    finally:
        done.set()
        thread.join()
        for fd in result:
            os.close(fd)
