"""The layer store: what is visible is complete, checked and in the overlay's form."""

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from toolkit.core.digest import digest_of
from toolkit.core.errors import CorruptLayerError, DigestMismatchError, NotFoundError
from toolkit.image.layers import LayerProgress, LayerRequest, LayerStore

pytestmark = pytest.mark.needs("root")


def tar_of(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(str(tmp_path / "root"))


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[..., LayerRequest]:
    def make(tar: bytes, pack: Callable[[bytes], bytes] = gzip.compress) -> LayerRequest:
        blob = tmp_path / os.urandom(4).hex()
        blob.write_bytes(pack(tar))
        return LayerRequest(str(blob), "application/vnd.oci.image.layer.v1.tar+gzip", digest_of(tar))

    return make


def names_in(path: Path) -> list[str]:
    return sorted(os.listdir(path)) if path.exists() else []


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bytes], ids=["gzip", "zstd", "plain"])
def test_layer_of_any_compression_is_unpacked(
    store: LayerStore, request_for: Callable[..., LayerRequest], pack: Callable[[bytes], bytes]
) -> None:
    request = request_for(tar_of(("a/b", b"hello"), ("big", os.urandom(3_000_000))), pack)
    store.apply([request])
    assert Path(store.path(request.diff_id), "a/b").read_bytes() == b"hello"
    assert store.info(request.diff_id)[:2] == (3_000_005, 2)
    assert list(store.list()) == [request.diff_id]


def test_several_layers_are_unpacked_at_once(store: LayerStore, request_for: Callable[..., LayerRequest]) -> None:
    requests = [request_for(tar_of((f"file{number}", b"x" * number))) for number in range(7)]
    store.apply([*requests, requests[0]])
    assert all(store.has(request.diff_id) for request in requests)
    assert [store.size(request.diff_id) for request in requests] == list(range(7))


def test_progress_ends_at_the_size_of_the_blob(store: LayerStore, request_for: Callable[..., LayerRequest]) -> None:
    seen: list[LayerProgress] = []
    request = request_for(tar_of(("big", os.urandom(5_000_000))))
    store.apply([request], progress=seen.append)
    assert len(seen) > 2
    assert seen[-1] == LayerProgress(request.diff_id, os.path.getsize(request.blob_path), seen[0].total_bytes)
    assert [report.done_bytes for report in seen] == sorted(report.done_bytes for report in seen)


def test_wrong_diff_id_is_named_and_nothing_is_left(
    store: LayerStore, request_for: Callable[..., LayerRequest], tmp_path: Path
) -> None:
    good, bad = request_for(tar_of(("a", b"a"))), request_for(tar_of(("b", b"b")))
    with pytest.raises(DigestMismatchError, match=bad.diff_id[7:19]):
        store.apply([good, bad._replace(blob_path=good.blob_path)])
    assert list(store.list()) == []
    assert names_in(tmp_path / "root" / "layers" / "tmp") == []


def test_failure_of_one_layer_ends_the_others(store: LayerStore, request_for: Callable[..., LayerRequest]) -> None:
    big = request_for(tar_of(*[(f"f{number}", b"x") for number in range(30_000)]))
    with pytest.raises(CorruptLayerError, match="gzip data"):
        store.apply([big, request_for(tar_of(("a", b"a")), lambda tar: gzip.compress(tar)[:-10])])
    assert list(store.list()) == []


def test_layer_that_is_here_is_not_read_again(store: LayerStore, request_for: Callable[..., LayerRequest]) -> None:
    request = request_for(tar_of(("a", b"a")))
    store.apply([request])
    os.unlink(request.blob_path)
    store.apply([request])


def test_missing_layer_is_named(store: LayerStore) -> None:
    diff_id = digest_of(b"")
    assert not store.has(diff_id)
    assert not store.delete(diff_id)
    with pytest.raises(NotFoundError, match=diff_id):
        store.size(diff_id)


def test_deleted_layer_is_gone(store: LayerStore, request_for: Callable[..., LayerRequest], tmp_path: Path) -> None:
    request = request_for(tar_of(("a/b", b"a")))
    store.apply([request])
    assert store.delete(request.diff_id)
    assert not store.has(request.diff_id)
    assert names_in(tmp_path / "root" / "layers" / "tmp") == []


def test_layer_says_how_its_root_looks(store: LayerStore, request_for: Callable[..., LayerRequest]) -> None:
    root = tarfile.TarInfo("./")
    root.type, root.mode, root.uid, root.gid = tarfile.DIRTYPE, 0o1751, 12, 34
    with_root, without = request_for(tar_of(root, ("a", b""))), request_for(tar_of(("a", b"")))
    store.apply([with_root, without])
    assert store.info(with_root.diff_id).root == (0o1751, 12, 34)
    assert store.info(without.diff_id).root is None
    assert stat.S_IMODE(os.stat(store.path(without.diff_id)).st_mode) == 0o755
