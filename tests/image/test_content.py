"""The content store: nothing unchecked is ever visible, and nothing fetched is fetched twice."""

import os
import threading
from pathlib import Path

import pytest

from toolkit.core.digest import Digest, digest_of
from toolkit.core.errors import DigestMismatchError, IntegrityError, InvalidError, NotFoundError
from toolkit.image.content import ContentStore

BLOB = b"0123456789" * 1000
DIGEST = digest_of(BLOB)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(str(tmp_path / "content"))


def files_below(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def test_added_blob_can_be_read_by_its_digest(store: ContentStore) -> None:
    digest = store.add(BLOB)
    assert digest == DIGEST
    assert store.has(digest)
    assert store.read(digest) == BLOB
    assert store.size(digest) == len(BLOB)
    assert list(store.list()) == [digest]


def test_add_twice_is_no_fault(store: ContentStore) -> None:
    assert store.add(BLOB) == store.add(BLOB)


def test_empty_blob_can_be_added(store: ContentStore) -> None:
    assert store.read(store.add(b"")) == b""


def test_blob_is_invisible_until_commit(store: ContentStore) -> None:
    with store.ingest(DIGEST, len(BLOB)) as ingest:
        ingest.write(BLOB)
        assert not store.has(DIGEST)
        assert list(store.list()) == []
        ingest.commit()
        assert store.has(DIGEST)


def test_commit_leaves_no_temporary_file(store: ContentStore) -> None:
    store.add(BLOB)
    assert files_below(Path(store.root)) == [f"blobs/sha256/{DIGEST[7:]}"]


def test_interrupted_ingest_resumes(store: ContentStore) -> None:
    with store.ingest(DIGEST, len(BLOB)) as first:
        first.write(BLOB[:4000])
    with store.ingest(DIGEST, len(BLOB)) as second:
        assert second.offset == 4000
        second.write(BLOB[4000:])
        second.commit()
    assert store.read(DIGEST) == BLOB


def test_early_end_is_named_and_can_be_resumed(store: ContentStore) -> None:
    with store.ingest(DIGEST, len(BLOB)) as first:
        first.write(BLOB[:4000])
        with pytest.raises(IntegrityError, match="ended after 4000 of 10000 bytes"):
            first.commit()
    with store.ingest(DIGEST, len(BLOB)) as second:
        assert second.offset == 4000


def test_wrong_bytes_are_named_and_thrown_away(store: ContentStore) -> None:
    with store.ingest(DIGEST, len(BLOB)) as first:
        first.write(b"x" * len(BLOB))
        with pytest.raises(DigestMismatchError, match=DIGEST):
            first.commit()
    assert not store.has(DIGEST)
    with store.ingest(DIGEST, len(BLOB)) as second:
        assert second.offset == 0


def test_more_bytes_than_stated_are_refused_before_they_are_written(store: ContentStore) -> None:
    with store.ingest(DIGEST, len(BLOB)) as ingest:
        ingest.write(BLOB)
        with pytest.raises(DigestMismatchError, match="longer than the 10000 bytes"):
            ingest.write(b"x")
    assert os.path.getsize(store.ingest_path(DIGEST)) == 0


def test_leftover_that_is_too_long_is_thrown_away(store: ContentStore) -> None:
    Path(store.ingest_path(DIGEST)).write_bytes(b"x" * (len(BLOB) + 1))
    with store.ingest(DIGEST, len(BLOB)) as ingest:
        assert ingest.offset == 0


def test_damaged_leftover_is_found_at_commit(store: ContentStore) -> None:
    Path(store.ingest_path(DIGEST)).write_bytes(b"x" * 4000)
    with store.ingest(DIGEST, len(BLOB)) as ingest:
        ingest.write(BLOB[4000:])
        with pytest.raises(DigestMismatchError):
            ingest.commit()


def test_restart_begins_again(store: ContentStore) -> None:
    with store.ingest(DIGEST, len(BLOB)) as ingest:
        ingest.write(b"wrong")
        ingest.restart()
        ingest.write(BLOB)
        ingest.commit()
    assert store.read(DIGEST) == BLOB


def test_second_writer_waits_and_finds_the_blob_complete(store: ContentStore) -> None:
    seen: list[bool] = []

    def second() -> None:
        with store.ingest(DIGEST, len(BLOB)) as ingest:
            seen.append(ingest.is_complete)

    with store.ingest(DIGEST, len(BLOB)) as first:
        other = threading.Thread(target=second)
        other.start()
        first.write(BLOB)
        assert seen == []
        first.commit()
    other.join(10)
    assert seen == [True]
    assert files_below(Path(store.root)) == [f"blobs/sha256/{DIGEST[7:]}"]


def test_second_writer_takes_over_where_the_first_gave_up(store: ContentStore) -> None:
    offsets: list[int] = []

    def second() -> None:
        with store.ingest(DIGEST, len(BLOB)) as ingest:
            offsets.append(ingest.offset)

    with store.ingest(DIGEST, len(BLOB)) as first:
        other = threading.Thread(target=second)
        other.start()
        first.write(BLOB[:10])
    other.join(10)
    assert offsets == [10]


def test_blob_that_is_here_needs_no_bytes(store: ContentStore) -> None:
    store.add(BLOB)
    with store.ingest(DIGEST, len(BLOB)) as ingest:
        assert ingest.is_complete
        assert ingest.offset == len(BLOB)
        ingest.commit()


def test_damage_on_disk_is_found_by_read(store: ContentStore) -> None:
    store.add(BLOB)
    Path(store.path(DIGEST)).write_bytes(b"x")
    with pytest.raises(DigestMismatchError, match="damaged on disk"):
        store.read(DIGEST)


def test_missing_blob_is_named(store: ContentStore) -> None:
    for act in (store.read, store.open, store.size):
        with pytest.raises(NotFoundError, match=DIGEST):
            act(DIGEST)
    assert not store.delete(DIGEST)


def test_deleted_blob_is_gone(store: ContentStore) -> None:
    store.add(BLOB)
    assert store.delete(DIGEST)
    assert not store.has(DIGEST)


def test_digest_that_is_a_path_is_refused(store: ContentStore) -> None:
    with pytest.raises(InvalidError):
        store.ingest(Digest("sha256:../../../etc/passwd"), 1)


def test_sweep_leaves_what_somebody_works_on(store: ContentStore) -> None:
    other = digest_of(b"other")
    with store.ingest(other, 5) as abandoned:
        abandoned.write(b"o")
    with store.ingest(DIGEST, len(BLOB)) as ingest:
        ingest.write(BLOB)
        store.sweep()
        ingest.commit()
    assert files_below(Path(store.root)) == [f"blobs/sha256/{DIGEST[7:]}"]


def test_created_blob_gets_its_digest_at_the_end(store: ContentStore) -> None:
    with store.create() as blob:
        blob.write(BLOB[:4000])
        blob.write(memoryview(BLOB)[4000:])
        assert list(store.list()) == []
        assert blob.commit() == DIGEST
    assert blob.size == len(BLOB)
    assert store.read(DIGEST) == BLOB
    assert files_below(Path(store.root)) == [f"blobs/sha256/{DIGEST[7:]}"]


def test_creation_without_commit_leaves_nothing(store: ContentStore) -> None:
    with store.create() as blob:
        blob.write(BLOB)
    assert files_below(Path(store.root)) == []


def test_creation_of_a_process_that_died_goes_with_the_next(store: ContentStore) -> None:
    dead = Path(store.root, "ingest", "new-dead")
    dead.write_bytes(b"x")
    with store.create() as one, store.create() as other:
        assert not dead.exists()
        one.write(b"1")
        other.write(b"2")
        assert one.commit() != other.commit()
    assert len(list(store.list())) == 2
