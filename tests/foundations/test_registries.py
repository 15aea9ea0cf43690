"""The registries that tests start (tests/support/registries.py, tokens.py)."""

import base64
import json
import urllib.error
import urllib.request

import pytest

from tests.support.registries import PASSWORD, USER, StartRegistry

pytestmark = pytest.mark.needs("docker-registry")


def status(url: str, authorization: str = "") -> int:
    """Return the status of a GET."""
    request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code


def basic(user: str, password: str) -> str:
    """Return the header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def token(realm: str, scope: str, authorization: str = "") -> str:
    """Ask the token server, as a client does."""
    url = f"{realm}?service=test-registry&scope={scope}"
    request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})  # noqa: S310 - loopback
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        return "Bearer " + str(json.load(answer)["token"])


def test_anonymous_registry_answers_everybody(start_registry: StartRegistry) -> None:
    assert status(start_registry().url + "/v2/") == 200


@pytest.mark.needs("htpasswd")
def test_basic_registry_wants_the_password(start_registry: StartRegistry) -> None:
    url = start_registry("basic").url + "/v2/"
    assert status(url) == 401
    assert status(url, basic(USER, "wrong")) == 401
    assert status(url, basic(USER, PASSWORD)) == 200


@pytest.mark.needs("openssl")
def test_token_registry_accepts_the_token_of_its_server(start_registry: StartRegistry) -> None:
    registry = start_registry("token")
    assert registry.tokens is not None
    url = registry.url + "/v2/library/none/tags/list"
    assert status(url) == 401
    granted = token(registry.tokens.realm, "repository:library/none:pull")
    assert status(url, granted) == 404  # the repository does not exist, but we may ask
    assert registry.tokens.scopes == ["repository:library/none:pull"]


@pytest.mark.needs("openssl")
def test_token_server_grants_a_stranger_no_push(start_registry: StartRegistry) -> None:
    registry = start_registry("token", anonymous_pull=False)
    assert registry.tokens is not None
    url = registry.url + "/v2/library/none/tags/list"
    assert status(url, token(registry.tokens.realm, "repository:library/none:pull")) == 401
    assert status(url, token(registry.tokens.realm, "repository:library/none:pull", basic(USER, PASSWORD))) == 404
