"""The default image, `lab`: made from this machine's own programs, without a network.

A shell, the core utilities, the tools that a lesson looks through (ps, ip,
mount, unshare, ...) and python3, each where it is present, with the libraries
that they need, found by reading ELF.  The layers, their digests and the config
are those of a proper OCI image: the same host gives the same digest.
"""
