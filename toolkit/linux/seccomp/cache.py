"""Compiled filters on disk: a start reads 2 KB where compiling takes 10 ms and the whole compiler.

A file's name says all that went into it, so a file is right or absent and
never stale; it appears with a rename, whole.
"""

import errno
import os

from toolkit.core.record import NamedTuple
from toolkit.linux.libc import MACHINE
from toolkit.linux.seccomp.apply import FLAG_SPEC_ALLOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.seccomp.profile import DockerProfile

REVISION = "9fae32b9002a"
"""Names the compiler and the default profile: a digest of what they make, which a test recomputes."""
RELEVANT = 0xC406FF0004
"""The capabilities that the default profile looks at, `profile.RELEVANT`."""


def default_filter(capabilities: int, directory: str, architecture: str = MACHINE) -> bytes:
    """Return docker's default filter for a container with these capabilities, compiled at the first call.

    Args:
        capabilities: the set that the container keeps, as `toolkit.linux.capability` has it.
        directory: where compiled filters are kept; made if it does not exist.
        architecture: the machine's.
    """
    relevant = capabilities & RELEVANT
    path = f"{directory}/default-{REVISION}-{architecture}-{relevant:x}.bpf"
    program = _read(path)
    if program is None:
        from toolkit.linux.seccomp.compile import compile_filter
        from toolkit.linux.seccomp.profile import default_profile

        program = compile_filter(default_profile(relevant, architecture), architecture)
        _write(path, program)
    return program


class Program(NamedTuple):
    """What `apply.load` takes."""

    bpf: bytes
    flags: int


def cached(directory: str, profile: "DockerProfile | None", capabilities: int, architecture: str = MACHINE) -> Program:
    """Return the filter for a container, compiled at the first call.

    Args:
        directory: where compiled filters are kept; made if it does not exist.
        profile: a document of `--security-opt seccomp=FILE`, docker's format or
            OCI's (which is docker's without conditions); None is the default.
        capabilities: the set that the container keeps.
        architecture: the machine's.

    Raises:
        InvalidError: what the document says does not exist.
    """
    if profile is None:
        return Program(default_filter(capabilities, directory, architecture), FLAG_SPEC_ALLOW)
    import json

    from toolkit.core.digest import sha256_hex
    from toolkit.linux.seccomp.profile import resolve
    from toolkit.linux.seccomp.rules import flags_of

    plain = resolve(profile, capabilities, architecture, kernel_version())
    flags = flags_of(plain)
    content = sha256_hex(json.dumps(plain, sort_keys=True).encode())
    path = f"{directory}/{content}-{REVISION}-{architecture}.bpf"
    program = _read(path)
    if program is None:
        from toolkit.linux.seccomp.compile import compile_filter

        program = compile_filter(plain, architecture)
        _write(path, program)
    return Program(program, flags)


def kernel_version() -> tuple[int, int]:
    """Return the kernel's version: docker's format of profiles has rules by it; nothing else here asks for it."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)))


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read() or None
    except FileNotFoundError:
        return None


def _write(path: str, program: bytes) -> None:
    """Keep a program; a directory that cannot be written only costs the next start its time."""
    unfinished = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(unfinished, "wb", buffering=0) as file:
            file.write(program)
            os.fsync(file.fileno())
        os.rename(unfinished, path)
    except OSError as exc:
        if exc.errno not in (errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT):
            raise
