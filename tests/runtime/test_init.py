"""The init of --init by itself: it is what its source says, on both kinds of machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.assembler import assembled
from toolkit.runtime.steps.init import CODE, program

_SOURCES = Path(__file__).parents[2] / "toolkit" / "runtime" / "init"
# Forks a program that does as it is told, becomes the init that is its argument, and is judged by how it ends.
_PARENT = """
import os, sys
pid = os.fork()
if pid == 0:
    os.execvp("sh", ["sh", "-c", sys.argv[2]])
os.execve(sys.argv[1], ["init"], {"MAIN": str(pid)})
"""
_ON_ARM = '"/usr/bin/qemu-aarch64", ["qemu-aarch64", sys.argv[1]]'
_ARM_PARENT = _PARENT.replace('sys.argv[1], ["init"]', _ON_ARM)


@pytest.mark.needs("as")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="`as` is for the machine that it runs on")
def test_code_is_what_the_source_assembles_to(tmp_path: Path) -> None:
    assert assembled(_SOURCES / "x86_64.S", tmp_path) == CODE["x86_64"]


@pytest.mark.needs("aarch64-as")
def test_code_for_arm_is_what_the_source_assembles_to(tmp_path: Path) -> None:
    assert assembled(_SOURCES / "aarch64.S", tmp_path) == CODE["aarch64"]


def _run(path: Path, parent: str, script: str) -> int:
    return subprocess.run([sys.executable, "-c", parent, str(path), script], check=False, timeout=20).returncode


_ENDINGS = [("exit 7", 7), ("kill -KILL $$", 128 + signal.SIGKILL), ("(sleep 0.1; exit 3) & sleep 0.2; exit 5", 5)]


@pytest.mark.parametrize(("script", "code"), _ENDINGS)
def test_it_ends_as_its_program_does(tmp_path: Path, script: str, code: int) -> None:
    path = tmp_path / "init"
    path.write_bytes(program(os.uname().machine))
    path.chmod(0o755)
    assert _run(path, _PARENT, script) == code


@pytest.mark.needs("aarch64-qemu")
@pytest.mark.parametrize(("script", "code"), _ENDINGS)
def test_it_ends_as_its_program_does_on_arm(tmp_path: Path, script: str, code: int) -> None:
    path = tmp_path / "init"
    path.write_bytes(program("aarch64"))
    path.chmod(0o755)
    assert _run(path, _ARM_PARENT, script) == code
