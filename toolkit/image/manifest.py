"""The documents of an image: manifest, index and config, in OCI's form and in Docker's.

Both forms have the same JSON members; only the media types differ.  Parsing
checks everything that later code relies on, so a value of these types is a
valid document.

See Also:
    github.com/opencontainers/image-spec: manifest.md, image-index.md, config.md;
    distribution.github.io/distribution/spec/manifest-v2-2
"""

from typing import Any, TypeVar

import msgspec

from toolkit.core.digest import Digest, parse_digest
from toolkit.core.errors import InvalidError, NotFoundError, UnsupportedError
from toolkit.image.container_config import check
from toolkit.image.platform import Platform, host_platform, normalize, runnable_on

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
ACCEPT = (*MANIFEST_TYPES, *INDEX_TYPES)
"""What a client asks a registry for."""
LAYER_TYPES = frozenset(
    (
        *(OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, DOCKER_LAYER, DOCKER_LAYER_GZIP),
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    )
)
_CONFIG_TYPES = (OCI_CONFIG, DOCKER_CONFIG)
MANIFEST_MAX_BYTES = 4 << 20
"""As distribution's own limit: a larger one is no manifest but an attack."""


_T = TypeVar("_T")


class _Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A JSON object of the spec; members that it does not name are ignored."""


class PlatformField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The platform that an index states for a manifest."""

    architecture: str
    os: str
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] = msgspec.field(default_factory=list[str], name="os.features")
    variant: str = ""
    features: list[str] = msgspec.field(default_factory=list[str])

    def normal(self) -> Platform:
        """Return it in normal form."""
        return normalize(self.os, self.architecture, self.variant)


class Descriptor(_Document, frozen=True, kw_only=True):
    """Points at content: what it is, its digest and its size."""

    media_type: str
    digest: Digest
    size: int
    """bytes"""
    urls: list[str] = msgspec.field(default_factory=list[str])
    annotations: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    platform: PlatformField | None = None
    artifact_type: str = ""


class Manifest(_Document, frozen=True, kw_only=True):
    """One image for one platform: its config and its layers, base first."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Index(_Document, frozen=True, kw_only=True):
    """The same image for several platforms."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    manifests: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class RootFS(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of the uncompressed layers, base first."""

    type: str
    diff_ids: list[Digest]


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one layer (or none, `empty_layer`) came to be."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a container of the image starts from; its digest is the image's id."""

    architecture: str
    os: str
    variant: str = ""
    created: str | None = None
    author: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    config: dict[str, Any] | None = None
    """Docker's container config as it stands: Env, Cmd, Entrypoint, ..."""
    rootfs: RootFS
    history: list[History] | None = None

    def platform(self) -> Platform:
        """Return the platform in normal form."""
        return normalize(self.os, self.architecture, self.variant)


def parse_manifest(content: bytes, media_type: str = "") -> Manifest | Index:
    """Read and check a manifest or an index.

    Args:
        content: the document, exactly as its digest covers it.
        media_type: what the registry (or the descriptor) says it is; empty if
            nobody said, then the document's own word counts.

    Raises:
        UnsupportedError: Docker's schema 1, or no manifest of an image.
        InvalidError: not JSON, a member missing or of the wrong form, or two
            meanings at once (CVE-2021-41190).
    """
    if len(content) > MANIFEST_MAX_BYTES:
        raise InvalidError(f"the manifest is larger than {MANIFEST_MAX_BYTES} bytes")
    members = _decode(content, dict[str, Any], "manifest")
    kind = _agreed_type(members, media_type.partition(";")[0].strip().lower())
    if kind in INDEX_TYPES:
        if "config" in members or "layers" in members:
            raise InvalidError("the index has members of a manifest, so its meaning is ambiguous")
        index = _decode(content, Index, "index")
        _check_descriptors(index.manifests, "index")
        return index
    if "manifests" in members or "fsLayers" in members:
        raise InvalidError("the manifest has members of an index, so its meaning is ambiguous")
    manifest = _decode(content, Manifest, "manifest")
    _check_descriptors([manifest.config, *manifest.layers], "manifest")
    return manifest


def parse_config(content: bytes, manifest: Manifest | None = None) -> ImageConfig:
    """Read and check an image config, and that it fits the manifest it came with.

    Raises:
        InvalidError: not JSON, a member missing or of the wrong form, or
            another number of layers than the manifest.
    """
    config = _decode(content, ImageConfig, "image config")
    if config.rootfs.type != "layers":
        raise InvalidError(f"invalid image config: rootfs.type is '{config.rootfs.type}', not 'layers'")
    for diff_id in config.rootfs.diff_ids:
        parse_digest(diff_id)
    if manifest is not None and len(manifest.layers) != len(config.rootfs.diff_ids):
        raise InvalidError(
            f"invalid image: the manifest has {len(manifest.layers)} layers"
            f" and the config {len(config.rootfs.diff_ids)}"
        )
    return config if config.config is None else msgspec.structs.replace(config, config=check(config.config))


def require_image(manifest: Manifest) -> None:
    """Check that a manifest is of a container image and not of another artifact.

    Raises:
        UnsupportedError: a config or a layer of a foreign media type.
    """
    kinds = [manifest.config.media_type] if manifest.config.media_type not in _CONFIG_TYPES else []
    kinds += [layer.media_type for layer in manifest.layers if layer.media_type not in LAYER_TYPES]
    if kinds:
        raise UnsupportedError(f"not a container image: it contains {kinds[0]}", hint="other artifacts cannot be run")


def select_platform(index: Index, platform: Platform | None = None, name: str = "") -> Descriptor:
    """Return the manifest of an index that suits `platform` (this machine by default) best.

    Entries without a platform are the last resort; attestations (unknown/unknown) never match.

    Raises:
        NotFoundError: none does.
    """
    wanted = platform or host_platform()
    stated = [(entry.platform.normal(), entry) for entry in index.manifests if entry.platform is not None]
    for candidate in runnable_on(wanted):
        for offered, entry in stated:
            if offered == candidate and _is_image_entry(entry):
                return entry
    for entry in index.manifests:
        if entry.platform is None and _is_image_entry(entry):
            return entry
    offers = sorted({str(offered) for offered, _ in stated if offered.os != "unknown"})
    where = f" of {name}" if name else ""
    hint = f"there is {', '.join(offers)}" if offers else "the list is empty"
    raise NotFoundError(f"no matching manifest for {wanted} in the manifest list entries{where}", hint=hint)


def encode(document: Manifest | Index | ImageConfig) -> bytes:
    """Return the document as compact JSON; the same value always gives the same bytes."""
    return msgspec.json.encode(document)


def _is_image_entry(entry: Descriptor) -> bool:
    return entry.media_type in ACCEPT and "vnd.docker.reference.type" not in entry.annotations


def _decode(content: bytes, kind: type[_T], noun: str) -> _T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as exc:
        raise InvalidError(f"invalid {noun}: {exc}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidError(f"invalid {noun}: not JSON", hint=str(exc)) from exc
    except RecursionError as exc:
        raise InvalidError(f"invalid {noun}: nested too deeply") from exc


def _agreed_type(members: dict[str, Any], media_type: str) -> str:
    """Return the one media type that the sender and the document agree on."""
    own = members.get("mediaType", "")
    if members.get("schemaVersion") == 1 or media_type in (DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED):
        raise UnsupportedError(
            "Docker image format v1 and manifest version 2, schema 1 are not supported",
            hint="push the image again with a current docker",
        )
    if members.get("schemaVersion") != 2:
        raise InvalidError(f"invalid manifest: schemaVersion is {members.get('schemaVersion')!r}, not 2")
    if media_type in ("", "application/json", "application/octet-stream", "text/plain"):
        media_type = own or (OCI_INDEX if "manifests" in members else OCI_MANIFEST)
    if own and own != media_type:
        raise InvalidError(f"the manifest says that it is {own}, but it was served as {media_type}")
    if media_type not in ACCEPT:
        raise UnsupportedError(f"unsupported manifest media type {media_type}")
    return media_type


def _check_descriptors(descriptors: list[Descriptor], noun: str) -> None:
    for descriptor in descriptors:
        parse_digest(descriptor.digest)
        if descriptor.size < 0:
            raise InvalidError(f"invalid {noun}: {descriptor.digest} has a size of {descriptor.size}")
