"""The stepper and the timeline in a real JupyterLab: what is pressed is done by the kernel, and the picture follows."""

import json
import os
import pathlib
import re
import signal

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenCells
from tests.browser.notebook import Notebook
from tests.browser.timing import CLICKS, DRAWS
from tests.support.family import is_dead
from tests.support.patience import wait_until
from toolkit.notebook.figures.timeline import facts
from toolkit.notebook.widgets.live import live_module
from toolkit.trace.reading import load

pytestmark = [pytest.mark.needs("root", "overlay", "chromium"), pytest.mark.timeout(300)]

LOAD = "%load_ext toolkit"
STEP = "s = %container step run --hostname half lab sh -c 'echo hello from inside; exit 3'\ns"
WHERE = "import json; print(json.dumps([s.pid, s.index, s.state]))"


def ask(notebook: Notebook, index: int) -> tuple[int, int, str]:
    """Run the cell that says where the stepper stands, and read it."""
    notebook.run_cell(index)
    pid, at, state = json.loads(notebook.text(index))
    return pid, at, state


def points(pid: int) -> list[str]:
    """Read the kernel's own list of a process's mounts."""
    with open(f"/proc/{pid}/mountinfo") as file:
        return [line.split()[4] for line in file]


def button(view: Locator, name: str) -> Locator:
    return view.get_by_role("button", name=name)


def settled(view: Locator, text: str) -> None:
    expect(view.locator(".ct-stepper-state")).to_have_text(text, timeout=10_000)


def at_step(view: Locator, number: int) -> None:
    expect(view.locator(".ct-stepper-state")).to_have_text(
        re.compile(rf"^step {number} of \d+ comes next$"), timeout=10_000
    )


def test_next_is_done_by_the_kernel_and_seen_in_the_picture(open_cells: OpenCells) -> None:
    notebook = open_cells(LOAD, STEP, "_ = s.run_until('MountOverlay')", WHERE)
    notebook.run_cell(0)
    view = notebook.run_cell(1)
    at_step(view, 1)
    notebook.run_cell(2)
    pid, at, _ = ask(notebook, 3)
    at_step(view, at + 1)  # what Python did is seen, too
    before = points(pid)
    button(view, "Next step").click()
    at_step(view, at + 2)
    (new,) = [point for point in points(pid) if point not in before]
    expect(view.locator("tr.ct-stepper-new")).to_have_count(1)
    expect(view.locator("tr.ct-stepper-new")).to_contain_text(f"{new}overlay")
    expect(view.locator(".ct-stepper-done")).to_contain_text(f"+ mounted: {new} (overlay)")
    notebook.screenshot("stepper-mount-light", output=1)
    notebook.use_theme("dark")
    notebook.screenshot("stepper-mount-dark", output=1)


def test_keys_go_on_choose_and_run_to(open_cells: OpenCells) -> None:
    notebook = open_cells(LOAD, STEP, WHERE)
    notebook.run_cell(0)
    view = notebook.run_cell(1)
    view.get_by_role("listbox").focus()
    notebook.page.keyboard.press("n")
    at_step(view, 2)
    for _ in range(8):
        notebook.page.keyboard.press("ArrowDown")
    expect(view.get_by_role("option", selected=True)).to_contain_text("10")
    notebook.page.keyboard.press("r")
    at_step(view, 10)
    assert ask(notebook, 2)[1:] == (9, "half-made")
    view.get_by_role("listbox").focus()
    notebook.page.keyboard.press("e")
    settled(view, "the program has ended, exit code 3")
    expect(view.locator(".ct-output")).to_have_text("hello from inside\n")
    assert len(notebook.prompts()) == 3  # JupyterLab took none of the keys for itself
    notebook.screenshot("stepper-end-light", output=1)


def test_program_that_takes_its_time_is_seen_to_end(open_cells: OpenCells) -> None:
    program = 'trap "echo late; exit 4" USR1; while :; do sleep 0.1; done'
    notebook = open_cells(LOAD, f"s = %container step run lab sh -c '{program}'\ns", WHERE)
    notebook.run_cell(0)
    view = notebook.run_cell(1)
    button(view, "Run to the end").click()
    settled(view, "the program runs")
    view.get_by_role("option").nth(3).click()
    os.kill(ask(notebook, 2)[0], signal.SIGUSR1)
    settled(view, "the program has ended, exit code 4")  # nobody has pressed anything
    expect(view.locator(".ct-output")).to_have_text("late\n")
    expect(view.get_by_role("option", selected=True)).to_contain_text("4")  # what was chosen stays chosen


def test_two_views_agree_and_giving_up_leaves_nothing(open_cells: OpenCells) -> None:
    notebook = open_cells(LOAD, STEP, "s", WHERE)
    notebook.run_cell(0)
    one = notebook.run_cell(1)
    two = notebook.run_cell(2)
    button(one, "Next step").click()
    at_step(two, 2)
    button(two, "Next step").click()
    at_step(one, 3)
    pid = ask(notebook, 3)[0]
    button(one, "Give up").click()
    settled(two, "given up, nothing is left")
    assert is_dead(pid)
    expect(button(two, "Next step")).to_be_disabled()


def test_kernel_that_is_restarted_in_the_middle_leaves_nothing(open_cells: OpenCells) -> None:
    notebook = open_cells(LOAD, STEP, "_ = s.run_until('pivot_root')", WHERE, "%container ps -a")
    notebook.run_cell(0)
    view = notebook.run_cell(1)
    notebook.run_cell(2)
    pid = ask(notebook, 3)[0]
    os.kill(pid, 0)
    notebook.restart_kernel()
    wait_until(lambda: is_dead(pid), 10)
    expect(view.get_by_role("alert")).to_contain_text("The kernel that drew this has gone.")
    notebook.run_cell(0)
    notebook.run_cell(4)
    assert "half" not in notebook.text(4)
    assert "sh -c" not in notebook.text(4)


def test_cell_that_is_run_again_gives_up_what_it_had_made(open_cells: OpenCells) -> None:
    named = "s = %container step run --name once lab true\n_ = s.run_until('pivot_root')\ns"
    notebook = open_cells(LOAD, named, WHERE)
    notebook.run_cell(0)
    notebook.run_cell(1)
    first = ask(notebook, 2)[0]
    notebook.run_cell(1)
    assert notebook.errors() == []
    second = ask(notebook, 2)[0]
    assert first != second
    assert is_dead(first)


def test_what_goes_wrong_is_a_card(open_cells: OpenCells) -> None:
    notebook = open_cells(LOAD, STEP, "_ = s.run_until('pivot_root')\nimport os; os.kill(s.pid, 9)")
    notebook.run_cell(0)
    view = notebook.run_cell(1)
    notebook.run_cell(2)
    button(view, "Next step").click()
    expect(view.get_by_role("alert")).to_contain_text("died while it was being set up")
    settled(view, "given up, nothing is left")


def test_thirty_steps_are_thirty_pictures(open_cells: OpenCells) -> None:
    notebook = open_cells(LOAD, STEP, WHERE)
    notebook.run_cell(0)
    notebook.run_cell(1)
    assert len(notebook.page.evaluate(CLICKS, "Next step")) == 30  # each click has changed the picture
    assert ask(notebook, 2)[1] == 30


# Timeline

EXPLAIN = "t = %container explain run --rm lab echo hello\nt"


def test_calls_can_be_walked_opened_and_filtered(open_cells: OpenCells) -> None:
    notebook = open_cells(LOAD, EXPLAIN)
    notebook.run_cell(0)
    view = notebook.run_cell(1)
    svg = view.locator(".ct-timeline svg")
    svg.focus()
    notebook.page.keyboard.press("ArrowRight")
    details = view.locator(".ct-timeline-details")
    expect(details).to_contain_text("clone(")
    expect(details).to_contain_text("before anyone asked")
    expect(details.get_by_role("link")).to_have_attribute("href", "https://man7.org/linux/man-pages/man2/clone.2.html")
    notebook.page.keyboard.press("End")
    expect(details).to_contain_text("execve(")
    notebook.page.keyboard.press("Enter")
    expect(details).to_contain_text("All calls of this step:")
    notebook.screenshot("timeline-light", output=1)
    view.get_by_role("searchbox").fill("ENOENT")
    shown = view.locator(".ct-timeline svg rect.ct-timeline-failed:not(.ct-timeline-off)")
    assert shown.count() > 0
    assert (
        view.locator(".ct-timeline svg > rect:not(.ct-timeline-off):not(.ct-timeline-cursor)").count() == shown.count()
    )
    view.get_by_role("searchbox").fill("")
    view.get_by_role("button", name="cgroup").click()
    view.get_by_role("button", name="Scale: each call").click()
    for _ in range(3):
        view.get_by_role("button", name="closer").click()
    notebook.use_theme("dark")
    notebook.screenshot("timeline-time-dark", output=1)
    assert len(notebook.prompts()) == 2


def test_five_hundred_calls_are_drawn(open_cells: OpenCells, tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "run.jsonl")
    notebook = open_cells(LOAD, EXPLAIN, f"t.save({path!r})", f"r = %container replay {path}\nr")
    for index in range(4):
        notebook.run_cell(index)
    expect(notebook.output(3)).to_contain_text("recording of ")
    recording = load(path)
    many = recording._replace(events=(recording.events * 4)[:500])
    assert len(notebook.page.evaluate(DRAWS, [live_module("timeline"), facts(many)])) == 5
    notebook.screenshot("timeline-replayed-light", output=3)


def test_recording_is_walked_in_the_same_picture_and_back(open_cells: OpenCells, tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "walk.jsonl")
    notebook = open_cells(LOAD, f"{STEP}\ns.finish().wait(); s.save({path!r})", f"r = %container replay {path}\nr")
    for index in range(3):
        notebook.run_cell(index)
    view = notebook.output(2)
    expect(view).to_contain_text("recording of ")
    button(view, "Next step").click()
    at_step(view, 2)
    expect(view.locator(".ct-stepper-done")).to_contain_text("clone3(")
    button(view, "Run to the end").click()
    settled(view, "the program has ended, exit code 3")
    view.get_by_role("option").nth(11).click()
    button(view, "Run to here").click()
    at_step(view, 12)
    notebook.screenshot("stepper-replayed-light", output=2)
