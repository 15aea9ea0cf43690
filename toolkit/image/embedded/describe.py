"""The two documents of the lab image: its config and its manifest, as canonical bytes."""

import json
import time
from collections.abc import Mapping, Sequence

from toolkit.core.digest import digest_of
from toolkit.image import embedded
from toolkit.image.embedded import recipe
from toolkit.image.embedded.archive import Blob
from toolkit.image.embedded.assemble import Assembly

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"

_PLATFORMS = {
    "EM_X86_64": ("amd64", ""),
    "EM_AARCH64": ("arm64", "v8"),
    "EM_386": ("386", ""),
    "EM_ARM": ("arm", "v7"),
    "EM_RISCV": ("riscv64", ""),
    "EM_S390": ("s390x", ""),
    "EM_PPC64": ("ppc64le", ""),
    "EM_LOONGARCH": ("loong64", ""),
}
_ENVIRONMENT = ("PATH=" + ":".join(recipe.PATH), "LANG=C.UTF-8")
_TITLE = "lab"


def config_json(assembly: Assembly, blobs: Sequence[Blob]) -> bytes:
    """Return the image config (OCI image spec, config.md); `created` is the newest file's time."""
    architecture, variant = _PLATFORMS.get(assembly.machine, (assembly.machine.removeprefix("EM_").lower(), ""))
    created = _rfc3339(max(layer.tree.newest_s() for layer in assembly.layers))
    labels = {
        "org.opencontainers.image.title": _TITLE,
        "org.opencontainers.image.description": "this machine's own programs, and the libraries that they need",
        embedded.RECIPE_LABEL: embedded.VERSION,
    }
    document = {
        "architecture": architecture,
        **({"variant": variant} if variant else {}),
        "os": "linux",
        "created": created,
        "config": {"Env": list(_ENVIRONMENT), "Cmd": [assembly.command], "WorkingDir": "/root", "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [blob.diff_id for blob in blobs]},
        "history": [
            {"created": created, "created_by": f"lab: {layer.title}", "comment": f"{len(layer.tree)} files"}
            for layer in assembly.layers
        ],
    }
    return _canonical(document)


def manifest_json(config: bytes, blobs: Sequence[Blob]) -> bytes:
    """Return the image manifest (OCI image spec, manifest.md)."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": blob.digest, "size": len(blob.content)} for blob in blobs],
    }
    return _canonical(document)


def _canonical(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _rfc3339(moment_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment_s))
