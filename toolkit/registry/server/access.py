"""Who may do what with the server: everybody, users of an htpasswd file, holders of a token.

Three policies behind one Protocol.  `TokenPolicy` is both the registry and its
token server: `/token` turns a user's password into a signed, short-lived
statement of what its holder may do (JWT, HS256 with a key that lives in this
process), as the distribution project's docs/spec/auth/token.md describes.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from typing import Any, NamedTuple, Protocol, cast

from toolkit.registry.server import errors
from toolkit.registry.server.errors import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.registry.server.htpasswd import Htpasswd

_LIFE_S = 300
_SERVICE = "container-registry"


class Wish(NamedTuple):
    """What a request wants: an action on a repository, or only to get in (both empty)."""

    repository: str
    action: str
    """"pull", "push" or "delete"; "*" on repository "" is the catalog."""


class Policy(Protocol):
    """Decides about each request."""

    def check(self, authorization: str, wishes: "tuple[Wish, ...]", realm: str) -> None:
        """Let the request pass.

        Args:
            authorization: the header's value, or empty.
            wishes: all that the request wants.
            realm: the URL of this server's token endpoint, as the client sees it.

        Raises:
            RefusedError: UNAUTHORIZED with a challenge, or DENIED.
        """
        ...


class OpenPolicy:
    """Everybody may do everything."""

    def check(self, authorization: str, wishes: "tuple[Wish, ...]", realm: str) -> None:
        """Let every request pass."""
        del authorization, wishes, realm  # nothing is asked


class BasicPolicy:
    """A user with a password may do everything, others nothing."""

    def __init__(self, users: "Htpasswd") -> None:
        """Accept `users`."""
        self._users = users

    def check(self, authorization: str, wishes: "tuple[Wish, ...]", realm: str) -> None:
        """Let known users pass."""
        del wishes, realm  # whoever gets in may do everything
        if authenticate(self._users, authorization) is None:
            raise RefusedError(errors.UNAUTHORIZED, headers={"WWW-Authenticate": f'Basic realm="{_SERVICE}"'})


class TokenPolicy:
    """A token says what its holder may do."""

    def __init__(self, users: "Htpasswd", *, is_public: bool = False) -> None:
        """Give tokens to `users`; and, if `is_public`, tokens to pull to everybody."""
        self._users = users
        self._is_public = is_public
        self._key = os.urandom(32)

    def check(self, authorization: str, wishes: "tuple[Wish, ...]", realm: str) -> None:
        """Let a request pass whose token covers it."""
        scheme, _, token = authorization.partition(" ")
        allowed = self._verify(token) if scheme.lower() == "bearer" else None
        if allowed is not None and all(not wish.action or wish in allowed for wish in wishes):
            return
        scope = " ".join(_scope(wish) for wish in wishes if wish.action)
        challenge = f'Bearer realm="{realm}",service="{_SERVICE}"' + (f',scope="{scope}"' if scope else "")
        if allowed is not None:
            challenge += ',error="insufficient_scope"'
        raise RefusedError(errors.UNAUTHORIZED, headers={"WWW-Authenticate": challenge})

    def grant(self, authorization: str, scopes: "list[str]") -> dict[str, object]:
        """Return the token endpoint's answer.

        Raises:
            RefusedError: UNAUTHORIZED where a password is wrong, or missing and needed.
        """
        user = authenticate(self._users, authorization)
        if user is None and (authorization or not self._is_public):
            raise RefusedError(errors.UNAUTHORIZED, headers={"WWW-Authenticate": f'Basic realm="{_SERVICE}"'})
        wishes = [wish for scope in scopes for wish in parse_scope(scope)]
        granted = [wish for wish in wishes if user is not None or wish.action == "pull"]
        issued_s = int(time.time())
        token = self._sign({"sub": user or "", "exp": issued_s + _LIFE_S, "access": granted})
        issued_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(issued_s))
        return {"token": token, "access_token": token, "expires_in": _LIFE_S, "issued_at": issued_at}

    def _sign(self, claims: "dict[str, object]") -> str:
        head = _encode(b'{"alg":"HS256","typ":"JWT"}')
        payload = f"{head}.{_encode(json.dumps(claims).encode())}"
        return f"{payload}.{_encode(hmac.digest(self._key, payload.encode(), hashlib.sha256))}"

    def _verify(self, token: str) -> "set[Wish] | None":
        payload, _, signature = token.rpartition(".")
        expected = _encode(hmac.digest(self._key, payload.encode(), hashlib.sha256))
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        claims = cast("dict[str, Any]", json.loads(_decode(payload.partition(".")[2])))
        if claims["exp"] <= time.time():
            return None
        return {Wish(*fields) for fields in claims["access"]}


def authenticate(users: "Htpasswd", authorization: str) -> str | None:
    """Return the user that a Basic Authorization header proves, or None."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if scheme.lower() != "basic" or not colon or not users.check(user, password):
        return None
    return user


def parse_scope(text: str) -> list[Wish]:
    """Read scopes such as "repository:library/ubuntu:pull,push", several of them separated by blanks."""
    wishes: list[Wish] = []
    for scope in text.split():
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        if kind == "repository":
            wishes += [Wish(name, action) for action in actions.split(",") if action in ("pull", "push", "delete")]
        elif kind == "registry" and name == "catalog":
            wishes.append(Wish("", "*"))
    return wishes


def _scope(wish: Wish) -> str:
    return f"repository:{wish.repository}:{wish.action}" if wish.repository else "registry:catalog:*"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
