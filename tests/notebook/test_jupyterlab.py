"""The lessons in JupyterLab, in Chromium: Run All gives no error, and a picture of it is kept.

The pictures go to TOOLKIT_ARTIFACTS, or to artifacts/ beside pyproject.toml.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.jupyter import Server, serving
from tests.support.notebooks import sources, target

pytestmark = [pytest.mark.needs("root", "overlay", "chromium"), pytest.mark.timeout(300)]
_ROOT = Path(__file__).parents[2]
_SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
_RUN_S = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    scratch = tmp_path_factory.mktemp("jupyter")
    for name, values in _SETTINGS.items():
        plugin, _, part = name.partition("/")
        path = scratch / "settings" / "@jupyterlab" / plugin / f"{part}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    notebooks = scratch / "notebooks"
    notebooks.mkdir()
    for source in sources():
        shutil.copy(target(source), notebooks)
    with serving(str(notebooks), str(scratch)) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1200, "height": 1000})
    yield opened
    opened.close()


def keep_picture(page: Page, name: str) -> None:
    """Keep a picture of the whole notebook."""
    directory = Path(os.environ.get("TOOLKIT_ARTIFACTS") or _ROOT / "artifacts")
    directory.mkdir(parents=True, exist_ok=True)
    height = page.evaluate("document.querySelector('.jp-WindowedPanel-inner').getBoundingClientRect().height")
    page.set_viewport_size({"width": 1200, "height": int(height) + 120})
    page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0")
    page.wait_for_timeout(500)
    page.screenshot(path=str(directory / f"{name}.png"))


@pytest.mark.parametrize("name", [os.path.basename(target(source)) for source in sources()])
def test_run_all_in_jupyterlab_gives_no_error(server: Server, page: Page, name: str) -> None:
    page.goto(f"{server.url}/lab/tree/{name}?token={server.token}&reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    server.wait_for_kernel(name, "idle", timeout_s=60)
    page.wait_for_timeout(1_000)  # the page learns of its kernel a moment after the server does
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    code = page.locator(".jp-CodeCell")
    last = code.nth(code.count() - 1).locator(".jp-InputPrompt").first
    page.wait_for_function(
        "prompt => /\\[[0-9]+\\]:/.test(prompt.textContent)", arg=last.element_handle(), timeout=_RUN_S * 1000
    )
    server.wait_for_kernel(name, "idle", timeout_s=30)
    page.wait_for_timeout(500)
    keep_picture(page, name.removesuffix(".ipynb"))
    errors = page.locator(
        '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
    )
    assert errors.all_inner_texts() == []
    assert page.locator(".jp-OutputArea-output").count() >= 8
