"""The `needs` marker (tests/support/needs.py)."""

import pathlib

import pytest

from tests.support.features import UnknownFeatureError, missing
from tests.support.nested import run_nested

WANTS_ODD_FS = """
    import pytest

    @pytest.mark.needs("fs:no-such-fs")
    def test_it(): raise AssertionError("must not run")
"""


def test_lacking_feature_skips_and_says_what_is_lacking(tmp_path: pathlib.Path) -> None:
    ended = run_nested(str(tmp_path), WANTS_ODD_FS)
    assert ended.code == 0, ended.output
    assert "needs fs:no-such-fs: this kernel has no file system 'no-such-fs'" in ended.output


def test_lacking_feature_fails_where_it_is_promised(tmp_path: pathlib.Path) -> None:
    ended = run_nested(str(tmp_path), WANTS_ODD_FS, TOOLKIT_PROMISED="root,fs:no-such-fs")
    assert ended.code == 1, ended.output
    assert "TOOLKIT_PROMISED lists 'fs:no-such-fs'" in ended.output


def test_promise_of_an_unknown_feature_is_refused(tmp_path: pathlib.Path) -> None:
    ended = run_nested(str(tmp_path), "def test_it(): pass", TOOLKIT_PROMISED="rooot")
    assert ended.code == 4, ended.output
    assert "no probe for feature 'rooot'" in ended.output


def test_refused_run_leaves_no_base(tmp_path: pathlib.Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    environ = {"TOOLKIT_TEST_PARENT": str(parent)}
    ended = run_nested(str(tmp_path), "def test_it(): pass", TOOLKIT_PROMISED="rooot", **environ)
    assert ended.code == 4, ended.output
    assert list(parent.iterdir()) == []


def test_present_feature_lets_the_test_run(tmp_path: pathlib.Path) -> None:
    source = """
        import pytest

        @pytest.mark.needs("fs:proc")
        def test_it(): raise AssertionError("it ran")
    """
    ended = run_nested(str(tmp_path), source)
    assert "it ran" in ended.output, ended.output


def test_unknown_feature_names_the_known_ones() -> None:
    with pytest.raises(UnknownFeatureError, match=r"known: .*docker-registry.*overlay"):
        missing("teleport")


@pytest.mark.needs("root")
def test_overlay_probe_agrees_with_proc_filesystems() -> None:
    assert bool(missing("overlay")) == bool(missing("fs:overlay"))
