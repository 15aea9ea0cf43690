"""What all widgets stand on, in a real JupyterLab: two views, a trouble card, a kernel that goes, the static twin."""

import json
import pathlib

import nbformat
import pytest
from nbconvert import HTMLExporter, MarkdownExporter
from playwright.sync_api import expect

from tests.browser.conftest import OpenCells
from tests.browser.notebook import Notebook

pytestmark = [pytest.mark.needs("root", "overlay", "chromium"), pytest.mark.timeout(300)]

PROBE = r'''
import pathlib
import traitlets
from toolkit.core.errors import ConflictError
from toolkit.notebook.figures import Figure
from toolkit.notebook.widgets import base

class Probe(base.LiveWidget):
    _esm = pathlib.Path(base.__file__).with_name("static").joinpath("base.js").read_text() + """
    function render({ model, el: root }) {
      const [card, stop] = troubleCard(model);
      const [said, say] = announcer();
      const [table, draw] = liveTable("Counts", ["what", "how often"]);
      const [book, choose] = tabs("Pages", [["Count", table], ["Other", "the other page"]]);
      const count = () => {
        draw([{ key: 1, cells: ["asked", model.get("count")] }]);
        say(`count ${model.get("count")}`);
      };
      model.on("change:count", count);
      count();
      const press = (name) => el("button", { class: "ct-button", onclick: () => ask(model, name) }, name);
      root.append(el("div", { class: "ct" }, ["add", "refuse", "stumble", "unknown"].map(press), book, said, card));
      globalThis.probes = (globalThis.probes ?? 0) + 1;
      return () => { model.off("change:count", count); stop(); globalThis.probes -= 1; };
    }
    export default { render };
    """
    count = traitlets.Int().tag(sync=True)
    answers_at_once = True
    def do_add(self): self.count += 1
    def do_refuse(self): raise ConflictError("it does not run", hint="start it")
    def do_stumble(self): return 1 / 0
    def figure(self): return Figure("<b>the still twin</b>", "the still twin as text")

probe = Probe()
'''


def press(notebook: Notebook, index: int, name: str) -> None:
    notebook.output(index).get_by_role("button", name=name, exact=True).click()


def test_two_views_show_one_model_and_clean_up(open_cells: OpenCells) -> None:
    notebook = open_cells(PROBE, "probe", "probe")
    notebook.run_all()
    press(notebook, 1, "add")
    for index in (1, 2):
        expect(notebook.output(index).get_by_role("row").last).to_have_text("asked1")
        expect(notebook.output(index).get_by_role("status")).to_have_text("count 1")
    assert notebook.page.evaluate("probes") == 2
    notebook.execute("notebook:clear-all-cell-outputs")
    notebook.page.wait_for_function("probes === 0")


def test_refusal_becomes_a_card_and_the_next_deed_takes_it_away(open_cells: OpenCells) -> None:
    notebook = open_cells(PROBE, "probe")
    notebook.run_all()
    card = notebook.output(1).get_by_role("alert")
    expect(card).to_be_hidden()
    press(notebook, 1, "refuse")
    expect(card).to_have_text("it does not runstart it")
    press(notebook, 1, "add")
    expect(card).to_be_hidden()


def test_fault_of_a_picture_is_a_card_too(open_cells: OpenCells) -> None:
    notebook = open_cells(PROBE, "probe")
    notebook.run_all()
    press(notebook, 1, "stumble")
    expect(notebook.output(1).get_by_role("alert")).to_contain_text("ZeroDivisionError: division by zero")


def test_deed_that_this_kernel_does_not_know_does_no_harm(open_cells: OpenCells) -> None:
    notebook = open_cells(PROBE, "probe")
    notebook.run_all()
    press(notebook, 1, "unknown")
    press(notebook, 1, "add")
    expect(notebook.output(1).get_by_role("status")).to_have_text("count 1")
    assert notebook.errors() == []


def test_widget_answers_while_a_cell_runs(open_cells: OpenCells) -> None:
    notebook = open_cells(PROBE, "probe", "import time\nwhile not probe.count: time.sleep(0.01)")
    notebook.run_cell(0)
    notebook.run_cell(1)
    notebook.run_cell(2, wait=False)
    press(notebook, 1, "add")
    notebook.wait_until_idle()
    assert notebook.text(1).count("asked") == 1


def test_tabs_are_chosen_with_the_arrow_keys(open_cells: OpenCells) -> None:
    notebook = open_cells(PROBE, "probe")
    notebook.run_all()
    shown = notebook.output(1)
    shown.get_by_role("tab", name="Count").focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(shown.get_by_role("tab", name="Other")).to_be_focused()
    expect(shown.get_by_text("the other page")).to_be_visible()
    expect(shown.get_by_role("table")).to_be_hidden()
    notebook.page.keyboard.press("End")
    notebook.page.keyboard.press("ArrowRight")
    expect(shown.get_by_role("tab", name="Count")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_kernel_that_was_restarted_leaves_a_picture_that_says_so(open_cells: OpenCells, theme: str) -> None:
    notebook = open_cells(PROBE, "probe", theme=theme)
    notebook.run_all()
    notebook.restart_kernel()
    card = notebook.output(1).get_by_role("alert")
    expect(card).to_contain_text("The kernel that drew this has gone")
    notebook.screenshot(f"ground-gone-{theme}", output=1)
    notebook.run_cell(0)  # the new kernel hears nothing of the old picture, and draws a new one
    notebook.run_cell(1)
    expect(card).to_be_hidden()
    press(notebook, 1, "add")
    expect(notebook.output(1).get_by_role("status")).to_have_text("count 1")


def test_kernel_that_was_killed_leaves_a_picture_that_says_so(open_cells: OpenCells) -> None:
    notebook = open_cells(PROBE, "probe", "import os; os.kill(os.getpid(), 9)")
    notebook.run_cell(0)
    notebook.run_cell(1)
    notebook.run_cell(2, wait=False)
    expect(notebook.output(1).get_by_role("alert")).to_contain_text("has gone", timeout=30_000)
    notebook.page.get_by_role("button", name="Ok").click()  # JupyterLab says that the kernel died


def test_saved_notebook_has_the_twin_that_converters_show(open_cells: OpenCells) -> None:
    notebook = open_cells(PROBE, "probe")
    notebook.run_all()
    expect(notebook.output(1).get_by_role("button", name="add")).to_be_visible()
    assert "still twin" not in notebook.text(1)
    notebook.save()
    path = pathlib.Path(notebook.server.directory, notebook.name)
    saved = nbformat.read(path, as_version=4)
    data = saved.cells[1].outputs[0].data
    assert (data["text/plain"], data["text/html"]) == ("the still twin as text", "<b>the still twin</b>")
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "widgets" not in saved.metadata, "the model's state is not saved"
    html, _ = HTMLExporter(template_name="lab").from_notebook_node(saved)
    assert "<b>the still twin</b>" in html
    assert "widget-view+json" not in html
    text, _ = MarkdownExporter().from_notebook_node(saved)
    assert "<b>the still twin</b>" in text
    assert json.loads(path.read_text())["cells"][1]["outputs"][0]["output_type"] == "execute_result"
