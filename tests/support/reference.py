"""The reference of magics, values, pictures and lessons, made from the code: `python -m tests.support.reference`.

Writes toolkit/docs/reference.md from signatures and docstrings; a test sees that it is current.
"""

import importlib
import inspect
import os
from collections.abc import Iterator
from types import FunctionType
from typing import Any, NamedTuple

from tests.support.nested import REPOSITORY

PATH = os.path.join(REPOSITORY, "toolkit", "docs", "reference.md")
_HEAD = """# Reference of the notebook side

Made from the code by `python -m tests.support.reference`. Signatures and texts are those of the docstrings, which
`help(...)` shows in a cell as well.
"""


_FIGURES = "Figures that stand still"


class Section(NamedTuple):
    """A heading, a module, and which of its names are for learners."""

    title: str
    module: str
    names: tuple[str, ...]


SECTIONS = (
    Section("Magics", "toolkit.notebook.magics", ()),
    Section("What commands are worth", "toolkit.notebook.values", ("Container", "Finished", "Table")),
    Section("A container made step by step", "toolkit.notebook.stepping", ("Stepper",)),
    Section("Live pictures", "toolkit.notebook.pictures", ("*",)),
    Section(_FIGURES, "toolkit.notebook.figures.split", ("split_view",)),
    Section("", "toolkit.notebook.figures.mounts", ("mount_tree", "read_mounts")),
    Section("", "toolkit.notebook.figures.idmap", ("uid_map_ribbon",)),
    Section("", "toolkit.notebook.figures.line", ("memory_curve",)),
    Section("", "toolkit.notebook.figures.race", ("time_race", "memory_race")),
    Section("", "toolkit.notebook.figures.capabilities", ("capability_matrix",)),
    Section("", "toolkit.notebook.figures.outlook", ("outlook",)),
    Section("For those who write lessons", "toolkit.notebook.lesson", ("needs_containers", "needs")),
)


def render() -> str:
    """Return the reference as Markdown."""
    parts = [_HEAD]
    for section in SECTIONS:
        module = importlib.import_module(section.module)
        if section.title:
            text = "" if section.title == _FIGURES else f"\n{_text(module)}"
            parts.append(f"\n## {section.title}\n{text}")
        names = tuple(module.__all__) if section.names == ("*",) else section.names
        parts += [_entry(section.module, name, getattr(module, name)) for name in names]
    return "".join(parts)


def _entry(module: str, name: str, thing: Any) -> str:
    head = f"\n### `{name}{_signature(thing) if isinstance(thing, FunctionType) else ''}`\n"
    where = f"\n`from {module} import {name}`\n" if isinstance(thing, FunctionType) else ""
    members = "".join(_members(thing)) if inspect.isclass(thing) else ""
    return f"{head}{where}\n{_text(thing)}{members}"


def _members(thing: type) -> Iterator[str]:
    """Yield a line for each public property and method, in the order of the class's text."""
    yield "\n"
    for name, member in vars(thing).items():
        if name.startswith("_") or not isinstance(member, FunctionType | property | classmethod):
            continue
        is_method = isinstance(member, FunctionType)
        shown = f"{name}{_signature(member)}" if is_method else name
        first = (inspect.getdoc(member) or "").split("\n\n")[0].replace("\n", " ")
        yield f"- `.{shown}`: {first}\n"


def _signature(function: FunctionType) -> str:
    """Return the parameters as one writes them, without annotations and self."""
    found = inspect.signature(function)
    bare = [
        each.replace(annotation=inspect.Parameter.empty) for name, each in found.parameters.items() if name != "self"
    ]
    return str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def _text(thing: Any) -> str:
    """Return a docstring as Markdown: indented blocks become code, sections become lists."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    found: list[str] = []
    is_section = False
    for line in lines:
        if line in ("Args:", "Raises:", "Returns:", "See Also:"):
            found.append(f"{line.rstrip(':')}:\n")
            is_section = True
        elif is_section and line.startswith("    ") and not line.startswith("     "):
            found.append(f"- {line.strip()}")
        elif is_section and line.startswith("     "):
            found[-1] = f"{found[-1]} {line.strip()}"
        else:
            is_section = is_section and not line
            found.append(line)
    return "\n".join(found).rstrip() + "\n"


def main() -> None:
    """Write the reference."""
    os.makedirs(os.path.dirname(PATH), exist_ok=True)
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(render())


if __name__ == "__main__":
    main()
