"""A notebook open in a page of JupyterLab: what a person does there, and what went wrong.

The menu's own commands are called through the application object that
JupyterLab shows to tests (`LabApp.expose_app_in_browser`); cells are run and
widgets are used with mouse and keyboard.
"""

import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any, Literal

import nbformat
from playwright.sync_api import Locator, Page, ViewportSize

from tests.browser.jupyter import Server
from tests.support.nested import REPOSITORY

ARTIFACTS = pathlib.Path(os.environ.get("TOOLKIT_ARTIFACTS") or f"{REPOSITORY}/artifacts")
"""Where screenshots are kept, to be looked at."""

Theme = Literal["light", "dark"]
SIZE: ViewportSize = {"width": 1300, "height": 1000}

_RUN_S = 180.0
_OPEN_S = 90.0
_IDLE_S = 30.0
_DRAW_MS = 500
_MARGIN, _MAX_HEIGHT = 120, 12_000
_PANEL = "document.querySelector('.jp-WindowedPanel-outer')"
_STDERR = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'  # JupyterLab shows tracebacks so too
_KERNEL_STATUS = (
    "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status ?? 'none'"  # as this page knows it
)


def write(path: pathlib.Path, cells: Sequence[str]) -> None:
    """Make a notebook of these code cells."""
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    document.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(document, path)


class Notebook:
    """A notebook open in a page, and what went wrong there."""

    def __init__(self, page: Page, server: Server, name: str, theme: Theme = "light") -> None:
        """Open the notebook `name` of the server's directory; its kernel is ready when this returns."""
        self.page = page
        self.server = server
        self.name = name
        self.complaints: list[str] = []
        """What was written to the browser's console as an error, and exceptions that nobody caught."""
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.goto(server.page(name))
        self._wait_until_open()
        self.use_theme(theme)

    # What a person does

    def run_cell(self, index: int, *, wait: bool = True) -> Locator:
        """Choose the code cell `index`, counted from 0, and Run Selected Cell; return its output area."""
        prompt = self.cell(index).locator(".jp-InputPrompt")
        prompt.click()
        prompt.evaluate("(node) => { node.textContent = ''; }")  # a new kernel may number it as the old one did
        self._begin(
            "notebook:run-cell"
        )  # the key would go to a terminal in the cell's output, where that has the focus
        if wait:
            self._wait_until(lambda: _is_number(self.prompts()[index]), f"cell {index} does not end", _RUN_S)
            self.page.wait_for_timeout(100)  # what it shows is drawn
        return self.output(index)

    def run_all(self) -> None:
        """Choose Run All Cells in the menu, wait until every cell has run, and see that none has complained."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        deadline = time.monotonic() + _RUN_S
        while not all(map(_is_number, self.prompts())):
            self._see_no_error()
            assert time.monotonic() < deadline, f"cells that have not run: {self.prompts()}"
            self.page.wait_for_timeout(200)
        self.wait_until_idle()
        self.page.wait_for_timeout(1000)  # the last output is drawn
        self._see_no_error()

    def restart_kernel(self) -> None:
        """Choose Restart Kernel, confirm it, and wait until the new one is ready; outputs stay as they are."""
        session = self.server.session(self.name)
        assert session is not None
        self._begin("notebook:restart-kernel")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self._wait_until(lambda: self._kernel_status() != "idle", "the kernel does not restart")
        self.wait_until_idle()

    def use_theme(self, theme: Theme) -> None:
        """Change JupyterLab's theme."""
        self.execute("apputils:change-theme", theme=f"JupyterLab {theme.capitalize()}")
        is_light = "true" if theme == "light" else "false"
        self.page.locator(f'body[data-jp-theme-light="{is_light}"]').wait_for(state="attached")

    def reload(self) -> None:
        """Load the page again, as the browser's button does; the kernel goes on."""
        self.page.reload()
        self._wait_until_open()

    def save(self) -> None:
        """Save the notebook."""
        self.execute("docmanager:save")

    def close_tab(self) -> None:
        """Close the browser's tab; the kernel goes on."""
        self.page.close()

    def execute(self, command: str, **arguments: Any) -> None:
        """Do one of JupyterLab's commands, as a menu or a key does, and wait for it."""
        self.page.evaluate(
            "async ([command, words]) => { await window.jupyterapp.commands.execute(command, words); }",
            [command, arguments],
        )

    def _begin(self, command: str) -> None:
        """As `execute`, for a command that asks something before it ends."""
        self.page.evaluate("(command) => { void window.jupyterapp.commands.execute(command); }", command)

    # What a person sees

    def cell(self, index: int) -> Locator:
        """Return the code cell `index`, counted from 0."""
        return self.page.locator(".jp-CodeCell").nth(index)

    def output(self, index: int) -> Locator:
        """Return what the code cell `index` shows below itself."""
        return self.cell(index).locator(".jp-Cell-outputWrapper")

    def text(self, index: int) -> str:
        """Return the text that the code cell `index` shows below itself."""
        return "\n".join(self.output(index).locator(".jp-OutputArea-output").all_inner_texts()).strip()

    def prompts(self) -> list[str]:
        """Return the prompt of each code cell: "[3]:" once it has run, "[*]:" while it runs."""
        return [each.strip() for each in self.page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()]

    def errors(self) -> list[str]:
        """Return what was written to stderr, and the tracebacks of cells that failed."""
        return self.page.locator(_STDERR).all_inner_texts()

    def _see_no_error(self) -> None:
        errors = self.errors()
        assert not errors, "\n".join(errors)

    def take_complaints(self) -> list[str]:
        """Return the complaints so far and forget them: a test that means to have them says so."""
        taken, self.complaints = self.complaints, []
        return taken

    def screenshot(self, name: str, *, output: int | None = None) -> pathlib.Path:
        """Keep a picture of the whole notebook, not only of the part in sight, or of one cell's output.

        Args:
            name: of the file in ARTIFACTS, without .png.
            output: index of the code cell whose output it is.
        """
        path = ARTIFACTS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if output is not None:
            self.page.wait_for_timeout(_DRAW_MS)
            self.output(output).screenshot(path=path)
            return path
        height = self.page.evaluate(f"{_PANEL}.scrollHeight")
        self.page.set_viewport_size({**SIZE, "height": min(int(height) + _MARGIN, _MAX_HEIGHT)})
        self.page.wait_for_timeout(_DRAW_MS)
        self.page.evaluate(f"{_PANEL}.scrollTop = 0")
        self.page.wait_for_timeout(_DRAW_MS)
        self.page.screenshot(path=path)
        return path

    # Waiting

    def wait_until_idle(self, seconds: float = _IDLE_S) -> None:
        """Wait until the kernel has nothing to do, and both the server and this page know."""
        self._wait_until(
            lambda: self.server.is_idle(self.name) and self._kernel_status() == "idle",
            "the kernel does not become idle",
            seconds,
        )

    def _wait_until_open(self) -> None:
        self.page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=1000 * _OPEN_S)
        self.wait_until_idle(_OPEN_S)
        self.page.wait_for_timeout(_DRAW_MS)  # widgets of a notebook that is opened again ask the kernel first

    def _wait_until(self, is_so: Any, complaint: str, seconds: float = _IDLE_S) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, complaint
            self.page.wait_for_timeout(50)

    def _kernel_status(self) -> str:
        return str(self.page.evaluate(_KERNEL_STATUS))

    def _note(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(text)


def _is_number(prompt: str) -> bool:
    return prompt.strip("[]:").isdecimal()
