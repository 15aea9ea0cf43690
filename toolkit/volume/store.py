"""The volumes of an engine: their records, where local ones lie, and who has them mounted.

root/volumes/NAME/_data     what containers see of a local volume
root/volumes/NAME/_filling  what an image has there, being copied; `fill` says how it gets into _data
run/volumes/NAME/           locked while the volume is made, filled, mounted or removed
run/volumes/NAME/ID         a container's claim on a volume that its driver has to mount

Invariant: a record is there after its directory, and gone after it: a volume that can be found has a place, but for a
moment in which it is being removed.

Invariant: a claim is written before the driver mounts, and goes after it has unmounted.  Claims are files, not a
count: one whose container does not run any more counts for nothing, however that container ended.
"""

import errno
import json
import os
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from toolkit.core import clock
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.image.erase import erase
from toolkit.linux import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from toolkit.core.state import State

KIND = "volume"
LOCAL = "local"
ANONYMOUS_LABEL = "com.docker.volume.anonymous"
_NAME_TAIL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_NAME_HEAD = _NAME_TAIL - frozenset("_.-")
_MAX_NAME = 255
_NOTHING: "Mapping[str, str]" = {}


class Record(NamedTuple):
    """What is known of a volume."""

    name: str
    driver: str = LOCAL
    created: str = ""
    options: "Mapping[str, str]" = _NOTHING
    labels: "Mapping[str, str]" = _NOTHING

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody gave it its name."""
        return ANONYMOUS_LABEL in self.labels


class Claim(NamedTuple):
    """That a container has a volume mounted, and how it is to be unmounted."""

    container: str
    driver: str
    address: str = ""
    """Of the plugin."""
    source: str = ""
    """Where its driver has mounted it."""


class Store:
    """The records and the directories; knows no driver."""

    def __init__(self, state: "State", root: str, run: str) -> None:
        """Keep local volumes below `root` and claims below `run`; both may not be there yet."""
        self._state = state
        self._root = root
        self._run = run

    # Records

    def find(self, name: str) -> Record | None:
        """Return the volume of this name, or None."""
        row = self._state.find_name(KIND, name)
        return None if row is None else _record(row.doc)

    def get(self, name: str) -> Record:
        """Return the volume of this name.

        Raises:
            NotFoundError: there is none.
        """
        found = self.find(name)
        if found is None:
            raise NotFoundError(f"get {name}: no such volume", hint="`container volume ls` lists all")
        return found

    def list(self) -> "Iterator[Record]":
        """Yield all volumes, by name."""
        for row in self._state.list(KIND):
            yield _record(row.doc)

    def add(self, record: Record) -> Record:
        """Store a new volume, and make its place; return it, or the one that is there already.

        The caller has locked its name.

        Raises:
            ConflictError: the one that is there has another driver.
        """
        found = self.find(record.name)
        if found is not None:
            if found.driver != record.driver:
                raise ConflictError(
                    f"create {record.name}: conflict: volume name must be unique",
                    hint=f"it is there already, with the driver {found.driver}",
                )
            return found
        if record.driver == LOCAL:
            self.make_place(record.name)
        made = record._replace(created=record.created or clock.now())
        self._state.insert(KIND, made.name, made._asdict(), made.name)
        return made

    def delete(self, record: Record, trash: str) -> None:
        """Forget a volume, and what is in it; the caller has locked its name, and nothing is mounted there.

        Args:
            record: which.
            trash: a directory on the same file system, emptied by whoever comes next if we are killed.
        """
        place = f"{self._root}/{record.name}"
        away = f"{trash}/volume-{os.urandom(8).hex()}"
        try:
            os.rename(place, away)
        except FileNotFoundError:
            pass  # a plugin's, or somebody was killed in the middle of this
        self._state.delete(KIND, record.name)
        erase(away)

    def sweep(self, trash: str) -> None:
        """Take away the places of volumes whose maker was killed before it had stored them."""
        try:
            names = os.listdir(self._root)
        except FileNotFoundError:
            return
        for name in names:
            if self.find(name) is None:
                with self.locked(name):
                    if self.find(name) is None:
                        self.delete(Record(name), trash)

    # Places

    def place(self, name: str) -> str:
        """Return the directory of a local volume that is not what containers see."""
        return f"{self._root}/{name}"

    def data(self, name: str) -> str:
        """Return the directory of a local volume that containers see."""
        return f"{self._root}/{name}/_data"

    def make_place(self, name: str) -> None:
        """Make the directories of a local volume; those that are there stay as they are."""
        for path, mode in ((self._root, 0o711), (self.place(name), 0o701), (self.data(name), 0o755)):
            try:
                os.mkdir(path, mode)
                os.chmod(path, mode)  # whatever the umask
            except FileExistsError:
                pass  # it is not the first volume, or somebody was killed in the middle of this

    # Locks and claims

    @contextmanager
    def locked(self, name: str) -> "Generator[str]":
        """Hold the lock of a volume's name, whether there is one or not; gives the directory of its claims.

        Whoever dies lets go of it.
        """
        directory = f"{self._run}/{name}"
        fd = self._lock(directory)
        try:
            yield directory
        finally:
            _remove_if_empty(directory)  # while it is ours: whoever waits for it notices, and makes another
            os.close(fd)

    def _lock(self, directory: str) -> int:
        while True:
            for path in (self._run, directory):
                with suppress(FileExistsError):
                    os.mkdir(path, 0o700)
            try:
                fd = lock.open_directory(directory)
            except FileNotFoundError:
                continue
            lock.wait_lock(fd)
            if os.fstat(fd).st_nlink > 0:
                return fd
            os.close(fd)

    def claims(self, directory: str, is_alive: "Callable[[str], bool]") -> "Sequence[Claim]":
        """Return the claims of containers that live; the caller has locked the volume of this directory."""
        return [claim for name in os.listdir(directory) if is_alive(name) and (claim := read_claim(directory, name))]

    def claimed_by(self, ident: str) -> "Sequence[str]":
        """Return the names of the volumes that a container has a claim on."""
        try:
            names = os.listdir(self._run)
        except FileNotFoundError:
            return []
        return [name for name in names if os.path.exists(f"{self._run}/{name}/{ident}")]


def _remove_if_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError as exc:
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def read_claim(directory: str, ident: str) -> Claim | None:
    """Return a claim, None where there is none, or one whose writer was killed before it had written it."""
    try:
        with open(f"{directory}/{ident}") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    return Claim(*json.loads(text)) if text else None


def write_claim(directory: str, claim: Claim) -> None:
    """Write a claim, whole or not at all."""
    path = f"{directory}/{claim.container}"
    with open(f"{path}.new", "w") as file:
        file.write(json.dumps(claim))
    os.rename(f"{path}.new", path)


def drop_claim(directory: str, ident: str) -> None:
    """Take a claim away; one that is gone is fine."""
    for path in (f"{directory}/{ident}", f"{directory}/{ident}.new"):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass  # it was not written, or somebody else has cleaned up


def check_name(name: str) -> str:
    """Return the name.

    Raises:
        InvalidError: it can be no volume's.
    """
    if len(name) == 1:
        message = "volume name is too short, names should be at least two alphanumeric characters"
        raise InvalidError(message, hint="choose a longer one")
    if not name or name[0] not in _NAME_HEAD or not _NAME_TAIL.issuperset(name) or len(name) > _MAX_NAME:
        raise InvalidError(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed',
            hint="If you intended to pass a host directory, use absolute path",
        )
    return name


def new_name() -> str:
    """Return the name of a volume that nobody gives one."""
    return os.urandom(32).hex()


def tree_bytes(path: str) -> int:
    """Return how many bytes the files below a directory have on disk, each inode once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for _path, _directories, names, fd in os.fwalk(path):
        for name in names:
            try:
                found = os.lstat(name, dir_fd=fd)
            except FileNotFoundError:
                continue  # whoever has it mounted removed it in this moment
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_size
    return total


def _record(doc: dict[str, Any]) -> Record:
    return Record(**doc)
