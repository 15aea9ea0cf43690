"""The two things that a value must ask of the running IPython."""

from collections.abc import Mapping
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data


def publish(bundle: Mapping[str, str]) -> None:
    """Show something in the running cell, in the richest of these forms that the front end knows."""
    show: Any = publish_display_data  # IPython has no types for it
    show(dict(bundle))


def execution_count() -> int:
    """Return the number of the running cell; -1 outside IPython."""
    shell = get_ipython()
    return -1 if shell is None else int(shell.execution_count)
