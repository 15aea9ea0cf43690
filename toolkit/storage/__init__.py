"""Union file systems: how the layers of an image and a container's changes become one tree.

A driver is a module with the functions of `driver.Driver`.  It prepares
directories and describes a root file system; mounting it is a step of the
runtime's plan.

    overlay   the layers stay shared and unchanged, changes land in an upper directory
    vfs       a full copy for each container; slow, but works on every file system
    merged    what such a root would show, found out without mounting it
"""
