"""How we show a registry who we are: Basic, or a Bearer token from a token server.

The registry refuses (401) and says what it wants; a token server, often on
another host, turns a user's credentials (or none) into a short-lived token for
a scope such as "repository:library/ubuntu:pull".  See the distribution
project's docs/spec/auth/token.md and oauth.md.

Tokens are kept per scope until shortly before they expire, so the layers of an
image share one.
"""

import json
import threading
import time
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from toolkit.core.errors import RegistryError, UnauthorizedError
from toolkit.registry.failure import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toolkit.registry.challenge import Challenge
    from toolkit.registry.credentials import Credentials

    type_fetch = Callable[[str, str, Mapping[str, str], bytes | None], tuple[int, bytes]]

_CLIENT_ID = "container-toolkit"
_DEFAULT_LIFE_S = 60.0  # token.md: "if omitted, this defaults to 60 seconds"
_MARGIN = 0.8  # a token is replaced when this part of its life is over


class Access(NamedTuple):
    """What a request wants to do, for the token server and for error messages."""

    name: str
    """As the user wrote it: "ubuntu:latest"."""
    action: str
    """"pull" or "push"."""
    scopes: tuple[str, ...]
    """As in "repository:library/ubuntu:pull"."""


class _Token(NamedTuple):
    header: str
    expires_s: float


class Authorizer:
    """Finds the Authorization header for requests to one registry; safe between threads."""

    def __init__(self, credentials: "Credentials | None", fetch: "type_fetch") -> None:
        """Act for `credentials`; `fetch(method, url, headers, body)` does one exchange with a token server."""
        self.credentials = credentials
        self._fetch = fetch
        self._lock = threading.RLock()
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._wanted: Challenge | None = None
        self._is_secure = True

    def header(self, access: Access) -> str | None:
        """Return what to send, as far as is known; may ask the token server."""
        with self._lock:
            if self._wanted is None:
                return None
            if self._wanted.scheme == "basic":
                return self.credentials.basic() if self.credentials else None
            token = self._tokens.get(access.scopes)
            if token is None or token.expires_s <= time.monotonic():
                token = self._tokens[access.scopes] = self._get_token(self._wanted.parameters, access)
            return token.header

    def answer(self, challenges: "Sequence[Challenge]", access: Access, refused: str | None, url: str) -> bool:
        """Take in the challenges of a 401; tell whether another attempt makes sense.

        Args:
            challenges: what the registry wants.
            access: what the request was for.
            refused: the header that was sent.
            url: the request's, to keep secrets off plain http.

        Raises:
            UnauthorizedError: the token server refuses the credentials.
        """
        with self._lock:
            self._is_secure = urlsplit(url).scheme == "https"
            token = self._tokens.get(access.scopes)
            if token is not None and token.header != refused:
                return True  # another thread has just got a new one
            wanted = _choose(challenges, has_credentials=self.credentials is not None)
            if wanted is None:
                return False
            self._wanted = wanted
            self._tokens.pop(access.scopes, None)
            return self.header(access) != refused

    def _get_token(self, wanted: "Mapping[str, str]", access: Access) -> _Token:
        realm = wanted.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise RegistryError(f"the registry names no usable token server: '{realm}'", hint="tell its operator")
        if self.credentials and self._is_secure and parts.scheme != "https":
            raise UnauthorizedError(
                f"the registry wants the credentials sent to {parts.netloc} without TLS", hint="tell its operator"
            )
        scopes = list(dict.fromkeys((*access.scopes, *wanted.get("scope", "").split())))
        status, body = self._ask(realm, wanted.get("service", ""), scopes)
        if status != 200:
            has_credentials = self.credentials is not None
            raise refusal(
                parts.netloc, status, body, access.name, action=access.action, has_credentials=has_credentials
            )
        return _parse_token(body, parts.netloc)

    def _ask(self, realm: str, service: str, scopes: "Sequence[str]") -> tuple[int, bytes]:
        credentials = self.credentials
        if credentials and credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "service": service,
                "scope": " ".join(scopes),
                "client_id": _CLIENT_ID,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._fetch("POST", realm, headers, urlencode(form).encode())
        parts = urlsplit(realm)
        query = parse_qsl(parts.query) + ([("service", service)] if service else [])
        query += [("scope", scope) for scope in scopes]
        if credentials:
            query.append(("account", credentials.username))
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
        return self._fetch("GET", url, {"Authorization": credentials.basic()} if credentials else {}, None)


def _choose(challenges: "Sequence[Challenge]", *, has_credentials: bool) -> "Challenge | None":
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
    basic = (challenge for challenge in challenges if challenge.scheme == "basic")
    return next(basic, None) if has_credentials else None


def _parse_token(body: bytes, host: str) -> _Token:
    try:
        answer = json.loads(body)
        value = answer.get("token") or answer.get("access_token")
        life_s = float(answer.get("expires_in") or _DEFAULT_LIFE_S)
    except (ValueError, AttributeError, TypeError, RecursionError):
        value, life_s = None, 0.0
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise RegistryError(f"token server {host} sent no token", hint="check that this is a registry's token server")
    return _Token(f"Bearer {value}", time.monotonic() + life_s * _MARGIN)
