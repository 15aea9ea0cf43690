"""The embedded registry, held against the distribution specification, request by request."""

import base64
import hashlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.oci import OCI_INDEX, OCI_MANIFEST, Image, make_image, make_index, push, sha256
from tests.support.session import EngineRoot
from toolkit.core.errors import ConflictError, InvalidError
from toolkit.linux.mount import MS_REMOUNT, mount, umount
from toolkit.registry.server import Server
from toolkit.registry.server.access import BasicPolicy, TokenPolicy
from toolkit.registry.server.htpasswd import Htpasswd, apr1
from toolkit.registry.server.storage import Storage

BLOB = b"some blob content"
DIGEST = sha256(BLOB)
USERS = "me:{SHA}" + base64.b64encode(hashlib.sha1(b"pw").digest()).decode()  # noqa: S324 - the format


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def code(self) -> str:
        return str(self.json()["errors"][0]["code"])


class Client:
    """Requests without any code of the toolkit."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __call__(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def push_blob(self, content: bytes, name: str = "a/b") -> str:
        digest = sha256(content)
        assert self("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content).status == 201
        return digest

    def start(self, name: str = "a/b") -> str:
        return str(self("POST", f"/v2/{name}/blobs/uploads/").headers["Location"])

    def put_manifest(self, manifest: dict[str, Any], reference: str = "latest", name: str = "a/b") -> Answer:
        return self(
            "PUT",
            f"/v2/{name}/manifests/{reference}",
            json.dumps(manifest).encode(),
            Content_Type=manifest["mediaType"],
        )


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "registry")


@pytest.fixture
def client(root: str) -> Iterator[Client]:
    with Server(root) as server:
        yield Client(server.address)


def manifest(config: str, *layers: str, **more: Any) -> dict[str, Any]:
    def descriptor(digest: str) -> dict[str, Any]:
        return {"mediaType": "application/vnd.example", "digest": digest, "size": 1}

    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config),
        "layers": [descriptor(layer) for layer in layers],
        **more,
    }


# Base and errors


def test_base_says_which_protocol_it_is(client: Client) -> None:
    answer = client("GET", "/v2/")
    assert (answer.status, answer.headers["Docker-Distribution-API-Version"]) == (200, "registry/2.0")


def test_unknown_method_is_unsupported(client: Client) -> None:
    answer = client("PATCH", "/v2/a/b/manifests/latest")
    assert (answer.status, answer.code()) == (405, "UNSUPPORTED")


@pytest.mark.parametrize("name", ["A/b", "a//b", "_a", "a/_b", "a..b", "../x", "a" * 300])
def test_invalid_name_is_refused(client: Client, name: str) -> None:
    answer = client("POST", f"/v2/{name}/blobs/uploads/")
    assert answer.status in (400, 404)
    assert answer.code() in ("NAME_INVALID", "NAME_UNKNOWN")


# Blobs


def test_blob_in_one_post(client: Client) -> None:
    answer = client("POST", f"/v2/a/b/blobs/uploads/?digest={DIGEST}", BLOB)
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/a/b/blobs/{DIGEST}")
    assert client("GET", f"/v2/a/b/blobs/{DIGEST}").body == BLOB


def test_blob_in_post_and_put(client: Client) -> None:
    started = client("POST", "/v2/a/b/blobs/uploads/")
    assert (started.status, started.headers["Range"], started.headers["Content-Length"]) == (202, "0-0", "0")
    assert started.headers["Docker-Upload-UUID"] in started.headers["Location"]
    answer = client("PUT", f"{started.headers['Location']}?digest={DIGEST}", BLOB)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, DIGEST)


def test_blob_in_chunks(client: Client) -> None:
    location = client.start()
    first = client("PATCH", location, BLOB[:5], Content_Range="0-4")
    assert (first.status, first.headers["Range"]) == (202, "0-4")
    status = client("GET", location)
    assert (status.status, status.headers["Range"]) == (204, "0-4")
    last = client("PUT", f"{location}?digest={DIGEST}", BLOB[5:], Content_Range=f"5-{len(BLOB) - 1}")
    assert last.status == 201
    assert client("GET", f"/v2/a/b/blobs/{DIGEST}").body == BLOB


@pytest.mark.parametrize("span", ["3-7", "0-4", "6-10", "x"])
def test_chunk_out_of_order_is_416_with_the_state(client: Client, span: str) -> None:
    location = client.start()
    client("PATCH", location, BLOB[:5], Content_Range="0-4")
    answer = client("PATCH", location, BLOB[5:10], Content_Range=span)
    assert (answer.status, answer.headers["Range"], answer.headers["Location"]) == (416, "0-4", location)


def test_last_chunk_out_of_order_is_416_too(client: Client) -> None:
    location = client.start()
    answer = client("PUT", f"{location}?digest={DIGEST}", BLOB, Content_Range=f"7-{len(BLOB) + 6}")
    assert answer.status == 416


def test_chunk_of_another_length_than_its_range_is_refused(client: Client) -> None:
    answer = client("PATCH", client.start(), BLOB[:5], Content_Range="0-9")
    assert (answer.status, answer.code()) == (400, "SIZE_INVALID")


def test_stream_without_range_appends(client: Client) -> None:
    location = client.start()
    client("PATCH", location, BLOB[:5])
    client("PATCH", location, BLOB[5:])
    assert client("PUT", f"{location}?digest={DIGEST}").status == 201


def test_upload_goes_on_after_a_restart_of_the_server(root: str) -> None:
    with Server(root) as server:
        client = Client(server.address)
        location = client.start()
        client("PATCH", location, BLOB[:5])
    with Server(root) as server:
        client = Client(server.address)
        assert client("GET", location).headers["Range"] == "0-4"
        assert client("PUT", f"{location}?digest={DIGEST}", BLOB[5:]).status == 201


def test_upload_with_another_digest_is_refused_and_gone(client: Client, root: str) -> None:
    location = client.start()
    answer = client("PUT", f"{location}?digest={sha256(b'other')}", BLOB)
    assert (answer.status, answer.code()) == (400, "DIGEST_INVALID")
    assert client("GET", location).status == 404
    assert os.listdir(os.path.join(root, "uploads")) == []


def test_put_without_digest_is_refused(client: Client) -> None:
    assert client("PUT", client.start(), BLOB).status == 400


def test_sha512_is_a_digest_too(client: Client) -> None:

    digest = "sha512:" + hashlib.sha512(BLOB).hexdigest()
    assert client("PUT", f"{client.start()}?digest={digest}", BLOB).status == 201
    assert client("GET", f"/v2/a/b/blobs/{digest}").body == BLOB


def test_cancelled_upload_is_unknown(client: Client) -> None:
    location = client.start()
    assert client("DELETE", location).status == 204
    answer = client("PATCH", location, BLOB)
    assert (answer.status, answer.code()) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_head_of_a_blob_has_its_size(client: Client) -> None:
    client.push_blob(BLOB)
    answer = client("HEAD", f"/v2/a/b/blobs/{DIGEST}")
    assert (answer.status, answer.headers["Content-Length"], answer.headers["Docker-Content-Digest"]) == (
        200,
        "17",
        DIGEST,
    )
    assert answer.body == b""


def test_range_of_a_blob(client: Client) -> None:
    client.push_blob(BLOB)
    answer = client("GET", f"/v2/a/b/blobs/{DIGEST}", Range="bytes=5-8")
    assert (answer.status, answer.body) == (206, b"blob")
    assert answer.headers["Content-Range"] == "bytes 5-8/17"
    assert client("GET", f"/v2/a/b/blobs/{DIGEST}", Range="bytes=10-").body == BLOB[10:]


def test_range_beyond_a_blob_is_416(client: Client) -> None:
    client.push_blob(BLOB)
    assert client("GET", f"/v2/a/b/blobs/{DIGEST}", Range="bytes=100-").status == 416


def test_blob_of_another_repository_is_unknown(client: Client) -> None:
    client.push_blob(BLOB)
    answer = client("GET", f"/v2/other/blobs/{DIGEST}")
    assert (answer.status, answer.code()) == (404, "BLOB_UNKNOWN")


def test_blob_is_mounted_from_another_repository(client: Client) -> None:
    client.push_blob(BLOB)
    answer = client("POST", f"/v2/c/blobs/uploads/?mount={DIGEST}&from=a/b")
    assert (answer.status, answer.headers["Location"]) == (201, f"/v2/c/blobs/{DIGEST}")
    assert client("GET", f"/v2/c/blobs/{DIGEST}").body == BLOB


def test_mount_of_an_unknown_blob_starts_an_upload(client: Client) -> None:
    answer = client("POST", f"/v2/c/blobs/uploads/?mount={DIGEST}&from=a/b")
    assert (answer.status, "uploads" in answer.headers["Location"]) == (202, True)


def test_deleted_blob_is_unknown(client: Client) -> None:
    client.push_blob(BLOB)
    assert client("DELETE", f"/v2/a/b/blobs/{DIGEST}").status == 202
    assert client("GET", f"/v2/a/b/blobs/{DIGEST}").status == 404
    assert client("DELETE", f"/v2/a/b/blobs/{DIGEST}").status == 404


# Manifests


def test_manifest_comes_back_byte_for_byte(client: Client) -> None:
    image = make_image({"a": b"1"})
    push(client.address, "a/b", "latest", image)
    for reference in ("latest", image.digest):
        answer = client("GET", f"/v2/a/b/manifests/{reference}")
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, image.content, OCI_MANIFEST)
        assert answer.headers["Docker-Content-Digest"] == image.digest
        assert client("HEAD", f"/v2/a/b/manifests/{reference}").headers["Content-Length"] == str(len(image.content))


@pytest.mark.parametrize("is_docker", [False, True])
def test_index_needs_its_manifests(client: Client, *, is_docker: bool) -> None:
    index = make_index({"linux/amd64": make_image({"a": b"1"}, is_docker=is_docker)}, is_docker=is_docker)
    answer = client("PUT", "/v2/a/b/manifests/all", index.content, Content_Type=index.media_type)
    assert (answer.status, answer.code()) == (400, "MANIFEST_BLOB_UNKNOWN")
    push(client.address, "a/b", "all", index)
    assert client("GET", "/v2/a/b/manifests/all").headers["Content-Type"] == index.media_type


def test_manifest_with_an_unknown_layer_is_refused(client: Client) -> None:
    config = client.push_blob(b"{}")
    answer = client.put_manifest(manifest(config, sha256(b"missing")))
    assert (answer.status, answer.code()) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_manifest_under_another_digest_is_refused(client: Client) -> None:
    config = client.push_blob(b"{}")
    answer = client.put_manifest(manifest(config), reference=sha256(b"other"))
    assert (answer.status, answer.code()) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"schemaVersion":1}', b"\xff", b"[" * 100_000])
def test_malformed_manifest_is_refused(client: Client, body: bytes) -> None:
    answer = client("PUT", "/v2/a/b/manifests/latest", body, Content_Type=OCI_MANIFEST)
    assert (answer.status, answer.code()) == (400, "MANIFEST_INVALID")


def test_manifest_above_four_mebibytes_is_413(client: Client) -> None:
    config = client.push_blob(b"{}")
    assert client.put_manifest(manifest(config, annotations={"x": "y" * (4 << 20)})).status == 413
    assert client.put_manifest(manifest(config, annotations={"x": "y" * (3 << 20)})).status == 201


def test_unknown_manifest_is_404(client: Client) -> None:
    answer = client("GET", "/v2/a/b/manifests/latest")
    assert (answer.status, answer.code()) == (404, "MANIFEST_UNKNOWN")


def test_malformed_digest_of_a_manifest_is_400(client: Client) -> None:
    answer = client("GET", "/v2/a/b/manifests/sha256:nonsense")
    assert (answer.status, answer.code()) == (400, "DIGEST_INVALID")


def test_deleted_tag_leaves_the_manifest(client: Client) -> None:
    image = make_image({"a": b"1"})
    push(client.address, "a/b", "latest", image)
    assert client("DELETE", "/v2/a/b/manifests/latest").status == 202
    assert client("GET", "/v2/a/b/manifests/latest").status == 404
    assert client("GET", f"/v2/a/b/manifests/{image.digest}").status == 200


def test_deleted_manifest_takes_its_tags_along(client: Client) -> None:
    image = make_image({"a": b"1"})
    push(client.address, "a/b", "one", image)
    push(client.address, "a/b", "two", make_image({"a": b"2"}))
    assert client("DELETE", f"/v2/a/b/manifests/{image.digest}").status == 202
    assert client("GET", "/v2/a/b/tags/list").json()["tags"] == ["two"]
    assert client("DELETE", f"/v2/a/b/manifests/{image.digest}").status == 404


# Lists


def test_tags_come_sorted_and_in_pages(client: Client) -> None:
    image = make_image({"a": b"1"})
    for tag in ("c", "a", "b", "d"):
        push(client.address, "a/b", tag, image)
    assert client("GET", "/v2/a/b/tags/list").json() == {"name": "a/b", "tags": ["a", "b", "c", "d"]}
    first = client("GET", "/v2/a/b/tags/list?n=3")
    assert first.json()["tags"] == ["a", "b", "c"]
    assert first.headers["Link"] == '</v2/a/b/tags/list?last=c&n=3>; rel="next"'
    second = client("GET", "/v2/a/b/tags/list?last=c&n=3")
    assert (second.json()["tags"], second.headers["Link"]) == (["d"], None)
    assert client("GET", "/v2/a/b/tags/list?n=0").json()["tags"] == []


def test_tags_of_an_unknown_repository_are_404(client: Client) -> None:
    answer = client("GET", "/v2/a/b/tags/list")
    assert (answer.status, answer.code()) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize("count", ["-1", "x"])
def test_malformed_page_size_is_refused(client: Client, count: str) -> None:
    assert client("GET", f"/v2/_catalog?n={count}").status == 400


def test_catalog_lists_repositories(client: Client) -> None:
    for name in ("b", "a/b/c", "a"):
        push(client.address, name, "latest", make_image({"a": b"1"}))
    client.push_blob(BLOB, "no-manifest")
    assert client("GET", "/v2/_catalog").json() == {"repositories": ["a", "a/b/c", "b"]}
    assert client("GET", "/v2/_catalog?n=1&last=a").json() == {"repositories": ["a/b/c"]}


# Referrers


def referrer(client: Client, subject: Image, kind: str, **more: Any) -> dict[str, Any]:
    config = client.push_blob(b"{}")
    return manifest(config, subject=subject.descriptor(), artifactType=kind, **more)


def test_referrers_of_a_manifest(client: Client) -> None:
    image = make_image({"a": b"1"})
    push(client.address, "a/b", "latest", image)
    answer = client.put_manifest(referrer(client, image, "text/sbom", annotations={"k": "v"}), reference="sbom")
    assert (answer.status, answer.headers["OCI-Subject"]) == (201, image.digest)
    client.put_manifest(referrer(client, image, "text/signature"), reference="signature")
    index = client("GET", f"/v2/a/b/referrers/{image.digest}")
    assert (index.status, index.headers["Content-Type"]) == (200, OCI_INDEX)
    kinds = {entry["artifactType"]: entry for entry in index.json()["manifests"]}
    assert set(kinds) == {"text/sbom", "text/signature"}
    assert kinds["text/sbom"]["annotations"] == {"k": "v"}
    assert kinds["text/sbom"]["digest"] == answer.headers["Docker-Content-Digest"]


def test_referrers_can_be_filtered(client: Client) -> None:
    image = make_image({"a": b"1"})
    client.put_manifest(referrer(client, image, "text/sbom"), reference="sbom")
    client.put_manifest(referrer(client, image, "text/signature"), reference="signature")
    answer = client("GET", f"/v2/a/b/referrers/{image.digest}?artifactType=text/sbom")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert [entry["artifactType"] for entry in answer.json()["manifests"]] == ["text/sbom"]


def test_referrers_of_nothing_are_an_empty_index(client: Client) -> None:
    answer = client("GET", f"/v2/a/b/referrers/{DIGEST}")
    assert (answer.status, answer.json()["manifests"]) == (200, [])


def test_deleted_referrer_is_not_listed(client: Client) -> None:
    image = make_image({"a": b"1"})
    digest = client.put_manifest(referrer(client, image, "text/sbom")).headers["Docker-Content-Digest"]
    client("DELETE", f"/v2/a/b/manifests/{digest}")
    assert client("GET", f"/v2/a/b/referrers/{image.digest}").json()["manifests"] == []


# Who may do what


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_read_only_registry_refuses_a_push(root: str) -> None:
    with Server(root) as server:
        push(server.address, "a/b", "latest", make_image({"a": b"1"}))
    with Server(root, is_read_only=True) as server:
        client = Client(server.address)
        assert client("GET", "/v2/a/b/manifests/latest").status == 200
        assert client("POST", "/v2/a/b/blobs/uploads/").code() == "UNSUPPORTED"
        assert client("DELETE", "/v2/a/b/manifests/latest").status == 405


def test_basic_policy_wants_a_password(root: str) -> None:
    with Server(root, policy=BasicPolicy(Htpasswd(USERS))) as server:
        client = Client(server.address)
        refused = client("GET", "/v2/")
        assert (refused.status, refused.code()) == (401, "UNAUTHORIZED")
        assert refused.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert client("GET", "/v2/", Authorization=basic("me", "wrong")).status == 401
        assert client("GET", "/v2/", Authorization=basic("other", "pw")).status == 401
        assert client("GET", "/v2/", Authorization="Basic !!!").status == 401
        assert client("GET", "/v2/", Authorization=basic("me", "pw")).status == 200


def token(client: Client, scope: str, **headers: str) -> str:
    return "Bearer " + str(client("GET", f"/token?service=s&scope={scope}", **headers).json()["token"])


def test_token_lets_in_what_it_names_and_nothing_else(root: str) -> None:
    with Server(root, policy=TokenPolicy(Htpasswd(USERS), is_public=True)) as server:
        client = Client(server.address)
        refused = client("POST", "/v2/a/b/blobs/uploads/")
        assert refused.status == 401
        assert f'realm="http://{server.address}/token"' in refused.headers["WWW-Authenticate"]
        assert 'scope="repository:a/b:push"' in refused.headers["WWW-Authenticate"]
        anonymous = token(client, "repository:a/b:pull,push")
        assert client("POST", "/v2/a/b/blobs/uploads/", Authorization=anonymous).status == 401
        assert client("GET", f"/v2/a/b/blobs/{DIGEST}", Authorization=anonymous).status == 404
        mine = token(client, "repository:a/b:pull,push", Authorization=basic("me", "pw"))
        assert client("POST", "/v2/a/b/blobs/uploads/", Authorization=mine).status == 202
        assert client("POST", "/v2/c/blobs/uploads/", Authorization=mine).status == 401


@pytest.mark.parametrize("forged", ["Bearer x.y.z", "Bearer ", "Bearer a", "bearer \N{SNOWMAN}"])
def test_forged_token_is_refused(root: str, forged: str) -> None:
    with Server(root, policy=TokenPolicy(Htpasswd(USERS))) as server:
        header = forged.encode("utf-8").decode("latin-1")
        assert Client(server.address)("GET", "/v2/", Authorization=header).status == 401


def test_wrong_password_gets_no_token(root: str) -> None:
    with Server(root, policy=TokenPolicy(Htpasswd(USERS), is_public=True)) as server:
        client = Client(server.address)
        assert client("GET", "/token?scope=repository:a:pull", Authorization=basic("me", "no")).status == 401


def test_private_registry_gives_no_anonymous_token(root: str) -> None:
    with Server(root, policy=TokenPolicy(Htpasswd(USERS))) as server:
        assert Client(server.address)("GET", "/token?scope=repository:a:pull").status == 401


@pytest.mark.needs("htpasswd")
@pytest.mark.parametrize("option", ["-B", "-m", "-s"])
def test_htpasswd_of_every_kind_is_understood(option: str) -> None:
    line = subprocess.run(["htpasswd", "-nb", option, "me", "pw"], check=True, capture_output=True, text=True).stdout
    users = Htpasswd(line)
    assert users.check("me", "pw")
    assert users.check("me", "pw")
    assert not users.check("me", "pw2")
    assert not users.check("you", "pw")


def test_apr1_is_apache_s() -> None:
    assert apr1("myPassword", "r31.....") == "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"


def test_htpasswd_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidError, match="line 2 is not understood; make the file with: htpasswd -Bbn"):
        Htpasswd("# users\nme:plain")


# Around it


def test_taken_port_is_a_conflict(root: str) -> None:
    with Server(root) as server, pytest.raises(ConflictError, match="is already in use; choose another"):
        Server(root, port=int(server.address.rpartition(":")[2]))


def test_collect_deletes_what_no_repository_has(client: Client, root: str) -> None:
    image = make_image({"a": b"1"})
    push(client.address, "a/b", "latest", image)
    client.push_blob(BLOB)
    client("DELETE", f"/v2/a/b/blobs/{DIGEST}")
    assert Storage(root).collect() == 1
    assert client("GET", f"/v2/a/b/blobs/{image.layers[0]}").status == 200


def test_upload_of_a_client_that_breaks_off_goes_on(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    location = client.start()
    host, port = client.address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"PATCH {location} HTTP/1.1\r\nHost: r\r\nContent-Length: {len(BLOB)}\r\n\r\n"
        connection.sendall(head.encode() + BLOB[:5])
        time.sleep(0.2)
    deadline_s = time.monotonic() + 5
    while client("GET", location).headers["Range"] != "0-4" and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert client("PUT", f"{location}?digest={DIGEST}", BLOB[5:], Content_Range=f"5-{len(BLOB) - 1}").status == 201
    assert not caplog.records


def test_malformed_chunks_are_refused_quietly(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    location = client.start()
    host, port = client.address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"PATCH {location} HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"5\r\nhello\r\nnonsense\r\n")
        assert b" 400 Bad Request" in connection.recv(1000)
    assert not caplog.records


def test_upload_that_nobody_ended_is_deleted_after_a_week(root: str) -> None:
    with Server(root) as server:
        old, new = Client(server.address).start(), Client(server.address).start()
    path = os.path.join(root, "uploads", old.rpartition("/")[2])
    week_ago_s = time.time() - 8 * 24 * 3600
    os.utime(path, (week_ago_s, week_ago_s))
    with Server(root) as server:
        assert Client(server.address)("GET", old).status == 404
        assert Client(server.address)("GET", new).status == 204


def test_many_open_uploads_take_no_descriptors(client: Client) -> None:
    client.start()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        client.start()
    assert len(os.listdir("/proc/self/fd")) - before < 10


@pytest.mark.parametrize(
    "path",
    [
        "/v2/%2e%2e/%2e%2e/blobs/{d}",
        "/v2/a/..%2f..%2fb/blobs/{d}",
        "/v2/a/b/manifests/%2e%2e",
        "/v2/a/b/blobs/uploads/..%2f..%2fx",
    ],
)
def test_path_cannot_leave_the_registry_s_directory(client: Client, path: str) -> None:
    answer = client("GET", path.format(d=DIGEST))
    assert answer.status in (400, 404)
    assert client("PUT", path.format(d=DIGEST), BLOB).status in (400, 404, 405)


@pytest.mark.needs("root", "tmpfs")
def test_full_disk_is_507_and_the_upload_goes_on_with_more_space(engine_root: EngineRoot) -> None:
    os.makedirs(root := f"{engine_root.root}/registry")
    mount("tmpfs", root, "tmpfs", 0, "size=2m")
    try:
        with Server(root) as server:
            client = Client(server.address)
            blob = os.urandom(4 << 20)
            location = client.start()
            full = client("PATCH", location, blob)
            assert (full.status, full.code()) == (507, "UNKNOWN")
            mount("tmpfs", root, "tmpfs", MS_REMOUNT, "size=32m")
            start = int(client("GET", location).headers["Range"].partition("-")[2]) + 1
            assert client("PUT", f"{location}?digest={sha256(blob)}", blob[start:]).status == 201
    finally:
        umount(root)


# Corners that the specification's conformance suite looks into


def test_empty_blob_is_a_blob(client: Client) -> None:
    empty = client.push_blob(b"")
    answer = client("GET", f"/v2/a/b/blobs/{empty}")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "0", b"")
    assert client("PUT", f"{client.start('c')}?digest={empty}").status == 201


def test_manifest_is_pushed_and_pulled_by_sha512(client: Client) -> None:
    content = json.dumps(manifest(client.push_blob(b"{}"))).encode()
    digest = "sha512:" + hashlib.sha512(content).hexdigest()
    answer = client("PUT", f"/v2/a/b/manifests/{digest}", content, Content_Type=OCI_MANIFEST)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    answer = client("GET", f"/v2/a/b/manifests/{digest}")
    assert (answer.body, answer.headers["Docker-Content-Digest"]) == (content, digest)


def test_index_of_indexes_is_kept(client: Client) -> None:
    inner = make_index({"linux/amd64": make_image({"a": b"1"})})
    outer = make_index({}, extra=[inner.descriptor()])
    outer.parts.append(inner)
    push(client.address, "a/b", "outer", outer)
    assert client("GET", "/v2/a/b/manifests/outer").body == outer.content


def test_layers_that_lie_elsewhere_are_not_asked_for(client: Client) -> None:
    document = manifest(client.push_blob(b"{}"), sha256(b"elsewhere"))
    document["layers"][0]["urls"] = ["https://store.invalid/layer"]
    assert client.put_manifest(document).status == 201


def test_unknown_members_of_a_manifest_are_kept(client: Client) -> None:
    document = manifest(client.push_blob(b"{}"), **{"org.example.member": {"a": 1}})
    assert client.put_manifest(document).status == 201
    assert client("GET", "/v2/a/b/manifests/latest").json() == document


def test_subject_need_not_exist(client: Client) -> None:
    subject = make_image({"never": b"pushed"})
    answer = client.put_manifest(referrer(client, subject, "text/sbom"))
    assert (answer.status, answer.headers["OCI-Subject"]) == (201, subject.digest)


def test_mount_without_a_source_starts_an_upload(client: Client) -> None:
    client.push_blob(BLOB)
    assert client("POST", f"/v2/c/blobs/uploads/?mount={DIGEST}").status == 202


def test_malformed_digest_of_a_blob_is_400(client: Client) -> None:
    for method in ("GET", "HEAD", "DELETE"):
        assert client(method, "/v2/a/b/blobs/sha256:nonsense").status == 400
