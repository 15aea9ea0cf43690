"""Tokens: when they are asked for, and when not."""

import time
from collections.abc import Mapping

import pytest

from toolkit.core.errors import RegistryError
from toolkit.registry.auth import Access, Authorizer
from toolkit.registry.challenge import Challenge
from toolkit.registry.credentials import Credentials

URL = "https://r.example/v2/"
PULL = Access("a:latest", "pull", ("repository:a:pull",))
PUSH = Access("a:latest", "push", ("repository:a:pull,push",))
BEARER = Challenge("bearer", {"realm": "https://tokens.example/token", "service": "s"})
BASIC = Challenge("basic", {"realm": "r"})


class TokenServer:
    """Gives out t1, t2, ... and remembers what was asked."""

    def __init__(self, life_s: float = 300) -> None:
        self.urls: list[str] = []
        self._life_s = life_s

    def __call__(self, _method: str, url: str, _headers: Mapping[str, str], _body: bytes | None) -> tuple[int, bytes]:
        self.urls.append(url)
        return 200, f'{{"token":"t{len(self.urls)}","expires_in":{self._life_s}}}'.encode()


def test_nothing_is_sent_before_the_registry_asks() -> None:
    assert Authorizer(Credentials("me", "pw"), TokenServer()).header(PULL) is None


def test_token_of_another_thread_is_used_instead_of_a_new_one() -> None:
    server = TokenServer()
    authorizer = Authorizer(None, server)
    assert authorizer.answer([BEARER], PULL, None, URL)
    assert authorizer.answer([BEARER], PULL, None, URL)  # the second thread was refused without a header, too
    assert (authorizer.header(PULL), len(server.urls)) == ("Bearer t1", 1)


def test_refused_token_is_replaced() -> None:
    authorizer = Authorizer(None, TokenServer())
    authorizer.answer([BEARER], PULL, None, URL)
    assert authorizer.answer([BEARER], PULL, "Bearer t1", URL)
    assert authorizer.header(PULL) == "Bearer t2"


def test_each_scope_has_its_token() -> None:
    server = TokenServer()
    authorizer = Authorizer(None, server)
    authorizer.answer([BEARER], PULL, None, URL)
    assert authorizer.header(PUSH) == "Bearer t2"
    assert authorizer.header(PULL) == "Bearer t1"
    assert "scope=repository%3Aa%3Apull%2Cpush" in server.urls[1]


def test_token_near_its_end_is_replaced_before_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    start_s = time.monotonic()
    authorizer = Authorizer(None, TokenServer(life_s=1000))
    authorizer.answer([BEARER], PULL, None, URL)
    monkeypatch.setattr(time, "monotonic", lambda: start_s + 700)
    assert authorizer.header(PULL) == "Bearer t1"
    monkeypatch.setattr(time, "monotonic", lambda: start_s + 900)
    assert authorizer.header(PULL) == "Bearer t2"


def test_scope_that_the_registry_names_is_asked_for_too() -> None:
    server = TokenServer()
    wanted = Challenge("bearer", {**BEARER.parameters, "scope": "aws"})
    Authorizer(None, server).answer([wanted], PULL, None, URL)
    assert server.urls == ["https://tokens.example/token?service=s&scope=repository%3Aa%3Apull&scope=aws"]


def test_bearer_goes_before_basic() -> None:
    authorizer = Authorizer(Credentials("me", "pw"), TokenServer())
    authorizer.answer([BASIC, BEARER], PULL, None, URL)
    assert authorizer.header(PULL) == "Bearer t1"


def test_basic_without_credentials_is_no_way_in() -> None:
    assert not Authorizer(None, TokenServer()).answer([BASIC], PULL, None, URL)


def test_refused_password_is_not_tried_again() -> None:
    authorizer = Authorizer(Credentials("me", "pw"), TokenServer())
    assert authorizer.answer([BASIC], PULL, None, URL)
    assert not authorizer.answer([BASIC], PULL, authorizer.header(PULL), URL)


@pytest.mark.parametrize("realm", ["", "file:///etc/passwd", "token"])
def test_realm_that_is_no_url_is_refused(realm: str) -> None:
    wanted = Challenge("bearer", {"realm": realm or "x:"})
    with pytest.raises(RegistryError, match="names no usable token server"):
        Authorizer(None, TokenServer()).answer([wanted], PULL, None, URL)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"token":5}', b'{"token":"a\\nb"}', b"[" * 100_000])
def test_answer_without_a_token_is_refused(body: bytes) -> None:
    authorizer = Authorizer(None, lambda *_: (200, body))
    with pytest.raises(RegistryError, match="sent no token"):
        authorizer.answer([BEARER], PULL, None, URL)
