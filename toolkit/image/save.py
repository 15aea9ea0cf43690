"""Images into one file, as `docker save` writes them.

The tar is both, as docker writes it since 25.0:

    oci-layout, index.json, blobs/...    an OCI image layout (image-spec, image-layout.md)
    manifest.json                        a docker archive: config, tags and layers of each image
"""

import io
import json
import os
import tarfile
from typing import Any

from toolkit.core.digest import Digest
from toolkit.core.errors import NotFoundError
from toolkit.image import manifest as m
from toolkit.image.reference import Reference, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from toolkit.image.content import ContentStore
    from toolkit.image.images import ImageRecord, Images

LAYOUT = "oci-layout"
INDEX = "index.json"
DOCKER = "manifest.json"
BLOBS = "blobs/"
NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
_LAYOUT_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


def save(images: "Images", texts: "Sequence[str]", file: "IO[bytes]") -> None:
    """Write images to `file`, with their names where `texts` are names and not ids.

    Raises:
        NotFoundError: one of the images, or a blob of it, is not here.
    """
    chosen: dict[str, tuple[ImageRecord, list[Reference]]] = {}
    for text in texts:
        image = images.resolve(text)
        names = chosen.setdefault(image.id, (image, []))[1]
        if not image.id.removeprefix("sha256:").startswith(text.removeprefix("sha256:")):
            names.append(parse_reference(text))
    with images.importing(), tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        writer = _Writer(archive, images.content)
        for image, names in chosen.values():
            writer.add_image(image, names)
        writer.finish()


class _Writer:
    def __init__(self, archive: tarfile.TarFile, content: "ContentStore") -> None:
        self._archive = archive
        self._content = content
        self._written: set[str] = set()
        self._entries: list[m.Descriptor] = []
        self._docker: list[dict[str, Any]] = []

    def add_image(self, image: "ImageRecord", names: "Sequence[Reference]") -> None:
        """Write an image's blobs, and note it for the lists at the end."""
        for digest in (*(layer.digest for layer in image.layers), image.id, image.manifest_digest):
            self._add_blob(digest)
        manifest = m.parse_manifest(self._content.read(image.manifest_digest))
        tags = [name for name in names if name.digest is None]
        for name in (*tags,) or (None,):
            self._entries.append(self._entry(image, manifest.media_type or m.OCI_MANIFEST, name))
        self._docker.append(
            {
                "Config": blob_path(image.id),
                "RepoTags": [name.familiar() for name in tags] or None,
                "Layers": [blob_path(layer.digest) for layer in image.layers],
            }
        )

    def finish(self) -> None:
        """Write the lists."""
        index = m.Index(schema_version=2, media_type=m.OCI_INDEX, manifests=self._entries)
        self._add(LAYOUT, _LAYOUT_VERSION)
        self._add(INDEX, m.encode(index))
        self._add(DOCKER, json.dumps(self._docker).encode())

    def _entry(self, image: "ImageRecord", media_type: str, name: Reference | None) -> m.Descriptor:
        annotations = {} if name is None else {NAME: name.canonical(), REF_NAME: name.tag or ""}
        return m.Descriptor(
            media_type=media_type,
            digest=image.manifest_digest,
            size=self._content.size(image.manifest_digest),
            annotations=annotations,
            platform=m.PlatformField(architecture=image.architecture, os=image.os, variant=image.variant),
        )

    def _add_blob(self, digest: Digest) -> None:
        if digest in self._written:
            return
        self._written.add(digest)
        try:
            blob = self._content.open(digest)
        except NotFoundError:
            raise NotFoundError(f"blob {digest} of the image is not here any more", hint="pull the image") from None
        with blob:
            info = _file(blob_path(digest), os.fstat(blob.fileno()).st_size)
            self._archive.addfile(info, blob)

    def _add(self, name: str, content: bytes) -> None:
        self._archive.addfile(_file(name, len(content)), io.BytesIO(content))


def blob_path(digest: str) -> str:
    """Return the name of a blob in an archive."""
    return BLOBS + digest.replace(":", "/")


def _file(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o444
    return info
