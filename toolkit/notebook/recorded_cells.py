"""What a lesson has shown on a machine that could run it, for those that cannot.

A recording is a file of JSON lines beside the notebooks, `recordings/NAME.jsonl`:
first a head with when and where it was made, then one line for each cell: a key
made of the cell's text, and what the cell showed, as text, HTML and SVG.  A cell
whose text has changed since has another key, and is in no recording.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from toolkit.core.errors import IntegrityError, InvalidError, NotFoundError
from toolkit.notebook.display import publish
from toolkit.notebook.html import FAINT, PURPLE, chip

FORMAT, VERSION = "container-toolkit cells", 1
DIRECTORY = "recordings"
SUFFIX = ".jsonl"
_AGAIN = "make it again with: python -m tests.support.recordings"
Output = dict[str, str]
"""One thing that a cell showed: its forms by MIME type, or {"stream": NAME, "text": ...}."""


class Recording(NamedTuple):
    """What the cells of one lesson showed."""

    made: str
    """The day, as 2026-11-28."""
    kernel: str
    machine: str
    """What kind of machine it was: its processor's architecture, and how it groups processes."""
    cells: Mapping[str, Sequence[Output]]

    @property
    def origin(self) -> str:
        """When and where it was made, for a sentence or a label."""
        return f"made on {self.made} under Linux {self.kernel} ({self.machine})"

    def find(self, source: str) -> Sequence[Output] | None:
        """Return what a cell of this text showed; None where it is not among them."""
        return self.cells.get(key(source))

    def show(self, ident: str) -> None:
        """Show what the cell of this key showed, under a label that says that it is a recording."""
        label = f"recording, {self.origin}"
        mark = f'{chip("recording", PURPLE)} <span style="color:{FAINT};font-size:.85em">{escape(self.origin)}</span>'
        publish({"text/plain": label, "text/html": mark})
        for output in self.cells[ident]:
            publish(_bundle(output))


def key(source: str) -> str:
    """Return what names a cell: its text, but for blanks at the ends of lines."""
    lines = [line.rstrip() for line in source.strip().splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _bundle(output: Output) -> Output:
    if "stream" not in output:
        return output
    text = output["text"].rstrip("\n")
    style = "margin:0;white-space:pre-wrap;line-height:inherit;background:none;padding:0;border:none"
    return {"text/plain": text, "text/html": f'<pre style="{style}">{escape(text)}</pre>'}


def load(name: str) -> Recording:
    """Read the recording of a lesson from beside the notebook, or from beside this package.

    Raises:
        NotFoundError: there is none of this name.
        IntegrityError: it was cut short, or is no recording.
        InvalidError: it is of a version that this program does not know.
    """
    path, file = find(name), f"{DIRECTORY}/{name}{SUFFIX}"
    try:
        with open(path, encoding="utf-8") as opened:
            return parse(opened.read(), file)
    except (OSError, UnicodeDecodeError) as exc:
        raise IntegrityError(f"{file} cannot be read: {exc}", hint=_AGAIN) from exc


def find(name: str) -> str:
    """Return the path of a recording, of cells or of a walk: beside the notebook, or beside this package.

    Raises:
        NotFoundError: there is none of this name.
    """
    file = f"{DIRECTORY}/{name}{SUFFIX}"
    beside = os.path.join(os.path.dirname(__file__), "..", "..", "notebooks", file)
    path = next(filter(os.path.exists, (file, beside)), "")
    if not path:
        raise NotFoundError(f"there is no recording {file}", hint=_AGAIN)
    return path


def parse(text: str, name: str) -> Recording:
    """Return the recording that `text` holds.

    Args:
        text: the file.
        name: what to call it in errors.

    Raises:
        IntegrityError, InvalidError: as `load`.
    """
    try:
        head, *rest = map(json.loads, text.rstrip("\n").split("\n"))  # a cell may have shown other ends of lines
        is_ours = head["format"] == FORMAT
    except (ValueError, KeyError, TypeError, RecursionError):
        raise IntegrityError(f"{name} is cut short, or is no recording of cells", hint=_AGAIN) from None
    if not is_ours or head.get("version") != VERSION:
        found = f"{head['format']} {head.get('version')}"
        raise InvalidError(f"{name} is '{found}', and this program reads '{FORMAT} {VERSION}'", hint=_AGAIN)
    if head.get("cells") != len(rest):
        message = f"{name} is cut short: it has {len(rest)} of {head.get('cells')} cells"
        raise IntegrityError(message, hint=_AGAIN)
    cells: dict[str, Any] = {str(cell.get("key")): cell.get("outputs") for cell in rest if isinstance(cell, dict)}
    made, kernel, machine = (head.get(name) for name in ("made", "kernel", "machine"))
    is_whole = len(cells) == len(rest) and all(map(_are_outputs, cells.values()))
    if not is_whole or not all(map(_is_text, (made, kernel, machine))):
        raise IntegrityError(f"{name} is damaged", hint=_AGAIN)
    return Recording(made, kernel, machine, cells)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_outputs(value: object) -> bool:
    """Tell whether a value can be shown: a list of what `Output` is."""
    return isinstance(value, list) and all(
        isinstance(each, dict) and all(map(_is_text, each.values())) and ("stream" not in each or "text" in each)
        for each in value
    )


def render(recording: Recording) -> str:
    """Return a recording as the text of its file."""
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "made": recording.made,
        "kernel": recording.kernel,
        "machine": recording.machine,
        "cells": len(recording.cells),
    }
    lines = [head, *({"key": ident, "outputs": outputs} for ident, outputs in recording.cells.items())]
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
