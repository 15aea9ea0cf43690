"""Which modules of a kernel must be there before its root is, and in which order."""

import os
import re

from toolkit.core.errors import IntegrityError

BOOT = ("virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "virtiofs", "overlay")
"""What the guest's first script stands on; those that are built into the kernel are no modules."""
_COMPRESSED = {".xz": "lzma", ".gz": "gzip"}


def parse_dependencies(text: str) -> dict[str, tuple[str, list[str]]]:
    """Return module to (path, paths of those it needs), from the text of a modules.dep.

    See Also:
        modules.dep(5)
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for line in text.splitlines():
        path, _, needed = line.partition(":")
        found[_name(path)] = (path, needed.split())
    return found


def _name(path: str) -> str:
    return re.sub(r"\.ko(\.\w+)?$", "", os.path.basename(path)).replace("-", "_")


def in_order(dependencies: dict[str, tuple[str, list[str]]], wanted: "tuple[str, ...]" = BOOT) -> list[str]:
    """Return the paths to load, each after all that it needs."""
    order: dict[str, None] = {}
    for name in wanted:
        if name in dependencies:
            path, needed = dependencies[name]
            order.update(dict.fromkeys((*reversed(needed), path)))  # depmod lists what is needed first last
    return list(order)


def read(path: str) -> bytes:
    """Return a module as the kernel takes it.

    Raises:
        IntegrityError: it is compressed in a way that nobody here knows.
    """
    with open(path, "rb") as file:
        data = file.read()
    kind = os.path.splitext(path)[1]
    if kind == ".ko":
        return data
    if kind == ".zst":
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            return reader.read()
    if kind not in _COMPRESSED:
        message = f"the kernel module {path} is compressed in an unknown way"
        raise IntegrityError(message, hint="delete the cache of kernels and try again")
    import importlib

    unpacked: bytes = importlib.import_module(_COMPRESSED[kind]).decompress(data)
    return unpacked
