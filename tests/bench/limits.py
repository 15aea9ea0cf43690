"""The raw limits of a pull: what each part of the work costs when it is done by the fastest tool, alone."""

import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.bench.image import Image
from tests.bench.measure import Figure

_CHUNK_BYTES = 1 << 20


def measure(image: Image, host: str, repository: str, directory: str) -> list[Figure]:
    """Time each part once, two at a time as this machine has two cores."""
    blobs = [layer.path for layer in image.layers]
    tars = [f"{directory}/{number}.tar" for number in range(len(blobs))]
    urls = [f"http://{host}/v2/{repository}/blobs/{layer.digest}" for layer in image.layers]
    parts: list[tuple[str, Callable[[], object]]] = [
        ("curl of all blobs", lambda: _curl(urls, directory)),
        ("igzip of all blobs, two at a time", lambda: _pairs(_igunzip, blobs)),
        ("sha256 of all blobs, two at a time", lambda: _pairs(_sha256, blobs)),
    ]
    figures = [_figure(what, action) for what, action in parts]
    for blob, tar in zip(blobs, tars, strict=True):
        with open(tar, "wb") as file:
            subprocess.run(["gzip", "-dc", blob], stdout=file, check=True)
    figures.append(_figure("sha256 of all tars, two at a time", lambda: _pairs(_sha256, tars)))
    figures.append(_figure("GNU tar of all layers, two at a time", lambda: _pairs(_untar, tars)))
    figures.append(_figure("syncfs after GNU tar", lambda: subprocess.run(["sync", "-f", directory], check=True)))
    return figures


def _figure(what: str, action: Callable[[], object]) -> Figure:
    start = time.perf_counter()
    action()
    return Figure("limits", what, time.perf_counter() - start, "s")


def _pairs(action: Callable[[str], None], paths: Sequence[str]) -> None:
    """Do all, two at a time; hashing, decompression and subprocesses release the interpreter's lock."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(action, paths))


def _curl(urls: list[str], directory: str) -> None:
    outputs = [part for number, url in enumerate(urls) for part in ("-o", f"{directory}/{number}.blob", url)]
    subprocess.run(["curl", "-sSf", "--no-progress-meter", "--parallel", *outputs], check=True)


def _igunzip(path: str) -> None:
    from isal import igzip

    with igzip.open(path, "rb") as file:
        while file.read(_CHUNK_BYTES):
            pass


def _sha256(path: str) -> None:
    with open(path, "rb") as file:
        hashlib.file_digest(file, "sha256")


def _untar(path: str) -> None:
    target = f"{path}.d"
    os.mkdir(target)
    subprocess.run(["tar", "-C", target, "-xpf", path], check=True)
