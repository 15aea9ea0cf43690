"""Benchmarks against the peers: `./run bench`; never part of the tests."""
