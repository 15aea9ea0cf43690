"""Images: adding, naming, finding, removing as docker does, and collecting what nobody has any more."""

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.oci import make_tar
from toolkit.core.digest import Digest, digest_of
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.core.state import State
from toolkit.image import manifest as m
from toolkit.image.images import ImageRecord, Images
from toolkit.image.layers import LayerRequest
from toolkit.image.reference import parse_reference
from toolkit.image.removal import ImageUser

pytestmark = pytest.mark.needs("root")
CONTAINER = "0123456789abcdef" * 4


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    state = State(str(tmp_path / "root" / "state.db"))
    yield Images.open(str(tmp_path / "root"), state)
    state.close()


@pytest.fixture
def add(images: Images) -> Callable[..., ImageRecord]:
    def add_image(
        *layers: dict[str, bytes], names: Sequence[str] = (), config: dict[str, Any] | None = None
    ) -> ImageRecord:
        with images.importing():
            digest = _import(images, layers, config or {})
            record = images.add(digest)
            for name in names:
                images.tag(parse_reference(name), record.id)
        return images.get(record.id)

    return add_image


def _import(images: Images, layers: Sequence[dict[str, bytes]], config: dict[str, Any]) -> Digest:
    requests: list[LayerRequest] = []
    blobs: list[m.Descriptor] = []
    for files in layers:
        tar = make_tar(files)
        blob = gzip.compress(tar, mtime=0)
        digest = images.content.add(blob)
        blobs.append(m.Descriptor(media_type=m.OCI_LAYER_GZIP, digest=digest, size=len(blob)))
        requests.append(LayerRequest(images.content.path(digest), m.OCI_LAYER_GZIP, digest_of(tar)))
    images.layers.apply(requests)
    rootfs = {"type": "layers", "diff_ids": [request.diff_id for request in requests]}
    document = {"architecture": "amd64", "os": "linux", "rootfs": rootfs, "config": {"Cmd": ["sh"]}, **config}
    content = json.dumps(document).encode()
    images.content.add(content)
    descriptor = m.Descriptor(media_type=m.OCI_CONFIG, digest=digest_of(content), size=len(content))
    manifest = m.Manifest(schema_version=2, media_type=m.OCI_MANIFEST, config=descriptor, layers=blobs)
    return images.content.add(m.encode(manifest))


Add = Callable[..., ImageRecord]


def test_added_image_has_what_run_needs(images: Images, add: Add) -> None:
    record = add({"a": b"12345"}, {"b": b"123"}, config={"created": "2026-01-02T03:04:05Z"}, names=["x"])
    assert record.config == {"Cmd": ["sh"]}
    assert record.layer_sizes == (5, 3)
    assert record.size == 8
    assert record.created == "2026-01-02T03:04:05Z"
    assert record.names == ("x:latest",)
    assert [images.layers.has(diff_id) for diff_id in record.diff_ids] == [True, True]


def test_image_is_found_by_name_and_by_id(images: Images, add: Add) -> None:
    record = add({"a": b""}, names=["x:1"])
    digest = "sha256:" + "d" * 64
    images.tag(parse_reference(f"x@{digest}"), record.id)
    for text in (
        "x:1",
        "docker.io/library/x:1",
        record.id,
        record.id[7:],
        record.id[:12],
        record.id[7:12],
        f"x@{digest}",
    ):
        assert images.resolve(text).id == record.id
    assert images.resolve(f"x:other@{digest}").id == record.id
    assert images.get(record.id).repo_digests == (f"x@{digest}",)


@pytest.mark.parametrize("text", ["y", "x:2", "0" * 64, "sha256:" + "0" * 64, "x@sha256:" + "0" * 64])
def test_unknown_image_is_named(images: Images, add: Add, text: str) -> None:
    add({"a": b""}, names=["x:1"])
    with pytest.raises(NotFoundError, match="No such image: "):
        images.resolve(text)


def test_name_comes_before_the_beginning_of_an_id(images: Images, add: Add) -> None:
    one, other = add({"a": b""}), add({"b": b""})
    images.tag(parse_reference(one.id[7:12]), other.id)
    assert images.resolve(one.id[7:12]).id == other.id


def test_beginning_of_two_ids_is_refused(images: Images) -> None:
    for last in "12":
        images.state.put("image", "sha256:" + "ab" * 31 + "0" + last, {})
    with pytest.raises(ConflictError, match="several images"):
        images.resolve("abab")


def test_text_that_is_no_name_is_refused(images: Images) -> None:
    with pytest.raises(InvalidError, match="invalid reference format"):
        images.resolve("a b")


def test_tag_moves_to_another_image(images: Images, add: Add) -> None:
    one, other = add({"a": b""}, names=["x"]), add({"b": b""})
    images.tag(parse_reference("x"), other.id)
    assert images.resolve("x").id == other.id
    assert images.get(one.id).names == ()


def test_tag_of_nothing_is_refused(images: Images) -> None:
    with pytest.raises(NotFoundError):
        images.tag(parse_reference("x"), "sha256:" + "0" * 64)


def test_newest_image_is_listed_first(images: Images, add: Add) -> None:
    for day in (2, 3, 1):
        add({"a": b""}, config={"created": f"2026-01-0{day}T00:00:00Z"})
    assert [record.created[9] for record in images.list()] == ["3", "2", "1"]


def test_image_without_its_layer_is_not_added(images: Images, add: Add) -> None:
    record = add({"a": b""})
    images.layers.delete(record.diff_ids[0])
    with pytest.raises(NotFoundError, match="no such layer"):
        images.add(record.manifest_digest)


def test_image_that_lost_a_layer_is_fetched_again_or_removed(images: Images, add: Add) -> None:
    record = add({"a": b""}, names=["x"])
    images.layers.delete(record.diff_ids[0])
    with pytest.raises(NotFoundError, match="image x has lost layers; `container pull x` fetches them"):
        images.resolve("x")
    assert images.remove("x")[0] == "Untagged: x:latest"
    assert images.list() == []


# docker rmi


def test_last_name_takes_the_image_with_it(images: Images, add: Add) -> None:
    record = add({"a": b""}, {"b": b""}, names=["x"])
    lines = images.remove("x")
    assert lines[:2] == ["Untagged: x:latest", f"Deleted: {record.id}"]
    assert lines[3:] == [f"Deleted: {record.diff_ids[0]}"]
    assert lines[2].startswith("Deleted: sha256:")
    assert images.list() == []
    assert list(images.layers.list()) == list(images.content.list()) == []


def test_one_of_two_names_only_goes(images: Images, add: Add) -> None:
    record = add({"a": b""}, names=["x", "y:2"])
    assert images.remove("y:2") == ["Untagged: y:2"]
    assert images.resolve("x").id == record.id
    assert images.layers.has(record.diff_ids[0])


def test_last_tag_of_a_repository_takes_its_digest_along(images: Images, add: Add) -> None:
    digest = "sha256:" + "d" * 64
    record = add({"a": b""}, names=["x", f"x@{digest}"])
    assert images.remove("x")[:3] == ["Untagged: x:latest", f"Untagged: x@{digest}", f"Deleted: {record.id}"]


def test_digest_of_another_repository_keeps_the_image(images: Images, add: Add) -> None:
    digest = "sha256:" + "d" * 64
    record = add({"a": b""}, names=["x", f"y@{digest}"])
    assert images.remove("x") == ["Untagged: x:latest"]
    assert images.get(record.id).repo_digests == (f"y@{digest}",)


def test_id_with_names_in_several_repositories_must_be_forced(images: Images, add: Add) -> None:
    record = add({"a": b""}, names=["x", "y"])
    short = record.id[7:19]
    with pytest.raises(ConflictError) as caught:
        images.remove(short)
    assert str(caught.value) == (
        f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    )
    assert images.remove(short, force=True)[:3] == ["Untagged: x:latest", "Untagged: y:latest", f"Deleted: {record.id}"]


def test_id_with_one_name_is_deleted(images: Images, add: Add) -> None:
    record = add({"a": b""}, names=["x"])
    assert images.remove(record.id)[:2] == ["Untagged: x:latest", f"Deleted: {record.id}"]


@pytest.mark.parametrize("is_running", [True, False])
def test_name_of_an_image_in_use_must_be_forced(images: Images, add: Add, *, is_running: bool) -> None:
    record = add({"a": b""}, names=["x"])
    with pytest.raises(ConflictError) as caught:
        images.remove("x", users={record.id: [ImageUser(CONTAINER, is_running)]})
    assert caught.value.message == (
        'conflict: unable to remove repository reference "x" (must force)'
        f" - container {CONTAINER[:12]} is using its referenced image {record.id[7:19]}"
    )


@pytest.mark.parametrize(
    ("is_running", "words"),
    [
        (True, "(cannot be forced) - image is being used by running container"),
        (False, "(must be forced) - image is being used by stopped container"),
    ],
)
def test_id_of_an_image_in_use_is_refused(images: Images, add: Add, *, is_running: bool, words: str) -> None:
    record = add({"a": b""}, names=["x"])
    with pytest.raises(ConflictError) as caught:
        images.remove(record.id, users={record.id: [ImageUser(CONTAINER, is_running)]})
    assert str(caught.value) == f"conflict: unable to delete {record.id[7:19]} {words} {CONTAINER[:12]}"
    assert images.resolve("x").id == record.id


def test_forced_image_of_a_running_container_only_loses_its_name(images: Images, add: Add) -> None:
    record = add({"a": b""}, names=["x"])
    users = {record.id: [ImageUser(CONTAINER, is_running=True)]}
    assert images.remove("x", force=True, users=users) == ["Untagged: x:latest"]
    assert images.get(record.id).names == ()
    with pytest.raises(ConflictError, match="cannot be forced"):
        images.remove(record.id, force=True, users=users)


def test_layers_of_a_stopped_container_outlive_its_image(images: Images, add: Add) -> None:
    record = add({"a": b""}, names=["x"])
    images.state.put("container", CONTAINER, {"diff_ids": list(record.diff_ids)})
    images.remove("x", force=True, users={record.id: [ImageUser(CONTAINER, is_running=False)]})
    assert images.list() == []
    assert images.layers.has(record.diff_ids[0])
    images.state.delete("container", CONTAINER)
    assert images.collect()
    assert not images.layers.has(record.diff_ids[0])


def test_shared_layer_stays_with_the_other_image(images: Images, add: Add) -> None:
    one = add({"a": b""}, {"b": b""}, names=["x"])
    other = add({"a": b""}, {"c": b""}, names=["y"])
    lines = images.remove("x")
    assert len(lines) == 3  # Untagged, Deleted image, Deleted its own layer
    assert images.layers.has(one.diff_ids[0])
    assert not images.layers.has(one.diff_ids[1])
    assert all(images.content.has(layer.digest) for layer in other.layers)


def test_unknown_name_is_not_removed(images: Images) -> None:
    with pytest.raises(NotFoundError, match="No such image: x:latest"):
        images.remove("x")


def test_prune_takes_images_without_a_name(images: Images, add: Add) -> None:
    named, nameless = add({"a": b"12345"}, names=["x"]), add({"a": b"12345"}, {"b": b"123"})
    pruned = images.prune()
    assert f"Deleted: {nameless.id}" in pruned.lines
    assert pruned.reclaimed_bytes == 3
    assert [record.id for record in images.list()] == [named.id]


def test_prune_of_all_spares_images_in_use(images: Images, add: Add) -> None:
    used = add({"a": b"12345"}, names=["x"])
    add({"b": b"123"}, names=["y"])
    assert images.prune(all_unused=True, users={used.id: [ImageUser(CONTAINER, is_running=False)]}).reclaimed_bytes == 3
    assert [record.id for record in images.list()] == [used.id]


def test_half_fetched_blob_survives_a_removal_and_not_a_prune(images: Images, add: Add) -> None:
    add({"a": b""}, names=["x"])
    digest = digest_of(b"0123456789")
    with images.content.ingest(digest, 10) as ingest:
        ingest.write(b"01234")
    images.remove("x")
    with images.content.ingest(digest, 10) as ingest:
        assert ingest.offset == 5
    assert images.prune().reclaimed_bytes == 5
    with images.content.ingest(digest, 10) as ingest:
        assert ingest.offset == 0


# Several at once


def test_nothing_is_collected_while_somebody_pulls(images: Images, add: Add, tmp_path: Path) -> None:
    record = add({"a": b""}, names=["x"])
    other = Images.open(str(tmp_path / "root"), images.state)
    with other.importing():
        fresh = other.content.add(b"a blob that no record names yet")
        images.remove("x")
        assert not images.collect()
        assert other.content.has(fresh)
        assert images.layers.has(record.diff_ids[0])
    assert not images.layers.has(record.diff_ids[0])  # the end of the pull collected
    assert not other.content.has(fresh)


def test_removal_waits_while_a_container_is_made(images: Images, add: Add) -> None:
    record = add({"a": b""}, names=["x"])
    remover = threading.Thread(target=images.remove, args=("x",))
    with images.holding():
        remover.start()
        remover.join(0.1)
        assert remover.is_alive()
        assert images.resolve("x").id == record.id
    remover.join(10)
    assert images.list() == []


def test_image_and_its_names_come_at_once(images: Images, add: Add) -> None:
    record = add({"a": b""})
    digest = "sha256:" + "d" * 64
    again = images.add(record.manifest_digest, [parse_reference("x"), parse_reference(f"x@{digest}")])
    assert again == images.resolve("x")
    assert (again.names, again.repo_digests) == (("x:latest",), (f"x@{digest}",))


def test_index_stays_as_long_as_its_digest_is_a_name(images: Images, add: Add) -> None:
    record = add({"a": b""}, names=["x"])
    index = images.content.add(b"the index")
    images.tag(parse_reference(f"x@{index}"), record.id)
    images.collect()
    assert images.content.has(index)
    images.remove("x")
    assert not images.content.has(index)


def test_record_survives_a_new_process(images: Images, add: Add, tmp_path: Path) -> None:
    record = add({"a": b""}, names=["x"])
    assert os.path.exists(tmp_path / "root" / "state.db")
    again = Images.open(str(tmp_path / "root"), State(str(tmp_path / "root" / "state.db")))
    assert again.resolve("x") == record
    again.state.close()
