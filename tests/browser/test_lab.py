"""The notebooks in a real JupyterLab in a real browser, as a student sees them."""

import os
import pathlib
import shutil
import time
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.jupyter import Server, serve
from tests.support.nested import REPOSITORY
from tests.support.session import EngineRoot

pytestmark = [pytest.mark.needs("root", "overlay", "chromium"), pytest.mark.timeout(300)]

NOTEBOOKS = sorted(pathlib.Path(REPOSITORY, "notebooks").glob("*.ipynb"))
ARTIFACTS = pathlib.Path(os.environ.get("TOOLKIT_ARTIFACTS") or f"{REPOSITORY}/artifacts")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync"]  # fmt: skip
_RUN_S = 180.0
_PANEL = "document.querySelector('.jp-WindowedPanel-outer')"
_STDERR = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'  # JupyterLab shows tracebacks so too


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's chromium, with a profile of its own that goes with it."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=_FLAGS)
        try:
            yield running
        finally:
            running.close()


@pytest.fixture
def server(tmp_path: pathlib.Path, engine_root: EngineRoot) -> Iterator[Server]:
    """Start JupyterLab on a copy of the notebooks, with an engine of its own."""
    copy = tmp_path / "notebooks"
    shutil.copytree(os.path.join(REPOSITORY, "notebooks"), copy)
    environ = {"CONTAINER_ROOT": engine_root.root, "CONTAINER_RUN": engine_root.run, "PYTHONPATH": REPOSITORY}
    with serve(copy, tmp_path / "home", environ) as running:
        yield running


class Notebook:
    """A notebook open in a page, and what went wrong there."""

    def __init__(self, page: Page, server: Server, name: str) -> None:
        self.page = page
        self.server = server
        self.complaints: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.goto(server.page(name))
        page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
        self._wait_until_idle(60)
        page.wait_for_timeout(1000)  # the page learns a moment later than the server that the kernel is ready

    def _note(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(text)

    def _wait_until_idle(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.server.is_idle():
            assert time.monotonic() < deadline, "the kernel does not become idle"
            self.page.wait_for_timeout(200)

    def prompts(self) -> list[str]:
        """Return the prompt of each code cell: "[3]:" once it has run, "[*]:" while it runs."""
        return [each.strip() for each in self.page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()]

    def run_all(self) -> None:
        """Choose Run All Cells in the menu, wait until every cell has run, and see that none has complained."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        deadline = time.monotonic() + _RUN_S
        while not all(each.strip("[]:").isdecimal() for each in self.prompts()):
            assert self.errors() == []
            assert time.monotonic() < deadline, f"cells that have not run: {self.prompts()}"
            self.page.wait_for_timeout(200)
        self._wait_until_idle(30)
        self.page.wait_for_timeout(1000)  # the last output is drawn
        assert self.errors() == []

    def errors(self) -> list[str]:
        """Return what was written to stderr, and the tracebacks of cells that failed."""
        return self.page.locator(_STDERR).all_inner_texts()

    def screenshot(self, path: pathlib.Path) -> None:
        """Keep a picture of the whole notebook, not only of the part in sight."""
        path.parent.mkdir(exist_ok=True)
        height = self.page.evaluate(f"{_PANEL}.scrollHeight")
        self.page.set_viewport_size({"width": 1300, "height": min(int(height) + 120, 12_000)})
        self.page.wait_for_timeout(500)
        self.page.evaluate(f"{_PANEL}.scrollTop = 0")
        self.page.wait_for_timeout(500)
        self.page.screenshot(path=path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_without_error_in_jupyterlab(browser: Browser, server: Server, path: pathlib.Path) -> None:
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    try:
        notebook = Notebook(context.new_page(), server, path.name)
        notebook.run_all()
        notebook.screenshot(ARTIFACTS / f"{path.stem}.png")
        assert notebook.complaints == []
    finally:
        context.close()


def test_failed_cell_and_console_error_are_seen(browser: Browser, server: Server) -> None:
    cells = ["from IPython.display import Javascript\nJavascript('console.error(\"oh no\")')", "1 / 0"]
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    document.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(document, server.directory / "broken.ipynb")
    context = browser.new_context()
    try:
        notebook = Notebook(context.new_page(), server, "broken.ipynb")
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            notebook.run_all()
        assert "oh no" in notebook.complaints
    finally:
        context.close()


def test_there_are_notebooks_to_open() -> None:
    assert NOTEBOOKS
