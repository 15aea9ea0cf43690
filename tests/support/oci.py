"""Small images in memory, in any of the formats that registries hold, and a way to put them there."""

import gzip
import hashlib
import io
import json
import tarfile
import urllib.request
from dataclasses import dataclass, field

import zstandard

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def sha256(content: bytes) -> str:
    """Return the digest of `content`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass
class Image:
    """A manifest or an index, with everything that it refers to."""

    content: bytes
    media_type: str
    blobs: dict[str, bytes]
    config_digest: str = ""
    layers: list[str] = field(default_factory=list)
    diff_ids: list[str] = field(default_factory=list)
    parts: list["Image"] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The digest by which it is pulled."""
        return sha256(self.content)

    def descriptor(self, **more: object) -> dict[str, object]:
        """Return what points at it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content), **more}


def make_tar(files: dict[str, bytes]) -> bytes:
    """Return a tar with these regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def compress(tar: bytes, compression: str) -> bytes:
    """Compress a layer: "gzip", "zstd" or "" for not at all."""
    if compression == "gzip":
        return gzip.compress(tar, mtime=0)
    return zstandard.compress(tar) if compression == "zstd" else tar


def make_image(
    *layers: dict[str, bytes],
    compression: str = "gzip",
    is_docker: bool = False,
    architecture: str = "amd64",
    variant: str = "",
    annotations: dict[str, str] | None = None,
    created: str = "2026-01-02T03:04:05Z",
) -> Image:
    """Return an image of these layers; `created` is left out where it is empty."""
    suffix = f"+{compression}" if compression else ""
    layer_type = DOCKER_LAYER if is_docker else OCI_LAYER + suffix
    tars = [make_tar(files) for files in layers]
    packed = [compress(tar, compression) for tar in tars]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]},
        "history": [{"created_by": f"layer {number}"} for number in range(len(tars))],
    }
    if created:
        config["created"] = created
    if variant:
        config["variant"] = variant
    raw = json.dumps(config).encode()
    config_type = DOCKER_CONFIG if is_docker else OCI_CONFIG
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST if is_docker else OCI_MANIFEST,
        "config": {"mediaType": config_type, "digest": sha256(raw), "size": len(raw)},
        "layers": [{"mediaType": layer_type, "digest": sha256(blob), "size": len(blob)} for blob in packed],
    }
    if annotations:
        manifest["annotations"] = annotations
    return Image(
        json.dumps(manifest).encode(),
        str(manifest["mediaType"]),
        {sha256(raw): raw, **{sha256(blob): blob for blob in packed}},
        sha256(raw),
        [sha256(blob) for blob in packed],
        [sha256(tar) for tar in tars],
    )


def make_index(
    images: dict[str, Image], *, is_docker: bool = False, extra: list[dict[str, object]] | None = None
) -> Image:
    """Return an index of images by platform ("linux/arm64/v8")."""
    entries: list[dict[str, object]] = []
    for name, image in images.items():
        system, architecture, *variant = name.split("/")
        platform = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        entries.append(image.descriptor(platform=platform))
    media_type = DOCKER_LIST if is_docker else OCI_INDEX
    index = {"schemaVersion": 2, "mediaType": media_type, "manifests": [*entries, *(extra or [])]}
    return Image(json.dumps(index).encode(), media_type, {}, parts=list(images.values()))


def push(address: str, name: str, reference: str, image: Image, headers: dict[str, str] | None = None) -> None:
    """Put an image into the registry at `address`, without any code of the toolkit."""
    for part in image.parts:
        push(address, name, part.digest, part, headers)
    for digest, content in image.blobs.items():
        location = send("POST", f"http://{address}/v2/{name}/blobs/uploads/", headers=headers)["Location"]
        url = location if "://" in location else f"http://{address}{location}"
        separator = "&" if "?" in url else "?"
        octets = {"Content-Type": "application/octet-stream", **(headers or {})}
        send("PUT", f"{url}{separator}digest={digest}", content, octets)
    url = f"http://{address}/v2/{name}/manifests/{reference}"
    send("PUT", url, image.content, {"Content-Type": image.media_type, **(headers or {})})


def send(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> dict[str, str]:
    """Do one exchange on loopback; return the answer's headers, raise for an error status."""
    request = urllib.request.Request(url, data=body or None, method=method, headers=headers or {})  # noqa: S310 - loopback
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        return dict(answer.headers)
