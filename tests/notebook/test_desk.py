"""A lesson's folder: it goes with the lesson, and with the next one where the kernel was killed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.nested import REPOSITORY
from toolkit.notebook.desk import Desk

HOLD = """
import time
from toolkit.notebook.desk import Desk
desk = Desk("t9")
print(desk, flush=True)
time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def holder(directory: Path) -> "tuple[subprocess.Popen[str], str]":
    """Start a process that has such a folder; return it and the folder."""
    environ = {**os.environ, "PYTHONPATH": REPOSITORY, "TMPDIR": str(directory)}
    process = subprocess.Popen([sys.executable, "-c", HOLD], env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_is_new_and_goes_when_it_is_closed(tmp_path: Path) -> None:
    desk = Desk("t9")
    assert os.listdir(desk.name) == []
    assert desk.name.startswith(f"{tmp_path}/lesson-t9-")
    Path(desk.name, "file").touch()
    desk.close()
    desk.close()
    assert os.listdir(tmp_path) == []


def test_one_that_is_held_stays_and_one_whose_holder_was_killed_goes(tmp_path: Path) -> None:
    process, held = holder(tmp_path)
    try:
        Desk("t9").close()
        assert os.path.isdir(held)
    finally:
        process.kill()
        process.communicate()
    assert os.path.isdir(held)
    with_another_name = Desk("t8")
    assert os.path.isdir(held)
    desk = Desk("t9")
    assert not os.path.exists(held)
    desk.close()
    with_another_name.close()


def test_links_and_files_are_no_folders_of_ours(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "lesson-t9-link").symlink_to(tmp_path / "precious")
    (tmp_path / "lesson-t9-file").touch()
    Desk("t9").close()
    assert sorted(os.listdir(tmp_path)) == ["lesson-t9-file", "lesson-t9-link", "precious"]


@pytest.mark.needs("root")
def test_folder_of_another_user_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "lesson-t9-other"
    other.mkdir()
    os.chown(other, 65534, 65534)
    Desk("t9").close()
    assert other.is_dir()
