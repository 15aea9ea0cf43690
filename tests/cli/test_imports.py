"""What a command imports is what it costs before it does anything: the lists stay short on purpose."""

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
SLOW = {"datetime", "enum", "hashlib", "json", "re", "selectors", "signal", "socket", "typing"}
"""Each costs a command 1 to 6 ms, and ours have others: core/record.py, core/document.py, linux/sock.py, ..."""
PROGRAM = """
import sys
before = set(sys.modules)
from toolkit.cli.main import main
main(sys.argv[1:])
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


def modules_of(engine_root: EngineRoot, *words: str) -> set[str]:
    return modules_with({**os.environ, "CONTAINER_ROOT": engine_root.root, "CONTAINER_RUN": engine_root.run}, *words)


def modules_with(environ: dict[str, str], *words: str) -> set[str]:
    done = subprocess.run(
        # without `site`, whose own files may have imported what is looked for
        [sys.executable, "-S", "-c", PROGRAM, *words],
        env={**environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["ps"], ["ps", "--all"], ["run", "--help"], ["--help"], ["logs", "--help"]])
def test_command_imports_nothing_heavy(engine_root: EngineRoot, words: list[str]) -> None:
    tops = {name.partition(".")[0] for name in modules_of(engine_root, *words)}
    assert tops & HEAVY == set()
    assert tops & SLOW == set()


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
    shell.out("run", "lab", "true")  # makes the image, and compiles the filter
    modules = modules_with(shell.environ, *words)
    assert {name.partition(".")[0] for name in modules} & (HEAVY | SLOW) == set()
    assert not any(name.startswith(("toolkit.registry", "toolkit.cli.template")) for name in modules)
