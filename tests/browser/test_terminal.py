"""A container's terminal in a cell of a real JupyterLab: typed into with a real keyboard."""

import pathlib
import re
import statistics
import unicodedata

import nbformat
import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenCells, OpenNotebook
from tests.browser.notebook import Notebook, Theme

pytestmark = [pytest.mark.needs("root", "overlay", "chromium"), pytest.mark.timeout(300)]

LOAD = "%load_ext toolkit\nfrom toolkit.notebook import lesson\nlesson.needs_containers()"
RUN = "t = %container run -it --rm lab sh\nt"
TIMES = """async (count) => {
  const rows = document.querySelector('.xterm-rows');
  const box = document.querySelector('.xterm-helper-textarea');
  const times = [];
  for (let i = 0; i < count; i++) {
    const before = rows.textContent;
    const start = performance.now();
    box.dispatchEvent(new InputEvent('input', { data: 'x', inputType: 'insertText', composed: true, bubbles: true }));
    await new Promise((done) => {
      const look = () => { if (rows.textContent !== before) { watch.disconnect(); done(); } };
      const watch = new MutationObserver(look);
      watch.observe(rows, { childList: true, subtree: true, characterData: true });
      look();
    });
    times.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 60));
  }
  return times;
}"""


def screen(notebook: Notebook, index: int = 1) -> Locator:
    return notebook.output(index).locator(".xterm-rows")


def focus(notebook: Notebook, index: int = 1) -> None:
    notebook.output(index).locator(".ct-term-screen").click()


def begin(open_cells: OpenCells, *more: str, theme: Theme = "light", run: str = RUN) -> Notebook:
    notebook = open_cells(LOAD, run, *more, theme=theme)
    notebook.run_cell(0)
    notebook.run_cell(1)
    expect(screen(notebook)).to_contain_text("#", timeout=20_000)
    focus(notebook)
    return notebook


def expect_status(notebook: Notebook, index: int, text: str) -> None:
    expect(notebook.output(index).locator(".ct-term-head")).to_contain_text(text)


def type_line(notebook: Notebook, text: str) -> None:
    notebook.page.keyboard.type(text)
    notebook.page.keyboard.press("Enter")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_typed_is_done_and_drawn(open_cells: OpenCells, theme: Theme) -> None:
    notebook = begin(open_cells, "t.screen", theme=theme)
    type_line(notebook, "echo $((6*7)); ls --color=always /; printf '\\033[1;31mred\\033[0m \\033[32mgreen\\033[0m\\n'")
    expect(screen(notebook)).to_contain_text("red green")
    assert re.search(r"\b42\b", screen(notebook).inner_text())
    notebook.screenshot(f"terminal-{theme}", output=1)
    notebook.run_cell(2)
    assert "red green" in notebook.text(2)


def test_echo_is_quick(open_cells: OpenCells) -> None:
    notebook = begin(open_cells)
    notebook.page.wait_for_timeout(1000)
    times_ms = notebook.page.evaluate(TIMES, 40)
    print(f"\nkey press to echo: median {statistics.median(times_ms):.1f} ms, worst {max(times_ms):.1f} ms")
    assert len(times_ms) == 40


def test_size_follows_the_picture(open_cells: OpenCells) -> None:
    notebook = begin(open_cells)
    place = notebook.output(1).locator(".ct-term-screen")
    type_line(notebook, "stty size")
    expect(screen(notebook)).to_contain_text(re.compile(r"\d+ \d+"))
    before = re.findall(r"\b(\d+) (\d+)\b", screen(notebook).inner_text())[-1]
    place.evaluate("(node) => { node.style.height = '150px'; node.style.width = '500px'; }")
    notebook.page.wait_for_timeout(1000)
    type_line(notebook, "clear; stty size")
    expect(screen(notebook)).to_have_text(re.compile(r"^\s*\d+ \d+"))
    after = re.findall(r"\b(\d+) (\d+)\b", screen(notebook).inner_text())[0]
    assert int(after[0]) < int(before[0])
    assert int(after[1]) < int(before[1])


def test_ctrl_c_ends_a_command_and_exit_code_is_shown(open_cells: OpenCells) -> None:
    notebook = begin(open_cells, "t.wait(), t.exit_code, t.container.status")
    type_line(notebook, "sleep 1000; echo $?")
    notebook.page.wait_for_timeout(500)
    notebook.page.keyboard.press("Control+c")
    expect(screen(notebook)).to_contain_text("^C")
    type_line(notebook, "exit 7")
    expect_status(notebook, 1, "ended with exit code 7")
    notebook.screenshot("terminal-ended", output=1)
    notebook.run_cell(2)
    assert notebook.text(2) == "(7, 7, 'removed')"


def test_detach_keys_leave_the_container_and_attach_brings_it_back(open_cells: OpenCells) -> None:
    notebook = begin(
        open_cells, "%container attach left", "%container rm -f left", run="%container run -it --name left lab sh"
    )
    type_line(notebook, "here=before")
    notebook.page.keyboard.press("Control+p")
    notebook.page.keyboard.press("Control+q")
    expect_status(notebook, 1, "left: left goes on")
    notebook.run_cell(2)
    expect(notebook.output(2).locator(".ct-term-head")).not_to_contain_text("connecting")
    focus(notebook, 2)
    type_line(notebook, "echo it is $here")  # the shell's prompt was written before; docker shows none either
    expect(screen(notebook, 2)).to_contain_text("it is before")
    notebook.run_cell(3)
    expect_status(notebook, 2, "ended with exit code 137")


def test_full_screen_program_draws_and_gives_the_screen_back(open_cells: OpenCells) -> None:
    notebook = begin(open_cells)
    type_line(notebook, "top")
    expect(screen(notebook)).to_contain_text("PID USER")
    notebook.screenshot("terminal-top", output=1)
    notebook.page.keyboard.type("q")
    type_line(notebook, "clear; echo $((20+3)); tput smcup; echo $((30+3)); sleep 2; tput rmcup")
    expect(screen(notebook)).to_contain_text("33")
    expect(screen(notebook)).not_to_contain_text("23")
    expect(screen(notebook)).to_contain_text("23")
    expect(screen(notebook)).not_to_contain_text("33")


def test_two_views_show_the_same_and_both_type(open_cells: OpenCells) -> None:
    notebook = begin(open_cells, "t")
    type_line(notebook, "echo from the first")
    notebook.run_cell(2)
    expect(screen(notebook, 2)).to_contain_text("from the first")
    focus(notebook, 2)
    type_line(notebook, "echo $((40+4)) from the second")
    for index in (1, 2):
        expect(screen(notebook, index)).to_contain_text("44 from the second")


PASTE = """(node, text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData('text/plain', text);
  node.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
}"""


def test_lines_that_are_pasted_are_done_in_order(open_cells: OpenCells) -> None:
    notebook = begin(open_cells)
    box = notebook.output(1).locator(".xterm-helper-textarea")
    box.evaluate(PASTE, "echo $((1+6))-first\necho $((2+6))-second\n")
    expect(screen(notebook)).to_contain_text("8-second")
    shown = screen(notebook).inner_text()
    assert shown.index("7-first") < shown.index("8-second")
    many = "".join(f"n=$((n+{number}))\n" for number in range(1, 501))  # 7 kB: more than a terminal line holds
    box.evaluate(PASTE, f"n=0; stty -echo\n{many}clear; echo sum=$n; stty echo\n")
    expect(screen(notebook)).to_contain_text(f"sum={500 * 501 // 2}")


def test_wide_and_combined_letters_take_their_room(open_cells: OpenCells) -> None:
    notebook = begin(open_cells, "t.screen")
    type_line(notebook, "clear; echo '漢字|한국|e\u0301|🙂|'; echo done")
    expect(screen(notebook)).to_contain_text("done")
    expect(screen(notebook)).to_contain_text("漢字|한국|e\u0301|🙂|")
    notebook.screenshot("terminal-wide", output=1)
    notebook.run_cell(2)
    assert unicodedata.normalize("NFC", "漢字|한국|e\u0301|🙂|") in notebook.text(2)  # the still twin composes letters
    focus(notebook)
    type_line(notebook, "x漢")
    notebook.page.keyboard.type("echo 漢字")
    notebook.page.keyboard.press("Backspace")  # takes one letter of three bytes, of which the kernel clears one column
    notebook.page.keyboard.press("Backspace")
    type_line(notebook, "$((30+6))")
    expect(screen(notebook)).to_contain_text("))36#")


def test_tab_that_is_closed_leaves_the_session_to_the_kernel(
    open_cells: OpenCells, open_notebook: OpenNotebook
) -> None:
    notebook = begin(open_cells, "%container ps -q")
    type_line(notebook, "here=$((80+8))")
    notebook.save()
    notebook.close_tab()
    again = open_notebook(notebook.name)
    again.run_cell(2)
    assert len(again.text(2).split()) == 1
    focus(again)
    type_line(again, "echo it is $here; exit")
    expect(screen(again)).to_contain_text("it is 88")
    expect_status(again, 1, "ended with exit code 0")


def test_keys_are_heard_while_a_cell_runs(open_cells: OpenCells) -> None:
    notebook = begin(open_cells, "t.wait()")
    notebook.run_cell(2, wait=False)
    notebook.page.wait_for_timeout(300)
    focus(notebook)
    type_line(notebook, "echo $((50+5)); exit 3")
    expect(notebook.output(2)).to_contain_text("3")


def test_page_that_is_loaded_again_finds_the_session(open_cells: OpenCells) -> None:
    notebook = begin(open_cells)
    type_line(notebook, "here=$((60+6)); echo it was $here")
    expect(screen(notebook)).to_contain_text("it was 66")
    notebook.save()
    notebook.reload()
    expect(screen(notebook)).to_contain_text("it was 66", timeout=20_000)
    focus(notebook)
    type_line(notebook, "echo still $here")
    expect(screen(notebook)).to_contain_text("still 66")


def test_flood_is_drawn_and_stopped(open_cells: OpenCells) -> None:
    notebook = begin(open_cells, "import resource; resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024")
    notebook.run_cell(2)
    before_mb = int(notebook.text(2))
    focus(notebook)
    type_line(notebook, "yes")
    notebook.page.wait_for_timeout(5000)
    notebook.page.keyboard.press("Control+c")
    expect(screen(notebook)).to_contain_text("^C", timeout=10_000)
    type_line(notebook, "echo $((70+7))")
    expect(screen(notebook)).to_contain_text("77")
    notebook.run_cell(2)
    assert int(notebook.text(2)) - before_mb < 30


def test_keyboard_can_be_left(open_cells: OpenCells) -> None:
    notebook = begin(open_cells)
    notebook.page.keyboard.press("Shift+Escape")
    expect(notebook.output(1).get_by_role("button", name="Close")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    expect_status(notebook, 1, "ended with exit code")


def test_cell_that_is_run_again_closes_its_earlier_terminal(open_cells: OpenCells) -> None:
    notebook = begin(open_cells, "%container ps --format {{.Command}}")
    notebook.run_cell(1)
    expect(screen(notebook)).to_contain_text("#")
    notebook.run_cell(2)
    assert len(notebook.text(2).splitlines()) == 1


def test_restarted_kernel_hangs_up_and_the_picture_says_so(open_cells: OpenCells) -> None:
    notebook = begin(open_cells, "%container ps -aq")
    notebook.restart_kernel()
    expect(notebook.output(1).get_by_role("alert")).to_contain_text("has gone")
    notebook.run_cell(0)
    for _ in range(20):  # on a busy machine the files of a --rm container go a moment later
        notebook.run_cell(2)
        if not notebook.text(2):
            break
    assert notebook.text(2) == ""


def test_saved_notebook_has_the_last_screen(open_cells: OpenCells) -> None:
    notebook = begin(open_cells)
    type_line(notebook, "echo $((80+8)); exit 0")
    expect_status(notebook, 1, "ended with exit code 0")
    expect(screen(notebook)).to_contain_text("88")
    notebook.save()
    saved = nbformat.read(pathlib.Path(notebook.server.directory, notebook.name), as_version=4)
    data = saved.cells[1].outputs[0].data
    assert "88" in data["text/plain"]
    assert "<pre" in data["text/html"]
    assert "exit code 0" in data["text/html"]
