"""Records and locks of volumes (toolkit/volume/store.py)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.core.state import State
from toolkit.linux import lock
from toolkit.volume.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    state = State(str(tmp_path / "state.db"))
    yield Store(state, str(tmp_path / "volumes"), str(tmp_path / "claims"))
    state.close()


def test_lock_is_had_where_another_lets_go_of_it_before_it_is_opened(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_late(path: str) -> int:
        opened.append(path)
        if len(opened) == 1:
            os.rmdir(path)  # as its last owner does, between our mkdir and our open
        return open_directory(path)

    open_directory = lock.open_directory
    monkeypatch.setattr(lock, "open_directory", open_late)
    with store.locked("vol") as directory:
        assert opened == [directory] * 2
        fd = open_directory(directory)
        assert not lock.try_lock(fd)
        os.close(fd)
    assert not os.path.exists(directory)
