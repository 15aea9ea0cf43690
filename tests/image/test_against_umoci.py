"""A real image, unpacked by umoci and by us, is the same tree: mode, owner, time, attributes, links."""

import gzip
import hashlib
import json
import os
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.trees import directory, hardlink, make_tar, member, snapshot, symlink
from toolkit.core.digest import digest_of
from toolkit.image import manifest as m
from toolkit.image.layers import LayerRequest, LayerStore
from toolkit.linux.mount import MNT_DETACH, mount, umount

pytestmark = pytest.mark.needs("root", "overlay", "umoci", "tar")
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0).decode("utf-8", "surrogateescape")
TREES = ["etc", "usr/share/perl5", "usr/bin/passwd", "var/lib/dpkg/info", "var/mail", "var/spool"]


def base_layer() -> bytes:
    """Return a layer of this machine's own files, as GNU tar makes it."""
    trees = [tree for tree in TREES if Path("/", tree).exists()]
    command = [
        "tar",
        "--format=pax",
        "--xattrs",
        "--xattrs-include=*",
        "--numeric-owner",
        "-C",
        "/",
        "-cf",
        "-",
        *trees,
    ]
    return subprocess.run(command, check=True, capture_output=True).stdout


def change_layer() -> bytes:
    """Return a layer that changes, hides and adds, with all that a tar can say."""
    return make_tar(
        directory("./", mode=0o755, mtime=1_600_000_000.5),
        *(directory("etc", mode=0o755, mtime=5), member("etc/.wh.passwd"), member("etc/hostname", b"other", mtime=6)),
        *(
            directory("usr/share/perl5", mode=0o755, mtime=7),
            member("usr/share/perl5/.wh..wh..opq"),
            symlink("usr/share/perl5/x", "/bin/sh"),
        ),
        member(
            "ping",
            b"x" * 100,
            mode=0o755,
            uid=3_000_000,
            gid=5,
            pax_headers={"SCHILY.xattr.security.capability": CAPABILITY},
        ),
        *(directory("sticky", mode=0o3777, gid=9), member("sticky/f", b"1"), hardlink("sticky/g", "sticky/f")),
        *(
            member("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
            member("pipe", kind=tarfile.FIFOTYPE),
        ),
        member("long" * 40 + "/" + "name" * 40, b"x", pax_headers={"mtime": "1234567890.123456789"}),
        member("attributes", pax_headers={"SCHILY.xattr.user.a": "1", "SCHILY.xattr.trusted.b": "2"}),
    )


def write_layout(path: Path, *tars: bytes) -> list[LayerRequest]:
    """Write an OCI image layout of these layers, tagged "latest"; return them as requests."""

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digits = hashlib.sha256(content).hexdigest()
        (path / "blobs/sha256" / digits).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digits}", "size": len(content)}

    (path / "blobs/sha256").mkdir(parents=True)
    layers = [blob(gzip.compress(tar, 1), m.OCI_LAYER_GZIP) for tar in tars]
    diff_ids = [digest_of(tar) for tar in tars]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": m.OCI_MANIFEST,
        "config": blob(json.dumps(config).encode(), m.OCI_CONFIG),
        "layers": layers,
    }
    entry = blob(json.dumps(manifest).encode(), m.OCI_MANIFEST)
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    paths = [str(path / "blobs" / layer["digest"].replace(":", "/")) for layer in layers]
    return [LayerRequest(*fields) for fields in zip(paths, [m.OCI_LAYER_GZIP] * len(tars), diff_ids, strict=True)]


@pytest.fixture
def merged(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "merged"
    path.mkdir()
    yield path
    umount(str(path), MNT_DETACH)


def test_real_image_is_the_one_that_umoci_makes(tmp_path: Path, merged: Path) -> None:
    requests = write_layout(tmp_path / "layout", base_layer(), change_layer())
    store = LayerStore(str(tmp_path / "store"))
    store.apply(requests)
    lower = ":".join(store.path(request.diff_id) for request in reversed(requests))
    mount("overlay", str(merged), "overlay", 0, f"lowerdir={lower}")
    bundle = tmp_path / "bundle"
    subprocess.run(["umoci", "unpack", "--image", f"{tmp_path}/layout:latest", str(bundle)], check=True)
    ours, theirs = snapshot(merged), snapshot(bundle / "rootfs")
    assert len(ours) > 500
    assert ours.pop(".")._replace(mtime_ns=0) == theirs.pop(".")._replace(mtime_ns=0)  # umoci writes into it afterwards
    for path in _implied(ours):  # no tar says how they look, and each makes them in its own way
        del ours[path], theirs[path]
    assert ours.keys() == theirs.keys()
    assert {path: node for path, node in ours.items() if node != theirs[path]} == {}
    assert ours["ping"].xattrs[0][0] == "security.capability"
    assert "etc/passwd" not in ours
    assert [path for path in ours if path.startswith("usr/share/perl5/")] == ["usr/share/perl5/x"]


def _implied(tree: dict[str, Any]) -> list[str]:
    """Return the directories that no member of either layer names."""
    named = {*TREES, "sticky"}
    return [
        path
        for path, node in tree.items()
        if node.kind == "d" and path not in named and not any(path.startswith(f"{one}{os.sep}") for one in TREES)
    ]
