"""From an image's manifest to the record that the state keeps."""

from typing import Any

import msgspec

from toolkit.core.clock import ZERO
from toolkit.core.digest import Digest
from toolkit.core.errors import InvalidError
from toolkit.image.content import ContentStore
from toolkit.image.layers import LayerStore
from toolkit.image.manifest import Index, parse_config, parse_manifest, require_image


def make_document(manifest_digest: Digest, content: ContentStore, layers: LayerStore) -> tuple[Digest, dict[str, Any]]:
    """Return an image's id and its record, made of what the stores hold.

    Raises:
        NotFoundError: the manifest, the config or a layer is not here.
        InvalidError, UnsupportedError: they are no image's.
    """
    manifest = parse_manifest(content.read(manifest_digest))
    if isinstance(manifest, Index):
        raise InvalidError(f"{manifest_digest} is an index, not an image", hint="select one of its manifests")
    require_image(manifest)
    config = parse_config(content.read(manifest.config.digest), manifest)
    found = [layers.info(diff_id) for diff_id in config.rootfs.diff_ids]
    platform = config.platform()
    roots = [info.root for info in found if info.root is not None]
    return manifest.config.digest, {
        "created": config.created or ZERO,
        "architecture": platform.architecture,
        "os": platform.os,
        "variant": platform.variant,
        "author": config.author,
        "config": config.config or {},
        "diff_ids": config.rootfs.diff_ids,
        "history": [msgspec.to_builtins(step) for step in config.history or ()],
        "layers": [[layer.digest, layer.size, layer.media_type] for layer in manifest.layers],
        "layer_sizes": [info.size for info in found],
        "manifest": manifest_digest,
        "root": roots[-1] if roots else None,
    }
