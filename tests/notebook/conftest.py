"""An IPython in this process, with the extension loaded, on the session's own engine root."""

import os
import sys
from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from tests.support.cells import Cells
from toolkit.notebook.values import Container


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    os.environ["IPYTHONDIR"] = str(tmp_path_factory.mktemp("ipython"))
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    hooks = sys.excepthook, sys.displayhook
    made = InteractiveShell.instance(config=config)
    made.run_line_magic("load_ext", "toolkit")
    yield made
    made.run_line_magic("unload_ext", "toolkit")
    InteractiveShell.clear_instance()
    sys.excepthook, sys.displayhook = hooks


@pytest.fixture
def cells(shell: InteractiveShell) -> Cells:
    """Run cells and see what they show."""
    return Cells(shell, capture_output)


@pytest.fixture
def web(cells: Cells) -> Iterator[Container]:
    """Run a container of two processes."""
    made = cells.value("%container run -d --name web lab sh -c 'sleep 500 & sleep 600'")
    yield made
    made.remove(force=True)
