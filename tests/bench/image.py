"""A synthetic image like a real one: five gzip layers, 40,000 entries, 675 MB that compress to 193 MB.

The same bytes every time: all choices come from one seeded generator.  File
sizes are log-normal, as in a distribution's packages (half below 4 kB, a few
of many megabytes), and the content is a mix of text, machine code and what is
compressed already.
"""

import gzip
import hashlib
import io
import json
import os
import random
import tarfile
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

POOL_BYTES = 8 * 1024 * 1024
SHARES = (0.34, 0.26, 0.20, 0.14, 0.06)
"""How much of the whole each layer holds."""
TEXT_PHRASES, CODE_STEMS = 1_000, 700
"""Fewer of them repeat more often, and compress better."""
ENTRIES = 40_000
BYTES = 675_000_000
_KINDS = ("text", "code", "packed")
_WEIGHTS = (0.62, 0.35, 0.03)
_MEDIAN_BYTES, _SIGMA, _LARGEST_BYTES = 3_600, 1.75, 24_000_000


class Layer(NamedTuple):
    """One layer as a file on disk."""

    path: str
    digest: str
    diff_id: str
    size: int
    unpacked_size: int
    entries: int


class Image(NamedTuple):
    """The layers, and the documents that name them."""

    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes


def _pools(seed: int) -> dict[str, bytes]:
    """Make one long text of each kind; files are slices of them."""
    draw = random.Random(seed)  # noqa: S311 - must be the same every time
    words = ["".join(draw.choices("etaoinshrdlucmfwypvbgk", k=draw.randint(2, 11))) for _ in range(6_000)]
    phrases = [" ".join(draw.choices(words, k=draw.randint(2, 6))) for _ in range(TEXT_PHRASES)]
    ranks = [1 / (rank + 2) for rank in range(TEXT_PHRASES)]
    text = "\n".join(draw.choices(phrases, ranks, k=POOL_BYTES // 20)).encode()[:POOL_BYTES]
    stems = [draw.randbytes(draw.randint(2, 9)) + bytes(draw.randint(0, 3)) for _ in range(CODE_STEMS)]
    ranks = [1 / (rank + 8) for rank in range(CODE_STEMS)]
    code = b"".join(draw.choices(stems, ranks, k=POOL_BYTES // 5))[:POOL_BYTES]
    return {"text": text, "code": code, "packed": draw.randbytes(POOL_BYTES)}


def _content(draw: random.Random, pools: dict[str, bytes], size: int) -> bytes:
    pool = pools[draw.choices(_KINDS, _WEIGHTS)[0]]
    parts = [draw.randbytes(min(8, size))]
    size -= len(parts[0])
    while size > 0:
        start = draw.randrange(len(pool) - 4096)
        parts.append(pool[start : start + min(size, 1 << 20)])
        size -= len(parts[-1])
    return b"".join(parts)


def _sizes(draw: random.Random, count: int, total: int) -> list[int]:
    """Draw `count` file sizes that sum up to `total`."""
    sizes = [min(draw.lognormvariate(0, _SIGMA) * _MEDIAN_BYTES, _LARGEST_BYTES) for _ in range(count)]
    factor = total / sum(sizes)
    return [int(size * factor) for size in sizes]


def _members(draw: random.Random, number: int, count: int, total: int) -> "list[tuple[tarfile.TarInfo, int]]":
    """List a layer's entries: a tenth are directories, an eleventh symlinks, some hard links and whiteouts."""
    directories = [f"layer{number}/d{index // 12}/s{index}" for index in range(count // 10)]
    links, hard, gone = count // 11, count // 200, 4 if number else 0
    files = [
        f"{draw.choice(directories)}/f{index:05d}.dat"
        for index in range(count - len(directories) - links - hard - gone)
    ]

    def under(prefix: str, index: int) -> str:
        return f"{draw.choice(directories)}/{prefix}{index}"

    sizes = _sizes(draw, len(files), total)
    modes = (0o644, 0o644, 0o755)
    return [
        *((_info(path, tarfile.DIRTYPE, 0o755), 0) for path in directories),
        *((_info(path, tarfile.REGTYPE, draw.choice(modes)), size) for path, size in zip(files, sizes, strict=True)),
        *((_info(under("l", index), tarfile.SYMTYPE, 0o777, draw.choice(files)), 0) for index in range(links)),
        *((_info(under("h", index), tarfile.LNKTYPE, 0o644, draw.choice(files)), 0) for index in range(hard)),
        *((_info(f"layer{number - 1}/d{n}/.wh.s{n * 12}", tarfile.REGTYPE, 0o644), 0) for n in range(gone)),
    ]


def _info(name: str, kind: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, target
    info.mtime = 1_700_000_000
    return info


def make_layer(directory: str, number: int, entries: int, total: int) -> Layer:
    """Write layer `number` into `directory`."""
    draw = random.Random(1000 + number)  # noqa: S311 - must be the same every time
    pools = _pools(number)
    path = f"{directory}/layer{number}.tar.gz"
    unpacked = hashlib.sha256()
    raw = _Tee(path, unpacked)
    members = _members(draw, number, entries, total)
    with tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        for info, size in members:
            info.size = size
            tar.addfile(info, io.BytesIO(_content(draw, pools, size)) if size else None)
    raw.close()
    return Layer(path, _sha256(path), f"sha256:{unpacked.hexdigest()}", os.path.getsize(path), total, len(members))


class _Tee(io.RawIOBase):
    """Writes a gzip file and hashes what goes into it."""

    def __init__(self, path: str, unpacked: "hashlib._Hash") -> None:
        self._file = gzip.GzipFile(path, "wb", compresslevel=6, mtime=0)
        self._hash = unpacked

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self._hash.update(content)
        return self._file.write(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def make_image(directory: str, *, scale: float = 1.0) -> Image:
    """Write the image's layers into `directory`, or find them there; return what a registry needs.

    Args:
        directory: where the layers lie; made once, kept.
        scale: a smaller image, for trying the benchmark.
    """
    os.makedirs(directory, exist_ok=True)
    index = f"{directory}/layers-{scale}.json"
    if not os.path.exists(index):
        with ProcessPoolExecutor() as pool:
            jobs = [
                pool.submit(make_layer, directory, number, int(ENTRIES * share * scale), int(BYTES * share * scale))
                for number, share in enumerate(SHARES)
            ]
            layers = [job.result() for job in jobs]
        with open(index, "w") as file:
            json.dump(layers, file)
    with open(index) as file:
        layers = [Layer(*fields) for fields in json.load(file)]
    return _described(tuple(layers))


def _described(layers: tuple[Layer, ...]) -> Image:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = json.dumps(
        {
            "architecture": machine,
            "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
    ).encode()
    kind = "application/vnd.oci.image"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": {
                "mediaType": f"{kind}.config.v1+json",
                "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
                "size": len(config),
            },
            "layers": [
                {"mediaType": f"{kind}.layer.v1.tar+gzip", "digest": layer.digest, "size": layer.size}
                for layer in layers
            ],
        }
    ).encode()
    return Image(layers, config, manifest)
