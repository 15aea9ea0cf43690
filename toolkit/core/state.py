"""The engine's objects on disk: one sqlite database (WAL) under the engine root.

An object is a JSON document with a kind ("container", "image", ...), an id and
an optional name that is unique within its kind.  Documents are small; bulk
data lies in files beside the database.  Any process may open the state at any
time, and any process may be killed at any time: a write is one transaction.

WAL with synchronous=NORMAL: a crash of a process loses nothing, a crash of the
machine may lose the last transactions but never the database.
"""

import errno
import os
from contextlib import contextmanager, suppress

from toolkit.core import document
from toolkit.core.errors import ConflictError, IntegrityError, NotFoundError, PrivilegeError, StorageFullError
from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Generator, Iterator
    from typing import Any
else:
    import _sqlite3 as sqlite3  # the same, without its ways to store dates, which import datetime: 3 ms

Document = dict[str, "Any"]

_SCHEMA = """
create table if not exists object (
    kind text not null,
    id text not null,
    name text,
    doc text not null,
    primary key (kind, id)
) without rowid;
create unique index if not exists object_name on object (kind, name) where name is not null;
"""
_BUSY_TIMEOUT_S = 30.0
# Writing into a full tmpfs or ext4 is one of these, by what sqlite was growing: the database, the log, its index.
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP}
_RESERVE, _RESERVE_BYTES = "-reserve", 256 * 1024
"""A file beside the database: sqlite needs some 40 KB to open it, and as much to forget an object."""
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_REFUSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_READONLY_DIRECTORY, sqlite3.SQLITE_PERM}


class Row(NamedTuple):
    """One stored object."""

    id: str
    name: str | None
    doc: Document


class State:
    """The database of one engine root; cheap to open, safe to share between threads."""

    def __init__(self, path: str) -> None:
        """Open the database at `path`, creating it where it does not exist.

        Raises:
            IntegrityError: the file there is no database, or a damaged one.
            PrivilegeError: this user may not read or write there.
            StorageFullError: the disk is full.
        """
        self._path = path
        try:
            if not os.path.exists(path):
                _create(path)
            self._db = _open_surely(path)
        except (OSError, sqlite3.DatabaseError) as exc:
            raise _translated(exc, path) from exc
        if not os.path.exists(path + _RESERVE):
            _lay_in_reserve(path + _RESERVE)

    def close(self) -> None:
        """Close the database; the object cannot be used afterwards."""
        self._db.close()

    @property
    def version(self) -> int:
        """A number that is another one when somebody else has changed anything; see sqlite's data_version."""
        return int(self._execute("pragma data_version").fetchone()[0])

    def insert(self, kind: str, ident: str, doc: Document, name: str | None = None) -> None:
        """Store a new object.

        Raises:
            ConflictError: the id or the name is taken.
            StorageFullError: the disk is full.
        """
        try:
            self._execute("insert into object values (?, ?, ?, ?)", kind, ident, name, document.encode(doc).decode())
        except sqlite3.IntegrityError as exc:
            raise ConflictError(f"{kind} name '{name}' is already in use") from exc

    def put(self, kind: str, ident: str, doc: Document, name: str | None = None) -> None:
        """Store an object, replacing the one with this id."""
        try:
            self._execute(
                "insert into object values (?, ?, ?, ?)"
                " on conflict (kind, id) do update set name=excluded.name, doc=excluded.doc",
                kind,
                ident,
                name,
                document.encode(doc).decode(),
            )
        except sqlite3.IntegrityError as exc:
            raise ConflictError(f"{kind} name '{name}' is already in use") from exc

    def rename(self, kind: str, ident: str, name: str) -> None:
        """Give an object another name.

        Raises:
            ConflictError: the name is taken.
            NotFoundError: there is no such object.
        """
        try:
            changed = self._execute("update object set name=? where kind=? and id=?", name, kind, ident).rowcount
        except sqlite3.IntegrityError as exc:
            raise ConflictError(f"{kind} name '{name}' is already in use") from exc
        if not changed:
            raise NotFoundError(f"no such {kind}: {ident}")

    def amend(self, kind: str, ident: str, change: "Callable[[Document], Document]") -> Document:
        """Replace an object's document by what `change` makes of it; nobody else changes it meanwhile.

        Raises:
            NotFoundError: there is no such object.
        """
        self._execute("begin immediate")
        try:
            doc = change(self.get(kind, ident).doc)
            self._execute("update object set doc=? where kind=? and id=?", document.encode(doc).decode(), kind, ident)
        except BaseException:
            self._execute("rollback")
            raise
        self._execute("commit")
        return doc

    @contextmanager
    def transaction(self) -> "Generator[None, None, None]":
        """Have nobody else write until the end of the block; what is written in it is seen at once, or not at all."""
        self._execute("begin immediate")
        try:
            yield
        except BaseException:
            self._execute("rollback")
            raise
        self._execute("commit")

    def delete(self, kind: str, ident: str) -> bool:
        """Forget an object, also where the disk is full; tell whether it existed."""
        sql = "delete from object where kind=? and id=?"
        try:
            return self._execute(sql, kind, ident).rowcount > 0
        except StorageFullError:
            if not _give_up_reserve(self._path + _RESERVE):
                raise
        return self._execute(sql, kind, ident).rowcount > 0

    def get(self, kind: str, ident: str) -> Row:
        """Return the object with exactly this id.

        Raises:
            NotFoundError: there is none.
        """
        row = self._execute("select id, name, doc from object where kind=? and id=?", kind, ident).fetchone()
        if row is None:
            raise NotFoundError(f"no such {kind}: {ident}")
        return Row(row[0], row[1], document.decode(row[2]))

    def find_name(self, kind: str, name: str) -> Row | None:
        """Return the object with this name, or None."""
        row = self._execute("select id, name, doc from object where kind=? and name=?", kind, name).fetchone()
        return None if row is None else Row(row[0], row[1], document.decode(row[2]))

    def find_prefix(self, kind: str, prefix: str) -> list[Row]:
        """Return the objects whose id starts with `prefix`, at most two."""
        rows = self._execute(
            "select id, name, doc from object where kind=? and id>=? and id<? limit 2", kind, prefix, prefix + "\x7f"
        )
        return [Row(ident, name, document.decode(doc)) for ident, name, doc in rows]

    def list_prefix(self, kind: str, prefix: str) -> "Iterator[Row]":
        """Yield the objects of a kind whose id starts with `prefix`, ordered by id."""
        sql = "select id, name, doc from object where kind=? and id>=? and id<? order by id"
        for ident, name, doc in self._execute(sql, kind, prefix, prefix + "\x7f").fetchall():
            yield Row(ident, name, document.decode(doc))

    def list(self, kind: str) -> "Iterator[Row]":
        """Yield all objects of a kind, ordered by id."""
        rows = self._execute("select id, name, doc from object where kind=? order by id", kind).fetchall()
        for ident, name, doc in rows:
            yield Row(ident, name, document.decode(doc))

    def _execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except sqlite3.IntegrityError:  # a taken name or id; the caller knows which
            raise
        except sqlite3.DatabaseError as exc:
            raise _translated(exc, "the engine's state") from exc


def _open_surely(path: str) -> sqlite3.Connection:
    """Open the database; where the disk is full, in the space that was kept for that."""
    try:
        return _open(path)
    except sqlite3.DatabaseError as exc:
        if getattr(exc, "sqlite_errorcode", None) not in _FULL or not _give_up_reserve(path + _RESERVE):
            raise
    return _open(path)


def _lay_in_reserve(path: str) -> None:
    """Take space, so that whoever has filled the disk can list and remove what fills it."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _RESERVE_BYTES)
        finally:
            os.close(fd)
    except OSError:
        _give_up_reserve(path)  # there is none left, or it is not for us to write here


def _give_up_reserve(path: str) -> bool:
    """Give the space back; tell whether there was any."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def _open(path: str) -> sqlite3.Connection:
    db = _connect(path)
    try:
        db.execute("pragma synchronous=normal")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _create(path: str) -> None:
    """Make the database under another name and link it in place.

    Whoever opens `path` finds a complete database or none, also when two
    processes create it at the same time or one is killed in the middle.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}-{os.urandom(4).hex()}"
    try:
        # Environments of containers are in there; sqlite gives its other files the same mode.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        db = _connect(temporary)
        try:
            db.execute("pragma journal_mode=wal")
            db.executescript(_SCHEMA)
        finally:
            db.close()
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        for tail in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.unlink(temporary + tail)


def _translated(exc: OSError | sqlite3.DatabaseError, where: str) -> Exception:
    """Return the engine's error for what sqlite or the kernel says, or `exc` itself."""
    number = exc.errno if isinstance(exc, OSError) else None
    code = getattr(exc, "sqlite_errorcode", None)
    if number == errno.ENOSPC or code in _FULL:
        return StorageFullError("no space left for the engine's state", hint="free some space and try again")
    if number in {errno.EACCES, errno.EPERM, errno.EROFS} or code in _REFUSED:
        cure = "run as root, or set CONTAINER_ROOT and CONTAINER_RUN to directories of yours"
        return PrivilegeError(f"permission denied: cannot write {where}", hint=cure)
    if code in _DAMAGED:
        return IntegrityError(
            f"damaged: {where}", hint="move the file away; containers and names recorded in it are lost"
        )
    return exc
