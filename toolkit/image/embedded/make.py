"""Making the lab image and putting it where images are kept."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from toolkit.image.embedded import REFERENCE
from toolkit.image.embedded.archive import Blob, pack
from toolkit.image.embedded.assemble import Layer, assemble
from toolkit.image.embedded.describe import LAYER_TYPE, config_json, manifest_json
from toolkit.image.embedded.host import Host
from toolkit.image.images import ImageRecord, Images
from toolkit.image.layers import LayerRequest
from toolkit.image.reference import parse_reference

_THREADS = 2  # compression and hashing leave the GIL; more would wait for the disk


def make(images: Images, progress: Callable[[str], None] | None = None) -> ImageRecord:
    """Make the image from the host's programs and give it its name.

    Raises:
        UnsupportedError: the host has no shell.
        StorageFullError: no space for it.
    """
    say = progress or _silent
    say(f"Making the image {REFERENCE} from this machine's own programs; this happens once")
    assembly = assemble(Host())
    with ThreadPoolExecutor(_THREADS) as threads:
        blobs = list(threads.map(_pack, assembly.layers))
    for layer, blob in zip(assembly.layers, blobs, strict=True):
        say(f"{blob.digest[7:19]}: {len(layer.tree)} files: {layer.title}")
    with images.importing():
        record = _import(images, config_json(assembly, blobs), blobs)
    say(f"Image {REFERENCE} is ready")
    return record


def _silent(_line: str) -> None:
    """Say nothing."""


def _pack(layer: Layer) -> Blob:
    return pack(layer.tree.entries())


def _import(images: Images, config: bytes, blobs: list[Blob]) -> ImageRecord:
    content = images.content
    for blob in blobs:
        content.add(blob.content)
    requests = [LayerRequest(content.path(blob.digest), LAYER_TYPE, blob.diff_id) for blob in blobs]
    images.layers.apply(requests)
    content.add(config)
    return images.add(content.add(manifest_json(config, blobs)), [parse_reference(REFERENCE)])
