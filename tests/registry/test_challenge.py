"""WWW-Authenticate, as registries write it and as the RFC allows it."""

import pytest

from toolkit.registry.challenge import Challenge, parse_challenges

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        ("basic", [("basic", {})]),
        ("Bearer realm=https", [("bearer", {"realm": "https"})]),
        ('BEARER Realm = "a" , Service="b"', [("bearer", {"realm": "a", "service": "b"})]),
        (r'Bearer realm="a \"quoted\", b"', [("bearer", {"realm": 'a "quoted", b'})]),
        (
            'Basic realm="x", Bearer realm="y",service="z"',
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y", "service": "z"})],
        ),
        ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Negotiate aGVsbG8=, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("", []),
        ('Bearer realm="unterminated', [("bearer", {})]),
    ],
)
def test_challenges_are_read_as_the_rfc_says(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges([header]) == [Challenge(scheme, parameters) for scheme, parameters in expected]


def test_commas_inside_a_scope_do_not_split_it() -> None:
    assert parse_challenges([HUB])[0].parameters["scope"] == "repository:a/b:pull,push"


def test_each_header_of_a_response_is_read() -> None:
    assert [challenge.scheme for challenge in parse_challenges(["Basic", HUB])] == ["basic", "bearer"]
