"""What a command imports is what it costs before it does anything: the lists stay short on purpose."""

import json
import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Shell
from tests.support.session import EngineRoot

HEAVY = {
    "argparse",
    "asyncio",
    "dataclasses",
    "difflib",
    "email",
    "http",
    "inspect",
    "logging",
    "msgspec",
    "pathlib",
    "rich",
    "shutil",
    "ssl",
    "subprocess",
    "tempfile",
    "textwrap",
    "threading",
    "urllib",
    "urllib3",
    "zipfile",
}
PROGRAM = """
import json, sys
before = set(sys.modules)
from toolkit.cli.main import main
main(sys.argv[1:])
json.dump(sorted(set(sys.modules) - before), sys.stderr)
"""


def modules_of(engine_root: EngineRoot, *words: str) -> set[str]:
    return modules_with({**os.environ, "CONTAINER_ROOT": engine_root.root, "CONTAINER_RUN": engine_root.run}, *words)


def modules_with(environ: dict[str, str], *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], env=environ, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("words", [["ps"], ["ps", "--all"], ["run", "--help"], ["--help"], ["logs", "--help"]])
def test_command_imports_nothing_heavy(engine_root: EngineRoot, words: list[str]) -> None:
    tops = {name.partition(".")[0] for name in modules_of(engine_root, *words)}
    assert tops & HEAVY == set()


def test_ps_imports_nothing_that_starts_containers(engine_root: EngineRoot) -> None:
    modules = modules_of(engine_root, "ps", "--all")
    assert "toolkit.engine.container" in modules
    assert {"toolkit.engine.launcher", "toolkit.runtime.plan", "toolkit.runtime.steps"} & modules == set()
    assert not any(name.startswith(("toolkit.registry", "toolkit.cli.template")) for name in modules)
    assert len([name for name in modules if name.startswith("toolkit")]) < 50


def test_help_imports_no_engine(engine_root: EngineRoot) -> None:
    for words in (["--help"], ["run", "--help"], ["container"]):
        modules = modules_of(engine_root, *words)
        assert not any(name.startswith(("toolkit.engine.engine", "toolkit.runtime", "sqlite3")) for name in modules)


def test_only_the_group_in_use_is_imported(engine_root: EngineRoot) -> None:
    modules = modules_of(engine_root, "logs", "--help")
    groups = {name for name in modules if name.startswith("toolkit.cli.commands.")}
    assert groups == {"toolkit.cli.commands.logs"}


@pytest.mark.needs("root", "overlay")
@pytest.mark.parametrize("words", [["run", "--rm", "lab", "true"], ["run", "-d", "lab", "true"], ["ps", "-a"]])
def test_even_a_real_run_imports_nothing_heavy(shell: Shell, words: list[str]) -> None:
    shell.out("create", "lab", "true")
    modules = modules_with(shell.environ, *words)
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert not any(name.startswith(("toolkit.registry", "toolkit.cli.template")) for name in modules)
