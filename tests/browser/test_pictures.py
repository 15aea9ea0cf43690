"""The live pictures in a real browser: what is clicked, dragged and typed changes the kernel, and they follow."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenCells
from tests.browser.notebook import Notebook
from tests.support.session import EngineRoot
from toolkit.engine.engine import Engine

pytestmark = [
    pytest.mark.needs("root", "overlay", "chromium", "seccomp", "cgroup:memory", "cgroup:pids"),
    pytest.mark.timeout(300),
]

_PATIENCE_MS = 30_000
_START = """%load_ext toolkit
from toolkit.notebook.pictures import *
c = %container run -d --name web -m 64m --pids-limit 20 lab sh -c 'sleep 500 & sleep 600'
"""
_END = "c.remove(force=True)"


def _sees(place: Locator, text: str | re.Pattern[str]) -> None:
    expect(place).to_contain_text(text, timeout=_PATIENCE_MS)


def _both(notebook: Notebook, name: str, output: int) -> None:
    """Keep the picture in the light and in the dark theme."""
    notebook.screenshot(f"{name}-light", output=output)
    notebook.use_theme("dark")
    notebook.screenshot(f"{name}-dark", output=output)
    notebook.use_theme("light")


def _ask(notebook: Notebook, index: int) -> str:
    notebook.run_cell(index)
    return notebook.text(index)


@pytest.fixture(autouse=True)
def _containers_end(module_engine_root: EngineRoot) -> Iterator[None]:
    """Remove what a test that failed has left."""
    yield
    with Engine.open(module_engine_root.root, module_engine_root.run) as engine:
        for container in engine.containers.list(all=True):
            container.remove(force=True)


@pytest.fixture
def shown(open_cells: OpenCells) -> Callable[..., tuple[Notebook, Locator]]:
    """Start a container, show a picture of it (cell 1), and have more cells to ask the kernel with."""

    def show(picture: str, *cells: str) -> tuple[Notebook, Locator]:
        notebook = open_cells(_START, picture, *cells, _END)
        notebook.run_cell(0)
        return notebook, notebook.run_cell(1)

    return show


def test_namespace_map_joins_what_is_chosen_by_keyboard(shown: Callable[..., tuple[Notebook, Locator]]) -> None:
    late, gone = "d = %container run -d --rm --name late lab sleep 600", "d.remove(force=True)"
    said = "print(m.answer['kinds'], m.answer['output'].strip() == c.id[:12])"
    notebook, output = shown("m = namespace_map()\nm", late, gone, said)
    _sees(output, "web")
    _sees(output.locator(".ct-live"), re.compile("^live$"))
    output.locator(".ct-map-cell[aria-label*='pid namespace']").last.focus()
    for _ in range(2):
        notebook.page.keyboard.press("ArrowRight")  # pid, mnt, uts
    notebook.page.keyboard.press("Space")
    expect(output.locator(".ct-map-cell[aria-pressed=true]")).to_have_count(1)
    output.locator(".ct-input").press("Enter")
    _sees(output.locator(".ct-map-answer"), "CLONE_NEWUTS")
    _both(notebook, "namespace-map", 1)
    assert _ask(notebook, 4) == "['uts'] True"
    notebook.run_cell(2)
    _sees(output, "late")
    notebook.run_cell(3)
    expect(output).not_to_contain_text("late", timeout=_PATIENCE_MS)
    notebook.run_cell(5)
    expect(output.locator(".ct-map-group")).to_have_count(1, timeout=_PATIENCE_MS)


def test_gauges_follow_the_kernel_and_move_its_limits(shown: Callable[..., tuple[Notebook, Locator]]) -> None:
    notebook, output = shown("g = gauges(c)\ng", "print(g.sample().pids_limit, g.sample().memory_limit_bytes >> 20)",
                             "_ = c.exec('sh', '-c', 'python3 -c \"b = bytearray(500 << 20)\"; true')")  # fmt: skip
    pids = output.locator("[data-what=pids]")
    _sees(pids, "limit 20")
    handle = pids.get_by_role("slider")
    handle.focus()
    notebook.page.keyboard.press("ArrowRight")
    _sees(pids, re.compile(r"limit 32\b(?!\?)"))
    memory = output.locator("[data-what=memory]")
    slider = memory.get_by_role("slider")
    box = slider.bounding_box()
    assert box is not None
    notebook.page.mouse.move(box["x"] + box["width"] * 0.43, box["y"] + box["height"] / 2)
    notebook.page.mouse.down()
    notebook.page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] / 2, steps=5)
    notebook.page.mouse.up()
    expect(memory.locator(".ct-gauge-words")).not_to_contain_text("limit 64", timeout=_PATIENCE_MS)
    pids_limit, memory_mib = map(int, _ask(notebook, 2).split())
    assert pids_limit == 32
    assert memory_mib > 64
    notebook.run_cell(3)
    _sees(memory, "1 killed by the kernel at the limit (OOM)")
    expect(memory.locator(".ct-curve-mark")).to_have_count(1, timeout=_PATIENCE_MS)
    _both(notebook, "gauges", 1)
    assert _ask(notebook, 4) == ""
    _sees(output, "The container does not run: it has been removed.")


def test_hidden_picture_costs_nothing_and_two_views_share_one_thread(
    shown: Callable[..., tuple[Notebook, Locator]],
) -> None:
    count = "import threading\nprint(sum(each.name == 'picture' for each in threading.enumerate()), g.beats)"
    notebook, output = shown("g = gauges(c)\ng", "g", count)
    second = notebook.run_cell(2)
    for place in (output, second):
        _sees(place.locator("[data-what=pids]"), "limit 20")
    threads, beats = map(int, _ask(notebook, 3).split())
    assert threads == 1
    notebook.page.wait_for_timeout(2500)
    assert int(_ask(notebook, 3).split()[1]) > beats
    for place in (output, second):
        place.evaluate("(area) => { area.style.display = 'none'; }")
    notebook.page.wait_for_timeout(1500)
    threads, beats = map(int, _ask(notebook, 3).split())
    assert threads == 0
    notebook.page.wait_for_timeout(2500)
    assert int(_ask(notebook, 3).split()[1]) == beats
    second.evaluate("(area) => { area.style.display = ''; }")
    notebook.page.wait_for_timeout(2500)
    assert int(_ask(notebook, 3).split()[0]) == 1
    notebook.run_cell(4)


def test_arena_switch_decides_whether_the_attack_works(open_cells: OpenCells) -> None:
    notebook = open_cells(
        "%load_ext toolkit\nfrom toolkit.notebook.pictures import arena",
        "a = arena()\na",
        "print([each['succeeded'] for each in a.outcomes[\"kill a process of the host's\"]])",
    )
    notebook.run_cell(0)
    output = notebook.run_cell(1)
    card = output.get_by_role("region", name="kill a process of the host's")
    card.get_by_role("button", name="Run").click()
    _sees(card, "the attack failed")
    _sees(card, "is alive")
    switch = card.get_by_role("switch", name="pid namespace, against")
    switch.focus()
    notebook.page.keyboard.press("Space")
    expect(switch).not_to_be_checked()
    card.get_by_role("button", name="Run").press("Enter")
    _sees(card, "the attack worked")
    _sees(card, "was killed by SIGKILL")
    _sees(card, "before: pid namespace on, not root off: failed")
    _both(notebook, "arena", 1)
    assert _ask(notebook, 2) == "[False, True]"


def test_playground_takes_a_capability_away_by_a_click(open_cells: OpenCells) -> None:
    notebook = open_cells(
        "%load_ext toolkit\nfrom toolkit.notebook.pictures import playground",
        "p = playground()\np",
        "print(p.result['exit_code'], 'CAP_CHOWN' in p.result['effective'])",
    )
    notebook.run_cell(0)
    output = notebook.run_cell(1)
    run = output.get_by_role("button", name="Run")
    run.click()
    _sees(output.locator(".ct-play-result"), "exit code 0")
    chown = output.get_by_role("button", name="CAP_CHOWN:")
    expect(chown).to_have_attribute("aria-pressed", "true")
    chown.focus()
    _sees(output.locator(".ct-play-meaning"), "give files to other users")
    notebook.page.keyboard.press("Space")
    expect(chown).to_have_attribute("aria-pressed", "false")
    output.get_by_label("command", exact=True).press("Enter")
    _sees(output.locator(".ct-play-result"), "exit code 1")
    expect(output.locator(".ct-play-eff")).not_to_contain_text(" chown", timeout=_PATIENCE_MS)
    _both(notebook, "playground", 1)
    assert _ask(notebook, 2) == "1 False"


def test_sides_show_each_topic_and_what_is_the_same(shown: Callable[..., tuple[Notebook, Locator]]) -> None:
    notebook, output = shown("s = sides(c)\ns")
    columns = output.locator(".ct-panel:not([hidden]) .ct-sides-column")
    _sees(columns.last, "sleep 600")
    assert columns.first.locator(".ct-sides-same").count() == columns.last.locator(".ct-sides-same").count() == 3
    columns.last.locator(".ct-sides-same").first.hover()
    expect(output.locator(".ct-sides-point")).to_have_count(2)
    _both(notebook, "sides", 1)
    output.get_by_role("tab", name="processes").focus()
    for _ in range(2):
        notebook.page.keyboard.press("ArrowRight")
    _sees(columns.last, "hostname")
    _sees(columns.last, "uid=0(root)")
    notebook.run_cell(2)
    _sees(output, "The container does not run any more")


def test_picture_of_a_kernel_that_was_restarted_says_so(shown: Callable[..., tuple[Notebook, Locator]]) -> None:
    notebook, output = shown("gauges(c)", "%load_ext toolkit\nc = %container rm -f web")
    _sees(output.locator("[data-what=pids]"), "limit 20")
    notebook.restart_kernel()
    _sees(output.locator(".ct-trouble"), "The kernel that drew this has gone.")
    notebook.run_cell(2)
