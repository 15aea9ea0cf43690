"""From a reference to one image's manifest and config, both checked and kept.

An index is a list of images; the one for the wanted platform is chosen.
Mirrors are asked first, and whatever a mirror does wrong leads to the next
one; only the origin's failure is the user's.
"""

from typing import NamedTuple

from toolkit.core.digest import Digest
from toolkit.core.errors import EngineError, IntegrityError, InvalidError, NotFoundError, UnsupportedError
from toolkit.image.manifest import (
    MANIFEST_MAX_BYTES,
    ImageConfig,
    Index,
    Manifest,
    parse_config,
    parse_manifest,
    require_image,
    select_platform,
)
from toolkit.image.platform import runnable_on
from toolkit.registry.failure import StoppedError
from toolkit.registry.progress import Reporter
from toolkit.registry.source import fetch_blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.image.content import ContentStore
    from toolkit.image.manifest import Descriptor
    from toolkit.image.platform import Platform
    from toolkit.registry.source import RemoteManifest, Source

_MAX_DEPTH = 3  # an index may name an index; real ones do so once
_MAX_CONFIG_BYTES = 8 << 20
_SILENT = Reporter(None)


class Found(NamedTuple):
    """One image of a registry; its manifests and its config are in the content store."""

    digest: Digest
    """What the reference pointed at: the index, or the manifest itself."""
    manifest_digest: Digest
    manifest: Manifest
    config: ImageConfig
    sources: "Sequence[Source]"
    """Where its blobs are: the source that gave the manifest, and those behind it."""


def find_image(
    sources: "Sequence[Source]", reference: str, platform: "Platform | None", content: "ContentStore"
) -> Found:
    """Find an image and keep its manifests and config.

    Args:
        sources: mirrors, then the origin.
        reference: a tag or a digest.
        platform: which image of an index; this machine's by default.
        content: where to keep them.

    Raises:
        NotFoundError: the origin does not have it, or not for this platform.
        UnsupportedError: it is no container image, or of a kind that went out of use.
        InvalidError: its documents are malformed.
        IntegrityError: they are not what their digests promise.
        RegistryError: the origin cannot be asked.
    """
    for number in range(len(sources) - 1):
        try:
            return _find(sources[number:], reference, platform, content)
        except StoppedError:
            raise
        except EngineError:
            continue
    return _find(sources[-1:], reference, platform, content)


def _find(sources: "Sequence[Source]", reference: str, platform: "Platform | None", content: "ContentStore") -> Found:
    source = sources[0]
    name = source.access.name
    remote = source.fetch_manifest(reference)
    top = remote.digest
    document = parse_manifest(remote.content, remote.media_type)
    for _ in range(_MAX_DEPTH):
        if isinstance(document, Manifest):
            break
        _keep(content, remote)
        entry = select_platform(document, platform, name)
        remote = _fetch_entry(source, entry)
        document = parse_manifest(remote.content, entry.media_type)
    if isinstance(document, Index):
        raise InvalidError(f"{name} is an index of indexes of indexes", hint="check how it was pushed")
    _require_usable(document, name)
    _keep(content, remote)
    fetch_blob(sources, document.config, content, "", _SILENT)
    config = parse_config(content.read(document.config.digest), document)
    if platform is not None and config.platform() not in runnable_on(platform):
        raise NotFoundError(
            f"{name} is not for {platform} but for {config.platform()}",
            hint=f"pull it with --platform {config.platform()}",
        )
    return Found(top, remote.digest, document, config, sources)


def _fetch_entry(source: "Source", entry: "Descriptor") -> "RemoteManifest":
    if entry.size > MANIFEST_MAX_BYTES:
        raise InvalidError(f"manifest {entry.digest} is larger than {MANIFEST_MAX_BYTES} bytes")
    remote = source.fetch_manifest(entry.digest)
    if len(remote.content) != entry.size:
        raise IntegrityError(
            f"manifest {entry.digest} has {len(remote.content)} bytes where its index states {entry.size}",
            hint="the image is damaged: push it again",
        )
    return remote


def _require_usable(manifest: Manifest, name: str) -> None:
    require_image(manifest)
    for layer in manifest.layers:
        if layer.urls or "foreign" in layer.media_type or "nondistributable" in layer.media_type:
            raise UnsupportedError(
                f"{name} has a foreign layer, which no registry holds ({layer.digest})",
                hint="only Windows images have those; choose a Linux image",
            )
    if manifest.config.size > _MAX_CONFIG_BYTES:
        raise InvalidError(f"the config of {name} is larger than {_MAX_CONFIG_BYTES} bytes")


def _keep(content: "ContentStore", remote: "RemoteManifest") -> None:
    """Store a manifest under the digest by which it was asked for (which need not be sha256)."""
    with content.ingest(remote.digest, len(remote.content)) as ingest:
        if not ingest.is_complete:
            ingest.restart()
            ingest.write(remote.content)
            ingest.commit()
