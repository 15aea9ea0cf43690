"""A container's files, looked at and changed from outside: `cp`, `export` and the archive calls of the API.

    view.py     the root directory of a container, whether it runs or not
    stat.py     what a path of it is
    pack.py     files to a tar stream
    unpack.py   a tar stream to files
    copy.py     docker's rules on what lands where; pure

Nothing here follows a symlink out of the container's root, whatever its
programs do meanwhile: every path goes through openat2(2) below the root, and
what was found is held by its descriptor from then on.
"""
