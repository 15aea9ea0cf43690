"""Checking a config.json that comes from outside, before anything is made of it.

    shape.py    what a JSON value must look like: small checks that compose
    schema.py   the specification's table of fields, as such checks
    meaning.py  what fields say about each other

Each complaint is one line that begins with the JSON path of the field:
`linux.namespaces[2].path: 'net' is not an absolute path`.

Unknown fields are let pass, as the specification demands; null is an absent
field, as Go's decoder has it.
"""

from typing import Any, cast

from toolkit.runtime.validate.meaning import check_meaning, check_process_meaning
from toolkit.runtime.validate.schema import CONFIG, PROCESS, RESOURCES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.resources import Resources
    from toolkit.runtime.spec import Config, Process


def config(document: Any) -> "Config":
    """Return the document as a config that can be trusted: nulls left out, all else as it was.

    Raises:
        InvalidError: what it says means nothing; the message begins with the field's JSON path.
    """
    checked = cast("Config", CONFIG(document, ""))
    check_meaning(checked)
    return checked


def process(document: Any) -> "Process":
    """Return the process of an exec, checked likewise."""
    checked = cast("Process", PROCESS(document, "process"))
    check_process_meaning(checked)
    return checked


def resources(document: Any) -> "Resources":
    """Return new limits for a container that runs, checked likewise."""
    return cast("Resources", RESOURCES(document, "resources"))
