"""The hooks and fixtures of tests/support, for every test."""

from tests.support.needs import pytest_configure, pytest_runtest_setup
from tests.support.registries import start_registry
from tests.support.session import (
    engine_root,
    pytest_addoption,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
)

__all__ = [
    "engine_root",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_setup",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "pytest_terminal_summary",
    "start_registry",
]
