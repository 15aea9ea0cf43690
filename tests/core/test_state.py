"""The objects on disk (toolkit/core/state.py)."""

import contextlib
import multiprocessing
import os
import pathlib
import signal
from collections.abc import Iterator

import pytest

from tests.support.child import in_child
from toolkit.core.errors import ConflictError, IntegrityError, NotFoundError, PrivilegeError, StorageFullError
from toolkit.core.state import State
from toolkit.linux.mount import mount, umount


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    """Return where a state may be made."""
    return f"{tmp_path}/root/state.db"


@pytest.fixture
def state(path: str) -> Iterator[State]:
    """Return a new state."""
    with contextlib.closing(State(path)) as made:
        yield made


def test_object_that_was_stored_comes_back(state: State) -> None:
    state.insert("container", "aa11", {"a": [1, "ü", None]}, "web")
    assert state.get("container", "aa11") == ("aa11", "web", {"a": [1, "ü", None]})
    assert state.find_name("container", "web") == state.get("container", "aa11")


def test_name_is_changed_and_nothing_else(state: State) -> None:
    state.insert("container", "aa11", {"a": 1}, "web")
    state.insert("container", "bb22", {}, "other")
    state.rename("container", "aa11", "new")
    assert state.get("container", "aa11") == ("aa11", "new", {"a": 1})
    with pytest.raises(ConflictError, match="'other' is already in use"):
        state.rename("container", "aa11", "other")
    with pytest.raises(NotFoundError):
        state.rename("container", "cc33", "free")


def test_document_is_amended_in_one_transaction(state: State) -> None:
    state.insert("container", "aa11", {"a": 1}, "web")
    assert state.amend("container", "aa11", lambda doc: {**doc, "b": 2}) == {"a": 1, "b": 2}
    assert state.get("container", "aa11").doc == {"a": 1, "b": 2}
    with pytest.raises(ZeroDivisionError):
        state.amend("container", "aa11", lambda doc: {"a": 1 // 0, **doc})
    assert state.get("container", "aa11").doc == {"a": 1, "b": 2}
    with pytest.raises(NotFoundError):
        state.amend("container", "cc33", dict)


def test_taken_id_and_taken_name_conflict(state: State) -> None:
    state.insert("container", "aa11", {}, "web")
    with pytest.raises(ConflictError, match="'web' is already in use"):
        state.insert("container", "bb22", {}, "web")
    with pytest.raises(ConflictError):
        state.insert("container", "aa11", {})
    with pytest.raises(ConflictError, match="'web' is already in use"):
        state.put("container", "bb22", {}, "web")


def test_name_is_unique_within_its_kind_only(state: State) -> None:
    state.insert("container", "aa11", {}, "web")
    state.insert("network", "aa11", {}, "web")


def test_objects_without_a_name_do_not_conflict(state: State) -> None:
    state.insert("container", "aa11", {})
    state.insert("container", "bb22", {})
    assert [row.id for row in state.list("container")] == ["aa11", "bb22"]


def test_put_replaces_document_and_name(state: State) -> None:
    state.put("container", "aa11", {"n": 1}, "old")
    state.put("container", "aa11", {"n": 2}, "new")
    assert state.get("container", "aa11") == ("aa11", "new", {"n": 2})
    assert state.find_name("container", "old") is None


def test_prefix_finds_at_most_two(state: State) -> None:
    for ident in ("aa1", "aa2", "aa3", "ab1"):
        state.insert("container", ident, {})
    assert [row.id for row in state.find_prefix("container", "ab")] == ["ab1"]
    assert len(state.find_prefix("container", "aa")) == 2
    assert state.find_prefix("container", "b") == []


def test_deleted_object_is_gone(state: State) -> None:
    state.insert("container", "aa11", {}, "web")
    assert state.delete("container", "aa11")
    assert not state.delete("container", "aa11")
    with pytest.raises(NotFoundError, match="no such container: aa11"):
        state.get("container", "aa11")


def test_list_is_a_snapshot_that_may_be_changed_while_read(state: State) -> None:
    for number in range(10):
        state.insert("container", f"{number}", {})
    for row in state.list("container"):
        state.delete("container", row.id)
    assert list(state.list("container")) == []


def test_second_process_sees_what_the_first_stored(path: str, state: State) -> None:
    state.insert("container", "aa11", {"n": 1})

    def read() -> int:
        with contextlib.closing(State(path)) as other:
            return int(other.get("container", "aa11").doc["n"])

    assert in_child(read) == 1


def _insert_after(barrier: "multiprocessing.synchronize.Barrier", path: str, ident: str) -> None:
    barrier.wait()
    with contextlib.closing(State(path)) as state:
        state.insert("container", ident, {})


def test_processes_that_create_the_state_at_once_all_succeed(tmp_path: pathlib.Path) -> None:
    context = multiprocessing.get_context("fork")
    for turn in range(20):
        path = f"{tmp_path}/{turn}/state.db"
        barrier = context.Barrier(4)
        workers = [context.Process(target=_insert_after, args=(barrier, path, f"{n}")) for n in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
        with contextlib.closing(State(path)) as state:
            assert [row.id for row in state.list("container")] == ["0", "1", "2", "3"]


def test_process_killed_while_it_creates_the_state_leaves_none(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_source: str, _target: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def create() -> None:
        monkeypatch.setattr("os.link", die)
        State(path)

    with pytest.raises(Exception, match="ended with -9"):
        in_child(create)
    assert not os.path.exists(path)
    with contextlib.closing(State(path)) as state:
        state.insert("container", "aa11", {})


def test_creating_the_state_leaves_no_temporary_file(state: State, path: str) -> None:
    state.insert("container", "aa11", {})
    state.close()
    assert sorted(os.listdir(os.path.dirname(path))) == ["state.db", "state.db-reserve"]


@pytest.fixture
def tiny(tmp_path: pathlib.Path) -> Iterator[str]:
    """Return a directory with room for 256 KiB."""
    mount("tmpfs", str(tmp_path), "tmpfs", 0, "size=256k")
    yield str(tmp_path)
    umount(str(tmp_path))


def _fill(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):  # ENOSPC is the aim
        while True:
            os.write(fd, b"x" * 1024)
    os.close(fd)


def _insert_many(state: State) -> None:
    for number in range(1000):
        state.insert("filler", f"{number}", {"text": "x" * 1000})


@pytest.mark.needs("root", "tmpfs")
def test_full_disk_is_one_clear_error_and_loses_nothing(tiny: str) -> None:
    with contextlib.closing(State(f"{tiny}/state.db")) as state:
        state.insert("container", "aa11", {"n": 1})
        with pytest.raises(StorageFullError, match="no space left for the engine's state; free some space"):
            _insert_many(state)
        assert state.get("container", "aa11").doc == {"n": 1}


@pytest.mark.needs("root", "tmpfs")
def test_state_that_does_not_fit_is_not_made(tiny: str) -> None:
    _fill(f"{tiny}/filler")
    with pytest.raises(StorageFullError):
        State(f"{tiny}/state.db")
    assert os.listdir(tiny) == ["filler"]


@pytest.mark.needs("root")
def test_foreign_user_is_told_what_to_do(path: str, state: State) -> None:
    state.insert("container", "aa11", {})

    def read() -> None:
        os.setresuid(65534, 65534, 65534)
        State(path)

    with pytest.raises(PrivilegeError, match="run as root, or set CONTAINER_ROOT"):
        in_child(read)


def test_damaged_state_is_named(path: str) -> None:
    os.mkdir(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(b"not a database" * 100)
    with pytest.raises(IntegrityError, match=r"damaged: .*state\.db; move the file away"):
        State(path)
