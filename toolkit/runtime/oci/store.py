"""What is on disk of a container, a directory of its own below the root, and in which state it is.

    state.json    what the container is; written whole, with a rename
    config.json   its config as it was when it was made
    start.fifo    init reads from it until it is started: who can open it for writing knows that init still waits
    result.fifo   through it init says, once it is told to start, why it could not

The state is never written down, as it would be a lie as soon as a process is
killed: it follows from the process and the fifo.
"""

import errno
import json
import os
from typing import Any, NamedTuple

from toolkit.core.errors import ConflictError, EngineError, InvalidError, NotFoundError
from toolkit.linux import cgroup, lock, procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"

STATE_FILE = "state.json"
CONFIG_FILE = "config.json"
START_FIFO = "start.fifo"
RESULT_FIFO = "result.fifo"
_FILES = (STATE_FILE, f"{STATE_FILE}.new", CONFIG_FILE, START_FIFO, RESULT_FIFO)

FILTERS = "@filters"
"""Compiled seccomp filters, in the root; no container's id has an @."""
_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
_MAX_ID = 1024
_ZOMBIE = "ZX"


class Record(NamedTuple):
    """What is known of a container."""

    id: str
    oci_version: str
    """What its config claims."""
    bundle: str
    rootfs: str
    created: str
    """RFC 3339."""
    owner: str
    annotations: dict[str, str]
    cgroup: str
    """Its group's name; empty: none."""
    cgroup_is_relative: bool
    """The group lies below that of whoever made it."""
    cgroup_base: dict[str, str]
    """Then, by controller, where."""
    pid: int = 0
    """Its first process, as the host numbers it; 0: not born yet."""
    start_time: int = 0
    """That process's, in clock ticks since boot: a number may be another's by now."""
    is_ready: bool = False
    """All has been made."""


_EXAMPLE = Record("", "", "", "", "", "", {}, "", cgroup_is_relative=False, cgroup_base={})


class Store:
    """The containers below one root."""

    def __init__(self, root: str) -> None:
        """Use the directory `root`, which is made when it is needed."""
        self.root = root

    def directory(self, ident: str) -> str:
        """Return the container's directory.

        Raises:
            InvalidError: `ident` is not an id.
        """
        if not ident or ident in (".", "..") or not set(ident) <= _ID_CHARACTERS or len(ident) > _MAX_ID:
            hint = "an id is made of letters, digits, and the characters _ + - ."
            raise InvalidError(f"invalid container id format: {ident!r}", hint=hint)
        return f"{self.root}/{ident}"

    def create(self, ident: str) -> int:
        """Make the container's directory and fifos; return its lock.

        Raises:
            ConflictError: there is one with this id.
        """
        directory = self.directory(ident)
        os.makedirs(self.root, 0o711, exist_ok=True)
        try:
            os.mkdir(directory, 0o711)
        except FileExistsError as exc:
            raise ConflictError("container with given ID already exists", hint=f"delete {ident} first") from exc
        fd = lock.open_directory(directory)
        lock.wait_lock(fd)
        for name in (START_FIFO, RESULT_FIFO):
            os.mkfifo(f"{directory}/{name}", 0o600)
        return fd

    def lock(self, ident: str) -> int:
        """Wait until nobody else changes the container; return the descriptor that keeps it so.

        Raises:
            NotFoundError: there is no such container.
        """
        try:
            fd = lock.open_directory(self.directory(ident))
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            raise not_found(ident) from exc
        lock.wait_lock(fd)
        if not os.path.exists(self.directory(ident)):  # deleted while we waited
            os.close(fd)
            raise not_found(ident)
        return fd

    def write(self, record: Record, config: "dict[str, Any] | None" = None) -> None:
        """Write what is known of a container, and its config if it is given."""
        directory = self.directory(record.id)
        if config is not None:
            with open(f"{directory}/{CONFIG_FILE}", "w") as file:
                json.dump(config, file)
        with open(f"{directory}/{STATE_FILE}.new", "w") as file:
            json.dump(record._asdict(), file)
        os.rename(f"{directory}/{STATE_FILE}.new", f"{directory}/{STATE_FILE}")

    def read(self, ident: str) -> Record:
        """Return what is known of a container.

        Raises:
            NotFoundError: there is none.
            ConflictError: its files are damaged.
        """
        document = self._document(ident, STATE_FILE)
        try:
            record = Record(**document)
        except TypeError as exc:
            raise _damaged(ident, STATE_FILE, str(exc)) from exc
        for name, example in _EXAMPLE._asdict().items():
            if type(getattr(record, name)) is not type(example):
                raise _damaged(ident, STATE_FILE, f"{name} is no {type(example).__name__}")
        return record

    def read_config(self, ident: str) -> dict[str, Any]:
        """Return the config that a container was made from; as `read`."""
        return self._document(ident, CONFIG_FILE)

    def _document(self, ident: str, name: str) -> dict[str, Any]:
        directory = self.directory(ident)
        try:
            with open(f"{directory}/{name}") as file:
                document = json.load(file)
        except (FileNotFoundError, NotADirectoryError) as exc:
            if not os.path.isdir(directory):
                raise not_found(ident) from exc
            raise _damaged(ident, name, "it is missing") from exc
        except ValueError as exc:
            raise _damaged(ident, name, str(exc)) from exc
        if not isinstance(document, dict):
            raise _damaged(ident, name, "it is no object")
        return document

    def idents(self) -> list[str]:
        """Return the ids of all containers, sorted."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if "@" not in name and os.path.isdir(f"{self.root}/{name}"))

    def records(self) -> "Iterator[Record]":
        """Yield every container; one whose files are damaged, or that is just being deleted, is left out."""
        for ident in self.idents():
            try:
                yield self.read(ident)
            except (NotFoundError, ConflictError):
                continue

    def remove(self, ident: str) -> None:
        """Remove what is on disk of a container."""
        directory = self.directory(ident)
        for name in _FILES:
            try:
                os.unlink(f"{directory}/{name}")
            except FileNotFoundError:
                pass  # it was being made, or is damaged
        os.rmdir(directory)

    def status(self, record: Record) -> str:
        """Return in which state a container is."""
        if not record.is_ready:
            return CREATING if self._is_locked(record.id) else STOPPED
        if not is_alive(record):
            return STOPPED
        if self.is_waiting(record.id):
            return CREATED
        return PAUSED if _is_frozen(record) else RUNNING

    def _is_locked(self, ident: str) -> bool:
        try:
            fd = lock.open_directory(self.directory(ident))
        except FileNotFoundError:
            return False
        try:
            return not lock.try_lock(fd)
        finally:
            os.close(fd)

    def is_waiting(self, ident: str) -> bool:
        """Tell whether init still waits for the word to start."""
        try:
            os.close(self.open_fifo(ident))
        except OSError as exc:
            if exc.errno not in (errno.ENXIO, errno.ENOENT):
                raise
            return False
        return True

    def open_fifo(self, ident: str) -> int:
        """Open the fifo that init waits at, to write.

        Raises:
            OSError: ENXIO if it does not wait.
        """
        return os.open(f"{self.directory(ident)}/{START_FIFO}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def not_found(ident: str) -> NotFoundError:
    """Return the error that there is no such container, in words that containerd and podman look for."""
    return NotFoundError(f"container {ident!r} does not exist", hint="`list` shows those that do")


def _damaged(ident: str, name: str, what: str) -> EngineError:
    return ConflictError(f"{name} of container {ident!r} is damaged: {what}", hint="delete --force removes it")


def is_alive(record: Record) -> bool:
    """Tell whether the container's first process is there, and no zombie."""
    if not record.pid:
        return False
    try:
        text = procfs.read(f"/proc/{record.pid}/stat")
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ESRCH):
            return False
        raise
    fields = text.rpartition(")")[2].split()
    return fields[0] not in _ZOMBIE and int(fields[19]) == record.start_time


def _is_frozen(record: Record) -> bool:
    from toolkit.runtime.oci import cgroups

    if not record.cgroup:
        return False
    hierarchy = cgroups.of_record(record, cgroup.detect())
    directory = hierarchy.holder(record.cgroup)
    return bool(directory) and os.path.isdir(directory) and hierarchy.is_frozen(record.cgroup)
