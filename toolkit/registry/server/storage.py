"""What a registry keeps, as plain files in one directory.

    blobs/sha256/<hex>                                  each content once, whoever pushed it
    repositories/<name>/_blobs/sha256/<hex>             empty: the repository has this blob
    repositories/<name>/_manifests/sha256/<hex>         the manifest's media type
    repositories/<name>/_tags/<tag>                     a digest
    repositories/<name>/_referrers/sha256/<hex>/<digest>    empty: this manifest's subject is <hex>
    uploads/<uuid>                                      what has come of a blob

Invariants: a file appears by rename, complete and synced, so a kill at any
moment leaves the registry as it was before or after the request.  Names,
tags and digests are checked before they become part of a path; no component
of a repository's name starts with an underscore, so the two cannot collide.
"""

import errno
import os
import re
import secrets
from typing import NamedTuple

from toolkit.core.digest import Digest, digest_of, parse_digest, split_digest
from toolkit.core.errors import InvalidError
from toolkit.registry.server import errors
from toolkit.registry.server.errors import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_MAX_NAME = 255


class StoredManifest(NamedTuple):
    """A manifest as it was pushed."""

    digest: Digest
    media_type: str
    content: bytes


class Storage:
    """The files of one registry."""

    def __init__(self, root: str) -> None:
        """Keep everything below `root`, which is made where it does not exist."""
        self.root = os.path.abspath(root)
        for name in ("blobs", "repositories", "uploads"):
            os.makedirs(os.path.join(self.root, name), exist_ok=True)

    def repository(self, name: str) -> "Repository":
        """Return the repository `name`, which need not exist.

        Raises:
            RefusedError: NAME_INVALID.
        """
        if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
            raise RefusedError(errors.NAME_INVALID, {"name": name})
        return Repository(self, name)

    def repositories(self) -> list[str]:
        """Return the names of all repositories that have a manifest, sorted."""
        top = os.path.join(self.root, "repositories")
        found: list[str] = []
        for path, directories, _files in os.walk(top):
            if "_manifests" in directories and any(_entries(os.path.join(path, "_manifests"))):
                found.append(os.path.relpath(path, top))
            directories[:] = [name for name in directories if not name.startswith("_")]
        return sorted(found)

    def blob_path(self, digest: Digest) -> str:
        """Return where the content of `digest` is, or would be."""
        return os.path.join(self.root, "blobs", *split_digest(digest))

    def upload_path(self, ident: str) -> str:
        """Return where an upload's bytes are."""
        return os.path.join(self.root, "uploads", ident)

    def adopt(self, path: str, digest: Digest) -> None:
        """Move a complete, synced file to where its digest says; it is gone from `path` after."""
        target = self.blob_path(digest)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(path, target)
        _sync_directory(os.path.dirname(target))

    def write(self, path: str, content: bytes) -> None:
        """Make or replace a small file, at once and durably."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = self.upload_path(f".{secrets.token_hex(8)}")
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
        _sync_directory(os.path.dirname(path))

    def collect(self) -> int:
        """Delete blobs that no repository has, and all unfinished uploads; return how many files.

        Only for a registry that serves nobody: an upload under way would be lost.
        """
        kept = {
            digest
            for name in self._all_names()
            for digest in (*self.repository(name).blobs(), *self.repository(name).manifests())
        }
        doomed = [self.blob_path(d) for d in _digests(os.path.join(self.root, "blobs")) if d not in kept]
        doomed += [self.upload_path(entry.name) for entry in _entries(os.path.join(self.root, "uploads"))]
        for path in doomed:
            os.unlink(path)
        return len(doomed)

    def _all_names(self) -> "Iterator[str]":
        top = os.path.join(self.root, "repositories")
        for path, directories, _files in os.walk(top):
            if any(name.startswith("_") for name in directories):
                yield os.path.relpath(path, top)
            directories[:] = [name for name in directories if not name.startswith("_")]


class Repository:
    """One repository: links to blobs, manifests and tags."""

    def __init__(self, storage: Storage, name: str) -> None:
        """Use `Storage.repository` instead, which checks the name."""
        self.storage = storage
        self.name = name
        self._directory = os.path.join(storage.root, "repositories", name)

    def exists(self) -> bool:
        """Tell whether anything was ever pushed here."""
        return os.path.isdir(os.path.join(self._directory, "_manifests"))

    def has_blob(self, digest: Digest) -> bool:
        """Tell whether this repository has the blob."""
        return os.path.exists(self._path("_blobs", digest)) and os.path.exists(self.storage.blob_path(digest))

    def link_blob(self, digest: Digest) -> None:
        """Let this repository have a blob that the storage holds."""
        self.storage.write(self._path("_blobs", digest), b"")

    def unlink_blob(self, digest: Digest) -> bool:
        """Take a blob from this repository; tell whether it had it."""
        return _unlink(self._path("_blobs", digest))

    def blobs(self) -> "Iterator[Digest]":
        """Yield the digests of the blobs."""
        yield from _digests(os.path.join(self._directory, "_blobs"))

    def manifests(self) -> "Iterator[Digest]":
        """Yield the digests of the manifests."""
        yield from _digests(os.path.join(self._directory, "_manifests"))

    def has_manifest(self, digest: Digest) -> bool:
        """Tell whether this repository has the manifest."""
        return os.path.exists(self._path("_manifests", digest))

    def manifest(self, reference: str) -> StoredManifest:
        """Return a manifest by tag or digest.

        Raises:
            RefusedError: MANIFEST_UNKNOWN, TAG_INVALID or DIGEST_INVALID.
        """
        digest = self.resolve(reference)
        try:
            with open(self._path("_manifests", digest), encoding="utf-8") as file:
                media_type = file.read()
            with open(self.storage.blob_path(digest), "rb") as file:
                return StoredManifest(digest, media_type, file.read())
        except FileNotFoundError:
            raise RefusedError(errors.MANIFEST_UNKNOWN, {"name": self.name, "reference": reference}) from None

    def resolve(self, reference: str) -> Digest:
        """Return the digest that a tag points at; a digest stays what it is.

        Raises:
            RefusedError: MANIFEST_UNKNOWN, TAG_INVALID or DIGEST_INVALID.
        """
        if ":" in reference:
            return checked_digest(reference)
        try:
            with open(self._tag_path(reference), encoding="utf-8") as file:
                return Digest(file.read())
        except FileNotFoundError:
            raise RefusedError(errors.MANIFEST_UNKNOWN, {"name": self.name, "tag": reference}) from None

    def put_manifest(self, content: bytes, media_type: str, digest: Digest, subject: Digest | None) -> None:
        """Store a manifest whose references were checked."""
        path = self.storage.blob_path(digest)
        if not os.path.exists(path):
            self.storage.write(path, content)
        if subject is not None:
            self.storage.write(os.path.join(self._path("_referrers", subject), digest), b"")
        self.storage.write(self._path("_manifests", digest), media_type.encode())

    def put_tag(self, tag: str, digest: Digest) -> None:
        """Let `tag` point at a manifest.

        Raises:
            RefusedError: TAG_INVALID.
        """
        self.storage.write(self._tag_path(tag), digest.encode())

    def delete_tag(self, tag: str) -> bool:
        """Forget a tag; tell whether it existed."""
        return _unlink(self._tag_path(tag))

    def delete_manifest(self, digest: Digest, subject: Digest | None) -> None:
        """Forget a manifest, the tags that point at it and its entry among the referrers of `subject`."""
        for tag in self.tags():
            if self.resolve(tag) == digest:
                self.delete_tag(tag)
        if subject is not None:
            _unlink(os.path.join(self._path("_referrers", subject), digest))
        _unlink(self._path("_manifests", digest))

    def tags(self) -> list[str]:
        """Return all tags, sorted."""
        return sorted(entry.name for entry in _entries(os.path.join(self._directory, "_tags")))

    def referrers(self, subject: Digest) -> list[Digest]:
        """Return the digests of the manifests whose subject this is, sorted."""
        return sorted(Digest(entry.name) for entry in _entries(self._path("_referrers", subject)))

    def _path(self, kind: str, digest: Digest) -> str:
        return os.path.join(self._directory, kind, *split_digest(digest))

    def _tag_path(self, tag: str) -> str:
        if not _TAG.fullmatch(tag):
            raise RefusedError(errors.TAG_INVALID, {"tag": tag})
        return os.path.join(self._directory, "_tags", tag)


def checked_digest(text: str, content: bytes | None = None) -> Digest:
    """Return `text` as a digest, which must be the one of `content` if that is given.

    Raises:
        RefusedError: DIGEST_INVALID.
    """
    try:
        digest = parse_digest(text)
    except InvalidError as exc:
        raise RefusedError(errors.DIGEST_INVALID, {"digest": text}) from exc
    if content is not None and _digest_like(digest, content) != digest:
        raise RefusedError(errors.DIGEST_INVALID, {"digest": text})
    return digest


def _digest_like(digest: Digest, content: bytes) -> Digest:
    import hashlib

    algorithm = split_digest(digest)[0]
    if algorithm == "sha256":
        return digest_of(content)
    return Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")


def _digests(directory: str) -> "Iterator[Digest]":
    for algorithm in _entries(directory):
        for entry in _entries(algorithm.path):
            yield Digest(f"{algorithm.name}:{entry.name}")


def _entries(directory: str) -> "Iterator[os.DirEntry[str]]":
    try:
        with os.scandir(directory) as entries:
            yield from entries
    except FileNotFoundError:
        return


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # a file system without it
            raise
    finally:
        os.close(fd)
