"""Recordings: what is written is read again; what is damaged, foreign or hostile is one clear error or a warning."""

import io
import json
from typing import Any

import pytest

from toolkit.core.errors import ConflictError, InvalidError, UnsupportedError
from toolkit.trace.event import Event
from toolkit.trace.look import Group, Look, Mount, Namespace, Powers, Process, changes, told
from toolkit.trace.reading import parse
from toolkit.trace.recorded import STEP, Header, Recording, lines
from toolkit.trace.replay import Replay
from toolkit.trace.step import StepFacts
from toolkit.trace.timeline import begin_ns

_HEADER = Header(STEP, "0.1.0", "6.1.0", "x86_64", "2026-11-28T18:40:00Z", "container step run lab true")


def _mount(ident: int, point: str, **more: Any) -> Mount:
    return Mount(ident, 1, "0:1", "/", point, "rw", "", "tmpfs", "tmpfs", "rw")._replace(**more)


def _powers(*names: str) -> Powers:
    return Powers(0, 0, names, names, (), names, (), no_new_privs=False, seccomp=False)


def _recording() -> Recording:
    steps = tuple(
        StepFacts(number, name, "init", "rootfs", "why.", "mount(2)", (call,))
        for number, (name, call) in enumerate(
            [("NewProcess", "clone3({}, 88)"), ("MountOverlay", 'mount("a")'), ("PivotRoot", 'pivot_root(".", ".")')], 1
        )
    )
    events = tuple(
        Event("mount", step.calls[0], 0, "", 1000 * step.number, 500, 1, "init", step.number - 1) for step in steps
    )
    first = Look(
        42,
        (_mount(1, "/"), _mount(2, "/proc")),
        (Namespace("pid", 7, 1),),
        _powers("CAP_CHOWN", "CAP_SYS_ADMIN"),
        (Group("memory", "/", "/"),),
        (Process(42, 1, "true"),),
    )
    second = first._replace(mounts=(*first.mounts, _mount(3, "/new")))
    third = second._replace(mounts=(_mount(3, "/", options="ro"),), powers=_powers("CAP_CHOWN"))
    return Recording(_HEADER, steps, events, {1: first, 2: second, 3: third}, 0)


def _text(recording: Recording) -> bytes:
    return "".join(f"{line}\n" for line in lines(recording)).encode()


def _read(data: bytes) -> Recording:
    return parse(io.BytesIO(data), "x.jsonl")


def test_what_is_written_is_read_again() -> None:
    assert _read(_text(_recording())) == _recording()


def test_only_what_differs_is_written_of_a_look() -> None:
    written = [json.loads(line) for line in lines(_recording()) if '"look"' in line]
    assert "namespaces" in written[0]
    assert set(written[1]) == {"look", "pid", "mounts", "gone"}
    assert [row[0] for row in written[1]["mounts"]] == [3]
    assert written[2]["gone"] == [1, 2]


def test_label_says_that_it_is_a_recording_and_of_what() -> None:
    assert _HEADER.label() == "recording of 2026-11-28 18:40 UTC on kernel 6.1.0, x86_64"


@pytest.mark.parametrize("kept", range(1, 11))
def test_file_that_was_cut_between_lines_is_shown_as_far_as_it_goes(kept: int) -> None:
    whole = _text(_recording()).splitlines(keepends=True)
    found = _read(b"".join(whole[:kept]))
    if kept == len(whole):
        assert found.warning == ""
    else:
        assert found.warning == f"cut short after line {kept}: it has no end"
    assert len(found.steps) == min(3, kept - 1)


def test_file_that_was_cut_at_any_byte_is_a_warning_and_never_more() -> None:
    whole = _text(_recording())
    head = whole.index(b"\n") + 1
    for end in range(head, len(whole) - 1):
        found = _read(whole[:end])
        assert found.warning.startswith("cut short"), end


def test_calls_that_are_missing_in_the_middle_are_missed() -> None:
    whole = _text(_recording()).splitlines(keepends=True)
    found = _read(b"".join(line for line in whole if b"pivot_root" not in line or b'"event"' not in line))
    assert found.warning == "2 calls are here, and 3 were recorded"


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (b"", "x.jsonl is empty"),
        (b"hello\n", "line 1: this is not a recording"),
        (b"\x00\xff\xfe\n", "line 1: this is not a recording"),
        (b"[]\n", "line 1: this is not a recording"),
        (b"{}\n", "line 1: this is not a recording"),
        (b"[" * 100_000 + b"\n", "line 1: this is not a recording"),
        (b'{"recording": 2}\n', "line 1: a recording of version 2, and this program knows version 1"),
        (b'{"recording": "1"}\n', "line 1: a recording of version '1', and"),
        (b'{"recording": 1}\n', "line 1: its header is damaged"),
        (b'{"recording": 1, "kind": "other", "toolkit": "", "kernel": "", "machine": "", "date": "", "command": ""}\n',
         "line 1: its header is damaged"),
        (b'"' + b"x" * (1 << 21), "line 1: a line of more than 1 MiB"),
    ],
)  # fmt: skip
def test_file_that_is_no_recording_is_one_error(first: bytes, message: str) -> None:
    with pytest.raises(InvalidError) as caught:
        _read(first)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", "this is not JSON"),
        ("[1]", "this is not a JSON object"),
        ('{"other": 1}', "it says nothing that is known: 'other'"),
        ('{"step": 1}', "a damaged step"),
        ('{"step": ["a", "b", "c", "d", "e", [1], false]}', "a damaged step"),
        ('{"step": ["a", "b", "c", "d", "e", "f", 0]}', "a damaged step"),
        ('{"event": ["a"]}', "a damaged event"),
        ('{"event": ["a", "b", "0", "", 1, 1, 1, "init", 0]}', "a damaged event"),
        ('{"event": ["a", "b", true, "", 1, 1, 1, "init", 0]}', "a damaged event"),
        ('{"event": {"a": 1}}', "a damaged event"),
        ('{"look": 1}', "a damaged look"),
        ('{"look": 99, "pid": 1}', "a damaged look"),
        ('{"look": -1, "pid": 1}', "a damaged look"),
        ('{"look": 1, "pid": 1, "mounts": [[1]], "gone": []}', "a damaged look"),
        ('{"look": 1, "pid": 1, "mounts": 7, "gone": []}', "a damaged look"),
        ('{"look": 1, "pid": 1, "mounts": []}', "a damaged look"),
        ('{"look": 1, "pid": 1, "mounts": [], "gone": [[]]}', "a damaged look"),
        ('{"look": 1, "pid": 1, "powers": [0, 0, [1], [], [], [], [], false, false]}', "a damaged look"),
        ('{"look": 1, "pid": 1, "powers": {}}', "a damaged look"),
        ('{"look": 1, "pid": 1, "powers": ["0", 0, [], [], [], [], [], false, false]}', "a damaged look"),
        ('{"look": 1, "pid": 1, "powers": [0, 0, [], [], [], [], [], 0, false]}', "a damaged look"),
        ('{"end": {}}', "a damaged end"),
        ('{"end": {"events": 0, "exit_code": "0"}}', "a damaged end"),
        ('{"end": []}', "a damaged end"),
    ],
)
def test_line_that_is_wrong_is_one_error_with_its_number(line: str, message: str) -> None:
    whole = _text(_recording()).splitlines(keepends=True)
    with pytest.raises(InvalidError, match=r"x\.jsonl, line 5: ") as caught:
        _read(b"".join([*whole[:4], line.encode() + b"\n", *whole[4:]]))
    assert message in str(caught.value)


def test_line_that_is_too_long_is_refused_without_reading_the_rest() -> None:
    whole = _text(_recording()).splitlines(keepends=True)
    with pytest.raises(InvalidError, match="line 5: a line of more than 1 MiB"):
        _read(b"".join(whole[:4]) + b'{"event": "' + b"x" * (1 << 22))


def test_what_stands_behind_the_end_is_not_read() -> None:
    assert _read(_text(_recording()) + b"anything\n") == _recording()


# Walking


def test_replay_answers_as_what_was_seen() -> None:
    walk = Replay(_recording())
    assert len(walk.mounts()) == 0
    walk.next()
    assert [each.point for each in walk.mounts()] == ["/", "/proc"]
    done = walk.run_until("pivot_root")
    assert (walk.index, done.changes) == (2, ("mounted: /new (tmpfs)",))
    assert [each.point for each in walk.mounts().new] == ["/new"]
    done = walk.next()
    assert done.changes == (
        "changed: / (tmpfs)",
        "not seen any more: / (tmpfs)",
        "not seen any more: /proc (tmpfs)",
        "effective capabilities: 1",
        "permitted capabilities: 1",
        "bounding capabilities: 1",
    )
    assert done.following is None
    with pytest.raises(ConflictError, match="the recording ends here"):
        walk.next()
    walk.back_to(1)
    assert [event.call for event in walk.events] == ["clone3({}, 88)"]
    with pytest.raises(UnsupportedError, match="nothing can be run in a recording"):
        walk.inside("ps")


def test_recording_without_looks_can_be_walked_too() -> None:
    walk = Replay(_recording()._replace(looks={}))
    assert walk.next().changes == ()
    assert "there is no process yet" in repr(walk.mounts())


def test_copy_of_all_mounts_in_a_new_namespace_is_no_new_mount() -> None:
    before = Look(1, (_mount(1, "/"),), (Namespace("mnt", 1, 1),))
    after = Look(1, (_mount(9, "/"),), (Namespace("mnt", 2, 1),))
    assert told(changes(before, after), after) == ("mnt namespace: its own, 2",)


def test_many_changes_are_told_in_one_line() -> None:
    before = Look(1, ())
    after = Look(1, tuple(_mount(ident, f"/{ident}") for ident in range(9)))
    assert told(changes(before, after), after) == ("mounted: /0 (tmpfs) and 8 more",)


def test_start_is_timed_from_the_first_call_after_the_reserve() -> None:
    recording = _recording()
    assert begin_ns(recording.events, recording.steps) == 1000
    ready = tuple(step._replace(in_reserve=step.number < 3) for step in recording.steps)
    assert begin_ns(recording.events, ready) == 3000
