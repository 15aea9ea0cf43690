"""Sending an image: its blobs, several at a time, then its manifest."""

from functools import partial
from typing import NamedTuple

from toolkit.core.digest import Digest, digest_of
from toolkit.core.errors import DigestMismatchError, InvalidError, NotFoundError
from toolkit.core.ids import short_id
from toolkit.image.manifest import OCI_MANIFEST, Index, Manifest, parse_manifest
from toolkit.registry import progress
from toolkit.registry.crew import Crew
from toolkit.registry.upload import Blob, Upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.image.content import ContentStore
    from toolkit.image.manifest import Descriptor
    from toolkit.registry.progress import Reporter
    from toolkit.registry.source import Source

_PARALLEL = 5  # as many as docker sends at a time


class Pushed(NamedTuple):
    """What a registry has now."""

    tag: str
    digest: Digest
    size: int
    """Of the manifest, in bytes."""


def push_image(
    target: "Source",
    tag: str,
    manifest_digest: Digest,
    content: "ContentStore",
    mounts: "Sequence[str]",
    report: "Reporter",
) -> Pushed:
    """Make `tag` of the target's repository point at an image.

    Args:
        target: the repository.
        tag: what to call it there.
        manifest_digest: of the image's manifest, in `content`.
        content: holds the manifest, the config and the layers.
        mounts: repositories of the same registry that may have the layers.
        report: hears docker's statuses.

    Raises:
        NotFoundError: a layer is here unpacked alone.
        UnauthorizedError: not allowed to push there.
        RegistryError: the registry refuses it.
    """
    raw = content.read(manifest_digest)
    manifest = parse_manifest(raw)
    if isinstance(manifest, Index):
        raise InvalidError(f"{manifest_digest} is an index, not an image", hint="push one of its images")
    blobs = _blobs(manifest, content)
    for blob in blobs:
        if blob.label:
            report(blob.label, progress.PREPARING)
    for blob in blobs[_PARALLEL:]:
        if blob.label:
            report(blob.label, progress.WAITING)
    jobs = [partial(Upload(target, blob, mounts, report).run) for blob in blobs]
    with Crew(target.registry.transport, jobs, _PARALLEL) as crew:
        for _ in crew.finished():
            pass
    _put_manifest(target, tag, raw, manifest.media_type or OCI_MANIFEST)
    pushed = Pushed(tag, manifest_digest, len(raw))
    report.line(f"{tag}: digest: {pushed.digest} size: {pushed.size}")
    return pushed


def _blobs(manifest: Manifest, content: "ContentStore") -> list[Blob]:
    layers = {layer.digest: layer for layer in manifest.layers if not layer.urls}
    blobs = [_blob(layer, short_id(layer.digest), content) for layer in layers.values()]
    return [*blobs, _blob(manifest.config, "", content)]


def _blob(descriptor: "Descriptor", label: str, content: "ContentStore") -> Blob:
    if not content.has(descriptor.digest):
        raise NotFoundError(
            f"blob {descriptor.digest} of the image is not here any more", hint="pull the image again, then push it"
        )
    return Blob(descriptor.digest, descriptor.size, content.path(descriptor.digest), label)


def _put_manifest(target: "Source", tag: str, raw: bytes, media_type: str) -> None:
    registry = target.registry
    url = registry.url(target.repository, f"manifests/{tag}")
    response = registry.request("PUT", url, target.access, {"Content-Type": media_type}, raw)
    if response.status not in (200, 201, 202):
        raise registry.refusal(response, target.access)
    stored = response.headers.get("Docker-Content-Digest") or digest_of(raw)
    response.finish()
    if stored.startswith("sha256:") and stored != digest_of(raw):
        raise DigestMismatchError(
            f"registry {registry.name} stored the manifest of {target.access.name} as {stored}",
            hint="the registry, or somebody between it and here, altered it",
        )
