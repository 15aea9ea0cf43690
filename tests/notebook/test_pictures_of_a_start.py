"""The still twins of timeline and stepper, and what their live pictures are drawn of; no kernel is needed."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from toolkit.notebook.figures import stepper as stepper_figure
from toolkit.notebook.figures.timeline import calls_of, draw, facts
from toolkit.notebook.manual import page_of_call, page_of_reference
from toolkit.notebook.stepping import Stepper, Trace, of_recording
from toolkit.trace.event import Event
from toolkit.trace.look import Look, Mount
from toolkit.trace.recorded import RUN, STEP, Header, Recording
from toolkit.trace.step import StepFacts

_CALLS = ["clone(flags) = 1", 'mount("proc", "/<b>&proc", 0)', 'pivot_root(".", ".")']
_BIRTH = StepFacts(1, "NewProcess", "outside", "namespace", "A <new> process.", "clone(2)", ("clone(flags)",))
_STEPS = (
    _BIRTH._replace(in_reserve=True),
    StepFacts(2, "MountFilesystem", "init", "rootfs", "Its /proc.", "mount(2), proc(5)", (_CALLS[1],)),
    StepFacts(3, "PivotRoot", "init", "rootfs", "Its root.", "runtime-spec", (_CALLS[2],)),
)
_EVENTS = tuple(
    Event("x", call, -1 if at == 1 else 0, "ENOENT" if at == 1 else "", 1_000_000 * at * at, 10_000 * (at + 1), 1,
          "outside" if at == 0 else "init", at)
    for at, call in enumerate(_CALLS)
)  # fmt: skip


def _recording(kind: str) -> Recording:
    header = Header(kind, "0", "6.1", "x86_64", "2026-11-28T18:40:00Z", "container run <lab>")
    mount = Mount(1, 1, "0:1", "/", "/<i>", "rw", "", "proc", "proc", "rw")
    return Recording(header, _STEPS, _EVENTS, {1: Look(7), 2: Look(7, (mount,))}, 0)


def _bundle(shown: Stepper | Trace) -> dict[str, Any]:
    """Return what a front end is given to choose from."""
    found = shown._repr_mimebundle_()
    return dict(found[0] if isinstance(found, tuple) else found)


def test_timeline_has_a_bar_for_each_call_and_says_what_failed() -> None:
    html = draw(_recording(RUN), is_replayed=False).html
    found = re.search("<svg.*</svg>", html, re.DOTALL)
    assert found is not None
    svg = ET.fromstring(found[0])  # noqa: S314 - our own; what is not well-formed raises
    titles = [node.text or "" for node in svg.iter("title")]
    assert titles == [f"{call} = {-1 if at == 1 else 0}{' ENOENT' if at == 1 else ''}\n{10 * (at + 1)}.0 us"
                      for at, call in enumerate(_CALLS)]  # fmt: skip
    assert "recording of" not in html
    assert "recording of 2026-11-28" in draw(_recording(RUN), is_replayed=True).html
    assert "<lab>" not in html


def test_recording_cut_short_before_its_first_step_is_a_timeline_that_says_so() -> None:
    cut = _recording(STEP)._replace(steps=(), events=(), looks={}, exit_code=None, warning="cut short after line 1")
    shown = of_recording(cut, is_replayed=True)
    assert isinstance(shown, Trace)
    assert "cut short after line 1" in _bundle(shown)["text/html"]
    assert shown.widget.shown["warning"] == "cut short after line 1"


def test_stepper_of_a_recording_that_was_cut_short_says_so_at_its_end() -> None:
    cut = _recording(STEP)._replace(exit_code=None, warning="cut short in line 9")
    stepper = of_recording(cut, is_replayed=True)
    assert isinstance(stepper, Stepper)
    stepper.finish()
    assert "the recording ends here: cut short in line 9" in _bundle(stepper)["text/html"]


def test_calls_of_the_reserve_are_before_the_start() -> None:
    calls = calls_of(_recording(RUN))
    assert [call.at_us for call in calls] == [-1000.0, 0.0, 3000.0]
    assert facts(_recording(RUN))["summary"] == (
        "3 calls, 3.0 ms until the program ran, 1 of them were made before anyone asked, 1 failed, as expected"
    )


def test_recording_without_calls_can_be_drawn() -> None:
    assert "no calls were recorded" in draw(_recording(RUN)._replace(events=()), is_replayed=True).html


def test_trace_can_be_asked() -> None:
    trace = of_recording(_recording(RUN), is_replayed=True)
    assert isinstance(trace, Trace)
    assert [event.call for event in trace.events_of(3)] == [_CALLS[2]]
    assert [row["call"] for row in trace.table("ENOENT").rows] == [f"{_CALLS[1]} = -1 ENOENT"]
    bundle = _bundle(trace)
    assert set(bundle) >= {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}


def test_stepper_of_a_recording_shows_where_it_stands_and_every_view_is_one_model() -> None:
    stepper = of_recording(_recording(STEP), is_replayed=True)
    assert isinstance(stepper, Stepper)
    first, second = _bundle(stepper), _bundle(stepper)
    view = "application/vnd.jupyter.widget-view+json"
    assert first[view]["model_id"] == second[view]["model_id"]
    stepper.run_until(3)
    widget = stepper.widget
    assert widget.shown["index"] == 2
    assert widget.shown["changes"] == ["mounted: /<i> (proc)"]
    text = stepper.figure().text
    assert "->  3  Pivot root" in text
    assert "recording of 2026-11-28 18:40 UTC on kernel 6.1, x86_64" in text
    assert "/<i>" not in stepper.figure().html


def test_picture_does_what_is_pressed_and_tells_what_is_wrong() -> None:
    stepper = of_recording(_recording(STEP), is_replayed=True)
    assert isinstance(stepper, Stepper)
    widget = stepper.widget
    widget._take(widget, {"do": "next", "index": 0}, [])
    widget._take(widget, {"do": "next", "index": 0}, [])  # of a second view, that has not heard of the first press
    assert stepper.index == 1
    widget._take(widget, {"do": "until", "number": 99}, [])
    assert widget.trouble["message"] == "there is no step 99"
    widget._take(widget, {"do": "finish"}, [])
    assert (widget.shown["index"], widget.trouble) == (3, {})
    widget._take(widget, {"do": "until", "number": 2}, [])  # back
    assert widget.shown["index"] == 1


def test_picture_of_a_forgotten_stepper_says_so() -> None:
    stepper = of_recording(_recording(STEP), is_replayed=True)
    assert isinstance(stepper, Stepper)
    widget = stepper.widget
    del stepper
    assert widget.shown["state"] == "gone"
    widget._take(widget, {"do": "next", "index": 0}, [])
    assert "does not have this container any more" in widget.trouble["message"]
    assert widget.figure().text == "given up"


def test_steps_of_one_name_are_told_apart() -> None:
    assert [stepper_figure.subject(step) for step in _STEPS] == ["", "/<b>&proc", ""]


@pytest.mark.parametrize(
    ("call", "page"),
    [
        ('pivot_root(".", ".")', "man2/pivot_root.2"),
        ("prlimit64(0)", "man2/prlimit.2"),
        ("getcwd(x)", "man3/getcwd.3"),
        ("umount2(x)", "man2/umount.2"),
    ],
)
def test_call_leads_to_its_manual_page(call: str, page: str) -> None:
    assert page_of_call(call) == f"https://man7.org/linux/man-pages/{page}.html"


def test_reference_leads_to_its_first_manual_page() -> None:
    assert page_of_reference("pivot_root(2), NOTES").endswith("/man2/pivot_root.2.html")
    assert page_of_reference("PR_SET_PDEATHSIG(2const)").endswith("/man2/PR_SET_PDEATHSIG.2const.html")
    assert page_of_reference("runtime-spec config.md Mounts") == ""
    assert page_of_call("GET /v2/") == ""
