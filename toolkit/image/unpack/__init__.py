"""A layer's tar becomes a directory tree, in a process of its own.

    stream        the blob's bytes: decompressed, digested, counted against the limits
    tar           headers: bytes in, entries out, no I/O
    directories   where a path leads, without following a symlink
    tree          the directory that is written; no path leads out of it
    worker        the process: one layer, one report
    process       starting workers, and what becomes of them

Python runs one thread at a time, so layers are unpacked by processes.  What is
imported here decides how fast one starts: nothing that is not needed.
"""
