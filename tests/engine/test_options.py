"""What is kept of a container's options (toolkit/engine/options.py)."""

import json
from typing import Any

import pytest

from toolkit.engine.container import options_of
from toolkit.engine.options import MAPPINGS, TUPLES, ContainerOptions, to_store

FIELDS = [field for field in ContainerOptions._fields if field != "image"]
UNSAID: dict[str, Any] = {"entrypoint": ("sh",), "stop_timeout_s": 1.5, "umask": 0o22}
"""What may be said where nothing is None."""


def _other(field: str) -> Any:
    """Return a value that is not the default one."""
    default = ContainerOptions._field_defaults[field]
    if field in TUPLES:
        kind: Any = TUPLES[field]
        return (kind(*(f"x{index}" for index in range(len(kind._fields)))),)
    if field in MAPPINGS:
        return {"key": "value"}
    if default is None:
        return UNSAID[field]
    return {bool: True, int: 7, str: "text", tuple: ("a", "b"), float: 2.5}[type(default)]


def _kept(options: ContainerOptions) -> Any:
    return json.loads(json.dumps(to_store(options)))


def test_of_a_plain_container_little_is_kept() -> None:
    assert _kept(ContainerOptions("lab", ("true",))) == {"image": "lab", "command": ["true"]}


@pytest.mark.parametrize("field", FIELDS)
def test_whatever_is_said_comes_back(field: str) -> None:
    options = ContainerOptions("lab")._replace(**{field: _other(field)})
    kept = _kept(options)
    assert kept.keys() == {"image", field}
    assert options_of(kept) == options


def test_what_was_kept_in_full_is_still_understood() -> None:
    """As earlier versions did."""
    options = ContainerOptions("lab", ("true",), network="none", labels={"a": "b"})
    in_full = {key: dict(value) if key in MAPPINGS else value for key, value in options._asdict().items()}
    assert options_of(json.loads(json.dumps(in_full))) == options
