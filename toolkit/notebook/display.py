"""The two things that a value must ask of the running IPython."""

from collections.abc import Mapping
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import publish_display_data


def publish(bundle: Mapping[str, str], *, ident: str = "", is_update: bool = False) -> None:
    """Show something in the running cell, in the richest of these forms that the front end knows.

    Args:
        bundle: the forms by MIME type.
        ident: names this display, so that it can be updated.
        is_update: change the display of that name and make none.
    """
    show: Any = publish_display_data  # IPython has no types for it
    show(dict(bundle), transient={"display_id": ident} if ident else {}, update=is_update)


def can_update() -> bool:
    """Tell whether displays can be changed: by a kernel's front end, but not on a terminal."""
    return hasattr(get_ipython(), "kernel")


def cell_id() -> str:
    """Return what the front end calls the running cell, the same each time it is run; "" where it does not say."""
    kernel = getattr(get_ipython(), "kernel", None)
    header = kernel.get_parent() if kernel is not None else None
    return str(((header or {}).get("metadata") or {}).get("cellId", ""))


def execution_count() -> int:
    """Return the number of the running cell; -1 outside IPython."""
    shell = get_ipython()
    return -1 if shell is None else int(shell.execution_count)
