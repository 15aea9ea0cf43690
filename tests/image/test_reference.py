"""Names, against the tables of github.com/distribution/reference (normalize_test.go, reference_test.go)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.core.errors import InvalidError
from toolkit.image.reference import Reference, parse_reference

SHA = "sha256:" + "f" * 64
SHA512 = "sha512:" + "f" * 128
HEX = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "familiar"),
    [
        ("fooo/bar", "docker.io", "fooo/bar", "fooo/bar"),
        ("index.docker.io/fooo/bar", "docker.io", "fooo/bar", "fooo/bar"),
        ("ubuntu", "docker.io", "library/ubuntu", "ubuntu"),
        ("library/ubuntu", "docker.io", "library/ubuntu", "ubuntu"),
        ("docker.io/library/ubuntu", "docker.io", "library/ubuntu", "ubuntu"),
        ("docker.io/foo", "docker.io", "library/foo", "foo"),
        ("index.docker.io/library/ubuntu-12.04-base", "docker.io", "library/ubuntu-12.04-base", "ubuntu-12.04-base"),
        ("nonlibrary/ubuntu", "docker.io", "nonlibrary/ubuntu", "nonlibrary/ubuntu"),
        ("other/library", "docker.io", "other/library", "other/library"),
        ("library/foo/bar", "docker.io", "library/foo/bar", "library/foo/bar"),
        ("store/foo/bar", "docker.io", "store/foo/bar", "store/foo/bar"),
        ("127.0.0.1:8000/private/moonbase", "127.0.0.1:8000", "private/moonbase", "127.0.0.1:8000/private/moonbase"),
        ("127.0.0.1:8000/privatebase", "127.0.0.1:8000", "privatebase", "127.0.0.1:8000/privatebase"),
        ("example.com/privatebase", "example.com", "privatebase", "example.com/privatebase"),
        ("Foo/bar", "Foo", "bar", "Foo/bar"),
        ("FOO/bar", "FOO", "bar", "FOO/bar"),
        ("localhost/bar", "localhost", "bar", "localhost/bar"),
        ("test_com/foo", "docker.io", "test_com/foo", "test_com/foo"),
        ("test-com:8080/foo", "test-com:8080", "foo", "test-com:8080/foo"),
        ("xn--n3h.com:18080/foo", "xn--n3h.com:18080", "foo", "xn--n3h.com:18080/foo"),
        ("[fc00::1]:5000/docker", "[fc00::1]:5000", "docker", "[fc00::1]:5000/docker"),
        ("[2001:db8::1]/repo", "[2001:db8::1]", "repo", "[2001:db8::1]/repo"),
        ("192.168.0.1", "docker.io", "library/192.168.0.1", "192.168.0.1"),
        ("docker.io/" + HEX, "docker.io", "library/" + HEX, HEX),
        ("docker---rules/docker", "docker.io", "docker---rules/docker", "docker---rules/docker"),
        ("dock__er/docker", "docker.io", "dock__er/docker", "dock__er/docker"),
        ("d/docker", "docker.io", "d/docker", "d/docker"),
    ],
)
def test_name_is_completed_and_shortened_as_docker_does(
    text: str, registry: str, repository: str, familiar: str
) -> None:
    reference = parse_reference(text)
    assert reference == Reference(registry, repository, "latest")
    assert reference.canonical() == f"{registry}/{repository}:latest"
    assert reference.familiar() == f"{familiar}:latest"


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest"),
    [
        ("test.com:tag", "docker.io/library/test.com", "tag", None),
        ("test.com:5000", "docker.io/library/test.com", "5000", None),
        ("test.com/repo:tag", "test.com/repo", "tag", None),
        ("test:5000/repo:tag", "test:5000/repo", "tag", None),
        (f"test:5000/repo@{SHA}", "test:5000/repo", None, SHA),
        (f"test:5000/repo:tag@{SHA}", "test:5000/repo", "tag", SHA),
        ("lowercase:Uppercase", "docker.io/library/lowercase", "Uppercase", None),
        (
            "b.gcr.io/test.example.com/my-app:test.example.com",
            "b.gcr.io/test.example.com/my-app",
            "test.example.com",
            None,
        ),
        (f"xn--7o8h.com/myimage:xn--7o8h.com@{SHA512}", "xn--7o8h.com/myimage", "xn--7o8h.com", SHA512),
        ("foo/foo_bar.com:8080", "docker.io/foo/foo_bar.com", "8080", None),
        ("192.168.1.1:5000/repo:5050", "192.168.1.1:5000/repo", "5050", None),
        (f"[2001:db8::1]:5000/repo:tag@{SHA}", "[2001:db8::1]:5000/repo", "tag", SHA),
        ("a/" * 127 + "a:tag-puts-this-over-max", "docker.io/" + "a/" * 127 + "a", "tag-puts-this-over-max", None),
        ("a:" + "t" * 128, "docker.io/library/a", "t" * 128, None),
    ],
)
def test_tag_and_digest_are_found(text: str, name: str, tag: str | None, digest: str | None) -> None:
    reference = parse_reference(text)
    assert (reference.name, reference.tag, reference.digest) == (name, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":justtag", f"@{SHA}", "repo@sha256:" + "f" * 34, f"validname@invaliddigest:{'f' * 64}"),
        *("Uppercase:tag", "test:5000/Uppercase/lowercase:tag", "aa/asdf$$^/aa", "a/" * 128 + "a:tag"),
        *("https://github.com/docker/docker", "docker/Docker", "-docker", "-docker/docker", "-docker.io/docker/docker"),
        *("docker///docker", "docker.io/docker/Docker", "docker.io/docker///docker", HEX, "docker-/docker"),
        *("[fc00::1]", "[fc00::1]:5000", "fc00::1:5000/debian", "[fe80::1%eth0]:5000/debian"),
        *("[2001:db8:3:4::192.0.2.33]:5000/debian", "____/____", "_docker/_docker", "dock..er/docker"),
        *("dock_.er/docker", "dock-.er/docker", "docker/", "ubuntu:", "ubuntu@", "ubuntu:-foo", "ubuntu:" + "t" * 129),
        *("ubuntu\n", "ubuntu:latest\n", " ubuntu", "ubuntu:a:b", "übuntu", "ubuntu:latest@sha256:" + "F" * 64),
    ],
)
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_reference(text)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ubuntu", "invalid reference format: repository name (library/Ubuntu) must be lowercase"),
        ("a b", "invalid reference format"),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        ("a/" * 128 + "a", "repository name must not be more than 255 characters"),
    ],
)
def test_refusal_has_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_reference(text)
    assert caught.value.message == message


@pytest.mark.parametrize("text", ["ubuntu:24.04", f"ubuntu@{SHA}", f"localhost:5000/a/b:c@{SHA}"])
def test_canonical_and_familiar_form_mean_the_same(text: str) -> None:
    reference = parse_reference(text)
    assert parse_reference(reference.canonical()) == parse_reference(reference.familiar()) == reference


# The grammar as github.com/distribution/reference has it in regular expressions.
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"({_HOST})/({_COMPONENT}(?:/{_COMPONENT})*)(?::({_TAG}))?(?:@({_DIGEST}))?")
_PIECES = [*"aZ0.-_:/@[]é٣ \n\0", "b9", "--", "__", "::1", "f" * 32, "sha256"]


@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=12).map("".join))
def test_same_names_are_understood_as_by_the_regular_expressions(rest: str) -> None:
    """Behind a registry that is one by its capital, so that nothing is completed."""
    found = _REFERENCE.fullmatch(f"Host/{rest}")
    try:
        parsed = parse_reference(f"Host/{rest}")
    except InvalidError as exc:
        is_otherwise_wrong = "must be lowercase" in str(exc) or "invalid digest" in str(exc)
        assert found is None or is_otherwise_wrong
    else:
        assert found is not None
        tag = found[3] if found[4] else found[3] or "latest"
        assert parsed == Reference("Host", found[2], tag, found[4])  # type: ignore[arg-type]  # well-formed


@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=8).map("".join).filter(lambda host: "/" not in host))
def test_same_registries_are_understood_as_by_the_regular_expressions(host: str) -> None:
    try:
        parsed = parse_reference(f"{host}/a/b")
    except InvalidError:
        parsed = None
    is_host = "." in host or ":" in host or host.lower() != host or host == "localhost"
    found = _REFERENCE.fullmatch(f"{host}/a/b" if is_host else f"docker.io/{host}/a/b")
    assert (parsed is None) == (found is None)
    assert parsed is None or found is None or parsed.registry == found[1]
