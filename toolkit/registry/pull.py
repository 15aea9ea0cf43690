"""Bringing the layers of an image: download and unpacking overlap, layer by layer.

    registry --3 blobs at a time--> content store --1 layer a processor--> layer store, all at once

A layer that is unpacked already is not downloaded, and a blob that is here is
not downloaded either.  What an interrupted pull has brought, down to half a
blob, is not brought again.
"""

from functools import partial
from typing import NamedTuple

from toolkit.core.ids import short_id
from toolkit.image.layers import LayerRequest
from toolkit.registry import progress
from toolkit.registry.crew import Crew
from toolkit.registry.source import fetch_blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.core.digest import Digest
    from toolkit.image.content import ContentStore
    from toolkit.image.layers import LayerProgress, LayerStore
    from toolkit.image.manifest import Descriptor
    from toolkit.registry.progress import Reporter
    from toolkit.registry.resolve import Found
    from toolkit.registry.source import Source

_DOWNLOADS = 3  # as many as docker fetches at a time


class Layer(NamedTuple):
    """One layer of the image."""

    descriptor: "Descriptor"
    diff_id: "Digest"

    @property
    def label(self) -> str:
        """Its name for reports."""
        return short_id(self.descriptor.digest)


class Pipeline:
    """Brings layers from a registry into the layer store."""

    def __init__(
        self, sources: "Sequence[Source]", content: "ContentStore", layers: "LayerStore", report: "Reporter"
    ) -> None:
        """Prepare to bring layers from the first of `sources` that has them."""
        self._sources = sources
        self._content = content
        self._layers = layers
        self._report = report

    def run(self, found: "Found") -> None:
        """Bring all layers of an image that are not here.

        Raises:
            RegistryError, NotFoundError: a blob cannot be had.
            IntegrityError: a blob or a layer is not what its digest promises.
            StorageFullError: the disk is full.
        """
        missing = self._announce(_layers(found))
        # The largest first: it takes longest to unpack, and the others fit in beside it.
        missing.sort(key=lambda layer: -layer.descriptor.size)
        labels = {layer.diff_id: layer.label for layer in missing}

        def extracting(state: "LayerProgress") -> None:
            self._report(labels[state.diff_id], progress.EXTRACTING, state.done_bytes, state.total_bytes)

        transport = self._sources[-1].registry.transport
        jobs = [partial(self._fetch, layer) for layer in missing]
        with self._layers.unpacking(progress=extracting) as unpacking, Crew(transport, jobs, _DOWNLOADS) as crew:
            for index in crew.finished():
                unpacking.add(self._request(missing[index]))
            unpacking.finish()
        for layer in missing:
            self._report(layer.label, progress.PULLED)

    def _announce(self, layers: "Sequence[Layer]") -> "list[Layer]":
        """Report how each layer stands at the start; return those that are missing."""
        missing = [layer for layer in layers if not self._layers.has(layer.diff_id)]
        for layer in layers:
            self._report(layer.label, progress.PULLING_FS_LAYER if layer in missing else progress.ALREADY_EXISTS)
        for layer in missing[_DOWNLOADS:]:
            self._report(layer.label, progress.WAITING)
        return missing

    def _fetch(self, layer: Layer) -> None:
        fetch_blob(self._sources, layer.descriptor, self._content, layer.label, self._report)

    def _request(self, layer: Layer) -> LayerRequest:
        descriptor = layer.descriptor
        return LayerRequest(self._content.path(descriptor.digest), descriptor.media_type, layer.diff_id)


def _layers(found: "Found") -> "list[Layer]":
    """Return each distinct layer once, base first."""
    layers = (
        Layer(descriptor, diff_id)
        for descriptor, diff_id in zip(found.manifest.layers, found.config.rootfs.diff_ids, strict=True)
    )
    return list({layer.diff_id: layer for layer in layers}.values())
