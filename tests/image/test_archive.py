"""Archives: what is saved is loaded, here and by skopeo; what skopeo writes is loaded; damage leaves nothing."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.trees import make_tar, member
from toolkit.core.digest import Digest, digest_of
from toolkit.core.errors import CorruptLayerError, DigestMismatchError, EngineError, InvalidError, NotFoundError
from toolkit.core.state import State
from toolkit.image import manifest as m
from toolkit.image.images import ImageRecord, Images
from toolkit.image.layers import LayerRequest
from toolkit.image.load import load
from toolkit.image.reference import parse_reference
from toolkit.image.save import save

pytestmark = pytest.mark.needs("root")


def open_images(root: Path) -> Images:
    return Images.open(str(root), State(str(root / "state.db")))


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    found = open_images(tmp_path / "here")
    yield found
    found.state.close()


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Images]:
    """Another engine root, to load into."""
    found = open_images(tmp_path / "there")
    yield found
    found.state.close()


def add(images: Images, *names: str, files: tuple[str, ...] = ("a", "b")) -> ImageRecord:
    tars = [make_tar(member(name, name.encode() * 100)) for name in files]
    blobs = [gzip.compress(tar, mtime=0) for tar in tars]
    digests = [images.content.add(blob) for blob in blobs]
    images.layers.apply(
        [LayerRequest(images.content.path(one), "", digest_of(tar)) for one, tar in zip(digests, tars, strict=True)]
    )
    rootfs = {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]}, "rootfs": rootfs}).encode()
    layers = [
        m.Descriptor(media_type=m.OCI_LAYER_GZIP, digest=one, size=len(blob))
        for one, blob in zip(digests, blobs, strict=True)
    ]
    head = m.Descriptor(media_type=m.OCI_CONFIG, digest=images.content.add(config), size=len(config))
    manifest = m.Manifest(schema_version=2, media_type=m.OCI_MANIFEST, config=head, layers=layers)
    record = images.add(images.content.add(m.encode(manifest)))
    for name in names:
        images.tag(parse_reference(name), record.id)
    return images.get(record.id)


def saved(images: Images, *texts: str) -> bytes:
    buffer = io.BytesIO()
    save(images, texts, buffer)
    return buffer.getvalue()


def read(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar if info.isreg()}  # type: ignore[union-attr]


def write(files: dict[str, bytes], **links: str) -> bytes:
    members = [member(name, content) for name, content in files.items()]
    return make_tar(*members, *(member(name, kind=tarfile.SYMTYPE, target=target) for name, target in links.items()))


def is_empty(images: Images) -> bool:
    ingest = os.listdir(os.path.join(images.content.root, "ingest"))
    return not (ingest or images.list() or list(images.content.list()) or list(images.layers.list()))


def test_saved_image_is_loaded_as_it_was(images: Images, others: Images) -> None:
    record = add(images, "x:1", "registry.example/y:2")
    loaded = load(others, io.BytesIO(saved(images, "x:1", "registry.example/y:2")))
    assert [line for one in loaded for line in one.lines()] == [
        "Loaded image: x:1",
        "Loaded image: registry.example/y:2",
    ]
    assert others.resolve("x:1") == record


def test_image_saved_by_its_id_has_no_name(images: Images, others: Images) -> None:
    record = add(images, "x")
    (loaded,) = load(others, io.BytesIO(saved(images, record.id[7:19])))
    assert loaded.lines() == [f"Loaded image ID: {record.id}"]
    assert others.list()[0].names == ()


def test_several_images_share_their_blobs_in_the_archive(images: Images, others: Images) -> None:
    one, other = add(images, "x", files=("a", "b")), add(images, "y", files=("a", "c"))
    archive = saved(images, "x", "y")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))
    load(others, io.BytesIO(archive))
    assert {record.id for record in others.list()} == {one.id, other.id}


def test_archive_is_both_a_layout_and_a_docker_archive(images: Images) -> None:
    record = add(images, "x")
    files = read(saved(images, "x"))
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["digest"] == record.manifest_digest
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/x:latest"
    (docker,) = json.loads(files["manifest.json"])
    assert docker["RepoTags"] == ["x:latest"]
    assert [gzip.decompress(files[name])[:1] for name in docker["Layers"]] == [b"a", b"b"]


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_compressed_archive_is_loaded_too(images: Images, others: Images, pack: Any) -> None:
    add(images, "x")
    load(others, io.BytesIO(pack(saved(images, "x"))))
    assert others.resolve("x")


def test_older_docker_archive_is_loaded(others: Images) -> None:
    tars = [make_tar(member(name, b"x")) for name in "ab"]
    rootfs = {"type": "layers", "diff_ids": [digest_of(tars[number]) for number in (0, 1, 0)]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    listed = [{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}]
    files = {"1/layer.tar": tars[0], "2/layer.tar": gzip.compress(tars[1]), "c.json": config, "2/VERSION": b"1.0"}
    archive = write({**files, "manifest.json": json.dumps(listed).encode()}, **{"3/layer.tar": "../1/layer.tar"})
    (loaded,) = load(others, io.BytesIO(archive))
    assert loaded.lines() == ["Loaded image: x:1"]
    assert loaded.image.id == digest_of(config)
    assert [layer.media_type for layer in loaded.image.layers] == [m.DOCKER_LAYER, m.DOCKER_LAYER_GZIP, m.DOCKER_LAYER]
    assert len(list(others.content.list())) == 4  # nothing of VERSION is kept


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo_reads_what_is_saved(images: Images, tmp_path: Path, form: str) -> None:
    record = add(images, "x:1")
    (tmp_path / "saved.tar").write_bytes(saved(images, "x:1"))
    source = f"{form}:{tmp_path}/saved.tar" + (":x:1" if form == "docker-archive" else ":1")
    subprocess.run(["skopeo", "copy", "-q", source, f"dir:{tmp_path}/copy"], check=True)
    copied = json.loads((tmp_path / "copy/manifest.json").read_bytes())
    config = json.loads((tmp_path / "copy" / copied["config"]["digest"].removeprefix("sha256:")).read_bytes())
    assert config["rootfs"]["diff_ids"] == list(record.diff_ids)
    assert len(copied["layers"]) == 2


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_skopeo_writes_is_loaded(images: Images, others: Images, tmp_path: Path, form: str) -> None:
    record = add(images, "x:1")
    (tmp_path / "saved.tar").write_bytes(saved(images, "x:1"))
    target = f"{form}:{tmp_path}/other.tar:docker.io/library/y:2"
    subprocess.run(["skopeo", "copy", "-q", f"oci-archive:{tmp_path}/saved.tar:1", target], check=True)
    with (tmp_path / "other.tar").open("rb") as file:
        (loaded,) = load(others, file)
    assert loaded.names == ("y:2",)
    assert loaded.image.diff_ids == record.diff_ids
    assert Path(others.layers.path(record.diff_ids[1]), "b").read_bytes() == b"b" * 100


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (b"", "no archive of images"),
        (b"x" * 3000, "no archive of images"),
        (make_tar(), "no archive of images; it has neither"),
        (make_tar(member("a", b"a")), "no archive of images; it has neither"),
        (write({"manifest.json": b"{"}), "manifest.json"),
        (write({"manifest.json": b'[{"Config": "c.json", "Layers": []}]'}), "it has no c.json"),
        (write({"manifest.json": b'[{"Config": "c.json", "Layers": ["l"]}]', "c.json": b"{}"}), "it has no l"),
        (write({"index.json": b'{"schemaVersion": 2}'}), "manifests"),
        (write({"blobs/sha256/../../../etc/x": b"x"}), "invalid digest|neither"),
        (write({"manifest.json": b'[{"Config": "a", "Layers": []}]'}, a="b", b="a"), "it has no a"),
    ],
)
def test_what_is_no_archive_is_named_and_leaves_nothing(others: Images, archive: bytes, words: str) -> None:
    with pytest.raises(InvalidError, match=words) as caught:
        load(others, io.BytesIO(archive))
    assert "\n" not in str(caught.value)
    assert is_empty(others)


def test_archive_that_ends_early_leaves_nothing(images: Images, others: Images) -> None:
    add(images, "x")
    archive = saved(images, "x")
    for end in (600, 1500, 2500, 5000):
        with pytest.raises((CorruptLayerError, InvalidError)):
            load(others, io.BytesIO(archive[:end]))
        assert is_empty(others)


def test_blob_that_is_not_its_digests_is_refused(images: Images, others: Images) -> None:
    record = add(images, "x")
    files = read(saved(images, "x"))
    name = "blobs/" + record.layers[0].digest.replace(":", "/")
    files[name] = files[name][:-1] + b"x"
    with pytest.raises(DigestMismatchError):
        load(others, io.BytesIO(write(files)))
    assert is_empty(others)


def test_layer_that_is_not_its_diff_ids_is_refused(others: Images) -> None:
    rootfs = {"type": "layers", "diff_ids": [digest_of(b"other")]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
    listed = b'[{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l.tar"]}]'
    with pytest.raises(DigestMismatchError):
        load(others, io.BytesIO(write({"c.json": config, "l.tar": make_tar(member("a")), "manifest.json": listed})))
    assert is_empty(others)


SOAK = """
import random, sys, time
from toolkit.core.errors import NotFoundError
from toolkit.core.state import State
from toolkit.image.images import Images
from toolkit.image.load import load

root, seed, *archives = sys.argv[1:]
images, choice, end = Images.open(root, State(root + "/state.db")), random.Random(int(seed)), time.monotonic() + 3
loads = 0
while time.monotonic() < end or not loads:
    if choice.random() < 0.5:
        with open(choice.choice(archives), "rb") as file:
            for one in load(images, file):
                loads += 1
                assert one.names, one
    elif choice.random() < 0.2:
        images.prune(all_unused=True)
    else:
        try:
            images.remove(choice.choice("xy"))
        except NotFoundError as exc:
            assert exc.message.startswith("No such image: " + exc.message[15] + ":latest"), exc
"""


def test_loads_and_removals_of_several_processes_leave_whole_images(
    images: Images, others: Images, tmp_path: Path
) -> None:
    add(images, "x", files=("a", "b"))
    add(images, "y", files=("a", "c"))
    for number, texts in enumerate((["x"], ["y"], ["x", "y"])):
        (tmp_path / f"{number}.tar").write_bytes(saved(images, *texts))
    archives = [str(tmp_path / f"{number}.tar") for number in range(3)]
    commands = [[sys.executable, "-c", SOAK, str(tmp_path / "there"), str(seed), *archives] for seed in range(3)]
    environ = {**os.environ, "PYTHONPATH": os.getcwd()}
    running = [subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) for command in commands]
    assert [one.communicate()[1] for one in running] == [""] * 3
    assert [one.returncode for one in running] == [0] * 3
    for record in others.list():
        assert all(others.layers.has(diff_id) for diff_id in record.diff_ids)
        assert all(others.content.has(layer.digest) for layer in record.layers)
    others.prune(all_unused=True)
    assert is_empty(others)
    assert os.listdir(tmp_path / "there/layers/tmp") == []


def test_unknown_image_is_not_saved(images: Images) -> None:
    with pytest.raises(NotFoundError, match="No such image: x:latest"):
        saved(images, "x")


def test_image_whose_blob_is_gone_is_named(images: Images) -> None:
    record = add(images, "x")
    images.content.delete(Digest(record.layers[0].digest))
    with pytest.raises(EngineError, match=record.layers[0].digest):
        saved(images, "x")
