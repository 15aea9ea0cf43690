"""Recorder and span (toolkit/trace)."""

import contextvars
import errno
import os
import threading
import time

import pytest

from toolkit.core.errors import SyscallError
from toolkit.trace import Event, Recorder, recording, span
from toolkit.trace.recorder import current, set_current


def test_span_leaves_one_event() -> None:
    before_ns = time.monotonic_ns()
    with recording() as recorder, span("mount.mount", 'mount("a", "b")') as here:
        assert here.returns(3) == 3
    (event,) = recorder.events
    assert (event.area, event.call, event.result, event.errno) == ("mount.mount", 'mount("a", "b")', 3, "")
    assert (event.pid, event.actor, event.step) == (os.getpid(), "client", -1)
    assert before_ns <= event.start_ns <= event.start_ns + event.cost_ns <= time.monotonic_ns()
    assert event.strace() == 'mount("a", "b") = 3'


def test_span_without_recorder_leaves_nothing() -> None:
    with recording() as recorder:
        pass
    with span("mount.mount", "mount()"):
        pass
    assert recorder.events == []


def test_oserror_becomes_a_syscall_error_with_its_hint() -> None:
    cause = OSError(errno.EBUSY, "Device or resource busy")
    with (
        recording() as recorder,
        pytest.raises(SyscallError, match=r"umount\(\) = -1 EBUSY \(Device or resource busy\); wait") as caught,
        span("mount.umount", "umount()", {errno.EBUSY: "wait"}),
    ):
        raise cause
    assert caught.value.__cause__ is cause
    assert recorder.events[0].strace() == "umount() = -1 EBUSY"


def test_syscall_error_of_an_inner_span_keeps_its_own_words() -> None:
    with (
        recording() as recorder,
        pytest.raises(SyscallError, match="inner"),
        span("step", "outer()"),
        span("mount", "inner()"),
    ):
        raise OSError(errno.EPERM, "no")
    assert [event.call for event in recorder.events] == ["inner()", "outer()"]
    assert [event.errno for event in recorder.events] == ["EPERM", "EPERM"]


def test_error_that_is_no_oserror_passes_and_leaves_no_event() -> None:
    with recording() as recorder, pytest.raises(KeyError), span("mount", "mount()"):
        raise KeyError("x")
    assert recorder.events == []


def test_errno_that_the_c_library_does_not_name_is_its_number() -> None:
    with recording() as recorder, pytest.raises(SyscallError), span("mount", "mount()"):
        raise OSError(524, "ENOTSUPP of the kernel's insides")
    assert recorder.events[0].errno == "524"


def test_inner_recording_hides_the_outer_one() -> None:
    with recording() as outer:
        with recording() as inner, span("a", "one()"):
            pass
        with span("a", "two()"):
            pass
    assert [event.call for event in inner.events] == ["one()"]
    assert [event.call for event in outer.events] == ["two()"]
    assert current() is None


def test_recorder_is_not_seen_by_other_threads_unless_they_copy_the_context() -> None:
    seen: list[Recorder | None] = []
    with recording() as recorder:
        context = contextvars.copy_context()
        for thread in (
            threading.Thread(target=lambda: seen.append(current())),
            threading.Thread(target=lambda: context.run(lambda: seen.append(current()))),
        ):
            thread.start()
            thread.join()
    assert seen == [None, recorder]


def test_sink_gets_each_event_at_once() -> None:
    got: list[str] = []
    recorder = Recorder("init", lambda event: got.append(event.call))
    with recording(recorder):
        with span("a", "one()"):
            pass
        assert got == ["one()"]
    assert recorder.events[0].actor == "init"


def test_drain_forgets_what_it_returns() -> None:
    recorder = Recorder()
    with recording(recorder), span("a", "one()"):
        pass
    assert len(recorder.drain()) == 1
    assert recorder.drain() == []


def test_step_of_the_recorder_is_noted() -> None:
    with recording() as recorder:
        recorder.step = 4
        with span("a", "one()"):
            pass
    assert recorder.events[0].step == 4


def test_set_current_lasts_beyond_a_block() -> None:
    recorder = Recorder()
    set_current(recorder)
    try:
        with span("a", "one()"):
            pass
    finally:
        set_current(None)
    assert len(recorder.events) == 1


def test_event_survives_json() -> None:
    event = Event("a.b", "call()", -1, "EPERM", 5, 6, 7, "monitor", 8)
    assert Event.from_json(event.to_json()) == event
