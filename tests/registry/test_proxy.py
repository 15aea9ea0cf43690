"""Proxies, as the environment names them."""

import base64
from collections.abc import Iterator

import pytest

from tests.support.scripted import ScriptedServer, answer
from toolkit.core.errors import UnreachableError
from toolkit.registry.auth import Access
from toolkit.registry.endpoint import parse_mirror
from toolkit.registry.session import Patience, Registry
from toolkit.registry.source import Source
from toolkit.registry.transport import Timeouts, Transport

QUICK = Patience(attempts=2, first_s=0.01, longest_s=1)
URL = "http://r.invalid/v2/a/b/manifests/latest"


@pytest.fixture
def proxy() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        running.on("GET", URL, answer(200, body=b"{}"))
        yield running


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    transport = Transport(Timeouts(connect_s=1, read_s=1))
    registry = Registry(parse_mirror("http://r.invalid"), transport, None, QUICK)
    yield Source(registry, "a/b", Access("r.invalid/a/b:latest", "pull", ()))
    transport.close()


def test_registry_is_reached_through_the_proxy(
    source: Source, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    assert source.fetch_manifest("latest").content == b"{}"
    assert proxy.requests[0].path == URL


def test_password_of_the_proxy_is_sent_to_it(
    source: Source, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:p%40ss@{proxy.address}")
    source.fetch_manifest("latest")
    sent = proxy.requests[0].headers["proxy-authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"me:p@ss"


def test_no_proxy_names_exceptions(source: Source, proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    monkeypatch.setenv("no_proxy", "r.invalid")
    with pytest.raises(UnreachableError, match="does not resolve"):
        source.fetch_manifest("latest")
    assert proxy.requests == []


def test_loopback_is_never_asked_through_a_proxy(proxy: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    transport = Transport()
    response = transport.exchange("GET", f"http://{proxy.address}/", {})
    assert response.status == 404
    response.finish()
    transport.close()


def test_dead_proxy_is_named(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(
        UnreachableError, match=r"the proxy on the way to r\.invalid does not answer; check HTTPS_PROXY"
    ):
        source.fetch_manifest("latest")
