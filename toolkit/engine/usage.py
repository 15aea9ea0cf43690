"""How much disk an engine's images and containers take: `docker system df`.

See Also:
    docker, cli/command/formatter/disk_usage.go: the sums are docker's
"""

from typing import NamedTuple

from toolkit.core.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine
    from toolkit.image.images import ImageRecord


class ImageUsage(NamedTuple):
    """One image."""

    record: "ImageRecord"
    shared_bytes: int
    """Of layers that other images have too."""
    containers: int
    """How many use it."""

    @property
    def unique_bytes(self) -> int:
        """What would be gained by removing it."""
        return self.record.size - self.shared_bytes


class ContainerUsage(NamedTuple):
    """One container."""

    container: "Container"
    written_bytes: int
    is_up: bool


class Usage(NamedTuple):
    """All of them."""

    images: "Sequence[ImageUsage]"
    layers_bytes: int
    """Of all layers of images, each once."""
    containers: "Sequence[ContainerUsage]"

    @property
    def reclaimable_image_bytes(self) -> int:
        """What removing the images that no container uses would give."""
        return self.layers_bytes - sum(each.unique_bytes for each in self.images if each.containers)

    @property
    def container_bytes(self) -> int:
        """What all containers have written."""
        return sum(each.written_bytes for each in self.containers)

    @property
    def reclaimable_container_bytes(self) -> int:
        """What removing those that do not run would give."""
        return sum(each.written_bytes for each in self.containers if not each.is_up)


def disk_usage(engine: "Engine") -> Usage:
    """Measure images and containers; reads every file's size that a container has written."""
    records = engine.images.list()
    sizes: dict[str, int] = {}
    counts: dict[str, int] = {}
    for record in records:
        for diff_id, size in dict(zip(record.diff_ids, record.layer_sizes, strict=True)).items():
            sizes[diff_id] = size
            counts[diff_id] = counts.get(diff_id, 0) + 1
    containers = engine.containers.list(all=True)
    used = [one.doc["image_id"] for one in containers]
    images = [ImageUsage(record, _shared(record, counts), used.count(record.id)) for record in records]
    written = [ContainerUsage(one, one.files.size(), one.read_status().is_up) for one in containers]
    return Usage(images, sum(sizes.values()), written)


def _shared(record: "ImageRecord", counts: dict[str, int]) -> int:
    return sum(size for diff_id, size in zip(record.diff_ids, record.layer_sizes, strict=True) if counts[diff_id] > 1)


def sizes(engine: "Engine", container: "Container") -> tuple[int, int]:
    """Return how many bytes a container itself has written, and that with its image: SizeRw and SizeRootFs."""
    written = container.files.size()
    try:
        return written, written + engine.images.store.get(container.doc["image_id"]).size
    except NotFoundError:
        return written, written  # the image has been removed by force; its layers stay for the container
