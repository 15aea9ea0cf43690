"""The hooks and fixtures of tests/support, for every test."""

import pytest

from tests.support import guest, needs, session
from tests.support.attacker import lab_root, target
from tests.support.engines import busybox_tree, engine, template_root
from tests.support.guest import pytest_collection_modifyitems, pytest_runtestloop
from tests.support.needs import pytest_runtest_setup
from tests.support.registries import start_registry
from tests.support.session import engine_root, pytest_sessionfinish

__all__ = [
    "busybox_tree",
    "engine",
    "engine_root",
    "lab_root",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_setup",
    "pytest_runtestloop",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "start_registry",
    "target",
    "template_root",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of all plugins."""
    session.pytest_addoption(parser)
    guest.pytest_addoption(parser)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the plugins have to say at the end."""
    guest.pytest_terminal_summary(terminalreporter, config)
    session.pytest_terminal_summary(terminalreporter, config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Configure all plugins."""
    needs.pytest_configure(config)
    guest.pytest_configure(config)
    session.pytest_configure(config)
