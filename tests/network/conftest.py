"""The islands, for the tests in this directory."""

from tests.support.networks import island, shared_island
from tests.support.session import module_engine_root

__all__ = ["island", "module_engine_root", "shared_island"]
