"""What the run directory of an owner tells: that it lives, and what has its network namespace."""

import json
import os

STATUS_FILE = "status.json"
"""Written by whoever looks after it: {"pid": N, ...}; 0 while it waits to be started again."""


def pid(running: str, owner: str) -> int | None:
    """Return the pid of an owner's first process, None where nobody has written it down (yet)."""
    try:
        with open(f"{running}/{owner}/{STATUS_FILE}", "rb") as file:
            return int(json.load(file)["pid"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
        return None


def waits(running: str, owner: str) -> bool:
    """Tell whether an owner has ended, and is to be started again."""
    return pid(running, owner) == 0


def is_here(running: str, owner: str) -> bool:
    """Tell whether an owner lives, and does not wait to be started again."""
    return os.path.isdir(f"{running}/{owner}") and not waits(running, owner)
