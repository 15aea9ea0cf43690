"""How long a large image takes from a registry on loopback until it lies unpacked and safe on the disk."""

import os
import shutil
import subprocess
from collections.abc import Iterator

from tests.bench import limits
from tests.bench.image import Image, make_image
from tests.bench.measure import Figure, interleave, timed
from tests.bench.peers import copy, copy_and_unpack
from tests.support.push import push_blob, push_manifest
from tests.support.registries import Registry
from toolkit.engine import Engine

RATIO = 0.4
REPOSITORY, TAG = "bench/large", "1"


def serve(image: Image, directory: str) -> Registry:
    """Start a docker-registry that holds the image."""
    os.makedirs(directory)
    registry = Registry(directory)
    for layer in image.layers:
        push_blob(registry.host, REPOSITORY, layer.path, layer.digest)
    push_blob(registry.host, REPOSITORY, image.config)
    push_manifest(registry.host, REPOSITORY, TAG, image.manifest, "application/vnd.oci.image.manifest.v1+json")
    return registry


def pull(cache: str, directory: str, rounds: int, scale: float) -> Iterator[Figure]:
    """Compare with skopeo and umoci; every round starts from nothing on a synced file system."""
    image = make_image(cache, scale=scale)
    registry = serve(image, f"{directory}/registry")
    try:
        yield from _compare(image, registry, directory, rounds)
    finally:
        registry.close()


def _compare(image: Image, registry: Registry, directory: str, rounds: int) -> Iterator[Figure]:
    work = f"{directory}/work"
    source = f"{registry.host}/{REPOSITORY}:{TAG}"

    def fresh(action: "timed") -> "timed":  # type: ignore[valid-type]  # both are callables that return seconds
        def run() -> float:
            shutil.rmtree(work, ignore_errors=True)
            os.mkdir(work)
            subprocess.run(["sync", "-f", directory], check=True)
            return float(action())

        return run

    def ours() -> None:
        with Engine.open(f"{work}/root", f"{work}/run") as engine:
            engine.images.pull(source)

    times = interleave(
        {
            "ours": fresh(timed(ours)),
            "peer": fresh(timed(lambda: copy_and_unpack(source, work))),
            "download": fresh(timed(lambda: copy(source, work))),
        },
        rounds,
        warm_up=0,
    )
    megabytes = sum(layer.size for layer in image.layers) / 1e6
    unpacked = sum(layer.unpacked_size for layer in image.layers) / 1e6
    entries = sum(layer.entries for layer in image.layers)
    seconds = times.median_s("ours")
    what = f"pull of {megabytes:.0f} MB ({unpacked:.0f} MB unpacked), {entries} entries, {len(image.layers)} layers"
    yield Figure("pull", what, seconds, "s", ratio=times.ratio("ours", "peer"), ratio_target=RATIO)
    yield Figure("pull", "the same, unpacked bytes", unpacked / seconds, "MB/s")
    yield Figure("pull", "the same, entries", entries / seconds, "files/s")
    yield Figure("pull", "skopeo copy + umoci unpack + sync", times.median_s("peer"), "s")
    yield Figure("pull", "skopeo copy alone (nothing unpacked)", times.median_s("download"), "s")
    shutil.rmtree(work, ignore_errors=True)
    os.mkdir(work)
    yield from limits.measure(image, registry.host, REPOSITORY, work)
