"""Unpacked layers by diffID: `layers/sha256/<hex>/`, each checked before it can be seen.

    layers/sha256/<hex>/diff         the tree, in the overlay file system's form
    layers/sha256/<hex>/layer.json   what was counted while it was unpacked
    layers/tmp/<random>/             half-made or half-deleted; owned by whoever holds its lock

A tree under its digest is complete, is on the disk and never changes: the
diffID is checked, then one syncfs(2) covers all layers of the call, then the
renames make them visible.
"""

import os

from toolkit.core import document
from toolkit.core.digest import Digest, split_digest
from toolkit.core.errors import NotFoundError
from toolkit.core.record import NamedTuple
from toolkit.image.claim import Claim, claim_directory, sweep
from toolkit.image.erase import erase
from toolkit.image.unpack.limits import Limits
from toolkit.linux.sync import fsync_directory, syncfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Self

    from toolkit.image.unpack.process import Unpacked

    Report = Callable[["LayerProgress"], None]

__all__ = ["LayerInfo", "LayerProgress", "LayerRequest", "LayerStore", "Limits", "Trash", "read_info"]


class LayerRequest(NamedTuple):
    """A blob that is to become a layer."""

    blob_path: str
    media_type: str
    """For the record: the blob's first bytes decide how it is compressed."""
    diff_id: Digest
    """Of the uncompressed tar."""


class LayerProgress(NamedTuple):
    """How far a layer is."""

    diff_id: Digest
    done_bytes: int
    """Of the compressed blob."""
    total_bytes: int


class LayerInfo(NamedTuple):
    """What was counted while a layer was unpacked."""

    size: int
    """Bytes of content of all its files."""
    entries: int
    root: tuple[int, int, int] | None
    """Mode, uid and gid of the root directory, where the layer says."""


class Trash(NamedTuple):
    """Layers that nobody can see any more."""

    claim: Claim
    layers: int

    def erase(self) -> None:
        """Delete their files.  What is not erased before this process dies, the next open erases."""
        erase(self.claim.path)
        os.close(self.claim.fd)


def read_info(path: str) -> LayerInfo:
    """Return what is known about the layer whose tree is at `path`.

    Raises:
        FileNotFoundError: it is not a layer of a store.
    """
    with open(os.path.join(os.path.dirname(path), "layer.json"), encoding="utf-8") as file:
        size, entries, root = document.decode(file.read())
    return LayerInfo(size, entries, None if root is None else tuple(root))


class LayerStore:
    """The layers under one directory; any number of processes may use it at once."""

    def __init__(self, root: str) -> None:
        """Use the store under `root`, and delete what processes that died left half-made."""
        self._layers = os.path.join(root, "layers")
        self._tmp = os.path.join(self._layers, "tmp")
        if os.path.isdir(self._tmp):
            sweep(self._tmp)

    def path(self, diff_id: Digest) -> str:
        """Return the directory that goes into an overlay's lowerdir."""
        return os.path.join(self._home(diff_id), "diff")

    def has(self, diff_id: Digest) -> bool:
        """Tell whether the layer is here, complete."""
        return os.path.exists(self._home(diff_id))

    def info(self, diff_id: Digest) -> LayerInfo:
        """Return what is known about a layer.

        Raises:
            NotFoundError: it is not here.
        """
        try:
            return read_info(self.path(diff_id))
        except FileNotFoundError:
            raise NotFoundError(f"no such layer: {diff_id}", hint="pull the image again") from None

    def size(self, diff_id: Digest) -> int:
        """Return the bytes of content of a layer's files.

        Raises:
            NotFoundError: it is not here.
        """
        return self.info(diff_id).size

    def apply(
        self,
        requests: "Sequence[LayerRequest]",
        *,
        limits: Limits | None = None,
        progress: "Report | None" = None,
    ) -> None:
        """Unpack blobs into layers, in parallel; all are on the disk when this returns, or none is visible.

        Layers that are here already cost nothing.

        Args:
            requests: in any order; the same diffID may occur several times.
            limits: for each layer.
            progress: called from several threads, a few times for each megabyte.

        Raises:
            DigestMismatchError: a tar has another digest than its diffID.
            CorruptLayerError: a blob cannot be decompressed or is no tar.
            UnsafePathError: a member would leave its layer.
            BombError: a layer is larger than its limits.
            UnsupportedError: a member of a kind that layers do not have.
            StorageFullError: the disk is full.
        """
        with self.unpacking(limits=limits, progress=progress) as unpacking:
            missing = [request for request in requests if not self.has(request.diff_id)]
            for request in sorted(missing, key=lambda request: -os.stat(request.blob_path).st_size):
                unpacking.add(request)
            unpacking.finish()

    def unpacking(self, *, limits: Limits | None = None, progress: "Report | None" = None) -> "Unpacking":
        """Start to unpack blobs that come one by one; use the result in a `with` block."""
        return Unpacking(self, limits or Limits(), progress)

    def delete(self, diff_id: Digest) -> bool:
        """Forget a layer, all at once; tell whether it was here."""
        trash = self.detach([diff_id])
        trash.erase()
        return trash.layers > 0

    def detach(self, diff_ids: "Sequence[Digest]") -> "Trash":
        """Make layers invisible, quickly; their files are still to be erased."""
        os.makedirs(self._tmp, mode=0o700, exist_ok=True)
        claim = claim_directory(self._tmp)
        count = 0
        for diff_id in diff_ids:
            try:
                os.rename(self._home(diff_id), os.path.join(claim.path, str(count)))
            except FileNotFoundError:
                continue
            count += 1
        return Trash(claim, count)

    def list(self) -> "Iterator[Digest]":
        """Yield the diffIDs of all layers."""
        for algorithm in ("sha256", "sha512"):
            try:
                names = sorted(os.listdir(os.path.join(self._layers, algorithm)))
            except FileNotFoundError:
                continue
            for name in names:
                yield Digest(f"{algorithm}:{name}")

    def _home(self, diff_id: Digest) -> str:
        algorithm, digits = split_digest(diff_id)
        return os.path.join(self._layers, algorithm, digits)

    def claim(self) -> Claim:
        """Make a temporary directory for a layer."""
        for directory in (os.path.join(self._layers, "sha256"), self._tmp):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        return claim_directory(self._tmp)

    def publish(self, claims: "Mapping[Digest, Claim]") -> None:
        """Write layers to the disk, all at once, and make them visible."""
        if not claims:
            return
        syncfs(next(iter(claims.values())).fd)
        parents: set[str] = set()
        for diff_id, claim in claims.items():
            home = self._home(diff_id)
            parents.add(os.path.dirname(home))
            os.makedirs(os.path.dirname(home), mode=0o700, exist_ok=True)
            _rename_new(claim.path, home)
        for parent in parents:
            fsync_directory(parent)


class Unpacking:
    """Blobs on their way to becoming layers; made by `LayerStore.unpacking`.

    Leaving the `with` block without `finish` kills the workers and deletes
    what they made.
    """

    def __init__(self, store: LayerStore, limits: Limits, progress: "Report | None") -> None:
        from toolkit.image.unpack.process import Workers

        self._store = store
        self._workers = Workers(limits, progress)
        self._claims: dict[Digest, Claim] = {}

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._workers.stop()
        for claim in self._claims.values():
            erase(claim.path)
            os.close(claim.fd)

    def add(self, request: LayerRequest) -> None:
        """Unpack a blob as soon as a processor is free, unless the layer is here or on its way.

        Raises:
            EngineError: one that was added before could not be unpacked.
        """
        if request.diff_id in self._claims or self._store.has(request.diff_id):
            return
        claim = self._claims[request.diff_id] = self._store.claim()
        self._workers.add(request, claim.path)

    def finish(self) -> None:
        """Wait for all layers, check them, write them to the disk and make them visible.

        Raises:
            EngineError: as for `LayerStore.apply`.
        """
        for diff_id, result in self._workers.finish().items():
            _write_info(self._claims[diff_id].path, result)
        self._store.publish(self._claims)


def _write_info(directory: str, result: "Unpacked") -> None:
    import stat

    found = os.stat(os.path.join(directory, "diff"))
    root = [stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid] if result.has_root else None
    with open(os.path.join(directory, "layer.json"), "w", encoding="utf-8") as file:
        file.write(document.encode([result.size, result.entries, root]).decode())


def _rename_new(source: str, target: str) -> None:
    """Rename a directory, unless another process made the same layer meanwhile."""
    import errno

    try:
        os.rename(source, target)
    except OSError as exc:
        if exc.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
