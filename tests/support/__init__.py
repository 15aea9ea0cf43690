"""What the tests stand on: feature probes, leak checks, children in new namespaces, real registries."""
