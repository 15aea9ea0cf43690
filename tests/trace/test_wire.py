"""Recorded calls on their way: what is spelled late says the same."""

import os
import sys
from pathlib import Path

import pytest

from toolkit.core.errors import SyscallError
from toolkit.linux import rooted
from toolkit.linux.rooted import openat2
from toolkit.trace import Event, Recorder, recording, spelling, wire

PLAIN = Event("a.b", "call(1)", 3, "", 10, 20, 30, "init", 4)


def open_twice(directory: Path, *, leaves_unspelled: bool) -> list[Event]:
    """Record an openat2 that works and one that fails."""
    recorder = Recorder("init", leaves_unspelled=leaves_unspelled)
    root = os.open(directory, os.O_PATH)
    try:
        with recording(recorder):
            os.close(openat2(root, "there", os.O_RDONLY))
            with pytest.raises(SyscallError, match='"not there"'):
                openat2(root, "not there", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_DIRECTORY, mode=0o600)
    finally:
        os.close(root)
    return recorder.events


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.call.partition(",")[2], event.errno) for event in events]


def test_what_was_left_unspelled_is_spelled_by_who_reads(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    spelled = open_twice(tmp_path, leaves_unspelled=False)
    left = open_twice(tmp_path, leaves_unspelled=True)
    assert all(isinstance(event.call, str) for event in spelled)
    assert [type(each) for each in left] == [tuple] * len(left)  # as marshal takes them
    assert {type(each[1]) for each in left} == {tuple}
    assert told(wire.decode(wire.encode(left))) == told(spelled)
    assert told(spelled)[0] == (' "there", {flags=O_RDONLY|O_CLOEXEC, resolve=RESOLVE_IN_ROOT}, 24)', "")


def test_call_is_spelled_where_its_module_is_not_loaded_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    name = spelling.speller(rooted._mkdir_text)
    monkeypatch.setattr(spelling, "_spellers", {})
    monkeypatch.delitem(sys.modules, rooted.__name__)
    assert spelling.spell(name, 3, "dir", 0o755) == 'mkdirat(3, "dir", 0755)'


def test_plain_event_is_as_it_was() -> None:
    assert wire.decode(wire.encode([PLAIN])) == [PLAIN]


def test_what_has_come_is_decoded_when_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = wire.Recorded()
    assert recorded.events == []
    first = recorded.events
    decoded: list[bytes] = []
    monkeypatch.setattr(wire, "decode", lambda content: decoded.append(content) or [PLAIN])
    recorded.take(b"one")
    recorded.take(b"two")
    assert decoded == []
    assert recorded.events == [PLAIN, PLAIN]
    assert recorded.events is first
    assert decoded == [b"one", b"two"]
