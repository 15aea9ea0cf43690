"""The script `run`, and the rules that the code is checked against."""

import os
import re
import subprocess
import tomllib

import pytest

from tests.support.features import missing
from tests.support.nested import REPOSITORY

RUN = os.path.join(REPOSITORY, "run")


def _read(name: str) -> str:
    with open(os.path.join(REPOSITORY, name)) as file:
        return file.read()


@pytest.mark.parametrize("name", ["run", ".ci/run"])
def test_script_is_posix_shell(name: str) -> None:
    assert _read(name).startswith("#!/bin/sh\n")
    subprocess.run(["dash", "-n", os.path.join(REPOSITORY, name)], check=True)


def test_run_without_a_command_explains_itself() -> None:
    ended = subprocess.run([RUN], capture_output=True, text=True, check=True)
    assert re.findall(r"^\./run (\w+)", ended.stdout, re.MULTILINE) == ["lab", "test", "check", "bench"]
    assert not ended.stdout.startswith("#")


def test_unknown_command_is_an_error_with_the_same_text() -> None:
    ended = subprocess.run([RUN, "tset"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "./run test" in ended.stdout


def test_everything_that_ci_promises_can_be_probed() -> None:
    promise = re.search(r'TOOLKIT_PROMISED="([^"]+)"', _read(".ci/run"))
    assert promise
    for feature in promise[1].split():
        missing(feature)


def test_every_ignored_rule_has_its_reason_beside_it() -> None:
    section = _read("pyproject.toml").partition("[tool.ruff.lint]")[2].partition("[tool.ruff.lint.pydocstyle]")[0]
    rules = [line for line in section.splitlines() if re.match(r'\s+"[A-Z]+[0-9]*",', line)]
    assert len(rules) > 20
    assert [line for line in rules if not re.search(r",\s+# \S.{6}", line)] == []


def test_all_linter_rules_are_selected_and_warnings_are_errors() -> None:
    tools = tomllib.loads(_read("pyproject.toml"))["tool"]
    assert tools["ruff"]["lint"]["select"] == ["ALL"]
    assert tools["mypy"]["strict"] is True
    assert tools["pyright"]["typeCheckingMode"] == "strict"
    assert tools["pytest"]["ini_options"]["filterwarnings"][0] == "error"
    assert tools["importlinter"]["contracts"][0]["exhaustive"] is True
