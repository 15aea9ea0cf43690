"""Sending images, to real registries and to one that breaks off."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.oci import Image, make_image, sha256
from tests.support.registries import PASSWORD, USER, StartRegistry
from tests.support.scripted import Request, ScriptedServer, answer, reset
from toolkit.core.digest import Digest
from toolkit.core.errors import DigestMismatchError, NotFoundError, RegistryError, UnauthorizedError
from toolkit.image.content import ContentStore
from toolkit.registry import upload
from toolkit.registry.auth import Access
from toolkit.registry.credentials import Credentials
from toolkit.registry.endpoint import find_endpoint
from toolkit.registry.progress import Progress, Reporter
from toolkit.registry.push import Pushed, push_image
from toolkit.registry.server import Server
from toolkit.registry.session import Patience, Registry
from toolkit.registry.source import Source
from toolkit.registry.transport import Timeouts, Transport

QUICK = Patience(attempts=3, first_s=0.01, longest_s=1)
NAME = "a/b"


class Sender:
    """Pushes one image and remembers what was reported."""

    def __init__(self, store: ContentStore) -> None:
        self.store = store
        self.transports: list[Transport] = []
        self.seen: list[Progress] = []

    def __call__(
        self,
        address: str,
        image: Image,
        credentials: Credentials | None = None,
        *,
        name: str = NAME,
        mounts: tuple[str, ...] = (),
    ) -> Pushed:
        for content in (*image.blobs.values(), image.content):
            self.store.add(content)
        self.seen.clear()
        return push_image(
            self.target(address, credentials, name, mounts),
            "latest",
            Digest(image.digest),
            self.store,
            mounts,
            Reporter(self.seen.append),
        )

    def target(self, address: str, credentials: Credentials | None, name: str, mounts: tuple[str, ...]) -> Source:
        transport = Transport(Timeouts(connect_s=1, read_s=2))
        self.transports.append(transport)
        registry = Registry(find_endpoint(address)._replace(schemes=("http",)), transport, credentials, QUICK)
        scopes = (f"repository:{name}:pull,push", *(f"repository:{mount}:pull" for mount in mounts))
        return Source(registry, name, Access(f"{address}/{name}:latest", "push", scopes))

    def fetch(self, address: str, credentials: Credentials | None = None) -> bytes:
        return self.target(address, credentials, NAME, ()).fetch_manifest("latest").content

    def statuses(self) -> list[str]:
        return [state.status for state in self.seen if state.layer]


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Sender]:
    sender = Sender(ContentStore(str(tmp_path / "content")))
    yield sender
    for transport in sender.transports:
        transport.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(str(tmp_path / "registry")) as running:
        yield running


@pytest.fixture
def image() -> Image:
    return make_image({"a": b"1"}, {"b": os.urandom(200_000)})


def test_image_arrives_whole(send: Sender, server: Server, image: Image) -> None:
    pushed = send(server.address, image)
    assert pushed == Pushed("latest", Digest(image.digest), len(image.content))
    assert send.fetch(server.address) == image.content
    assert send.seen[-1].status == f"latest: digest: {image.digest} size: {len(image.content)}"


def test_second_push_sends_no_layer(send: Sender, server: Server, image: Image) -> None:
    send(server.address, image)
    assert send.statuses().count("Pushed") == 2
    send(server.address, image)
    assert send.statuses().count("Layer already exists") == 2
    assert "Pushed" not in send.statuses()


def test_layers_are_mounted_from_a_repository_that_has_them(send: Sender, server: Server, image: Image) -> None:
    send(server.address, image)
    send(server.address, image, name="c", mounts=(NAME,))
    assert send.statuses().count(f"Mounted from {NAME}") == 2


def test_layers_that_cannot_be_mounted_are_sent(send: Sender, server: Server, image: Image) -> None:
    send(server.address, image, name="c", mounts=("nobody/has-it",))
    assert send.statuses().count("Pushed") == 2


def test_large_layer_goes_in_chunks(
    send: Sender, server: Server, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "_CHUNK_BYTES", 64 << 10)
    send(server.address, image)
    assert send.fetch(server.address) == image.content


@pytest.mark.needs("docker-registry")
def test_debian_s_registry_takes_an_image(send: Sender, start_registry: StartRegistry, image: Image) -> None:
    registry = start_registry()
    send(registry.host, image)
    assert send.fetch(registry.host) == image.content


@pytest.mark.needs("docker-registry")
def test_debian_s_registry_takes_chunks_and_mounts(
    send: Sender, start_registry: StartRegistry, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "_CHUNK_BYTES", 64 << 10)
    registry = start_registry()
    send(registry.host, image)
    send(registry.host, image, name="c", mounts=(NAME,))
    assert send.statuses().count(f"Mounted from {NAME}") == 2


@pytest.mark.needs("docker-registry", "htpasswd")
def test_debian_s_registry_with_basic_authentication(send: Sender, start_registry: StartRegistry, image: Image) -> None:
    registry = start_registry("basic")
    with pytest.raises(UnauthorizedError, match=r"push access denied for .* or may require login"):
        send(registry.host, image)
    with pytest.raises(UnauthorizedError, match="refuses the credentials"):
        send(registry.host, image, Credentials(USER, "wrong"))
    send(registry.host, image, Credentials(USER, PASSWORD))
    assert send.fetch(registry.host, Credentials(USER, PASSWORD)) == image.content


@pytest.mark.needs("docker-registry", "openssl")
def test_debian_s_registry_with_tokens(send: Sender, start_registry: StartRegistry, image: Image) -> None:
    registry = start_registry("token")
    with pytest.raises(UnauthorizedError, match="push access denied"):
        send(registry.host, image)
    send(registry.host, image, Credentials(USER, PASSWORD))
    assert send.fetch(registry.host) == image.content


# Registries that misbehave


def accept(server: ScriptedServer, image: Image, *uploads: Callable[..., None]) -> None:
    """Script a registry that has the config and takes one layer by `uploads`."""
    server.on("HEAD", f"/v2/{NAME}/blobs/{image.config_digest}", answer(200))
    server.on("POST", f"/v2/{NAME}/blobs/uploads/", answer(202, {"Location": "/up?state=1"}))
    server.on("PUT", "/up", *uploads)
    server.on("PUT", f"/v2/{NAME}/manifests/latest", answer(201, {"Docker-Content-Digest": image.digest}))


def test_broken_upload_is_begun_again() -> None:
    image = make_image({"a": b"1"})
    received: list[bytes] = []

    def take(connection: object, request: Request) -> None:
        received.append(request.body)
        answer(201)(connection, request)  # type: ignore[arg-type]  # handed through as it came

    with ScriptedServer() as server:
        accept(server, image, reset, take)
        push_with(server, image)
        assert received == [image.blobs[image.layers[0]]]
        assert server.count("POST", f"/v2/{NAME}/blobs/uploads/") == 2


def test_broken_chunk_goes_on_from_what_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_CHUNK_BYTES", 100)
    image = make_image({"a": os.urandom(120)})
    blob = image.blobs[image.layers[0]]
    with ScriptedServer() as server:
        accept(server, image, answer(201))
        server.on(
            "PATCH", "/up", answer(202, {"Location": "/up?state=2"}), reset, answer(202, {"Location": "/up?state=3"})
        )
        server.on("GET", "/up", answer(204, {"Range": "0-99", "Location": "/up?state=2b"}))
        push_with(server, image)
        patches = [request for request in server.requests if request.method == "PATCH"]
        assert [request.headers["content-range"] for request in patches[:3]] == ["0-99", "100-199", "100-199"]
        assert patches[2].path == "/up?state=2b"
        assert patches[2].body == blob[100:200]


def test_registry_that_stores_another_manifest_is_caught() -> None:
    image = make_image({"a": b"1"})
    with ScriptedServer() as server:
        accept(server, image, answer(201))
        server.on("PUT", f"/v2/{NAME}/manifests/latest", answer(201, {"Docker-Content-Digest": sha256(b"other")}))
        with pytest.raises(DigestMismatchError, match="stored the manifest of"):
            push_with(server, image)


def test_refused_blob_names_the_registry_s_reason() -> None:
    image = make_image({"a": b"1"})
    body = b'{"errors":[{"code":"DENIED","message":"quota exceeded"}]}'
    with ScriptedServer() as server:
        accept(server, image, answer(403, body=body))
        with pytest.raises(UnauthorizedError, match=r"push access denied for .*: quota exceeded"):
            push_with(server, image)


def test_registry_without_a_location_is_named() -> None:
    image = make_image({"a": b"1"})
    with ScriptedServer() as server:
        accept(server, image)
        server.on("POST", f"/v2/{NAME}/blobs/uploads/", answer(202))
        with pytest.raises(RegistryError, match="names no place to upload to"):
            push_with(server, image)


def test_image_without_its_blobs_says_what_to_do(tmp_path: Path) -> None:
    image = make_image({"a": b"1"})
    store = ContentStore(str(tmp_path))
    store.add(image.content)
    with ScriptedServer() as server, pytest.raises(NotFoundError, match="is not here any more; pull the image again"):
        push_image(
            Sender(store).target(server.address, None, NAME, ()),
            "latest",
            Digest(image.digest),
            store,
            (),
            Reporter(None),
        )


def push_with(server: ScriptedServer, image: Image) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        sender = Sender(ContentStore(directory))
        try:
            sender(server.address, image)
        finally:
            for transport in sender.transports:
                transport.close()
