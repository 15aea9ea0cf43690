"""Users and their password hashes, in Apache's htpasswd format.

Understood are bcrypt (`htpasswd -B`, the only form that docker-registry takes),
apr1 (htpasswd's default) and {SHA}.  A hash is slow on purpose, so a pair that
was right once is remembered, itself hashed with a key that lives only in this
process.
"""

import base64
import hashlib
import hmac
import os

from toolkit.core.errors import InvalidError

_APR1 = "$apr1$"
_APR1_ROUNDS = 1000
_BCRYPT = ("$2y$", "$2b$", "$2a$")
_ITOA64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Htpasswd:
    """The users of a registry."""

    def __init__(self, text: str) -> None:
        """Read the content of an htpasswd file.

        Raises:
            InvalidError: a line is malformed, or its hash of a kind that is not understood.
        """
        self._hashes: dict[str, str] = {}
        self._key = os.urandom(32)
        self._known: set[bytes] = set()
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                user, hashed = _parse(line.strip(), number)
                self._hashes[user] = hashed

    def check(self, user: str, password: str) -> bool:
        """Tell whether this is the user's password; takes as long for a user that does not exist."""
        pair = hmac.digest(self._key, f"{user}\0{password}".encode(), "sha256")
        if pair in self._known:
            return True
        hashed = self._hashes.get(user)
        is_right = _matches(password, hashed or next(iter(self._hashes.values()), "{SHA}"))
        if hashed is None or not is_right:
            return False
        self._known.add(pair)
        return True


def _parse(line: str, number: int) -> tuple[str, str]:
    user, colon, hashed = line.partition(":")
    if not colon or not user or not hashed.startswith(("{SHA}", _APR1, *_BCRYPT)):
        raise InvalidError(
            f"htpasswd line {number} is not understood", hint="make the file with: htpasswd -Bbn USER PASSWORD"
        )
    return user, hashed


def _matches(password: str, hashed: str) -> bool:
    secret = password.encode()
    if hashed.startswith("{SHA}"):
        digest = hashlib.sha1(secret, usedforsecurity=False).digest()
        return hmac.compare_digest(base64.b64encode(digest).decode(), hashed[5:])
    if hashed.startswith(_APR1):
        return hmac.compare_digest(apr1(password, hashed[len(_APR1) :].partition("$")[0]), hashed)
    import bcrypt

    try:
        return bcrypt.checkpw(secret[:72], hashed.encode())  # 72 bytes are all that bcrypt takes
    except ValueError:
        return False  # a malformed salt: nobody's password


def apr1(password: str, salt: str) -> str:
    """Return Apache's MD5 hash of a password (apr_md5.c, apr_md5_encode)."""
    secret, grain = password.encode(), salt[:8].encode()
    inner = _md5(secret + grain + secret)
    start = secret + _APR1.encode() + grain
    start += (inner * (len(secret) // 16 + 1))[: len(secret)]
    bits = len(secret)
    while bits:
        start += b"\0" if bits & 1 else secret[:1]
        bits >>= 1
    digest = _md5(start)
    for turn in range(_APR1_ROUNDS):
        odd = turn & 1
        text = secret if odd else digest
        text += grain if turn % 3 else b""
        text += secret if turn % 7 else b""
        digest = _md5(text + (digest if odd else secret))
    return f"{_APR1}{salt[:8]}${_encode(digest)}"


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _encode(digest: bytes) -> str:
    order = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
    groups = [((digest[a] << 16 | digest[b] << 8 | digest[c]), 4) for a, b, c in order] + [(digest[11], 2)]
    return "".join(_ITOA64[value >> 6 * place & 63] for value, digits in groups for place in range(digits))
