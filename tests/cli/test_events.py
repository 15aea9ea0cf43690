"""`container events`: docker's lines, filters and templates."""

import json
import re

import pytest

from tests.cli.conftest import Shell
from toolkit.cli.commands.events import matches
from toolkit.cli.filters import Filters
from toolkit.engine.events import event

_CONTAINER = event(1, "container", "exec_start: sh -c x", "abcdef", {"image": "repo/lab:1", "name": "web", "tier": "x"})
_IMAGE = event(1, "image", "tag", "sha256:0123", {"name": "lab:2"})


@pytest.mark.parametrize(
    ("filters", "container", "image"),
    [
        ({}, True, True),
        ({"type": ["container"]}, True, False),
        ({"type": ["container", "image"]}, True, True),
        ({"event": ["exec_start"]}, True, False),
        ({"event": ["exec_start: sh -c x"]}, True, False),
        ({"event": ["exec"]}, False, False),
        ({"event": ["tag", "die"]}, False, True),
        ({"container": ["we"]}, True, False),
        ({"container": ["abc"]}, True, False),
        ({"container": ["bc"]}, False, False),
        ({"image": ["repo/lab"]}, True, False),
        ({"image": ["repo/lab:1"]}, True, False),
        ({"image": ["lab"]}, False, True),
        ({"label": ["tier"]}, True, False),
        ({"label": ["tier=x", "other"]}, False, False),
        ({"scope": ["local"]}, True, True),
        ({"scope": ["swarm"]}, False, False),
        ({"volume": ["web"]}, False, False),
    ],
)
def test_filters_choose_as_dockers_do(filters: dict[str, list[str]], *, container: bool, image: bool) -> None:
    assert matches(_CONTAINER, Filters(filters)) is container
    assert matches(_IMAGE, Filters(filters)) is image


@pytest.mark.needs("root", "overlay")
def test_lines_and_templates(shell: Shell) -> None:
    ident = shell.out("create", "--name", "told", "-l", "tier=front", "lab", "true")
    words = ("events", "--since", "1m", "--until", "0s", "--filter", f"container={ident}")
    (line,) = shell.out(*words).splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)"
    assert re.fullmatch(rf"{stamp} container create {ident} \(image=lab, name=told, .*tier=front.*\)", line)
    assert json.loads(shell.out(*words, "--format", "json"))["Actor"]["ID"] == ident
    template = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Status}} {{.From}}"
    assert shell.out(*words, "--format", template) == "container create told create lab"


@pytest.mark.needs("root", "overlay")
def test_unknown_filter_and_time_are_refused(shell: Shell) -> None:
    assert shell.fail("events", "--filter", "color=red", code=1).startswith("invalid filter 'color'")
    assert shell.fail("events", "--since", "yesterday-ish", code=1).startswith("invalid time")
