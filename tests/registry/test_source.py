"""Manifests and blobs from registries that behave, and from some that do not."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.oci import make_image, sha256
from tests.support.scripted import ScriptedServer, answer, cut, endless, hang, ranged, reset
from toolkit.core.digest import Digest
from toolkit.core.errors import (
    DigestMismatchError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    RegistryError,
    UnauthorizedError,
    UnreachableError,
)
from toolkit.image.content import ContentStore
from toolkit.image.manifest import Descriptor
from toolkit.registry.auth import Access
from toolkit.registry.credentials import Credentials
from toolkit.registry.endpoint import Endpoint, find_endpoint, parse_mirror
from toolkit.registry.progress import Reporter
from toolkit.registry.session import Patience, Registry
from toolkit.registry.source import Source, fetch_blob
from toolkit.registry.transport import Timeouts, Transport
from toolkit.trace import recording

QUICK = Patience(attempts=3, first_s=0.01, longest_s=1)
CONTENT = os.urandom(300_000)
DIGEST = Digest(sha256(CONTENT))
BLOB = f"/v2/a/b/blobs/{DIGEST}"
MANIFEST = "/v2/a/b/manifests/latest"
SILENT = Reporter(None)

Connect = Callable[..., Source]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Connect]:
    transports: list[Transport] = []

    def make(address: str, credentials: Credentials | None = None, *, endpoint: Endpoint | None = None) -> Source:
        transport = Transport(Timeouts(connect_s=1, read_s=0.5))
        transports.append(transport)
        found = endpoint or find_endpoint(address)._replace(schemes=("http",))
        registry = Registry(found, transport, credentials, QUICK)
        return Source(registry, "a/b", Access(f"{address}/a/b:latest", "pull", ("repository:a/b:pull",)))

    yield make
    for transport in transports:
        transport.close()


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(str(tmp_path / "content"))


def bring(source: Source, store: ContentStore, *more: Source, size: int = len(CONTENT)) -> None:
    descriptor = Descriptor(media_type="application/octet-stream", digest=DIGEST, size=size)
    fetch_blob([source, *more], descriptor, store, "layer", SILENT)


def ranges(server: ScriptedServer) -> list[str | None]:
    return [request.headers.get("range") for request in server.requests if request.path == BLOB]


# Manifests


def test_manifest_is_fetched_with_its_digest(server: ScriptedServer, connect: Connect) -> None:
    image = make_image({"a": b"1"})
    server.serve_image("a/b", "latest", image)
    found = connect(server.address).fetch_manifest("latest")
    assert (found.content, found.media_type, found.digest) == (image.content, image.media_type, image.digest)


def test_client_accepts_all_four_kinds_of_manifest(server: ScriptedServer, connect: Connect) -> None:
    server.serve_image("a/b", "latest", make_image({"a": b"1"}))
    connect(server.address).fetch_manifest("latest")
    accept = server.requests[0].headers["accept"]
    for kind in (
        "oci.image.manifest.v1",
        "oci.image.index.v1",
        "distribution.manifest.v2",
        "distribution.manifest.list.v2",
    ):
        assert kind in accept


def test_manifest_with_another_digest_is_refused(server: ScriptedServer, connect: Connect) -> None:
    image = make_image({"a": b"1"})
    server.on("GET", f"/v2/a/b/manifests/{image.digest}", answer(200, {"Content-Type": image.media_type}, b"{}"))
    with pytest.raises(DigestMismatchError, match=f"does not have the digest {image.digest}"):
        connect(server.address).fetch_manifest(image.digest)


def test_manifest_that_contradicts_the_stated_digest_is_refused(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", MANIFEST, answer(200, {"Docker-Content-Digest": sha256(b"other")}, b"{}"))
    with pytest.raises(DigestMismatchError, match="does not have the digest"):
        connect(server.address).fetch_manifest("latest")


def test_unknown_tag_is_not_found(server: ScriptedServer, connect: Connect) -> None:
    body = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
    server.on("GET", MANIFEST, answer(404, body=body))
    with pytest.raises(
        NotFoundError,
        match=r"^manifest for .*/a/b:latest not found on .*: manifest unknown; check the name and the tag",
    ):
        connect(server.address).fetch_manifest("latest")


def test_control_characters_of_an_error_do_not_reach_the_terminal(server: ScriptedServer, connect: Connect) -> None:
    body = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"a\\u001b[2J\\nb"}]}'
    server.on("GET", MANIFEST, answer(404, body=body))
    with pytest.raises(NotFoundError) as caught:
        connect(server.address).fetch_manifest("latest")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("length", [None, 5 << 20])
def test_manifest_above_four_mebibytes_is_refused(server: ScriptedServer, connect: Connect, length: int | None) -> None:
    server.on("GET", MANIFEST, endless if length is None else answer(200, body=bytes(10), length=length))
    with pytest.raises(InvalidError, match="larger than 4194304 bytes"):
        connect(server.address).fetch_manifest("latest")


def test_truncated_manifest_is_fetched_again(server: ScriptedServer, connect: Connect) -> None:
    image = make_image({"a": b"1"})
    whole = answer(200, {"Content-Type": image.media_type}, image.content)
    server.on("GET", MANIFEST, cut(image.content, 20), whole)
    assert connect(server.address).fetch_manifest("latest").content == image.content


# Blobs


def test_blob_is_brought_and_checked(server: ScriptedServer, connect: Connect, store: ContentStore) -> None:
    server.on("GET", BLOB, ranged(CONTENT))
    bring(connect(server.address), store)
    assert store.read(DIGEST) == CONTENT


def test_blob_that_is_here_is_not_fetched(server: ScriptedServer, connect: Connect, store: ContentStore) -> None:
    store.add(CONTENT)
    bring(connect(server.address), store)
    assert server.requests == []


def test_broken_connection_goes_on_from_where_it_stopped(
    server: ScriptedServer, connect: Connect, store: ContentStore
) -> None:
    server.on("GET", BLOB, cut(CONTENT, 100_000), cut(CONTENT, 100_000), ranged(CONTENT))
    bring(connect(server.address), store)
    assert store.read(DIGEST) == CONTENT
    assert ranges(server) == [None, "bytes=100000-", "bytes=200000-"]


def test_server_without_ranges_sends_all_again(server: ScriptedServer, connect: Connect, store: ContentStore) -> None:
    server.on("GET", BLOB, cut(CONTENT, 100_000), answer(200, body=CONTENT))
    bring(connect(server.address), store)
    assert store.read(DIGEST) == CONTENT
    assert ranges(server) == [None, "bytes=100000-"]


def test_answer_with_another_range_is_not_used(server: ScriptedServer, connect: Connect, store: ContentStore) -> None:
    wrong = answer(206, {"Content-Range": f"bytes 5-299999/{len(CONTENT)}"}, CONTENT[5:])
    server.on("GET", BLOB, cut(CONTENT, 100_000), wrong, ranged(CONTENT))
    bring(connect(server.address), store)
    assert store.read(DIGEST) == CONTENT


def test_connection_that_breaks_again_and_again_ends_the_pull_and_keeps_the_bytes(
    server: ScriptedServer, connect: Connect, store: ContentStore
) -> None:
    server.on("GET", BLOB, cut(CONTENT, 1000))
    with pytest.raises(UnreachableError, match="broke the connection; try again"):
        bring(connect(server.address), store)
    assert not store.has(DIGEST)
    assert server.count("GET", BLOB) == QUICK.attempts
    server.on("GET", BLOB, ranged(CONTENT))
    bring(connect(server.address), store)
    assert ranges(server)[-1] == "bytes=3000-"


def test_silence_ends_after_the_timeout(server: ScriptedServer, connect: Connect, store: ContentStore) -> None:
    server.on("GET", BLOB, hang(2, ranged(CONTENT)))
    with pytest.raises(UnreachableError, match="stopped answering"):
        bring(connect(server.address), store)


def test_blob_with_other_bytes_is_refused_and_nothing_remains(
    server: ScriptedServer, connect: Connect, store: ContentStore
) -> None:
    server.on("GET", BLOB, answer(200, body=bytes(len(CONTENT))))
    with pytest.raises(DigestMismatchError, match=f"blob {DIGEST} does not have this digest"):
        bring(connect(server.address), store)
    assert not store.has(DIGEST)
    assert left(store) == 0


def test_bad_leftover_of_an_earlier_attempt_does_not_spoil_the_blob(
    server: ScriptedServer, connect: Connect, store: ContentStore
) -> None:
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        ingest.write(bytes(1000))
    server.on("GET", BLOB, ranged(CONTENT))
    bring(connect(server.address), store)
    assert store.read(DIGEST) == CONTENT
    assert ranges(server) == ["bytes=1000-", None]


def test_endless_blob_is_cut_off(server: ScriptedServer, connect: Connect, store: ContentStore) -> None:
    server.on("GET", BLOB, endless)
    with pytest.raises(DigestMismatchError, match=f"longer than the {len(CONTENT)} bytes"):
        bring(connect(server.address), store)
    assert left(store) == 0


@pytest.mark.parametrize("length", [len(CONTENT) + 1, len(CONTENT) - 1])
def test_size_that_contradicts_the_manifest_is_refused(
    server: ScriptedServer, connect: Connect, store: ContentStore, length: int
) -> None:
    server.on("GET", BLOB, answer(200, body=CONTENT, length=length))
    with pytest.raises(IntegrityError, match=f"announces {length} where {len(CONTENT)} are missing"):
        bring(connect(server.address), store)


def test_content_length_larger_than_the_body_is_a_broken_connection(
    server: ScriptedServer, connect: Connect, store: ContentStore
) -> None:
    server.on("GET", BLOB, cut(CONTENT, len(CONTENT) - 1), ranged(CONTENT))
    bring(connect(server.address), store)
    assert ranges(server)[-1] == f"bytes={len(CONTENT) - 1}-"


def test_missing_blob_names_the_image_and_the_cure(
    server: ScriptedServer, connect: Connect, store: ContentStore
) -> None:
    with pytest.raises(NotFoundError, match=r"of .*/a/b:latest not found on .*; the image is incomplete there"):
        bring(connect(server.address), store)


def left(store: ContentStore) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(os.path.join(store.root, "ingest")))


# Retries


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_later_is_tried_again(server: ScriptedServer, connect: Connect, status: int) -> None:
    image = make_image({"a": b"1"})
    server.serve_image("a/b", "latest", image)
    good = answer(200, {"Content-Type": image.media_type}, image.content)
    server.on("GET", MANIFEST, answer(status), good)
    assert connect(server.address).fetch_manifest("latest").digest == image.digest


def test_connection_reset_is_tried_again(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", MANIFEST, reset, answer(200, body=b"{}"))
    assert connect(server.address).fetch_manifest("latest").content == b"{}"


def test_retry_after_is_honoured(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", MANIFEST, answer(429, {"Retry-After": "1"}), answer(200, body=b"{}"))
    start_s = time.monotonic()
    connect(server.address).fetch_manifest("latest")
    assert time.monotonic() - start_s >= 1


def test_retry_after_beyond_patience_ends_at_once(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", MANIFEST, answer(429, {"Retry-After": "21600"}))
    with pytest.raises(RegistryError, match="allows no more requests now; wait a while, or log in"):
        connect(server.address).fetch_manifest("latest")
    assert server.count("GET", MANIFEST) == 1


def test_failing_registry_is_named_after_the_last_attempt(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", MANIFEST, answer(503))
    with pytest.raises(RegistryError, match="failed with status 503; try again later"):
        connect(server.address).fetch_manifest("latest")
    assert server.count("GET", MANIFEST) == QUICK.attempts


# Nobody there


def test_refused_connection_is_named(connect: Connect) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=f"registry {address} refuses connections; check the port"):
            connect(address).fetch_manifest("latest")


def test_name_that_does_not_resolve_is_named(connect: Connect) -> None:
    with pytest.raises(UnreachableError, match=r"cannot find registry none\.invalid: its name does not resolve"):
        connect("none.invalid", endpoint=find_endpoint("none.invalid")).fetch_manifest("latest")


def test_connection_that_times_out_is_named(connect: Connect) -> None:
    with socket.socket() as full:  # a backlog that is full drops further SYNs
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = f"127.0.0.1:{full.getsockname()[1]}"
        waiting = [socket.create_connection(full.getsockname())]
        try:
            for _ in range(2):
                extra = socket.socket()
                extra.setblocking(False)  # noqa: FBT003 - the standard library's signature
                extra.connect_ex(full.getsockname())
                waiting.append(extra)
            with pytest.raises(UnreachableError, match="connection timed out; check the network"):
                connect(address).fetch_manifest("latest")
        finally:
            for one in waiting:
                one.close()


# Schemes and redirects


def test_loopback_falls_back_to_http(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", MANIFEST, answer(200, body=b"{}"))
    source = connect(server.address, endpoint=find_endpoint(server.address))
    assert source.fetch_manifest("latest").content == b"{}"


def test_other_hosts_do_not_fall_back_to_http() -> None:
    assert find_endpoint("r.example:5000") == Endpoint("r.example:5000", "r.example:5000", ("https",), verify=True)
    assert find_endpoint("r.example:5000", ["r.example:5000"]).schemes == ("https", "http")
    assert find_endpoint("10.1.2.3:5000", ["10.0.0.0/8"]).schemes == ("https", "http")


def test_docker_hub_is_asked_at_its_own_host() -> None:
    assert find_endpoint("docker.io").host == "registry-1.docker.io"


def test_mirror_may_have_a_scheme_and_a_prefix() -> None:
    assert parse_mirror("http://m.example:80/hub/") == Endpoint(
        "m.example:80", "m.example:80", ("http",), verify=True, prefix="hub"
    )
    with pytest.raises(InvalidError, match="invalid registry mirror"):
        parse_mirror("ftp://m")


def test_redirect_to_another_host_carries_no_authorization(
    server: ScriptedServer, connect: Connect, store: ContentStore
) -> None:
    with ScriptedServer() as cdn:
        cdn.on("GET", "/data", ranged(CONTENT))
        refuse = answer(401, {"WWW-Authenticate": 'Basic realm="r"'})
        server.on("GET", BLOB, refuse, answer(307, {"Location": f"http://{cdn.address}/data?signature=s3cret"}))
        with recording() as recorder:
            bring(connect(server.address, Credentials("me", "pw")), store)
        assert "authorization" in server.requests[-1].headers
        assert "authorization" not in cdn.requests[0].headers
    assert not any("s3cret" in event.call or "pw" in event.call for event in recorder.events)


def test_redirects_in_circles_end(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", MANIFEST, answer(302, {"Location": MANIFEST}))
    with pytest.raises(RegistryError, match="redirects in circles"):
        connect(server.address).fetch_manifest("latest")


# Mirrors


def test_failing_mirror_leaves_the_origin(server: ScriptedServer, connect: Connect, store: ContentStore) -> None:
    server.on("GET", BLOB, ranged(CONTENT))
    with ScriptedServer() as mirror:
        mirror.on("GET", BLOB, answer(200, body=bytes(len(CONTENT))))
        bring(connect(mirror.address), store, connect(server.address))
        assert mirror.count("GET", BLOB) == 1
    assert store.read(DIGEST) == CONTENT


# Authorization


def serve_tokens(server: ScriptedServer, *acts: object, status: int = 200) -> None:
    body = b'{"token":"t0ken","expires_in":300}'
    server.on("GET", "/token", answer(status, body=body if status == 200 else b""))


def challenge(server: ScriptedServer) -> dict[str, str]:
    realm = f"http://{server.address}/token"
    return {"WWW-Authenticate": f'Bearer realm="{realm}",service="s",scope="repository:a/b:pull"'}


def test_token_is_fetched_once_for_all_requests(server: ScriptedServer, connect: Connect, store: ContentStore) -> None:
    image = make_image({"a": b"1"})
    server.serve_image("a/b", "latest", image)
    serve_tokens(server)
    good = answer(200, {"Content-Type": image.media_type}, image.content)
    server.on("GET", MANIFEST, answer(401, challenge(server)), good)
    server.on("GET", BLOB, ranged(CONTENT))
    source = connect(server.address)
    source.fetch_manifest("latest")
    bring(source, store)
    assert server.count("GET", "/token") == 1
    token_request = next(request for request in server.requests if request.path.startswith("/token"))
    assert token_request.path == "/token?service=s&scope=repository%3Aa%2Fb%3Apull"
    assert server.requests[-1].headers["authorization"] == "Bearer t0ken"


def test_credentials_go_to_the_token_server_and_not_to_the_registry(server: ScriptedServer, connect: Connect) -> None:
    serve_tokens(server)
    server.on("GET", MANIFEST, answer(401, challenge(server)), answer(200, body=b"{}"))
    connect(server.address, Credentials("me", "pw")).fetch_manifest("latest")
    sent = {request.path.partition("?")[0]: request.headers.get("authorization", "") for request in server.requests}
    assert sent["/token"].startswith("Basic ")
    assert sent[MANIFEST] == "Bearer t0ken"


def test_identity_token_is_exchanged(server: ScriptedServer, connect: Connect) -> None:
    server.on("POST", "/token", answer(200, body=b'{"access_token":"t2"}'))
    server.on("GET", MANIFEST, answer(401, challenge(server)), answer(200, body=b"{}"))
    connect(server.address, Credentials("", "", "identity")).fetch_manifest("latest")
    post = next(request for request in server.requests if request.method == "POST")
    assert b"grant_type=refresh_token" in post.body
    assert b"refresh_token=identity" in post.body
    assert server.requests[-1].headers["authorization"] == "Bearer t2"


def test_expired_token_is_renewed_once(server: ScriptedServer, connect: Connect) -> None:
    serve_tokens(server)
    server.on("GET", MANIFEST, answer(401, challenge(server)))
    with pytest.raises(UnauthorizedError):
        connect(server.address).fetch_manifest("latest")
    assert server.count("GET", MANIFEST) == 2


def test_wrong_password_is_named(server: ScriptedServer, connect: Connect) -> None:
    serve_tokens(server, status=401)
    server.on("GET", MANIFEST, answer(401, challenge(server)))
    with pytest.raises(
        UnauthorizedError, match=r"refuses the credentials for .*; check the name, or give credentials"
    ) as caught:
        connect(server.address, Credentials("me", "hunter2")).fetch_manifest("latest")
    assert "hunter2" not in str(caught.value)


def test_private_repository_without_credentials_says_docker_s_words(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", MANIFEST, answer(401, {"WWW-Authenticate": 'Basic realm="r"'}))
    with pytest.raises(UnauthorizedError, match="repository does not exist or may require login"):
        connect(server.address).fetch_manifest("latest")


def test_token_server_that_sends_no_token_is_named(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", "/token", answer(200, body=b"<html>"))
    server.on("GET", MANIFEST, answer(401, challenge(server)))
    with pytest.raises(RegistryError, match="sent no token"):
        connect(server.address).fetch_manifest("latest")


def test_no_token_and_no_password_is_in_any_event(server: ScriptedServer, connect: Connect) -> None:
    serve_tokens(server)
    server.on("GET", MANIFEST, answer(401, challenge(server)), answer(200, body=b"{}"))
    with recording() as recorder:
        connect(server.address, Credentials("me", "hunter2")).fetch_manifest("latest")
    text = "\n".join(event.call for event in recorder.events)
    assert "t0ken" not in text
    assert "hunter2" not in text


def test_each_exchange_is_an_event_with_its_status(server: ScriptedServer, connect: Connect) -> None:
    server.on("GET", MANIFEST, reset, answer(200, body=b"{}"))
    with recording() as recorder:
        connect(server.address).fetch_manifest("latest")
    heads = [(event.call, event.result, event.errno) for event in recorder.events if event.area == "http.get"]
    call = f"GET http://{server.address}{MANIFEST}"
    assert heads == [(call, -1, "ECONNRESET"), (call, 200, "")]
