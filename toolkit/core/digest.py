"""Content digests: `algorithm:hex`, as in the OCI image spec (descriptor.md, "Digests")."""

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
    return Digest("sha256:" + sha256_hex(content))


def sha256_hex(content: bytes) -> str:
    """Return the sha256 of a little in 64 hex digits, without OpenSSL, whose loading costs more: 3 ms.

    What has megabytes is hashed by OpenSSL, see `hashlib`.
    """
    for name in ("_sha2", "_sha256", "hashlib"):  # since Python 3.12; before that; where it was built without
        try:
            return str(__import__(name).sha256(content).hexdigest())
        except ImportError:
            continue
    raise AssertionError("hashlib is always there")


def split_digest(digest: Digest) -> tuple[str, str]:
    """Return algorithm and hex digits."""
    algorithm, _, digits = digest.partition(":")
    return algorithm, digits
