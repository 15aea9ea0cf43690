"""Who we are to a registry: from `--creds`, or from what `docker login` stored.

Docker's `config.json` names either a credential helper (credHelpers for one
registry, credsStore for all) or holds the credentials itself, as base64 of
"user:password".  A secret is never part of a `repr`, so it cannot slip into a
log or a message.
"""

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from typing import Any, cast

from toolkit.core.errors import InvalidError, UnauthorizedError

HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
_NO_USER = "<token>"
HELPER_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name with a password, or an identity token in place of both."""

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """Return the value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def parse_credentials(text: str) -> Credentials:
    """Read `--creds user:password`.

    Raises:
        InvalidError: there is no colon, or no user name.
    """
    username, colon, password = text.partition(":")
    if not colon or not username:
        raise InvalidError("invalid credentials", hint="write them as USER:PASSWORD")
    return Credentials(username, password)


def find_credentials(registry: str, path: str | None = None) -> Credentials | None:
    """Return what `docker login` stored for `registry`, or None.

    Args:
        registry: a host with an optional port; "docker.io" is Docker Hub.
        path: docker's configuration; default $DOCKER_CONFIG/config.json,
            then ~/.docker/config.json.

    Raises:
        InvalidError: the file is not JSON, or an entry is malformed.
        UnauthorizedError: the credential helper it names cannot be run.
    """
    path = path or config_path()
    config = read_config(path)
    key = key_of(registry)
    helper = helper_of(config, registry)
    if helper:
        found = _ask_helper(helper, key, path)
        if found is not None:
            return found
    return _from_auths(config.get("auths") or {}, registry, key, path)


def key_of(registry: str) -> str:
    """Return what docker's configuration calls a registry."""
    return _HUB_KEY if registry == HUB else registry


def helper_of(config: "dict[str, Any]", registry: str) -> str:
    """Return the credential helper that keeps the credentials of a registry, "" for none."""
    helpers = config.get("credHelpers") or {}
    return str(helpers.get(registry) or helpers.get(key_of(registry)) or config.get("credsStore") or "")


def config_path() -> str:
    """Return where docker's configuration of this user lies."""
    directory = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    return os.path.join(directory, "config.json")


def read_config(path: str) -> dict[str, Any]:
    """Return docker's configuration; empty where there is none.

    Raises:
        InvalidError: it is no JSON object.
    """
    try:
        with open(path, encoding="utf-8") as file:
            config: object = json.load(file)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}  # docker goes on without credentials, too
    except ValueError as exc:
        raise InvalidError(f"{path} is not JSON: {exc}", hint="repair it, or log in again") from exc
    if not isinstance(config, dict):
        raise InvalidError(f"{path} is not a JSON object", hint="repair it, or log in again")
    return cast("dict[str, Any]", config)


def _from_auths(auths: "dict[str, Any]", registry: str, key: str, path: str) -> Credentials | None:
    wanted = _host(key) if registry == HUB else registry
    entry = auths.get(key)
    if entry is None:
        entry = next((value for name, value in auths.items() if _host(name) == wanted), None)
    if not isinstance(entry, dict):
        return None
    fields = cast("dict[str, Any]", entry)
    username, password = str(fields.get("username", "")), str(fields.get("password", ""))
    if fields.get("auth"):
        username, password = _decode(str(fields["auth"]), registry, path)
    identity_token = str(fields.get("identitytoken", ""))
    if not username and not identity_token:
        return None
    return Credentials(username, password, identity_token)


def _decode(encoded: str, registry: str, path: str) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        username, colon, password = "", "", ""
    if not colon:
        raise InvalidError(f"{path}: the entry for {registry} is malformed", hint="log in to it again")
    return username, password.rstrip("\0")


def _host(name: str) -> str:
    """Return the host of an `auths` key, which may be a URL with a path (from docker 1.x)."""
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _ask_helper(helper: str, key: str, path: str) -> Credentials | None:
    import subprocess  # 13 ms, and few configurations have a helper

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=key.encode(), capture_output=True, check=False, timeout=HELPER_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise UnauthorizedError(
            f"cannot run the credential helper {program}", hint=f"install it, or remove it from {path}"
        ) from exc
    if done.returncode != 0:
        return None  # the helper's way to say "not found"; docker falls back to `auths`, too
    try:
        answer = json.loads(done.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as exc:
        raise UnauthorizedError(
            f"the credential helper {program} gave no credentials", hint=f"log in again, or remove it from {path}"
        ) from exc
    if username == _NO_USER:
        return Credentials("", "", secret)
    return Credentials(username, secret)
