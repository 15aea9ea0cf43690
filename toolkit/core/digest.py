"""Content digests: `algorithm:hex`, as in the OCI image spec (descriptor.md, "Digests")."""

import re
from typing import NewType

from toolkit.core.errors import InvalidError

Digest = NewType("Digest", str)
"""A well-formed digest, for example sha256:e3b0c442...; made by `parse_digest`."""

_LENGTHS = {"sha256": 64, "sha512": 128}
_FORM = re.compile(r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-f0-9]+)")


def parse_digest(text: str) -> Digest:
    """Check that `text` is a sha256 or sha512 digest.

    Raises:
        InvalidError: another form, another algorithm or the wrong length.
    """
    found = _FORM.fullmatch(text)
    if found is None or _LENGTHS.get(found[1]) != len(found[2]):
        raise InvalidError(f"invalid digest: '{text}'", hint="a digest is sha256: and 64 hex digits")
    return Digest(text)


def digest_of(content: bytes) -> Digest:
    """Return the sha256 digest of `content`."""
    import hashlib

    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def split_digest(digest: Digest) -> tuple[str, str]:
    """Return algorithm and hex digits."""
    algorithm, _, digits = digest.partition(":")
    return algorithm, digits
