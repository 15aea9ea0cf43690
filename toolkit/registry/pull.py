"""Bringing the layers of an image: download and unpacking overlap, layer by layer.

    registry --3 blobs at a time--> content store --1 layer a processor--> layer store

A layer that is unpacked already is not downloaded, and a blob that is here is
not downloaded either.  What an interrupted pull has brought, down to half a
blob, is not brought again.
"""

import os
import threading
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
_READY = 3  # layers that may be here and wait for a processor, so that the network need not


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
        self._processors = os.cpu_count() or 1
        self._downloading = threading.Semaphore(_DOWNLOADS)
        self._unpacking = threading.Semaphore(self._processors)

    def run(self, found: "Found") -> None:
        """Bring all layers of an image that are not here.

        Raises:
            RegistryError, NotFoundError: a blob cannot be had.
            IntegrityError: a blob or a layer is not what its digest promises.
            StorageFullError: the disk is full.
        """
        missing = self._announce(_layers(found))
        transport = self._sources[-1].registry.transport
        # The largest first: it takes longest to unpack, and the others fit in beside it.
        missing.sort(key=lambda layer: -layer.descriptor.size)
        jobs = [partial(self._bring, layer) for layer in missing]
        with Crew(transport, jobs, _DOWNLOADS + self._processors + _READY) as crew:
            for _ in crew.finished():
                pass

    def _announce(self, layers: "Sequence[Layer]") -> "list[Layer]":
        """Report how each layer stands at the start; return those that are missing."""
        missing = [layer for layer in layers if not self._layers.has(layer.diff_id)]
        for layer in layers:
            self._report(layer.label, progress.PULLING_FS_LAYER if layer in missing else progress.ALREADY_EXISTS)
        return missing

    def _bring(self, layer: Layer) -> None:
        if not self._downloading.acquire(blocking=False):
            self._report(layer.label, progress.WAITING)
            self._downloading.acquire()
        try:
            fetch_blob(self._sources, layer.descriptor, self._content, layer.label, self._report)
        finally:
            self._downloading.release()
        with self._unpacking:
            self._sources[-1].registry.transport.check()
            self._unpack(layer)
        self._report(layer.label, progress.PULLED)

    def _unpack(self, layer: Layer) -> None:
        def extracting(state: "LayerProgress") -> None:
            self._report(layer.label, progress.EXTRACTING, state.done_bytes, state.total_bytes)

        descriptor = layer.descriptor
        request = LayerRequest(self._content.path(descriptor.digest), descriptor.media_type, layer.diff_id)
        self._layers.apply([request], progress=extracting)


def _layers(found: "Found") -> "list[Layer]":
    """Return each distinct layer once, base first."""
    layers = (
        Layer(descriptor, diff_id)
        for descriptor, diff_id in zip(found.manifest.layers, found.config.rootfs.diff_ids, strict=True)
    )
    return list({layer.diff_id: layer for layer in layers}.values())
