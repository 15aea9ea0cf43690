"""binder/: its files are repo2docker's, what it asks for can be installed, and its last step runs.

See Also:
    repo2docker.readthedocs.io, "Configuration files"
"""

import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from tests.support.nested import REPOSITORY

BINDER = Path(REPOSITORY, "binder")
_KNOWN = {"apt.txt", "environment.yml", "postBuild", "requirements.txt", "runtime.txt", "start"}
_TIMEOUT_S = 600
_OFFLINE = re.compile(
    r"NewConnectionError|Temporary failure in name resolution|No matching distribution found for hatch"
)


def test_binder_has_only_files_that_repo2docker_reads() -> None:
    assert {each.name for each in BINDER.iterdir()} <= _KNOWN


def test_scripts_can_be_executed_and_name_their_shell() -> None:
    scripts = [each for each in BINDER.iterdir() if each.name in ("postBuild", "start")]
    assert scripts
    for script in scripts:
        assert os.access(script, os.X_OK)
        assert script.read_text().startswith("#!/bin/bash\n")


def test_python_of_binder_is_one_that_the_project_supports() -> None:
    found = re.fullmatch(r"python-(3)\.(\d+)\n", (BINDER / "runtime.txt").read_text())
    assert found
    wanted = tomllib.loads(Path(REPOSITORY, "pyproject.toml").read_text())["project"]["requires-python"]
    assert (3, int(found[2])) >= tuple(map(int, wanted.removeprefix(">=").split(".")))


@pytest.mark.timeout(_TIMEOUT_S)
def test_requirements_can_be_resolved_in_a_fresh_environment(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True, symlinks=True)
    command = [f"{tmp_path}/venv/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--dry-run"]
    command += ["--quiet", "--report", str(tmp_path / "report.json"), "-r", "binder/requirements.txt"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    if _OFFLINE.search(done.stderr):
        pytest.skip(f"no package index is to be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "report.json").read_text()
    for name in ("container-toolkit", "jupyterlab", "anywidget", "matplotlib"):
        assert f'"name": "{name}"' in report


def test_last_step_finds_a_recording_for_every_notebook(tmp_path: Path) -> None:
    names = sorted(each.name for each in Path(REPOSITORY, "notebooks").glob("[0-9]*.ipynb"))
    environment = {
        **os.environ,
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        "PYTHONPATH": REPOSITORY,
    }
    done = subprocess.run(
        [str(BINDER / "postBuild")], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == names
