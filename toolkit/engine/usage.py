"""How much disk an engine's images, containers and volumes take: `docker system df`.

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
    from toolkit.engine.volumes import Volume
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


class VolumeUsage(NamedTuple):
    """One volume."""

    volume: "Volume"
    size_bytes: int
    """-1: only its driver knows."""
    links: int
    """How many containers refer to it."""


class Usage(NamedTuple):
    """All of them."""

    images: "Sequence[ImageUsage]"
    layers_bytes: int
    """Of all layers of images, each once."""
    containers: "Sequence[ContainerUsage]"
    volumes: "Sequence[VolumeUsage]" = ()
    """The local ones, as docker has it."""

    @property
    def reclaimable_image_bytes(self) -> int:
        """What removing the images that no container uses would give."""
        return self.layers_bytes - sum(each.unique_bytes for each in self.images if each.containers)

    @property
    def volume_bytes(self) -> int:
        """What all volumes hold whose size is known."""
        return sum(each.size_bytes for each in self.volumes if each.size_bytes > 0)

    @property
    def reclaimable_volume_bytes(self) -> int:
        """What removing the volumes that no container refers to would give."""
        return sum(each.size_bytes for each in self.volumes if each.size_bytes > 0 and not each.links)

    @property
    def container_bytes(self) -> int:
        """What all containers have written."""
        return sum(each.written_bytes for each in self.containers)

    @property
    def reclaimable_container_bytes(self) -> int:
        """What removing those that do not run would give."""
        return sum(each.written_bytes for each in self.containers if not each.is_up)


def disk_usage(engine: "Engine") -> Usage:
    """Measure images, containers and volumes; reads the size of every file that a container or volume has."""
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
    return Usage(images, sum(sizes.values()), written, _volumes(engine))


def _volumes(engine: "Engine") -> "Sequence[VolumeUsage]":
    users = engine.volumes.users()
    local = [one for one in engine.volumes.list() if one.driver == "local"]
    return [VolumeUsage(one, one.size(), len(users.get(one.name, ()))) for one in local]


def _shared(record: "ImageRecord", counts: dict[str, int]) -> int:
    return sum(size for diff_id, size in zip(record.diff_ids, record.layer_sizes, strict=True) if counts[diff_id] > 1)


def sizes(engine: "Engine", container: "Container") -> tuple[int, int]:
    """Return how many bytes a container itself has written, and that with its image: SizeRw and SizeRootFs."""
    written = container.files.size()
    try:
        return written, written + engine.images.store.get(container.doc["image_id"]).size
    except NotFoundError:
        return written, written  # the image has been removed by force; its layers stay for the container
