"""A container's changes become a layer, and the layer becomes the same changes."""

import gzip
import io
import os
import socket
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.trees import snapshot, unpack
from toolkit.core.digest import digest_of
from toolkit.core.errors import StorageFullError
from toolkit.image.content import ContentStore
from toolkit.image.diff import pack, write_tar
from toolkit.image.layers import LayerRequest, LayerStore
from toolkit.linux.mount import MNT_DETACH, mount, umount

pytestmark = pytest.mark.needs("root", "overlay")


def tar_of(directory: Path, **options: object) -> bytes:
    buffer = io.BytesIO()
    write_tar(str(directory), buffer, **options)  # type: ignore[arg-type]  # of the caller's choice
    return buffer.getvalue()


@pytest.fixture
def upper(tmp_path: Path) -> Iterator[Path]:
    """The upper directory of an overlay in which a container did all kinds of things."""
    lower = tmp_path / "lower"
    for name in ("etc", "usr/bin", "var/old"):
        (lower / name).mkdir(parents=True)
    for name in ("etc/passwd", "etc/gone", "usr/bin/sh", "var/old/file"):
        (lower / name).write_text(name)
    paths = [tmp_path / name for name in ("upper", "work", "merged")]
    for path in paths:
        path.mkdir()
    mount("overlay", str(paths[2]), "overlay", 0, f"lowerdir={lower},upperdir={paths[0]},workdir={paths[1]}")
    _work(paths[2])
    yield paths[0]
    umount(str(paths[2]), MNT_DETACH)


def _work(root: Path) -> None:
    (root / "etc/gone").unlink()
    (root / "etc/passwd").chmod(0o600)
    (root / "var/old/file").unlink()
    (root / "var/old").rmdir()
    (root / "var/old").mkdir(mode=0o700)
    (root / "var/old/new").write_bytes(os.urandom(2_000_000))
    (root / "suid").write_bytes(b"x" * 513)
    os.chown(root / "suid", 3_000_000, 5)
    (root / "suid").chmod(0o4755)
    os.utime(root / "suid", ns=(0, 1_234_567_890_123_456_789))
    os.setxattr(root / "suid", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0))
    os.setxattr(root / "usr/bin/sh", "user.note", b"\xff\n")
    (root / ("n" * 200)).symlink_to("t" * 300)
    os.link(root / "suid", root / "usr/bin/zz")
    os.mkfifo(root / "pipe")
    os.mknod(root / "null", 0o20666, os.makedev(1, 3))
    (root / "b\udcff".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")).write_text("bytes")


def test_round_trip_changes_nothing(upper: Path, tmp_path: Path) -> None:
    unpack(tar_of(upper), tmp_path / "again")
    before, after = snapshot(upper), snapshot(tmp_path / "again")
    del before["."], after["."]  # the root is the container's, not the layer's
    for path, node in before.items():
        kept = [
            pair for pair in node.xattrs if not pair[0].startswith("trusted.overlay.") or pair[0].endswith("opaque")
        ]
        before[path] = node._replace(xattrs=tuple(kept))
    after["etc/gone"] = after["etc/gone"]._replace(mtime_ns=before["etc/gone"].mtime_ns)  # nobody sees a whiteout's
    assert after == before
    assert "trusted.overlay.opaque" in dict(after["var/old"].xattrs)
    assert after["etc/gone"].kind == "c"


def test_whiteouts_have_their_names_in_the_tar(upper: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(upper))) as archive:
        names = archive.getnames()
    assert "etc/.wh.gone" in names
    assert names.index("var/old/.wh..wh..opq") == names.index("var/old") + 1
    assert "etc/passwd" in names
    assert "usr/bin/zz" in names


def test_same_directory_gives_the_same_bytes(upper: Path) -> None:
    assert tar_of(upper) == tar_of(upper)


def test_socket_stays_out(tmp_path: Path) -> None:
    (tmp_path / "upper").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "upper/socket"))
        with tarfile.open(fileobj=io.BytesIO(tar_of(tmp_path / "upper"))) as archive:
            assert archive.getnames() == []


def test_excluded_paths_stay_out_with_all_below(upper: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(upper, excluded=lambda path: path in ("etc", "suid")))) as archive:
        assert not [name for name in archive.getnames() if name.startswith(("etc", "suid"))]
        assert archive.getmember("usr/bin/zz").isreg()  # the first name of the inode that is in


def test_packed_layer_can_be_applied(upper: Path, tmp_path: Path) -> None:
    content, layers = ContentStore(str(tmp_path / "content")), LayerStore(str(tmp_path))
    packed = pack(str(upper), content)
    assert digest_of(gzip.decompress(content.read(packed.digest))) == packed.diff_id
    assert content.size(packed.digest) == packed.size
    layers.apply([LayerRequest(content.path(packed.digest), "", packed.diff_id)])
    assert layers.info(packed.diff_id).entries == packed.entries
    assert os.listdir(tmp_path / "content" / "ingest") == []


def test_file_that_shrinks_while_it_is_read_is_filled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "upper").mkdir()
    file = tmp_path / "upper/log"
    file.write_bytes(b"x" * 100_000)
    real = os.fstat

    def fstat(fd: int) -> os.stat_result:
        found = real(fd)
        if found.st_size == 100_000:
            os.truncate(file, 10)
        return found

    monkeypatch.setattr(os, "fstat", fstat)
    unpack(tar_of(tmp_path / "upper"), tmp_path / "again")
    assert (tmp_path / "again/log").read_bytes() == (b"x" * 10).ljust(100_000, b"\0")


@pytest.mark.needs("tmpfs")
def test_full_disk_leaves_nothing(upper: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    mount("tmpfs", str(tmp_path / "disk"), "tmpfs", 0, "size=1m")
    try:
        with pytest.raises(StorageFullError):
            pack(str(upper), ContentStore(str(tmp_path / "disk")))
        assert os.listdir(tmp_path / "disk/ingest") == []
    finally:
        umount(str(tmp_path / "disk"), MNT_DETACH)
