"""pytest plugin for `@pytest.mark.needs("root", "cgroup2:memory")`.

A test whose host lacks a feature is skipped, and says what is lacking.  Where
the environment variable TOOLKIT_PROMISED lists the feature (separated by
commas or spaces), the same lack is a failure: a CI machine that loses a
feature turns red instead of quietly testing less.
"""

import os

import pytest

from tests.support.features import UnknownFeatureError, missing

PROMISED = "TOOLKIT_PROMISED"


def promised() -> set[str]:
    """Return the features that this host must have."""
    return set(os.environ.get(PROMISED, "").replace(",", " ").split())


def wanted(item: pytest.Item) -> list[str]:
    """Return the features that a test asks for, in order."""
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    return list(dict.fromkeys(names))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; refuse a promise that cannot be checked."""
    config.addinivalue_line("markers", "needs(*features): what the host must have (tests/support/features.py)")
    for feature in sorted(promised()):
        try:
            missing(feature)
        except UnknownFeatureError as exc:
            raise pytest.UsageError(f"{PROMISED}: {exc}") from exc


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test whose host lacks something."""
    for feature in wanted(item):
        lack = missing(feature)
        if lack and feature in promised():
            pytest.fail(f"{PROMISED} lists '{feature}', but: {lack}", pytrace=False)
        if lack:
            pytest.skip(f"needs {feature}: {lack}")
