"""Tests that run in the guest (tests/support/guest.py), and how this session hears of them."""

import ast
import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

from tests.support import guest_tests
from tests.support.features import GUEST_HAS
from tests.support.guest import is_for_guest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("chosen", guest_tests.ALSO)
def test_every_test_that_is_chosen_for_the_guest_exists(chosen: str) -> None:
    """One that was renamed would otherwise no longer run there, and nobody would notice."""
    file, _, name = chosen.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert not name or name.partition("[")[0] in names


def test_a_file_a_test_and_its_parameters_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_tests, "ALSO", ("a.py", "b.py::test_one", "c.py::test_two[x]"))
    chosen = ("a.py::test_any", "b.py::test_one", "b.py::test_one[x]", "c.py::test_two[x]")
    others = ("b.py::test_on", "b.py::test_one_more", "c.py::test_two[y]", "c.py::test_two")
    assert [guest_tests.is_chosen(ident) for ident in (*chosen, *others)] == [True] * 4 + [False] * 4


def test_only_what_the_guest_has_sends_a_test_there(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {"cgroup2:memory", "crun"}
    monkeypatch.setattr("tests.support.guest.missing", lambda feature: "no" if feature in lacking else "")
    assert "cgroup2:memory" in GUEST_HAS
    assert is_for_guest(["root", "cgroup2:memory"])
    assert not is_for_guest(["root"])
    assert not is_for_guest(["cgroup2:memory", "crun"])  # crun would lack there too


IN_THE_GUEST = """
    import os, pytest

    @pytest.mark.guest
    def test_both(): assert os.environ.get("TOOLKIT_IN_GUEST") is None, "this is the guest"

    @pytest.mark.guest
    def test_odd(): pytest.skip("not today")

    @pytest.fixture
    def broken():
        yield
        raise AssertionError("after the end")

    @pytest.mark.guest
    def test_late(broken): pass

    def test_here(): pass
"""


@pytest.mark.needs("guest")
def test_what_happens_in_the_guest_is_reported_here(tmp_path: pathlib.Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_nested.py").write_text(textwrap.dedent(IN_THE_GUEST))
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--in-guest",
            "-rA",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TOOLKIT_PROMISED": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    for word in ("this is the guest", "in the guest: Skipped: not today", "after the end"):
        assert word in said
    assert "PASSED the guest leaves nothing behind" in said
    assert "2 failed, 1 passed, 1 skipped" in said
