"""A half-made container between two steps: facts for the live picture, and its still twin."""

import re
from html import escape
from typing import Any

from toolkit.core.errors import EngineError
from toolkit.notebook.colours import of_phase
from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, FAINT, GREEN, INK, MONO, chip
from toolkit.notebook.manual import page_of_call, page_of_reference
from toolkit.trace.look import told
from toolkit.trace.step import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.notebook.stepping import Rows, Stepper
    from toolkit.trace import Event
    from toolkit.trace.step import StepFacts

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_QUOTED = re.compile(r'"([^"]*)"')
_KINDS = {
    "CLONE_NEWNS": "mounts",
    "CLONE_NEWUTS": "name",
    "CLONE_NEWIPC": "ipc",
    "CLONE_NEWNET": "network",
    "CLONE_NEWCGROUP": "cgroups",
    "CLONE_NEWUSER": "users",
    "CLONE_NEWPID": "processes",
    "CLONE_NEWTIME": "clocks",
}
_BEFORE, _AFTER = 2, 3
_STATES = {
    "half-made": "half-made",
    "running": "the program runs",
    "exited": "the program has ended",
    "gone": "given up, nothing is left",
}


def title(name: str) -> str:
    """Return the name of a step as words: "Pivot root"."""
    return _WORDS.sub(" ", name).capitalize()


def subject(step: "StepFacts") -> str:
    """Return what a step is about where several are called the same: a place, or a kind of namespace."""
    call = step.calls[0] if step.calls else ""
    if call.startswith("unshare("):
        return ", ".join(_KINDS.get(flag, flag) for flag in call[len("unshare(") : -1].split("|"))
    places = _QUOTED.findall(call)
    return places[1] if call.startswith("mount(") and len(places) > 1 and step.name != "MountOverlay" else ""


def plan_facts(steps: "Sequence[StepFacts]") -> list[dict[str, Any]]:
    """Return what a picture says of each step, before it is done."""
    return [
        {
            "number": step.number,
            "title": title(step.name),
            "subject": subject(step),
            "actor": step.actor,
            "phase": step.phase,
            "colour": of_phase(step.phase),
            "why": step.why,
            "see": step.see,
            "page": page_of_reference(step.see),
            "calls": [shortened(call) for call in step.calls],
        }
        for step in steps
    ]


def now(stepper: "Stepper") -> dict[str, Any]:
    """Return what a picture says of this moment."""
    events = stepper.raw.events
    costs_us: dict[int, float] = {}
    for event in events:
        costs_us[event.step] = costs_us.get(event.step, 0.0) + event.cost_ns / 1e3
    return {
        "index": stepper.index,
        "state": stepper.state,
        "says": state_text(stepper),
        "costs": [round(costs_us.get(at, 0.0), 1) for at in range(stepper.index)],
        "done": [_event_facts(event) for event in _of_last(stepper)],
        "output": stepper.output,
        **_seen(stepper),
    }


def _of_last(stepper: "Stepper") -> "list[Event]":
    found = stepper.raw.events_of(stepper.index - 1) if stepper.index else []
    return sorted(found, key=lambda event: event.start_ns)


def _event_facts(event: "Event") -> list[Any]:
    return [shortened(event.strace()), round(event.cost_ns / 1e3, 1), event.errno, page_of_call(event.call)]


def _seen(stepper: "Stepper") -> dict[str, Any]:
    """Return the tables of what can be seen, empty where there is nothing (any more)."""
    try:
        return _tables(stepper)
    except EngineError:  # it was given up, or the program has ended, perhaps between two of the tables
        return {"pid": 0, "changes": [], "tables": {}}


def _tables(stepper: "Stepper") -> dict[str, Any]:
    look = stepper.look()
    if not look.pid:
        return {"pid": 0, "changes": [], "tables": {}}
    different = stepper.raw.changes()
    tables = {
        "mounts": _rows(stepper.mounts()),
        "namespaces": _rows(stepper.namespaces()),
        "capabilities": _rows(stepper.capabilities()),
        "cgroups": _rows(stepper.cgroups()),
        "processes": _rows(stepper.processes()),
    }
    hosts = stepper.host_mounts
    tables["mounts"]["hosts"] = [
        place for place, each in enumerate(look.mounts) if (each.device, each.root, each.point) in hosts
    ]
    return {"pid": look.pid, "changes": list(told(different, look)), "tables": tables}


def _rows(rows: "Rows") -> dict[str, Any]:
    return {"cells": [list(cells) for cells in rows.cells], "marks": sorted(rows.marks)}


def state_text(stepper: "Stepper") -> str:
    """Say how it is, in words."""
    said = _STATES.get(stepper.state, stepper.state)
    if stepper.state == "exited" and not stepper.is_live and stepper.recording.warning:
        return f"the recording ends here: {stepper.recording.warning}"
    if stepper.state == "exited" and stepper.exit_code is not None:
        return f"{said}, exit code {stepper.exit_code}"
    return said


def draw(stepper: "Stepper") -> Figure:
    """Draw where a stepper stands."""
    return Figure(_html(stepper), _text(stepper))


def _label(stepper: "Stepper") -> str:
    return "live" if stepper.is_live else stepper.recording.header.label()


def _near(stepper: "Stepper") -> "Sequence[StepFacts]":
    return stepper.steps[max(0, stepper.index - _BEFORE) : stepper.index + _AFTER]


def _text(stepper: "Stepper") -> str:
    lines = [f"{stepper.command}  [{_label(stepper)}]", state_text(stepper)]
    for step in _near(stepper):
        mark = "->" if step.number - 1 == stepper.index else "  "
        done = "done" if step.number <= stepper.index else ""
        lines.append(f"{mark} {step.number:>2}  {title(step.name):<24} {subject(step):<24} {done}".rstrip())
    lines += [f"     {shortened(event.strace())}  ({event.cost_ns / 1e3:.0f} us)" for event in _of_last(stepper)]
    lines += [f"  +  {line}" for line in _seen(stepper)["changes"]]
    return "\n".join(lines)


def _html(stepper: "Stepper") -> str:
    label = chip(_label(stepper), GREEN if stepper.is_live else AMBER)
    calls = "".join(
        f'<div style="font-family:{MONO};font-size:.88em;overflow-wrap:anywhere">{escape(shortened(event.strace()))}'
        f' <span style="color:{FAINT}">{event.cost_ns / 1e3:.0f}&nbsp;us</span></div>'
        for event in _of_last(stepper)
    )
    changed = "".join(f'<div style="color:{GREEN}">+ {escape(line)}</div>' for line in _seen(stepper)["changes"])
    return (
        f'<div style="color:{INK};max-width:900px">{label}&ensp;<b>{escape(state_text(stepper))}</b>&ensp;'
        f'<span style="font-family:{MONO};font-size:.9em">{escape(stepper.command)}</span>'
        f'<div style="margin:.5em 0">{"".join(_step_html(step, stepper.index) for step in _near(stepper))}</div>'
        f"{calls}{changed}</div>"
    )


def _step_html(step: "StepFacts", index: int) -> str:
    is_next = step.number - 1 == index
    mark = "&#10003;" if step.number <= index else "&#9654;" if is_next else "&#183;"
    why = f'<div style="color:{FAINT};margin-left:3.6em;font-size:.92em">{escape(step.why)}</div>' if is_next else ""
    return (
        f'<div><span style="color:{of_phase(step.phase)};display:inline-block;width:1.4em">{mark}</span>'
        f'<span style="color:{FAINT};display:inline-block;width:2.2em">{step.number}</span>'
        f"<span{' style=font-weight:600' if is_next else ''}>{escape(title(step.name))}</span> "
        f'<span style="color:{FAINT};font-family:{MONO};font-size:.85em">{escape(subject(step))}</span>{why}</div>'
    )
