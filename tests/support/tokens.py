"""A token server of the kind that Docker Hub has, small, for tests.

It speaks the protocol of distribution's "Token Authentication Specification":
GET /token?service=...&scope=repository:NAME:ACTIONS with HTTP Basic
credentials (or none), answered by a JWT that docker-registry verifies against
the certificate it was given.
"""

import base64
import json
import os
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

ISSUER = "toolkit-tests"
SERVICE = "test-registry"


class Key:
    """A private key and its self-signed certificate, made by openssl in `directory`."""

    def __init__(self, directory: str) -> None:
        self.key_path = f"{directory}/token.key"
        self.certificate_path = f"{directory}/token.crt"
        subject = ["-subj", f"/CN={ISSUER}", "-days", "2", "-nodes", "-newkey", "rsa:2048"]
        _openssl("req", "-x509", *subject, "-keyout", self.key_path, "-out", self.certificate_path)
        self._der = _openssl("x509", "-in", self.certificate_path, "-outform", "DER")

    def sign(self, claims: dict[str, object]) -> str:
        """Return a JWT (RFC 7519) with RS256 and the certificate in its header."""
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(self._der).decode()]}
        signed = f"{_part(json.dumps(header).encode())}.{_part(json.dumps(claims).encode())}"
        signature = _openssl("dgst", "-sha256", "-sign", self.key_path, content=signed.encode())
        return f"{signed}.{_part(signature)}"


def _openssl(*args: str, content: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *args], input=content, capture_output=True, check=True).stdout


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class TokenServer:
    """Serves tokens on a free loopback port until `close`.

    Args:
        key: signs the tokens.
        users: name and password of those who may do everything.  Anonymous
            clients get pull where `allow_anonymous_pull` says so, else nothing.
        lifetime_s: how long a token is valid.
    """

    def __init__(
        self, key: Key, users: dict[str, str], *, allow_anonymous_pull: bool = True, lifetime_s: int = 300
    ) -> None:
        self.key = key
        self.users = users
        self.allow_anonymous_pull = allow_anonymous_pull
        self.lifetime_s = lifetime_s
        self.scopes: list[str] = []
        """Every scope that was asked for, in order."""
        handler = type("Handler", (_Handler,), {"tokens": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.realm = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def token(self, user: str, service: str, scopes: list[str]) -> str:
        """Sign what `user` (empty: anonymous) may have of `scopes`."""
        now = int(time.time())
        return self.key.sign(
            {
                "iss": ISSUER,
                "sub": user,
                "aud": service,
                "exp": now + self.lifetime_s,
                "nbf": now - 10,
                "iat": now,
                "jti": os.urandom(8).hex(),
                "access": [self._grant(user, scope) for scope in scopes],
            }
        )

    def _grant(self, user: str, scope: str) -> dict[str, object]:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        asked = actions.split(",")
        if user:
            granted = asked
        elif self.allow_anonymous_pull:
            granted = [action for action in asked if action == "pull"]
        else:
            granted = []
        return {"type": kind, "name": name, "actions": granted}


class _Handler(BaseHTTPRequestHandler):
    tokens: ClassVar[TokenServer]

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        user = self._user()
        if user is None:
            self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]})
            return
        scopes = [scope for value in query.get("scope", []) for scope in value.split(" ")]
        self.tokens.scopes += scopes
        token = self.tokens.token(user, query.get("service", [""])[0], scopes)
        self._answer(200, {"token": token, "access_token": token, "expires_in": self.tokens.lifetime_s})

    def _user(self) -> str | None:
        """Return the user's name, "" without credentials, None with wrong ones."""
        kind, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return ""
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        return user if self.tokens.users.get(user) == password else None

    def _answer(self, status: int, document: dict[str, object]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: pytest captures the tests' own output."""
