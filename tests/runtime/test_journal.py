"""The journal of events: whole lines by many writers, a new file when it is full, and a reader that misses nothing."""

import os
from pathlib import Path

import pytest

from toolkit.engine.events import Events
from toolkit.engine.paths import Paths
from toolkit.runtime import journal


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(Paths(str(tmp_path), str(tmp_path)))


def _note(events: Events, *names: str) -> None:
    for name in names:
        events.note("container", "start", name, {"name": name})


def _ids(events: Events) -> list[str]:
    return [event["Actor"]["ID"] for event in events.past()]


def test_event_comes_out_in_dockers_shape(events: Events) -> None:
    events.note("container", "die", "abc", {"image": "lab", "exitCode": "3"})
    (event,) = events.past()
    assert event["time"] == event.pop("timeNano") // 10**9
    del event["time"]
    assert event == {
        "status": "die",
        "id": "abc",
        "from": "lab",
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "abc", "Attributes": {"image": "lab", "exitCode": "3"}},
        "scope": "local",
    }


def test_journal_that_does_not_exist_is_empty(events: Events) -> None:
    assert _ids(events) == []


def test_full_journal_begins_a_new_file_and_is_read_through(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 300)
    names = [f"c{number}" for number in range(8)]
    _note(events, *names)
    assert os.path.exists(f"{events.path}.1")
    found = _ids(events)
    assert found == names[-len(found) :]
    assert len(found) >= 4


def test_many_writers_keep_their_lines_apart(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 64 * 1024)
    pids: list[int] = []
    for writer in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                _note(events, *(f"w{writer}-{number}" for number in range(200)))
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    found = _ids(events)
    for writer in range(4):
        mine = [name for name in found if name.startswith(f"w{writer}-")]
        assert mine == [f"w{writer}-{number}" for number in range(200)][-len(mine) :]
    assert len(found) > 300  # of 800, two files of 64 KiB


def test_line_that_was_cut_short_is_left_out(events: Events) -> None:
    _note(events, "one")
    with open(events.path, "a") as file:
        file.write('[123, "container", "st\n')
    _note(events, "two")
    assert _ids(events) == ["one", "two"]


def test_journal_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    journal.append(str(tmp_path / "gone" / "events"), b"x\n")
    journal.append("/dev/full", b"x\n")


def test_follower_sees_what_is_written_before_during_and_after_a_new_file(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 200)
    _note(events, "first")
    following = events.follow(since_ns=1)
    assert next(following)["id"] == "first"
    names = [f"c{number}" for number in range(12)]
    for name in names:
        _note(events, name)
        assert next(following)["id"] == name
    following.close()


def test_follower_without_a_beginning_sees_only_what_comes(events: Events) -> None:
    _note(events, "before")
    following = events.follow()
    pid = os.fork()
    if pid == 0:
        import time

        time.sleep(0.2)
        _note(events, "after")
        os._exit(0)
    assert next(following)["id"] == "after"
    os.waitpid(pid, 0)
    following.close()


def test_until_ends_it(events: Events) -> None:
    import time

    _note(events, "one")
    assert [event["id"] for event in events.follow(until_ns=time.time_ns())] == ["one"]
    soon_ns = time.time_ns() + 200_000_000
    assert [event["id"] for event in events.follow(since_ns=soon_ns, until_ns=soon_ns)] == []
    assert time.time_ns() >= soon_ns
