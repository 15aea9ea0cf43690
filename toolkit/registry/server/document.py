"""A manifest as the server sees it: what it refers to, and what it says about itself.

The server stores a manifest byte for byte and reads it once, when it is
pushed, to refuse one whose parts are missing.  Pure: no I/O here.
"""

import json
from typing import Any, NamedTuple, cast

from toolkit.core.digest import Digest
from toolkit.registry.server import errors
from toolkit.registry.server.errors import RefusedError
from toolkit.registry.server.storage import checked_digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
_MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
MAX_BYTES = 4 << 20


class Document(NamedTuple):
    """What the server needs to know of a manifest or an index."""

    media_type: str
    blobs: tuple[Digest, ...]
    """Config and layers; those that lie elsewhere (urls) left out."""
    manifests: tuple[Digest, ...]
    subject: Digest | None
    artifact_type: str
    annotations: dict[str, str]


def parse_document(content: bytes, media_type: str) -> Document:
    """Read a manifest or an index.

    Raises:
        RefusedError: MANIFEST_INVALID, or DIGEST_INVALID for a digest inside.
    """
    try:
        fields: object = json.loads(content)
        if not isinstance(fields, dict):
            raise TypeError("not an object")
        return _read(cast("dict[str, Any]", fields), media_type.partition(";")[0].strip())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise RefusedError(errors.MANIFEST_INVALID, {"reason": str(exc)[:200]}) from exc


def _read(fields: "dict[str, Any]", media_type: str) -> Document:
    declared = fields.get("mediaType") or media_type
    if fields.get("schemaVersion") != 2 or declared != media_type:
        raise ValueError("schemaVersion must be 2, and mediaType must be the Content-Type")
    subject = fields.get("subject")
    subject_digest = checked_digest(subject["digest"]) if subject else None
    annotations = {str(key): str(value) for key, value in (fields.get("annotations") or {}).items()}
    artifact_type = str(fields.get("artifactType") or "")
    if media_type in _INDEXES:
        manifests = tuple(checked_digest(entry["digest"]) for entry in fields.get("manifests") or ())
        return Document(media_type, (), manifests, subject_digest, artifact_type, annotations)
    if media_type not in _MANIFESTS:
        raise ValueError(f"unknown media type {media_type}")
    config = fields["config"]
    parts = [config, *(layer for layer in fields.get("layers") or () if not layer.get("urls"))]
    blobs = tuple(checked_digest(part["digest"]) for part in parts)
    return Document(media_type, blobs, (), subject_digest, artifact_type or str(config["mediaType"]), annotations)
