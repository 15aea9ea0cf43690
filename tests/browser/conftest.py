"""One browser and one JupyterLab for a module, and an easy way to a notebook made of given cells.

    def test_something(open_cells: OpenCells) -> None:
        notebook = open_cells("from toolkit.notebook import widgets\n...", theme="dark")
        shown = notebook.run_cell(0)
        shown.get_by_role("button", name="Next").click()
        notebook.screenshot("stepper-dark", output=0)

What a notebook complains of in the console fails its test at the end, unless
the test takes it (`take_complaints`).
"""

import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Protocol

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.jupyter import Server, browse, serve
from tests.browser.notebook import SIZE, Notebook, Theme, write
from tests.support.nested import REPOSITORY
from tests.support.session import EngineRoot, module_engine_root

__all__ = ["module_engine_root"]

expect.set_options(timeout=20_000)  # milliseconds: machines that test are busy


class OpenNotebook(Protocol):
    """Opens a notebook of the server's directory in a page of its own."""

    def __call__(self, name: str, *, theme: Theme = "light") -> Notebook: ...


class OpenCells(Protocol):
    """Makes a notebook of code cells and opens it in a page of its own."""

    def __call__(self, *cells: str, theme: Theme = "light") -> Notebook: ...


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """Start Debian's chromium, with a profile of its own that goes with it; all pages share its cache."""
    with browse() as context:
        yield context


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, module_engine_root: EngineRoot) -> Iterator[Server]:
    """Start JupyterLab on a copy of the notebooks, with an engine of its own."""
    base = tmp_path_factory.mktemp("jupyter")
    copy = base / "notebooks"
    shutil.copytree(os.path.join(REPOSITORY, "notebooks"), copy)
    environ = {
        "CONTAINER_ROOT": module_engine_root.root,
        "CONTAINER_RUN": module_engine_root.run,
        "PYTHONPATH": REPOSITORY,
    }
    with serve(copy, base / "home", environ) as running:
        yield running


@pytest.fixture
def open_notebook(browser: BrowserContext, server: Server) -> Iterator[OpenNotebook]:
    """Open notebooks; at the end pages are closed, kernels are ended, and nothing may have been complained of."""
    opened: list[Notebook] = []

    def open_one(name: str, *, theme: Theme = "light") -> Notebook:
        page = browser.new_page()
        pages.append(page)
        page.set_viewport_size(SIZE)
        opened.append(Notebook(page, server, name, theme))
        return opened[-1]

    pages: list[Page] = []
    yield open_one
    for page in pages:
        page.close()
    server.end_kernels()
    assert [(each.name, each.complaints) for each in opened if each.complaints] == []


@pytest.fixture
def open_cells(open_notebook: OpenNotebook, server: Server) -> OpenCells:
    """Open notebooks made of code cells."""
    count = 0

    def open_one(*cells: str, theme: Theme = "light") -> Notebook:
        nonlocal count
        count += 1
        name = f"made-{count}.ipynb"
        write(pathlib.Path(server.directory, name), cells)
        return open_notebook(name, theme=theme)

    return open_one
