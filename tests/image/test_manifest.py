"""Manifests, indexes and configs: what is valid, what is refused and in which words."""

import json
from typing import Any

import pytest

from toolkit.core.errors import InvalidError, NotFoundError, UnsupportedError
from toolkit.image import manifest as m
from toolkit.image.platform import Platform, host_platform, normalize, parse_platform, runnable_on

SHA = "sha256:" + "a" * 64


def descriptor(kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": SHA, "size": 7, **more}


def manifest_json(**changes: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": m.OCI_MANIFEST,
        "config": descriptor(m.OCI_CONFIG),
        "layers": [descriptor(m.OCI_LAYER_GZIP)],
    }
    return json.dumps({key: value for key, value in {**document, **changes}.items() if value is not None}).encode()


def index_of(*platforms: str, **more: Any) -> m.Index:
    entries: list[dict[str, Any]] = []
    for number, text in enumerate(platforms):
        system, _, rest = text.partition("/")
        machine, _, variant = rest.partition("/")
        entry = descriptor(m.OCI_MANIFEST, platform={"os": system, "architecture": machine, "variant": variant})
        entries.append({**entry, "size": number, **more})
    found = m.parse_manifest(json.dumps({"schemaVersion": 2, "mediaType": m.OCI_INDEX, "manifests": entries}).encode())
    assert isinstance(found, m.Index)
    return found


def test_oci_manifest_is_read() -> None:
    found = m.parse_manifest(manifest_json(), m.OCI_MANIFEST)
    assert isinstance(found, m.Manifest)
    assert found.config.media_type == m.OCI_CONFIG
    assert [layer.size for layer in found.layers] == [7]
    m.require_image(found)


def test_docker_manifest_is_read() -> None:
    content = manifest_json(
        mediaType=m.DOCKER_MANIFEST,
        config=descriptor(m.DOCKER_CONFIG),
        layers=[descriptor(m.DOCKER_LAYER_GZIP)],
    )
    found = m.parse_manifest(content, m.DOCKER_MANIFEST + "; charset=utf-8")
    assert isinstance(found, m.Manifest)
    m.require_image(found)


@pytest.mark.parametrize("kind", [m.OCI_INDEX, m.DOCKER_LIST])
def test_index_is_read(kind: str) -> None:
    entry = descriptor(m.OCI_MANIFEST, platform={"os": "linux", "architecture": "amd64", "os.version": "1"})
    content = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode()
    found = m.parse_manifest(content, kind)
    assert isinstance(found, m.Index)
    assert found.manifests[0].platform is not None
    assert found.manifests[0].platform.os_version == "1"


def test_kind_is_found_without_any_media_type() -> None:
    assert isinstance(m.parse_manifest(manifest_json(mediaType=None)), m.Manifest)
    assert isinstance(m.parse_manifest(b'{"schemaVersion": 2, "manifests": []}'), m.Index)


@pytest.mark.parametrize(
    ("content", "media_type", "words"),
    [
        (b"<html>", m.OCI_MANIFEST, "not JSON"),
        (b"\xff\xfe", m.OCI_MANIFEST, "not JSON"),
        (b"[]", m.OCI_MANIFEST, "Expected `object`"),
        (b"{}", m.OCI_MANIFEST, "schemaVersion is None"),
        (manifest_json(schemaVersion=3), m.OCI_MANIFEST, "schemaVersion is 3"),
        (manifest_json(config=None), m.OCI_MANIFEST, "config"),
        (manifest_json(layers="x"), m.OCI_MANIFEST, "layers"),
        (manifest_json(layers=[{"mediaType": "x"}]), m.OCI_MANIFEST, "digest"),
        (manifest_json(layers=[descriptor("x", size=-1)]), m.OCI_MANIFEST, "size of -1"),
        (manifest_json(layers=[descriptor("x", digest="sha256:../../etc")]), m.OCI_MANIFEST, "invalid digest"),
        (manifest_json(layers=[descriptor("x", digest="md5:00")]), m.OCI_MANIFEST, "invalid digest"),
        (manifest_json(), m.DOCKER_MANIFEST, "served as"),
        (manifest_json(manifests=[]), m.OCI_MANIFEST, "ambiguous"),
        (manifest_json(mediaType=m.OCI_INDEX, manifests=[]), m.OCI_INDEX, "ambiguous"),
        (b" " * (m.MANIFEST_MAX_BYTES + 1), m.OCI_MANIFEST, "larger than"),
        (manifest_json(mediaType=["x"]), m.OCI_MANIFEST, "served as"),
    ],
)
def test_invalid_manifest_is_refused_in_one_line(content: bytes, media_type: str, words: str) -> None:
    with pytest.raises(InvalidError, match=words) as caught:
        m.parse_manifest(content, media_type)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b'{"schemaVersion": 1, "fsLayers": []}', manifest_json(mediaType=m.DOCKER_SCHEMA1)]
)
def test_schema_1_is_refused_by_name(content: bytes) -> None:
    kind = "" if b"fsLayers" in content else m.DOCKER_SCHEMA1
    with pytest.raises(UnsupportedError, match="schema 1"):
        m.parse_manifest(content, kind)


def test_other_artifact_is_not_an_image() -> None:
    helm = "application/vnd.cncf.helm.config.v1+json"
    found = m.parse_manifest(manifest_json(config=descriptor(helm)))
    assert isinstance(found, m.Manifest)
    with pytest.raises(UnsupportedError, match=r"vnd\.cncf\.helm"):
        m.require_image(found)


def test_encoded_manifest_is_the_same_document() -> None:
    found = m.parse_manifest(manifest_json())
    assert m.parse_manifest(m.encode(found)) == found
    assert b"subject" not in m.encode(found)
    assert b"schemaVersion" in m.encode(found)


CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["A=b"], "Cmd": ["sh"]},
    "rootfs": {"type": "layers", "diff_ids": [SHA]},
}


def test_config_is_read() -> None:
    config = m.parse_config(json.dumps(CONFIG).encode())
    assert config.config == {"Env": ["A=b"], "Cmd": ["sh"]}
    assert config.rootfs.diff_ids == [SHA]
    assert config.platform() == Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rootfs": {"type": "other", "diff_ids": []}}, "rootfs.type"),
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:.."]}}, "invalid digest"),
        ({"rootfs": None}, "rootfs"),
        ({"config": []}, "config"),
        ({"rootfs": {"type": "layers", "diff_ids": []}}, "1 layers and the config 0"),
    ],
)
def test_invalid_config_is_refused(changes: dict[str, Any], words: str) -> None:
    manifest = m.parse_manifest(manifest_json())
    assert isinstance(manifest, m.Manifest)
    with pytest.raises(InvalidError, match=words):
        m.parse_config(json.dumps({**CONFIG, **changes}).encode(), manifest)


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64/v8", "linux/amd64"], 1),
        ("linux/arm64", ["linux/amd64", "linux/arm64/v8"], 1),
        ("linux/arm64/v8", ["linux/amd64", "linux/arm64"], 1),
        ("linux/arm64", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64"], 1),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], 1),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v5"], 1),
        ("linux/arm/v7", ["linux/arm64", "linux/arm"], 1),
        ("linux/amd64", ["linux/arm64", "linux/386"], 1),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2"], 1),
        ("linux/amd64/v3", ["linux/amd64/v4", "linux/amd64/v1"], 1),
        ("linux/amd64", ["unknown/unknown", "linux/amd64"], 1),
        ("linux/amd64", ["windows/amd64", "linux/amd64"], 1),
    ],
)
def test_best_platform_is_chosen(wanted: str, offered: list[str], chosen: int) -> None:
    assert m.select_platform(index_of(*offered), parse_platform(wanted)).size == chosen


def test_missing_platform_is_named_with_what_there_is() -> None:
    with pytest.raises(NotFoundError) as caught:
        m.select_platform(index_of("linux/amd64", "unknown/unknown", "linux/arm/v7"), parse_platform("linux/s390x"))
    assert str(caught.value) == (
        "no matching manifest for linux/s390x in the manifest list entries; there is linux/amd64, linux/arm/v7"
    )


def test_attestation_is_never_chosen() -> None:
    index = index_of("linux/amd64", annotations={"vnd.docker.reference.type": "attestation-manifest"})
    with pytest.raises(NotFoundError):
        m.select_platform(index, parse_platform("linux/amd64"))


def test_entry_without_platform_is_the_last_resort() -> None:
    index = m.parse_manifest(
        json.dumps({"schemaVersion": 2, "manifests": [descriptor(m.OCI_MANIFEST)]}).encode(), m.OCI_INDEX
    )
    assert isinstance(index, m.Index)
    assert m.select_platform(index).digest == SHA


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/arm/7", "linux/arm/v7"),
        ("Linux/ARM64", "linux/arm64"),
    ],
)
def test_platform_is_normalized_as_containerd_does(text: str, expected: str) -> None:
    assert str(parse_platform(text)) == expected


@pytest.mark.parametrize("text", ["", "linux/", "a/b/c/d", "toaster", "/amd64"])
def test_bad_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_platform(text)


def test_this_machine_runs_its_own_programs() -> None:
    assert runnable_on(host_platform())[0] == host_platform()
    assert normalize("linux", "arm64") in runnable_on(parse_platform("linux/arm64/v9"))
