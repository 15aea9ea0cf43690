"""Union file systems: how the layers of an image and a container's changes become one tree."""
