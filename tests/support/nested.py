"""A pytest run inside a test, with the plugins of tests/support and nothing else."""

import os
import subprocess
import sys
import textwrap
from typing import NamedTuple

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Nested(NamedTuple):
    """How a nested run ended."""

    code: int
    output: str


def run_nested(directory: str, source: str, **environ: str) -> Nested:
    """Run the tests in `source` in a pytest of their own."""
    path = f"{directory}/test_nested.py"
    with open(path, "w") as file:
        file.write(textwrap.dedent(source))
    with open(f"{directory}/pytest.ini", "w") as file:
        file.write("[pytest]\nleak_settle_s = 0.2\n")
    plugins = ["-p", "tests.support.needs", "-p", "tests.support.session", "-p", "no:cacheprovider"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-rs", "--rootdir", directory, path],
        env={
            **os.environ,
            "PYTHONPATH": REPOSITORY,
            "TOOLKIT_PROMISED": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            **environ,
        },
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    return Nested(ended.returncode, ended.stdout + ended.stderr)
