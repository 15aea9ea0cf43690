"""Images out of one file, as `docker load` reads them.

Read is an OCI image layout, a docker archive, or what is both; also the older
docker archive with a directory for each layer.  Names in an archive are keys
to look things up by, never paths to write to.
"""

import os
import tarfile
from typing import NamedTuple

import msgspec

from toolkit.core.digest import Digest, parse_digest
from toolkit.core.errors import CorruptLayerError, InvalidError
from toolkit.image import manifest as m
from toolkit.image.layers import LayerRequest
from toolkit.image.reference import Reference, parse_reference
from toolkit.image.save import BLOBS, DOCKER, INDEX, LAYOUT, NAME, REF_NAME, blob_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import IO

    from toolkit.image.content import ContentStore, Ingest
    from toolkit.image.images import ImageRecord, Images
    from toolkit.image.layers import LayerProgress

_COPY_BYTES = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Loaded(NamedTuple):
    """An image that came out of an archive."""

    image: "ImageRecord"
    names: tuple[str, ...]
    """The tags that it got, as people write them."""

    def lines(self) -> "list[str]":
        """Return what `docker load` prints."""
        return [f"Loaded image: {name}" for name in self.names] or [f"Loaded image ID: {self.image.id}"]


def load(
    images: "Images", file: "IO[bytes]", *, progress: "Callable[[LayerProgress], None] | None" = None
) -> "list[Loaded]":
    """Bring the images of an archive here, and give them their names.

    Args:
        images: where to.
        file: the archive, which may be compressed; read once, from here on.
        progress: as for `LayerStore.apply`.

    Raises:
        InvalidError: it is no archive of images.
        CorruptLayerError: the tar is damaged or ends early.
        IntegrityError: a blob or layer is not what its digest promises.
        StorageFullError: the disk is full.
    """
    try:
        with images.importing():
            found = _Reader(images.content).read(file)
            return [_bring(images, *one, progress) for one in _images(found, images.content)]
    finally:
        images.collect()  # what the archive had besides, or all of it if it was refused


class _Contents(NamedTuple):
    """What an archive has."""

    documents: dict[str, bytes]
    """Small files, by name."""
    blobs: dict[str, Digest]
    """Large ones, which are in the content store, by name."""
    links: dict[str, str]

    def document(self, name: str) -> bytes:
        """Return a small file."""
        found = self.documents.get(self._target(name))
        if found is None:
            raise InvalidError(f"invalid archive: it has no {name}")
        return found

    def blob(self, name: str) -> Digest:
        """Return the digest of a large file."""
        found = self.blobs.get(self._target(name))
        if found is None:
            raise InvalidError(f"invalid archive: it has no {name}")
        return found

    def _target(self, name: str) -> str:
        """Follow the links by which older archives have a layer once."""
        for _ in self.links:
            if name not in self.links:
                break
            name = os.path.normpath(os.path.join(os.path.dirname(name), self.links[name]))
        return name


class _Reader:
    def __init__(self, content: "ContentStore") -> None:
        self._content = content
        self._found = _Contents({}, {}, {})

    def read(self, file: "IO[bytes]") -> _Contents:
        """Put the blobs of an archive into the content store."""
        try:
            with tarfile.open(fileobj=file, mode="r|*") as archive:
                for info in archive:
                    self._take(os.path.normpath(info.name), info, archive)
        except (tarfile.TarError, EOFError) as exc:
            if not self._found.documents and not self._found.blobs:
                raise InvalidError("this is no archive of images", hint=f"{exc}; `save` makes one") from exc
            raise CorruptLayerError(f"the archive is damaged ({exc})") from exc
        return self._found

    def _take(self, name: str, info: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        if info.issym() or info.islnk():
            self._found.links[name] = (
                info.linkname if info.issym() else os.path.relpath(info.linkname, os.path.dirname(name) or ".")
            )
            return
        file = archive.extractfile(info) if info.isreg() else None
        if file is None:
            return
        if name.startswith(BLOBS):
            self._found.blobs[name] = self._take_blob(name, info.size, file)
        elif info.size > m.MANIFEST_MAX_BYTES or not (name.endswith(".json") or name == LAYOUT):
            self._found.blobs[name] = self._take_unnamed(file)
        else:
            self._found.documents[name] = file.read()

    def _take_blob(self, name: str, size: int, file: "IO[bytes]") -> Digest:
        digest = parse_digest(name.removeprefix(BLOBS).replace("/", ":", 1))
        with self._content.ingest(digest, size) as ingest:
            if not ingest.is_complete:
                _fill(ingest, file)
        return digest

    def _take_unnamed(self, file: "IO[bytes]") -> Digest:
        with self._content.create() as blob:
            while content := file.read(_COPY_BYTES):
                blob.write(content)
            return blob.commit()


def _fill(ingest: "Ingest", file: "IO[bytes]") -> None:
    """Take in a blob; if it is not complete and right, nothing is left of it: a file is never resumed."""
    ingest.restart()
    try:
        while content := file.read(_COPY_BYTES):
            ingest.write(content)
        ingest.commit()
    except BaseException:
        ingest.discard()
        raise


_One = tuple[Digest, "list[Reference]"]


def _images(found: _Contents, content: "ContentStore") -> "Iterator[_One]":
    """Yield the manifest and the names of each image of an archive."""
    docker = _docker_list(found)
    if INDEX in found.documents:
        yield from _layout_images(found, docker, content)
    elif docker:
        for entry in docker:
            yield _docker_manifest(found, entry, content), _tags(entry)
    else:
        raise InvalidError("this is no archive of images", hint="it has neither index.json nor manifest.json")


class _DockerImage(msgspec.Struct, frozen=True, rename="pascal"):
    """One element of manifest.json."""

    config: str
    layers: list[str]
    repo_tags: list[str] | None = None


def _docker_list(found: _Contents) -> list[_DockerImage]:
    if DOCKER not in found.documents:
        return []
    try:
        return msgspec.json.decode(found.documents[DOCKER], type=list[_DockerImage])
    except msgspec.MsgspecError as exc:
        raise InvalidError(f"invalid archive: {DOCKER}: {exc}") from exc


def _tags(entry: _DockerImage) -> "list[Reference]":
    return [parse_reference(text) for text in entry.repo_tags or ()]


def _layout_images(found: _Contents, docker: list[_DockerImage], content: "ContentStore") -> "Iterator[_One]":
    index = m.parse_manifest(found.documents[INDEX], m.OCI_INDEX)
    if not isinstance(index, m.Index):
        raise InvalidError("invalid archive: index.json is no index")
    by_config = {entry.config: _tags(entry) for entry in docker}
    names: dict[Digest, list[Reference]] = {}
    for entry in index.manifests:
        digest, manifest = _selected(entry, content)
        known = names.setdefault(digest, [])
        known += [*_annotated(entry), *by_config.get(blob_path(manifest.config.digest), [])]
    yield from names.items()


def _selected(entry: m.Descriptor, content: "ContentStore") -> tuple[Digest, m.Manifest]:
    """Return the manifest that an entry means; of an index, the one for this machine."""
    document = m.parse_manifest(content.read(entry.digest), entry.media_type)
    if isinstance(document, m.Manifest):
        return entry.digest, document
    chosen = m.select_platform(document)
    if chosen.media_type in m.INDEX_TYPES:
        raise InvalidError(f"the index {entry.digest} has an index in it")
    return _selected(chosen, content)


def _annotated(entry: m.Descriptor) -> "list[Reference]":
    """Return the name that an index gives an image; a mere tag is none."""
    text = entry.annotations.get(NAME) or entry.annotations.get(REF_NAME, "")
    return [parse_reference(text)] if "/" in text or ":" in text else []


def _docker_manifest(found: _Contents, entry: _DockerImage, content: "ContentStore") -> Digest:
    """Make the manifest that an older docker archive does not have."""
    config = found.document(entry.config)
    content.add(config)
    descriptor = m.Descriptor(media_type=m.DOCKER_CONFIG, digest=content.add(config), size=len(config))
    layers = [_layer(found.blob(name), content) for name in entry.layers]
    manifest = m.Manifest(schema_version=2, media_type=m.DOCKER_MANIFEST, config=descriptor, layers=layers)
    return content.add(m.encode(manifest))


def _layer(digest: Digest, content: "ContentStore") -> m.Descriptor:
    with content.open(digest) as blob:
        first = blob.read(4) or b""
    kind = m.DOCKER_LAYER_GZIP if first.startswith(_GZIP) else m.OCI_LAYER_ZSTD if first == _ZSTD else m.DOCKER_LAYER
    return m.Descriptor(media_type=kind, digest=digest, size=content.size(digest))


def _bring(
    images: "Images",
    digest: Digest,
    names: "Sequence[Reference]",
    progress: "Callable[[LayerProgress], None] | None",
) -> Loaded:
    """Unpack an image's layers, record it and give it its names."""
    manifest = m.parse_manifest(images.content.read(digest))
    if not isinstance(manifest, m.Manifest):
        raise InvalidError(f"{digest} is an index, not an image")
    m.require_image(manifest)
    config = m.parse_config(images.content.read(manifest.config.digest), manifest)
    requests = [
        LayerRequest(images.content.path(layer.digest), layer.media_type, diff_id)
        for layer, diff_id in zip(manifest.layers, config.rootfs.diff_ids, strict=True)
    ]
    images.layers.apply(requests, progress=progress)
    distinct = list(dict.fromkeys(names))
    return Loaded(images.add(digest, distinct), tuple(name.familiar() for name in distinct))
