"""What `pip install .` installs."""

import configparser
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from tests.support.nested import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the project as pip does."""
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(target), REPOSITORY],
        check=True,
        capture_output=True,
    )
    (path,) = target.glob("container_toolkit-*.whl")
    return zipfile.ZipFile(path)


_ENGINE_TESTS = ("core/test_sizes.py", "linux/test_capability_options.py")


def _sources(directory: str) -> set[str]:
    """Return all files below a directory of the repository that are no by-product of running it."""
    root = pathlib.Path(REPOSITORY)
    files = (path for path in (root / directory).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(root)) for path in files}


@pytest.mark.timeout(300)
def test_every_file_of_the_package_is_installed(wheel: zipfile.ZipFile) -> None:
    installed = {name for name in wheel.namelist() if ".dist-info/" not in name and ".data/" not in name}
    labs = {f"toolkit/lab/{name}" for name in _sources("labs")}
    assert installed == _sources("toolkit") | labs | {f"toolkit/lab/engine_tests/{name}" for name in _ENGINE_TESTS}
    assert "toolkit/py.typed" in installed


@pytest.mark.timeout(300)
def test_installed_package_has_the_labs_and_what_grades_them(wheel: zipfile.ZipFile, tmp_path: pathlib.Path) -> None:
    wheel.extractall(tmp_path)
    program = (
        "from toolkit.lab import catalogue, replacement\n"
        "print(*(catalogue.read(path).title for path in catalogue.directories()), sep='\\n')\n"
        f"print(*map(replacement.engine_test, {_ENGINE_TESTS}), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[0] == "A container in 40 lines"
    assert ran.stdout.count(f"{tmp_path}/toolkit/lab/engine_tests/") == len(_ENGINE_TESTS)


@pytest.mark.timeout(300)
def test_the_command_and_the_licence_are_installed(wheel: zipfile.ZipFile) -> None:
    info = next(os.path.dirname(name) for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    entries = configparser.ConfigParser()
    entries.read_string(wheel.read(f"{info}/entry_points.txt").decode())
    assert dict(entries["console_scripts"]) == {"container": "toolkit.cli.main:main"}
    assert b"Apache License" in wheel.read(f"{info}/licenses/LICENSE")


@pytest.mark.timeout(300)
def test_jupyter_is_told_of_the_extension_of_its_server(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if ".data/" in name]
    assert name.endswith(".data/data/etc/jupyter/jupyter_server_config.d/container-toolkit.json")
    assert json.loads(wheel.read(name)) == {"ServerApp": {"jpserver_extensions": {"toolkit.notebook.server": True}}}
