"""Whole images from real registries, and from one that imitates Docker Hub."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.oci import OCI_MANIFEST, Image, make_image, make_index, push, sha256
from tests.support.registries import PASSWORD, USER, StartRegistry
from tests.support.scripted import Request, ScriptedServer, answer, ranged
from tests.support.session import EngineRoot
from toolkit.core.errors import (
    CorruptLayerError,
    DigestMismatchError,
    EngineError,
    IntegrityError,
    InvalidError,
    NotFoundError,
    StorageFullError,
    UnauthorizedError,
    UnreachableError,
    UnsupportedError,
)
from toolkit.core.state import State
from toolkit.image.images import ImageRecord, Images
from toolkit.image.manifest import DOCKER_SCHEMA1_SIGNED
from toolkit.image.reference import parse_reference
from toolkit.linux.mount import MS_REMOUNT, mount, umount
from toolkit.registry import endpoint
from toolkit.registry.client import pull
from toolkit.registry.client import push as push_back
from toolkit.registry.progress import Progress
from toolkit.registry.server import Server
from toolkit.registry.session import Patience
from toolkit.trace import recording

pytestmark = pytest.mark.needs("root")  # layers are unpacked with their owners and devices

QUICK = Patience(attempts=3, first_s=0.01, longest_s=1)
FILES = ({"etc/a": b"one"}, {"etc/b": b"two" * 50_000}, {"bin/c": os.urandom(100_000)})


@pytest.fixture
def images(engine_root: EngineRoot) -> Iterator[Images]:
    with closing(State(f"{engine_root.root}/state.db")) as state:
        yield Images.open(engine_root.root, state)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(str(tmp_path / "registry")) as running:
        yield running


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def host_architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def fetch(name: str, images: Images, **options: Any) -> ImageRecord:
    return pull(parse_reference(name), images, patience=QUICK, **options)


def content_of(images: Images, record: ImageRecord) -> dict[str, bytes]:
    """Return the files of all layers."""
    found: dict[str, bytes] = {}
    for diff_id in record.diff_ids:
        top = images.layers.path(diff_id)
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                found[os.path.relpath(path, top)] = Path(path).read_bytes()
    return found


def expected(*layers: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for layer in layers for name, content in layer.items()}


def nothing_remains(images: Images) -> bool:
    """Tell whether a failed pull left no image, no layer and no temporary directory."""
    tmp = os.path.join(os.path.dirname(images.content.root), "layers", "tmp")
    return not images.list() and not list(images.layers.list()) and not (os.path.isdir(tmp) and os.listdir(tmp))


# Formats


@pytest.mark.parametrize("compression", ["gzip", "zstd", ""])
def test_layers_of_every_compression_arrive(server: Server, images: Images, compression: str) -> None:
    image = make_image(*FILES, compression=compression)
    push(server.address, "a/b", "latest", image)
    record = fetch(f"{server.address}/a/b", images)
    assert record.id == image.config_digest
    assert list(record.diff_ids) == image.diff_ids
    assert content_of(images, record) == expected(*FILES)


def test_docker_s_manifest_is_an_image_too(server: Server, images: Images) -> None:
    push(server.address, "a/b", "latest", make_image(*FILES, is_docker=True))
    assert content_of(images, fetch(f"{server.address}/a/b", images)) == expected(*FILES)


@pytest.mark.parametrize("is_docker", [False, True])
def test_index_gives_the_image_for_this_machine(
    server: Server, images: Images, host_architecture: str, *, is_docker: bool
) -> None:
    mine = make_image({"a": b"mine"}, architecture=host_architecture, is_docker=is_docker)
    other = make_image({"a": b"other"}, architecture="s390x", is_docker=is_docker)
    index = make_index({"linux/s390x": other, f"linux/{host_architecture}": mine}, is_docker=is_docker)
    push(server.address, "a/b", "latest", index)
    record = fetch(f"{server.address}/a/b", images)
    assert record.id == mine.config_digest
    assert record.repo_digests == (f"{server.address}/a/b@{index.digest}",)


def test_platform_option_chooses_with_the_variant(server: Server, images: Images) -> None:
    v6, v7 = (make_image({"a": name}, architecture="arm", variant=name.decode()) for name in (b"v6", b"v7"))
    push(server.address, "a/b", "latest", make_index({"linux/arm/v6": v6, "linux/arm/v7": v7}))
    assert fetch(f"{server.address}/a/b", images, platform="linux/arm/v7").id == v7.config_digest
    assert fetch(f"{server.address}/a/b", images, platform="linux/arm/v6").id == v6.config_digest


def test_attestations_of_an_index_are_passed_over(server: Server, images: Images, host_architecture: str) -> None:
    image = make_image({"a": b"1"}, architecture=host_architecture)
    attestation = make_image({"statement": b"{}"}, architecture="unknown")
    entry = attestation.descriptor(
        platform={"os": "unknown", "architecture": "unknown"},
        annotations={"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.digest},
    )
    push(server.address, "a/b", attestation.digest, attestation)
    push(server.address, "a/b", "latest", make_index({f"linux/{host_architecture}": image}, extra=[entry]))
    assert fetch(f"{server.address}/a/b", images).id == image.config_digest


def test_image_is_pulled_by_digest(server: Server, images: Images) -> None:
    image = make_image({"a": b"1"})
    push(server.address, "a/b", "latest", image)
    record = fetch(f"{server.address}/a/b@{image.digest}", images)
    assert (record.names, record.repo_digests) == ((), (f"{server.address}/a/b@{image.digest}",))


def test_the_same_layer_twice_is_brought_once(server: Server, images: Images) -> None:
    push(server.address, "a/b", "latest", make_image({"a": b"1"}, {"b": b"2"}, {"a": b"1"}))
    record = fetch(f"{server.address}/a/b", images)
    assert record.diff_ids[0] == record.diff_ids[2]


# Debian's docker-registry


@pytest.mark.needs("docker-registry")
@pytest.mark.parametrize("is_docker", [False, True])
def test_debian_s_registry_anonymous(start_registry: StartRegistry, images: Images, *, is_docker: bool) -> None:
    registry = start_registry()
    push(registry.host, "a/b", "latest", make_image(*FILES, is_docker=is_docker))
    assert content_of(images, fetch(f"{registry.host}/a/b", images)) == expected(*FILES)


@pytest.mark.needs("docker-registry", "htpasswd")
def test_debian_s_registry_basic(start_registry: StartRegistry, images: Images) -> None:
    import base64

    registry = start_registry("basic")
    encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    push(registry.host, "a/b", "latest", make_image(*FILES), {"Authorization": f"Basic {encoded}"})
    name = f"{registry.host}/a/b"
    with pytest.raises(UnauthorizedError, match="repository does not exist or may require login"):
        fetch(name, images)
    with pytest.raises(UnauthorizedError, match="refuses the credentials"):
        fetch(name, images, credentials=f"{USER}:wrong")
    assert nothing_remains(images)
    assert content_of(images, fetch(name, images, credentials=f"{USER}:{PASSWORD}")) == expected(*FILES)


@pytest.mark.needs("docker-registry", "openssl")
def test_debian_s_registry_with_tokens(
    start_registry: StartRegistry, images: Images, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import base64

    registry = start_registry("token", anonymous_pull=False)
    image = make_image(*FILES)
    push(server.address, "a/b", "latest", image)
    record = fetch(f"{server.address}/a/b", images)
    images.tag(parse_reference(f"{registry.host}/a/b"), record.id)
    push_back(parse_reference(f"{registry.host}/a/b"), images, credentials=f"{USER}:{PASSWORD}")
    images.remove(record.id, force=True)
    with pytest.raises(UnauthorizedError):
        fetch(f"{registry.host}/a/b", images)
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert content_of(images, fetch(f"{registry.host}/a/b", images)) == expected(*FILES)


@pytest.mark.needs("docker-registry", "openssl")
def test_pull_of_a_present_image_that_is_not_for_us_says_so(
    start_registry: StartRegistry, images: Images, server: Server
) -> None:
    registry = start_registry("token", anonymous_pull=False)
    push(server.address, "a/b", "latest", make_image(*FILES))
    record = fetch(f"{server.address}/a/b", images)
    images.tag(parse_reference(f"{registry.host}/a/b"), record.id)
    with pytest.raises(UnauthorizedError, match="repository does not exist or may require login"):
        fetch(f"{registry.host}/a/b", images)


# Docker Hub, imitated


class Hub:
    """A registry and a token server with the headers that Docker Hub sends."""

    def __init__(self, registry: ScriptedServer, tokens: ScriptedServer, image: Image) -> None:
        self.registry = registry
        self.tokens = tokens
        self._seen: set[str] = set()
        tokens.on(
            "GET", "/token", answer(200, {"Content-Type": "application/json"}, json.dumps(self._token()).encode())
        )
        for one in (image, *image.parts):
            headers = {
                "Content-Type": one.media_type,
                "Docker-Content-Digest": one.digest,
                "ratelimit-limit": "100;w=21600",
            }
            for key in (one.digest, "latest"):
                if key != "latest" or one is image:
                    for method in ("GET", "HEAD"):
                        path = f"/v2/library/busybox/manifests/{key}"
                        registry.on(method, path, self._guard(answer(200, headers, one.content)))
            for digest, content in one.blobs.items():
                # Hub sends blobs from a CDN, which refuses a request with a foreign Authorization header
                path = f"/cdn/{digest.partition(':')[2]}/data"
                location = {"Location": f"http://{tokens.address}{path}?verify=s3cret"}
                registry.on("GET", f"/v2/library/busybox/blobs/{digest}", self._guard(answer(307, location)))
                tokens.on("GET", path, self._without_authorization(ranged(content)))

    @staticmethod
    def _token() -> dict[str, object]:
        return {"token": "t0ken", "access_token": "t0ken", "expires_in": 300, "issued_at": "2026-01-01T00:00:00Z"}

    def _guard(self, act: Callable[..., None]) -> Callable[..., None]:
        realm = f"http://{self.tokens.address}/token"
        challenge = f'Bearer realm="{realm}",service="registry.docker.io",scope="repository:library/busybox:pull"'
        body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[]}]}'
        refuse = answer(401, {"Www-Authenticate": challenge, "Content-Type": "application/json"}, body)

        def guarded(connection: Any, request: Request) -> None:
            (act if request.headers.get("authorization") == "Bearer t0ken" else refuse)(connection, request)

        return guarded

    @staticmethod
    def _without_authorization(act: Callable[..., None]) -> Callable[..., None]:
        def guarded(connection: Any, request: Request) -> None:
            (answer(400) if "authorization" in request.headers else act)(connection, request)

        return guarded


@pytest.fixture
def as_hub(scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_HUB_HOST", scripted.address)


@pytest.mark.usefixtures("as_hub")
def test_short_name_comes_from_docker_hub(scripted: ScriptedServer, images: Images, host_architecture: str) -> None:
    image = make_image(*FILES, architecture=host_architecture)
    index = make_index(
        {f"linux/{host_architecture}": image, "linux/riscv64": make_image({"a": b"r"}, architecture="riscv64")}
    )
    with ScriptedServer() as tokens:
        hub = Hub(scripted, tokens, index)
        with recording() as recorder:
            record = fetch("busybox", images)
        assert tokens.count("GET", "/token") == 1
        assert hub.registry.count("HEAD", "/v2/library/busybox/manifests/latest") == 0
        assert content_of(images, record) == expected(*FILES)
        assert (record.names, record.repo_digests) == (("busybox:latest",), (f"busybox@{index.digest}",))
        text = "\n".join(event.call for event in recorder.events)
        assert "t0ken" not in text
        assert "s3cret" not in text
        seen: list[Progress] = []
        fetch("busybox", images, progress=seen.append)
        assert seen[-1].status == "Status: Image is up to date for busybox:latest"
        assert hub.registry.count("HEAD", "/v2/library/busybox/manifests/latest") == 2  # without a token, and with one


# What is here is not fetched


def count(server: ScriptedServer, kind: str) -> int:
    return sum(f"/{kind}/" in request.path and request.method == "GET" for request in server.requests)


def test_image_that_did_not_change_is_not_fetched(scripted: ScriptedServer, images: Images) -> None:
    scripted.serve_image("a/b", "latest", make_image(*FILES))
    name = f"{scripted.address}/a/b"
    first = fetch(name, images)
    scripted.requests.clear()
    seen: list[Progress] = []
    assert fetch(name, images, progress=seen.append) == first
    assert (count(scripted, "manifests"), count(scripted, "blobs")) == (0, 0)
    assert [state.status for state in seen[:3]] == ["Already exists"] * 3


def test_shared_layers_are_not_fetched(scripted: ScriptedServer, images: Images) -> None:
    first, second = make_image(*FILES), make_image(*FILES, {"d": b"new"})
    scripted.serve_image("a/b", "1", first)
    scripted.serve_image("a/b", "2", second)
    fetch(f"{scripted.address}/a/b:1", images)
    scripted.requests.clear()
    record = fetch(f"{scripted.address}/a/b:2", images)
    assert count(scripted, "blobs") == 2  # the new layer and the new config
    assert content_of(images, record) == expected(*FILES, {"d": b"new"})


def test_tag_that_moved_brings_the_new_image(server: Server, images: Images) -> None:
    name = f"{server.address}/a/b"
    push(server.address, "a/b", "latest", make_image({"a": b"1"}))
    old = fetch(name, images)
    push(server.address, "a/b", "latest", make_image({"a": b"2"}))
    new = fetch(name, images)
    assert images.resolve(name).id == new.id != old.id
    assert images.get(old.id).names == ()


def test_layer_whose_tree_is_gone_is_unpacked_again_without_a_download(
    scripted: ScriptedServer, images: Images
) -> None:
    scripted.serve_image("a/b", "latest", make_image(*FILES))
    record = fetch(f"{scripted.address}/a/b", images)
    images.layers.delete(record.diff_ids[1])
    scripted.requests.clear()
    fetch(f"{scripted.address}/a/b", images)
    assert images.layers.has(record.diff_ids[1])
    assert count(scripted, "blobs") == 0


# Mirrors


def test_mirror_is_asked_first(scripted: ScriptedServer, images: Images) -> None:
    scripted.serve_image("a/b", "latest", make_image(*FILES))
    record = fetch("r.invalid/a/b", images, mirrors=[f"http://{scripted.address}"])
    assert record.names == ("r.invalid/a/b:latest",)


def test_origin_stands_in_for_a_mirror_that_fails(server: Server, scripted: ScriptedServer, images: Images) -> None:
    image = make_image(*FILES)
    push(server.address, "a/b", "latest", image)
    scripted.serve_image("a/b", "latest", image)
    scripted.on("GET", f"/v2/a/b/blobs/{image.layers[1]}", answer(500))
    mirrors = ["nobody.invalid", f"http://{scripted.address}"]
    assert content_of(images, fetch(f"{server.address}/a/b", images, mirrors=mirrors)) == expected(*FILES)


# Progress


def test_progress_says_docker_s_words_in_order(server: Server, images: Images) -> None:
    image = make_image(*FILES)
    push(server.address, "a/b", "latest", image)
    seen: list[Progress] = []
    fetch(f"{server.address}/a/b", images, progress=seen.append)
    for digest in image.layers:
        statuses = [state.status for state in seen if state.layer == digest.partition(":")[2][:12]]
        assert list(dict.fromkeys(status for status in statuses if status != "Waiting")) == [
            "Pulling fs layer",
            "Downloading",
            "Verifying Checksum",
            "Download complete",
            "Extracting",
            "Pull complete",
        ]
    assert [state.status for state in seen if not state.layer] == [
        f"Digest: {image.digest}",
        f"Status: Downloaded newer image for {server.address}/a/b:latest",
    ]


# Bad input


def test_unknown_tag_is_one_line_with_the_cure(server: Server, images: Images) -> None:
    push(server.address, "a/b", "latest", make_image({"a": b"1"}))
    with pytest.raises(
        NotFoundError, match=r"^manifest for .*a/b:nope not found on .*: manifest unknown; check the name and the tag$"
    ):
        fetch(f"{server.address}/a/b:nope", images)


def test_unreachable_registry_is_one_line_with_the_cure(images: Images) -> None:
    with pytest.raises(UnreachableError, match=r"refuses connections; check the port"):
        fetch("127.0.0.1:1/a/b", images)


def test_no_matching_platform_lists_what_there_is(server: Server, images: Images) -> None:
    push(
        server.address, "a/b", "latest", make_index({"linux/riscv64": make_image({"a": b"1"}, architecture="riscv64")})
    )
    with pytest.raises(NotFoundError, match=r"no matching manifest for .*; there is linux/riscv64"):
        fetch(f"{server.address}/a/b", images)


def test_image_for_another_platform_than_asked_is_refused(server: Server, images: Images) -> None:
    push(server.address, "a/b", "latest", make_image({"a": b"1"}, architecture="riscv64"))
    with pytest.raises(NotFoundError, match="is not for linux/s390x but for linux/riscv64"):
        fetch(f"{server.address}/a/b", images, platform="linux/s390x")


@pytest.mark.parametrize(
    ("media_type", "body", "kind", "text"),
    [
        (OCI_MANIFEST, b"{", InvalidError, "invalid manifest: not JSON"),
        (OCI_MANIFEST, b"[]", InvalidError, "invalid manifest"),
        (OCI_MANIFEST, b'{"schemaVersion":2}', InvalidError, "missing required field `config`"),
        ("text/html", b"<html>", EngineError, "invalid manifest|unsupported"),
        (DOCKER_SCHEMA1_SIGNED, b'{"schemaVersion":1,"fsLayers":[]}', UnsupportedError, "schema 1 are not supported"),
    ],
)
def test_malformed_manifest_is_one_line(
    scripted: ScriptedServer, images: Images, media_type: str, body: bytes, kind: type[EngineError], text: str
) -> None:
    scripted.on("GET", "/v2/a/b/manifests/latest", answer(200, {"Content-Type": media_type}, body))
    with pytest.raises(kind, match=text) as caught:
        fetch(f"{scripted.address}/a/b", images)
    assert "\n" not in str(caught.value)
    assert nothing_remains(images)


def changed(image: Image, **members: Any) -> Image:
    """Return the image with other members in its manifest."""
    document = {**json.loads(image.content), **members}
    return Image(json.dumps(document).encode(), image.media_type, image.blobs)


def test_other_artifacts_are_refused(scripted: ScriptedServer, images: Images) -> None:
    image = make_image({"a": b"1"})
    config = {**json.loads(image.content)["config"], "mediaType": "application/vnd.cncf.helm.config.v1+json"}
    scripted.serve_image("a/b", "latest", changed(image, config=config))
    with pytest.raises(UnsupportedError, match=r"not a container image: it contains application/vnd.cncf.helm"):
        fetch(f"{scripted.address}/a/b", images)


def test_foreign_layer_is_refused(scripted: ScriptedServer, images: Images) -> None:
    image = make_image({"a": b"1"})
    layer = {**json.loads(image.content)["layers"][0], "urls": ["http://nobody.invalid/layer"]}
    scripted.serve_image("a/b", "latest", changed(image, layers=[layer]))
    with pytest.raises(UnsupportedError, match="foreign layer, which no registry holds"):
        fetch(f"{scripted.address}/a/b", images)


def test_config_with_another_number_of_layers_is_refused(scripted: ScriptedServer, images: Images) -> None:
    image = make_image({"a": b"1"}, {"b": b"2"})
    scripted.serve_image("a/b", "latest", changed(image, layers=json.loads(image.content)["layers"][:1]))
    with pytest.raises(InvalidError, match="the manifest has 1 layers and the config 2"):
        fetch(f"{scripted.address}/a/b", images)


def test_layer_whose_bytes_are_others_is_refused(scripted: ScriptedServer, images: Images) -> None:
    image = make_image(*FILES)
    scripted.serve_image("a/b", "latest", image)
    digest = image.layers[1]
    scripted.on("GET", f"/v2/a/b/blobs/{digest}", answer(200, body=bytes(len(image.blobs[digest]))))
    with pytest.raises(DigestMismatchError, match=f"blob {digest} does not have this digest"):
        fetch(f"{scripted.address}/a/b", images)
    assert not images.list()
    assert not images.content.has(digest)  # type: ignore[arg-type]  # a digest of the test's own making


def test_layer_with_another_diff_id_is_refused(scripted: ScriptedServer, images: Images) -> None:
    image = make_image({"a": b"1"})
    config = {**json.loads(image.blobs[image.config_digest])}
    config["rootfs"] = {"type": "layers", "diff_ids": [sha256(b"another")]}
    raw = json.dumps(config).encode()
    forged = changed(image, config={**json.loads(image.content)["config"], "digest": sha256(raw), "size": len(raw)})
    forged.blobs[sha256(raw)] = raw
    scripted.serve_image("a/b", "latest", forged)
    with pytest.raises(DigestMismatchError, match="the image is damaged or forged"):
        fetch(f"{scripted.address}/a/b", images)
    assert nothing_remains(images)


def test_layer_that_is_no_tar_is_refused(scripted: ScriptedServer, images: Images) -> None:
    image = make_image({"a": b"1"})
    junk = b"\x1f\x8b\x08 no gzip at all"
    layer = {**json.loads(image.content)["layers"][0], "digest": sha256(junk), "size": len(junk)}
    forged = changed(image, layers=[layer])
    forged.blobs[sha256(junk)] = junk
    scripted.serve_image("a/b", "latest", forged)
    with pytest.raises((CorruptLayerError, IntegrityError)):
        fetch(f"{scripted.address}/a/b", images)
    assert nothing_remains(images)


def test_failure_of_one_layer_stops_the_others(scripted: ScriptedServer, images: Images) -> None:
    image = make_image(*({str(number): os.urandom(1000)} for number in range(12)))
    scripted.serve_image("a/b", "latest", image)
    for digest in image.layers:
        scripted.on("GET", f"/v2/a/b/blobs/{digest}", answer(404))
    with pytest.raises(NotFoundError):
        fetch(f"{scripted.address}/a/b", images)
    assert count(scripted, "blobs") < 1 + len(image.layers)
    assert not [thread for thread in threading.enumerate() if thread.name == "transfer"]


# There and back


def test_image_goes_back_byte_for_byte(server: Server, images: Images, start_registry: StartRegistry) -> None:
    image = make_image(*FILES)
    push(server.address, "a/b", "latest", image)
    record = fetch(f"{server.address}/a/b", images)
    images.tag(parse_reference(f"{server.address}/c/d:v1"), record.id)
    seen: list[Progress] = []
    pushed = push_back(parse_reference(f"{server.address}/c/d:v1"), images, progress=seen.append)
    assert pushed.digest == image.digest
    assert [state.status for state in seen if state.status.startswith("Mounted")] == ["Mounted from a/b"] * 3
    again = fetch(f"{server.address}/c/d@{image.digest}", images)
    assert again.id == record.id


def test_push_of_an_unknown_name_says_so(images: Images) -> None:
    with pytest.raises(NotFoundError, match=r"No such image: 127.0.0.1:1/a/b"):
        push_back(parse_reference("127.0.0.1:1/a/b"), images)


def test_push_to_a_digest_is_refused(images: Images) -> None:
    with pytest.raises(InvalidError, match="cannot push to a digest"):
        push_back(parse_reference(f"127.0.0.1:1/a/b@{sha256(b'')}"), images)


# A disk that is too small


@pytest.mark.needs("tmpfs")
@pytest.mark.parametrize("megabytes", [1, 6])
def test_full_disk_is_one_line_and_the_pull_goes_on_with_more_space(
    server: Server, engine_root: EngineRoot, megabytes: int
) -> None:
    """With one megabyte the blobs do not fit, with six the layers do not."""
    image = make_image({"a": bytes(range(256)) * 20_000}, {"b": os.urandom(3_000_000)}, compression="gzip")
    push(server.address, "a/b", "latest", image)
    os.makedirs(root := f"{engine_root.root}/small")
    mount("tmpfs", root, "tmpfs", 0, f"size={megabytes}m")
    try:
        with closing(State(f"{engine_root.root}/state.db")) as state:
            images = Images.open(root, state)
            with pytest.raises(
                StorageFullError, match=r"no space left on the device that holds the .*; free some space"
            ):
                fetch(f"{server.address}/a/b", images)
            assert nothing_remains(images)
            mount("tmpfs", root, "tmpfs", MS_REMOUNT, "size=64m")
            assert fetch(f"{server.address}/a/b", images).id == image.config_digest
    finally:
        umount(root)
