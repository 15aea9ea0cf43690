"""skopeo, which shares its code with podman, as a client of the embedded registry."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.oci import make_image, make_index, push
from toolkit.registry.server import Server
from toolkit.registry.server.access import BasicPolicy, Policy, TokenPolicy
from toolkit.registry.server.htpasswd import Htpasswd

pytestmark = pytest.mark.needs("skopeo")

CREDS = "me:pw"


def skopeo(*args: str) -> str:
    done = subprocess.run(["skopeo", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def users() -> Htpasswd:
    return Htpasswd("me:{SHA}" + base64.b64encode(hashlib.sha1(b"pw").digest()).decode())  # noqa: S324 - the format


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(str(tmp_path / "registry")) as running:
        yield running


def layout(path: Path) -> dict[str, object]:
    """Return the manifest in an OCI layout that holds one image."""
    index = json.loads((path / "index.json").read_text())
    digest = index["manifests"][0]["digest"].partition(":")[2]
    return dict(json.loads((path / "blobs" / "sha256" / digest).read_text()))


@pytest.mark.parametrize("is_docker", [False, True])
def test_skopeo_pulls_and_pushes_an_image(server: Server, tmp_path: Path, *, is_docker: bool) -> None:
    image = make_image({"a": b"x" * 100_000}, {"b": b"y"}, is_docker=is_docker)
    push(server.address, "lib/a", "one", image)
    directory = f"dir:{tmp_path}/copy"
    skopeo("copy", "--src-tls-verify=false", f"docker://{server.address}/lib/a:one", directory)
    skopeo("copy", "--dest-tls-verify=false", directory, f"docker://{server.address}/lib/b:two")
    inspected = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{server.address}/lib/b:two"))
    assert inspected["Digest"] == image.digest
    assert inspected["Layers"] == image.layers


def test_skopeo_copies_all_of_an_index_within_the_registry(server: Server) -> None:
    index = make_index(
        {"linux/amd64": make_image({"a": b"1"}), "linux/arm64": make_image({"a": b"2"}, architecture="arm64")}
    )
    push(server.address, "lib/a", "all", index)
    source, target = f"docker://{server.address}/lib/a:all", f"docker://{server.address}/lib/b:all"
    skopeo("copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", source, target)
    assert json.loads(skopeo("inspect", "--raw", "--tls-verify=false", target)) == json.loads(index.content)


def test_skopeo_lists_tags_and_deletes(server: Server) -> None:
    push(server.address, "lib/a", "one", make_image({"a": b"1"}))
    push(server.address, "lib/a", "two", make_image({"a": b"2"}))
    skopeo("delete", "--tls-verify=false", f"docker://{server.address}/lib/a:one")
    tags = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{server.address}/lib/a"))["Tags"]
    assert tags == ["two"]


@pytest.mark.parametrize("kind", [BasicPolicy, TokenPolicy])
def test_skopeo_authorizes_itself(tmp_path: Path, kind: type[BasicPolicy] | type[TokenPolicy]) -> None:
    policy: Policy = kind(users())
    with Server(str(tmp_path / "registry"), policy=policy) as server:
        image = f"docker://{server.address}/lib/a:one"
        layers = tmp_path / "layout"
        with Server(str(tmp_path / "open")) as other:
            push(other.address, "a", "one", make_image({"a": b"1"}))
            skopeo("copy", "--src-tls-verify=false", f"docker://{other.address}/a:one", f"oci:{layers}:one")
        skopeo("copy", "--dest-tls-verify=false", "--dest-creds", CREDS, f"oci:{layers}:one", image)
        skopeo("copy", "--src-tls-verify=false", "--src-creds", CREDS, image, f"oci:{tmp_path}/back:one")
        assert layout(tmp_path / "back") == layout(layers)
        refused = subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", image], capture_output=True, text=True, check=False
        )
        assert "unauthorized" in refused.stderr.lower() or "authentication required" in refused.stderr
