"""Blobs that are still coming: sessions that survive a dropped connection and a restart.

The bytes lie in `uploads/<uuid>`; the file's size is the session's offset.
The hash is kept while the server runs, and made again from the file after a
restart.
"""

import asyncio
import hashlib
import os
import re
import time
import uuid
from contextlib import contextmanager, suppress
from typing import Protocol

from toolkit.core.digest import Digest, split_digest
from toolkit.registry.server import errors
from toolkit.registry.server.errors import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from toolkit.registry.server.storage import Repository, Storage

_IDENT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_READ_BYTES = 1 << 20
_LIFE_S = 7 * 24 * 3600  # as long as docker-registry keeps an upload that nobody ends


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class Upload:
    """One blob that is coming; use it under its lock."""

    def __init__(self, path: str, ident: str, repository: str) -> None:
        """Go on with the file at `path`."""
        self.ident = ident
        self.repository = repository
        self.lock = asyncio.Lock()
        self._path = path
        self._hash: _Hash | None = None
        with self._opened() as fd:
            self.offset = os.fstat(fd).st_size
        if self.offset == 0:
            self._hash = hashlib.sha256()

    async def append(self, chunks: "AsyncIterator[bytes]") -> None:
        """Add bytes as they come; what has come stays if the client breaks off."""
        pending = bytearray()
        try:
            async for chunk in chunks:
                pending += chunk
                if len(pending) >= _READ_BYTES:
                    data, pending = pending, bytearray()
                    await asyncio.to_thread(self._write, data)
        finally:
            if pending:
                self._write(pending)

    def commit(self, storage: "Storage", digest: Digest) -> None:
        """Turn the upload into the blob `digest`.

        Raises:
            RefusedError: DIGEST_INVALID; the upload is gone.
        """
        algorithm, expected = split_digest(digest)
        found = self._hash if algorithm == "sha256" and self._hash else self._rehash(algorithm)
        if found.hexdigest() != expected:
            self.discard()
            raise RefusedError(errors.DIGEST_INVALID, {"digest": digest})
        with self._opened() as fd:
            os.fsync(fd)
        storage.adopt(self._path, digest)

    def discard(self) -> None:
        """Delete what has come."""
        os.unlink(self._path)

    @contextmanager
    def _opened(self) -> "Generator[int]":
        """Open the file for a moment: a server may have more sessions than descriptors."""
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)

    def _write(self, data: bytearray) -> None:
        rest = memoryview(data)
        with self._opened() as fd:
            while rest:
                written = os.write(fd, rest)
                if self._hash is not None:
                    self._hash.update(rest[:written])
                self.offset += written
                rest = rest[written:]

    def _rehash(self, algorithm: str) -> _Hash:
        found: _Hash = hashlib.new(algorithm)
        with open(self._path, "rb") as file:
            while chunk := file.read(_READ_BYTES):
                found.update(chunk)
        return found


class Uploads:
    """The sessions of one server."""

    def __init__(self, storage: "Storage") -> None:
        """Find earlier sessions in the storage when they are asked for."""
        self._storage = storage
        self._open: dict[str, Upload] = {}

    def start(self, repository: "Repository") -> Upload:
        """Begin a session."""
        ident = str(uuid.uuid4())
        return self._remember(ident, repository.name)

    def get(self, repository: "Repository", ident: str) -> Upload:
        """Return a session.

        Raises:
            RefusedError: BLOB_UPLOAD_UNKNOWN.
        """
        found = self._open.get(ident)
        if found is None and _IDENT.fullmatch(ident) and os.path.exists(self._storage.upload_path(ident)):
            found = self._remember(ident, repository.name)
        if found is None or found.repository != repository.name:
            raise RefusedError(errors.BLOB_UPLOAD_UNKNOWN, {"uuid": ident})
        return found

    def expire(self) -> None:
        """Delete what nobody has added to for a week."""
        directory = self._storage.upload_path("")
        for name in os.listdir(directory):
            with suppress(FileNotFoundError):  # it has just been ended
                if os.stat(directory + name).st_mtime < time.time() - _LIFE_S:
                    os.unlink(directory + name)
                    self._open.pop(name, None)

    def end(self, upload: Upload) -> None:
        """Forget a session that was committed or discarded."""
        self._open.pop(upload.ident, None)

    def _remember(self, ident: str, repository: str) -> Upload:
        upload = self._open[ident] = Upload(self._storage.upload_path(ident), ident, repository)
        return upload
