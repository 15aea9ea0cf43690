"""The images that are here: records in the state, over the content store and the layer store.

    kind "image"   id: digest of the config; everything that starting a container needs
    kind "tag"     id: a complete name, with tag or with digest; points at an image

Running a container reads one record: no manifest is parsed and no blob opened.

Two locks, so that nothing disappears under anybody (flock, see linux/lock.py):

    images.lock   shared while a container is made of an image, exclusive while images are removed; brief
    pull.lock     shared while blobs and layers arrive that no record names yet; exclusive while the
                  unreferenced ones are deleted, which is put off if somebody pulls

A layer stays as long as an image or a container has it in its `diff_ids`.
"""

import os
from contextlib import contextmanager

from toolkit.core.digest import Digest, parse_digest
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.core.record import NamedTuple
from toolkit.core.state import State
from toolkit.image.content import ContentStore
from toolkit.image.layers import LayerStore
from toolkit.image.reference import Reference, parse_reference
from toolkit.linux.lock import try_lock, wait_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Any

    from toolkit.image.removal import ImageUser, Pruned

IMAGE = "image"
TAG = "tag"
_GARBAGE = "garbage"
_CONTAINER = "container"
_SHA256_HEX = 64


class LayerBlob(NamedTuple):
    """A layer as the registry has it."""

    digest: Digest
    size: int
    """Compressed, in bytes."""
    media_type: str


class ImageRecord(NamedTuple):
    """An image that is here, with all its layers unpacked."""

    id: Digest
    """The digest of its config."""
    created: str
    """RFC 3339; core.clock.ZERO if the image does not say."""
    architecture: str
    os: str
    variant: str
    config: "dict[str, Any]"
    """Docker's container config as it stands: Env, Cmd, Entrypoint, WorkingDir, User, Labels, StopSignal, ..."""
    diff_ids: tuple[Digest, ...]
    """Base first."""
    history: "tuple[dict[str, Any], ...]"
    layers: tuple[LayerBlob, ...]
    """Base first; the blobs themselves may be gone."""
    layer_sizes: tuple[int, ...]
    """Bytes of content of each layer's files, base first."""
    manifest_digest: Digest
    author: str
    root: tuple[int, int, int] | None
    """Mode, uid and gid of the root directory as the topmost layer that says so has it."""
    names: tuple[str, ...]
    """As people write them: "ubuntu:latest"."""
    repo_digests: tuple[str, ...]
    """"ubuntu@sha256:..." for each repository it was pulled from or pushed to."""

    @property
    def size(self) -> int:
        """Bytes of content of all layers, unpacked."""
        return sum(self.layer_sizes)


class Images:
    """The images of one engine root."""

    def __init__(self, state: State, content: ContentStore, layers: LayerStore, lock_dir: str) -> None:
        """Use these stores; the locks lie in `lock_dir`."""
        self.state = state
        self.content = content
        self.layers = layers
        self._lock_dir = lock_dir

    @classmethod
    def open(cls, root: str, state: State) -> "Images":
        """Open the image stores of the engine root `root`, making what does not exist."""
        return cls(state, ContentStore(os.path.join(root, "content")), LayerStore(root), root)

    # Adding

    def add(self, manifest_digest: Digest, names: "Sequence[Reference]" = ()) -> ImageRecord:
        """Record an image whose manifest and config are in the content store and whose layers are unpacked.

        Call it within `importing`, else its parts may be collected meanwhile.
        Recording an image twice is no fault.

        Args:
            manifest_digest: of the image's manifest.
            names: what is to mean it from now on, with tag or with digest.
                Whoever removes the image at the same time does so before or after.

        Raises:
            NotFoundError: a part is not here.
            InvalidError, UnsupportedError: the manifest or the config is no image's.
        """
        from toolkit.image.record import make_document

        ident, doc = make_document(manifest_digest, self.content, self.layers)
        with self.holding():
            self.state.put(IMAGE, ident, doc)
            for name in names:
                self.state.put(TAG, _tag_id(name), {"image": ident})
            return self.get(ident)

    def tag(self, reference: Reference, image_id: str) -> None:
        """Let a name (or, if it has a digest, name@digest) mean an image, and no longer another.

        Raises:
            NotFoundError: there is no such image.
        """
        with self.holding():
            if not self.state.find_prefix(IMAGE, image_id):
                raise NotFoundError(f"No such image: {image_id}")
            self.state.put(TAG, _tag_id(reference), {"image": image_id})

    @contextmanager
    def importing(self) -> "Generator[None]":
        """Keep new blobs and layers from being collected while an image is being brought in."""
        with self._locked("pull.lock", shared=True):
            yield
        if self.state.find_prefix(_GARBAGE, ""):
            self.collect()

    @contextmanager
    def holding(self) -> "Generator[None]":
        """Keep images from being removed between finding one and recording who uses it; brief."""
        with self._locked("images.lock", shared=True):
            yield

    # Finding

    def get(self, image_id: str, *, with_names: bool = True) -> ImageRecord:
        """Return the image with exactly this id; `with_names` false: without its names, for which all are read.

        Raises:
            NotFoundError: there is none.
        """
        try:
            row = self.state.get(IMAGE, image_id)
        except NotFoundError:
            raise NotFoundError(f"No such image: {image_id}") from None
        return _record(row.id, row.doc, self.references(row.id) if with_names else ())

    def find_id(self, text: str) -> str | None:
        """Return the id of the image that `text` names: a name, or an id or the beginning of one.

        Raises:
            InvalidError: `text` can be neither.
            ConflictError: several ids begin with it.
        """
        whole = _whole_id(text)
        if whole is not None:
            return whole if self.state.find_prefix(IMAGE, whole) else None
        try:
            return str(self.state.get(TAG, _tag_id(parse_reference(text))).doc["image"])
        except InvalidError:
            if not _is_id_prefix(text):
                raise
        except NotFoundError:
            pass  # no such name: it may still be the beginning of an id
        return self._find_short(text)

    def find(self, text: str, *, with_names: bool = True) -> ImageRecord:
        """Return the image that `text` names, be all of it here or not; `with_names` as for `get`.

        Raises:
            NotFoundError, InvalidError, ConflictError: as for `resolve`.
        """
        ident = self.find_id(text)
        if ident is None:
            named = text if _whole_id(text) else parse_reference(text).familiar()
            raise NotFoundError(f"No such image: {named}", hint=f"`container pull {text}` fetches it")
        return self.get(ident, with_names=with_names)

    def resolve(self, text: str, *, with_names: bool = True) -> ImageRecord:
        """Return the image that `text` names.

        Args:
            text: a name, name:tag, name@digest, or an id or the beginning of one.
            with_names: as for `get`.

        Raises:
            NotFoundError: there is none, or not all of it.
            InvalidError: `text` can be neither a name nor an id.
            ConflictError: several ids begin with it.
        """
        image = self.find(text, with_names=with_names)
        if not all(map(self.layers.has, image.diff_ids)):  # only a crash of the machine during a removal does this
            raise NotFoundError(f"image {text} has lost layers", hint=f"`container pull {text}` fetches them")
        return image

    def list(self) -> "Sequence[ImageRecord]":
        """Return all images, the newest first."""
        references = self._references()
        records = [_record(row.id, row.doc, references.get(row.id, ())) for row in self.state.list(IMAGE)]
        return sorted(records, key=lambda record: record.created, reverse=True)

    def references(self, image_id: str) -> "Sequence[Reference]":
        """Return all names of an image, tags first."""
        found = [parse_reference(row.id) for row in self.state.list(TAG) if row.doc["image"] == image_id]
        return sorted(found, key=lambda one: (one.digest is not None, one.canonical()))

    # Removing

    def remove(
        self, text: str, *, force: bool = False, users: "Mapping[str, Sequence[ImageUser]] | None" = None
    ) -> "Sequence[str]":
        """Take a name from an image, and remove the image with its last one, as `docker rmi` does.

        Args:
            text: a name, or an id or the beginning of one.
            force: even if it has several names or stopped containers use it.
            users: the containers of each image, by its id.

        Returns:
            docker's lines: "Untagged: NAME" and "Deleted: sha256:...".

        Raises:
            NotFoundError: there is no such image.
            ConflictError: a container uses it, or it has names in several repositories.
        """
        from toolkit.image.removal import remove

        with self._locked("images.lock"):
            lines = remove(self, text, force=force, users=users or {})
        self.collect()
        return lines

    def prune(
        self,
        *,
        all_unused: bool = False,
        users: "Mapping[str, Sequence[ImageUser]] | None" = None,
        chosen: "Callable[[ImageRecord], bool]" = lambda _image: True,
    ) -> "Pruned":
        """Remove the images that have no name, or all that no container uses, and half-fetched blobs.

        Args:
            all_unused: those with a name too.
            users: the containers of each image, by its id.
            chosen: tells whether an image may go.
        """
        from toolkit.image.removal import prune

        with self._locked("images.lock"):
            pruned = prune(self, users or {}, all_unused=all_unused, chosen=chosen)
        swept_bytes = self.content.sweep()
        self.collect()
        return pruned._replace(reclaimed_bytes=pruned.reclaimed_bytes + swept_bytes)

    def forget(self, image_id: str) -> None:
        """Delete an image's record and its names; `collect` then deletes what only it had."""
        for reference in self.references(image_id):
            self.untag(reference)
        self.state.put(_GARBAGE, image_id, {})
        self.state.delete(IMAGE, image_id)

    def untag(self, reference: Reference) -> None:
        """Forget a name."""
        self.state.delete(TAG, _tag_id(reference))

    def collect(self) -> bool:
        """Delete the blobs and layers that no image and no container has.

        Returns:
            False if that was put off, because somebody is pulling: the end of
            the pull does it then.
        """
        with self._locked("pull.lock", wait=False) as is_locked:
            if not is_locked:
                return False
            marks = [row.id for row in self.state.list(_GARBAGE)]
            with self._locked("images.lock"):
                blobs, diff_ids = self._used()
                doomed = [diff_id for diff_id in self.layers.list() if diff_id not in diff_ids]
                trash = self.layers.detach(doomed)
                for digest in self.content.list():
                    if digest not in blobs:
                        self.content.delete(digest)
            trash.erase()
            for mark in marks:
                self.state.delete(_GARBAGE, mark)
        return True

    def _used(self) -> tuple[set[str], set[str]]:
        blobs: set[str] = set()
        diff_ids: set[str] = set()
        for row in self.state.list(IMAGE):
            blobs.update((row.id, row.doc["manifest"]), (layer[0] for layer in row.doc["layers"]))
            diff_ids.update(row.doc["diff_ids"])
        for row in self.state.list(TAG):
            _, _, digest = row.id.partition("@")
            blobs.add(digest)  # the index that it was pulled by
        for row in self.state.list(_CONTAINER):
            diff_ids.update(row.doc.get("diff_ids", ()))
        return blobs, diff_ids

    def _references(self) -> "Mapping[str, Sequence[Reference]]":
        found: dict[str, list[Reference]] = {}
        for row in self.state.list(TAG):
            found.setdefault(row.doc["image"], []).append(parse_reference(row.id))
        return found

    def _find_short(self, text: str) -> str | None:
        if not _is_id_prefix(text):
            return None
        rows = self.state.find_prefix(IMAGE, "sha256:" + text.removeprefix("sha256:"))
        if len(rows) > 1:
            raise ConflictError(f"several images have an id that begins with {text}", hint="write more of its digits")
        return rows[0].id if rows else None

    @contextmanager
    def _locked(self, name: str, *, shared: bool = False, wait: bool = True) -> "Generator[bool]":
        fd = os.open(os.path.join(self._lock_dir, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if wait:
                wait_lock(fd, shared=shared)
            yield wait or try_lock(fd, shared=shared)
        finally:
            os.close(fd)


def _tag_id(reference: Reference) -> str:
    """Return the state's id of a name; of name:tag@digest, the digest counts, as for docker."""
    return reference.with_digest(reference.digest).canonical() if reference.digest else reference.canonical()


def _whole_id(text: str) -> str | None:
    digits = text.removeprefix("sha256:")
    if len(digits) != _SHA256_HEX or digits.strip("0123456789abcdef"):
        return None
    return "sha256:" + digits


def _is_id_prefix(text: str) -> bool:
    digits = text.removeprefix("sha256:")
    return bool(digits) and len(digits) < _SHA256_HEX and not digits.strip("0123456789abcdef")


def _record(ident: str, doc: "dict[str, Any]", references: "Sequence[Reference]") -> ImageRecord:
    names = sorted(one.familiar() for one in references if one.digest is None)
    digests = sorted(one.familiar() for one in references if one.digest is not None)
    return ImageRecord(
        id=parse_digest(ident),
        created=doc["created"],
        architecture=doc["architecture"],
        os=doc["os"],
        variant=doc["variant"],
        config=doc["config"],
        diff_ids=tuple(doc["diff_ids"]),
        history=tuple(doc["history"]),
        layers=tuple(LayerBlob(*layer) for layer in doc["layers"]),
        layer_sizes=tuple(doc["layer_sizes"]),
        manifest_digest=Digest(doc["manifest"]),
        author=doc["author"],
        root=None if doc["root"] is None else tuple(doc["root"]),
        names=tuple(names),
        repo_digests=tuple(digests),
    )
