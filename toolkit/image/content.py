"""Blobs by digest: `blobs/sha256/<hex>`, each checked before it can be seen.

    ingest/<algorithm>-<hex>   a blob on its way in; its writer holds its lock
    ingest/new-<random>        a blob that is made here; the same
    blobs/<algorithm>/<hex>    complete, checked, on the disk, never changed

A writer that stops half way (or is killed) leaves its file in `ingest`, and the
next one resumes it.  Two writers of the same blob take turns: the second finds
it complete.
"""

import os

from toolkit.core.digest import Digest, digest_of, parse_digest, split_digest
from toolkit.core.errors import DigestMismatchError, IntegrityError, NotFoundError, StorageFullError
from toolkit.image.claim import Claim, claim_file, sweep
from toolkit.linux.sync import fsync_directory, fsync_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from hashlib import _Hash as Hash
    from io import FileIO
    from typing import Self

_CHUNK_BYTES = 1 << 20
_NEW = "new-"
"""Begins the names of blobs that are made here."""


class ContentStore:
    """The blobs under one directory; any number of processes may use it at once."""

    def __init__(self, root: str) -> None:
        """Use the store at `root`, made where it does not exist."""
        self.root = root
        self._ingest = os.path.join(root, "ingest")
        for directory in (os.path.join(root, "blobs", "sha256"), self._ingest):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def path(self, digest: Digest) -> str:
        """Return where the blob is, or would be."""
        algorithm, digits = split_digest(digest)
        return os.path.join(self.root, "blobs", algorithm, digits)

    def has(self, digest: Digest) -> bool:
        """Tell whether the blob is here, complete."""
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Return the size of a blob in bytes.

        Raises:
            NotFoundError: it is not here.
        """
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise _missing(digest) from None

    def open(self, digest: Digest) -> "FileIO":
        """Open a blob for reading.

        Raises:
            NotFoundError: it is not here.
        """
        try:
            return open(self.path(digest), "rb", buffering=0)
        except FileNotFoundError:
            raise _missing(digest) from None

    def read(self, digest: Digest) -> bytes:
        """Return a small blob, checked once more.

        Raises:
            NotFoundError: it is not here.
            DigestMismatchError: the disk did not keep it.
        """
        with self.open(digest) as blob:
            content = blob.readall()
        hasher = _new_hash(digest)
        hasher.update(content)
        found = hasher.hexdigest()
        if found != split_digest(digest)[1]:
            raise DigestMismatchError(
                f"blob {digest} is damaged on disk: its bytes have {found}", hint="remove the image and pull it again"
            )
        return content

    def add(self, content: bytes) -> Digest:
        """Store a small blob; return its digest."""
        digest = digest_of(content)
        with self.ingest(digest, len(content)) as ingest:
            if not ingest.is_complete:
                ingest.restart()
                ingest.write(content)
                ingest.commit()
        return digest

    def create(self) -> "Creation":
        """Start to store a blob whose digest is not known yet; use the result in a `with` block."""
        sweep(self._ingest, _NEW)  # of processes that died; nobody could resume those
        return Creation(self, os.path.join(self._ingest, _NEW + os.urandom(8).hex()))

    def ingest(self, digest: Digest, size: int) -> "Ingest":
        """Start to take in a blob, or resume it where an earlier attempt stopped.

        Waits while another process takes in the same blob.  Use the result in a
        `with` block; what was written stays for a later attempt if the block is
        left without `commit`.

        Args:
            digest: of the whole blob.
            size: of the whole blob, in bytes.
        """
        return Ingest(self, parse_digest(digest), size)

    def ingest_path(self, digest: Digest) -> str:
        """Return where the blob lies while it is on its way in."""
        return os.path.join(self._ingest, digest.replace(":", "-"))

    def delete(self, digest: Digest) -> bool:
        """Forget a blob; tell whether it was here."""
        try:
            os.unlink(self.path(digest))
        except FileNotFoundError:
            return False
        return True

    def list(self) -> "Iterator[Digest]":
        """Yield the digests of all complete blobs."""
        blobs = os.path.join(self.root, "blobs")
        for algorithm in sorted(os.listdir(blobs)):
            for digits in sorted(os.listdir(os.path.join(blobs, algorithm))):
                yield Digest(f"{algorithm}:{digits}")

    def sweep(self) -> int:
        """Delete the interrupted ingests that nobody works on, so that they cannot be resumed; return their bytes."""
        return sum(sweep(self._ingest).values())


class Creation:
    """A blob that is being made; made by `ContentStore.create`.  Nothing is left of it without `commit`."""

    def __init__(self, store: ContentStore, path: str) -> None:
        self._store = store
        self._claim = claim_file(path)
        self._hash = _new_hash(Digest("sha256:"))
        self.size = 0
        """Bytes written so far."""

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            os.unlink(self._claim.path)
        except FileNotFoundError:
            pass  # it was committed
        os.close(self._claim.fd)

    def write(self, content: "bytes | memoryview", /) -> int:
        """Append bytes.

        Raises:
            StorageFullError: the disk is full.
        """
        view = memoryview(content)
        self._hash.update(view)
        self.size += len(view)
        while view:
            view = view[_write(self._claim.fd, view) :]
        return len(content)

    def flush(self) -> None:
        """Do nothing: there is no buffer here."""

    def commit(self) -> Digest:
        """Make the blob visible; it is on the disk when this returns."""
        digest = Digest("sha256:" + self._hash.hexdigest())
        _publish(self._claim, self._store.path(digest))
        return digest


class Ingest:
    """A blob on its way into the store; made by `ContentStore.ingest`."""

    def __init__(self, store: ContentStore, digest: Digest, size: int) -> None:
        self._store = store
        self.digest = digest
        self.size = size
        self.offset = 0
        """Bytes that are here already, from the start of the blob."""
        self.is_complete = False
        """The blob is in the store: nothing to do."""
        self._claim: Claim | None = None
        self._hash = _new_hash(digest)

    def __enter__(self) -> "Self":
        if self._store.has(self.digest):
            self._finish()
            return self
        self._claim = claim_file(self._store.ingest_path(self.digest))
        if self._store.has(self.digest):  # another process was quicker while this one waited
            os.unlink(self._claim.path)
            self._finish()
        else:
            self._rehash(self._claim.fd)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._close()

    def write(self, content: "bytes | memoryview") -> None:
        """Append the next bytes of the blob.

        Raises:
            IntegrityError: more bytes than the blob has.
            StorageFullError: the disk is full.
        """
        if self.offset + len(content) > self.size:
            self.restart()
            raise DigestMismatchError(
                f"blob {self.digest} is longer than the {self.size} bytes that its descriptor states"
            )
        view = memoryview(content)
        fd = self._opened().fd
        self._hash.update(view)
        self.offset += len(view)
        while view:
            view = view[_write(fd, view) :]

    def restart(self) -> None:
        """Throw away what is here, to begin again at offset 0."""
        fd = self._opened().fd
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        self.offset = 0
        self._hash = _new_hash(self.digest)

    def discard(self) -> None:
        """Throw away what is here, and leave the ingest."""
        os.unlink(self._opened().path)
        self._close()

    def commit(self) -> None:
        """Check the blob and make it visible; it is on the disk when this returns.

        Raises:
            IntegrityError: bytes are missing; they can still follow later.
            DigestMismatchError: the bytes are others; they are thrown away.
        """
        if self.is_complete:
            return
        if self.offset != self.size:
            raise IntegrityError(
                f"blob {self.digest} ended after {self.offset} of {self.size} bytes", hint="pull again to resume it"
            )
        found = self._hash.hexdigest()
        if found != split_digest(self.digest)[1]:
            self.restart()
            raise DigestMismatchError(
                f"blob {self.digest} does not have this digest but {found}",
                hint="the registry, or somebody between it and here, altered it",
            )
        _publish(self._opened(), self._store.path(self.digest))
        self._finish()

    def _finish(self) -> None:
        self.is_complete = True
        self.offset = self.size
        self._close()

    def _close(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            os.close(claim.fd)

    def _opened(self) -> Claim:
        if self._claim is None:
            raise ValueError("the ingest is not open")
        return self._claim

    def _rehash(self, fd: int) -> None:
        """Digest what an earlier attempt left, so that only the rest is needed."""
        if os.fstat(fd).st_size > self.size:
            os.ftruncate(fd, 0)
        while chunk := os.read(fd, _CHUNK_BYTES):
            self._hash.update(chunk)
            self.offset += len(chunk)


def _publish(claim: Claim, path: str) -> None:
    """Put a complete blob on the disk and under its name."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.fchmod(claim.fd, 0o600)
    fsync_file(claim.fd)
    os.rename(claim.path, path)
    fsync_directory(directory)


def _new_hash(digest: Digest) -> "Hash":
    import hashlib  # 5 ms that running a container can do without

    return hashlib.new(split_digest(digest)[0])


def _write(fd: int, view: memoryview) -> int:
    import errno

    try:
        return os.write(fd, view)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError(
                "no space left on the device that holds the images", hint="free some space and pull again to resume"
            ) from exc
        raise


def _missing(digest: Digest) -> NotFoundError:
    return NotFoundError(f"no such blob: {digest}")
