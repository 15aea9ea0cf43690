"""Bundles and runtimes for the tests of the OCI command line."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.bundles import OURS, RUNC, Bundle, Runtime, remove_groups


@pytest.fixture
def make_bundle(tmp_path: Path, busybox_tree: str) -> Iterator[Callable[[], Bundle]]:
    """Return what makes a bundle; all are cleared up after."""
    made: list[Bundle] = []

    def make() -> Bundle:
        bundle = Bundle(tmp_path / f"bundle{len(made)}", Path(busybox_tree))
        made.append(bundle)
        return bundle

    yield make
    for bundle in made:
        remove_groups(bundle)


@pytest.fixture
def bundle(make_bundle: Callable[[], Bundle]) -> Bundle:
    """Return a bundle of busybox."""
    return make_bundle()


@pytest.fixture
def ours(tmp_path: Path) -> Runtime:
    """Return this project's runtime."""
    return Runtime(OURS, tmp_path)


@pytest.fixture
def runc(tmp_path: Path) -> Runtime:
    """Return runc."""
    return Runtime(RUNC, tmp_path)


@pytest.fixture(params=[OURS, pytest.param(RUNC, marks=pytest.mark.needs("runc"))])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Runtime:
    """Return each of the two: what a test says holds for both."""
    return Runtime(request.param, tmp_path)
