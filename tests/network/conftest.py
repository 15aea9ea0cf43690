"""The islands, for the tests in this directory."""

import pytest

from tests.support.networks import Island, island, shared_island
from tests.support.session import module_engine_root

__all__ = ["island", "module_engine_root", "shared_island"]


@pytest.fixture
def clean(shared_island: Island) -> Island:
    """Return the shared island without containers and networks."""
    names = shared_island("ps", "-aq").split()
    if names:
        shared_island("rm", "-f", *names)
    shared_island("network", "prune", "-f")
    return shared_island
