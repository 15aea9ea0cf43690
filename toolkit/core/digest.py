"""Content digests: `algorithm:hex`, as in the OCI image spec (descriptor.md, "Digests")."""

import sys

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NewType

    Digest = NewType("Digest", str)
else:
    Digest = str
"""A well-formed digest, for example sha256:e3b0c442...; made by `parse_digest`."""

_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


def parse_digest(text: str) -> Digest:
    """Check that `text` is a sha256 or sha512 digest.

    Raises:
        InvalidError: another form, another algorithm or the wrong length.
    """
    algorithm, _, digits = text.partition(":")
    if _LENGTHS.get(algorithm) != len(digits) or not _HEX.issuperset(digits):
        raise InvalidError(f"invalid digest: '{text}'", hint="a digest is sha256: and 64 hex digits")
    return Digest(text)


def digest_of(content: bytes) -> Digest:
    """Return the sha256 digest of `content`."""
    import hashlib

    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def sha256_hex(content: bytes) -> str:
    """Return the sha256 of a little in 64 hex digits, without OpenSSL, whose loading costs more: 3 ms.

    What has megabytes is hashed by OpenSSL, see `hashlib`.
    """
    try:
        module = __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256")
    except ImportError:  # this Python was built without
        module = __import__("hashlib")
    return str(module.sha256(content).hexdigest())


def split_digest(digest: Digest) -> tuple[str, str]:
    """Return algorithm and hex digits."""
    algorithm, _, digits = digest.partition(":")
    return algorithm, digits
