"""What `pip install .` installs."""

import configparser
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


def _sources() -> set[str]:
    """Return all files of the package that are no by-product of running it."""
    root = pathlib.Path(REPOSITORY)
    files = (path for path in (root / "toolkit").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(root)) for path in files}


@pytest.mark.timeout(300)
def test_every_file_of_the_package_is_installed(wheel: zipfile.ZipFile) -> None:
    installed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert installed == _sources()
    assert "toolkit/py.typed" in installed


@pytest.mark.timeout(300)
def test_the_command_and_the_licence_are_installed(wheel: zipfile.ZipFile) -> None:
    info = next(os.path.dirname(name) for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    entries = configparser.ConfigParser()
    entries.read_string(wheel.read(f"{info}/entry_points.txt").decode())
    assert dict(entries["console_scripts"]) == {"container": "toolkit.cli.main:main"}
    assert b"Apache License" in wheel.read(f"{info}/licenses/LICENSE")
