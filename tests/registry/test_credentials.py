"""Docker's config.json, credential helpers and --creds."""

import base64
import json
import os
from pathlib import Path

import pytest

from toolkit.core.errors import InvalidError, UnauthorizedError
from toolkit.registry.credentials import Credentials, find_credentials, parse_credentials


def write(path: Path, config: object) -> str:
    path.write_text(json.dumps(config))
    return str(path)


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def install_helper(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    helper = directory / "docker-credential-test"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def test_creds_option_splits_at_the_first_colon() -> None:
    assert parse_credentials("me:a:b") == Credentials("me", "a:b")


@pytest.mark.parametrize("text", ["me", ":secret", ""])
def test_creds_option_without_user_or_colon_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="USER:PASSWORD"):
        parse_credentials(text)


@pytest.mark.parametrize("key", ["r.example:5000", "https://r.example:5000", "https://r.example:5000/v1/"])
def test_auth_of_a_registry_is_found_under_every_form_of_its_key(tmp_path: Path, key: str) -> None:
    path = write(tmp_path / "c", {"auths": {key: {"auth": auth("me", "pw")}}})
    assert find_credentials("r.example:5000", path) == Credentials("me", "pw")


def test_docker_hub_is_found_under_its_old_key(tmp_path: Path) -> None:
    path = write(tmp_path / "c", {"auths": {"https://index.docker.io/v1/": {"auth": auth("me", "pw")}}})
    assert find_credentials("docker.io", path) == Credentials("me", "pw")


def test_another_registry_gets_no_credentials(tmp_path: Path) -> None:
    path = write(tmp_path / "c", {"auths": {"r.example": {"auth": auth("me", "pw")}}})
    assert find_credentials("s.example", path) is None
    assert find_credentials("r.example:5000", path) is None


def test_identity_token_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "c", {"auths": {"r.example": {"auth": auth("me", ""), "identitytoken": "t"}}})
    found = find_credentials("r.example", path)
    assert found is not None
    assert found.identity_token == "t"


def test_missing_config_means_no_credentials(tmp_path: Path) -> None:
    assert find_credentials("r.example", str(tmp_path / "none")) is None


def test_docker_config_variable_names_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "config.json", {"auths": {"r.example": {"auth": auth("me", "pw")}}})
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert find_credentials("r.example") == Credentials("me", "pw")


def test_broken_config_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text("{")
    with pytest.raises(InvalidError, match=f"{path} is not JSON"):
        find_credentials("r.example", str(path))


def test_malformed_entry_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "c", {"auths": {"r.example": {"auth": "!!"}}})
    with pytest.raises(InvalidError, match=r"the entry for r\.example is malformed"):
        find_credentials("r.example", path)


@pytest.mark.parametrize("config", [{"credsStore": "test"}, {"credHelpers": {"r.example": "test"}}])
def test_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: object) -> None:
    install_helper(tmp_path, monkeypatch, 'read -r host; echo "{\\"Username\\":\\"u-$host\\",\\"Secret\\":\\"s\\"}"')
    assert find_credentials("r.example", write(tmp_path / "c", config)) == Credentials("u-r.example", "s")


def test_credential_helper_may_give_an_identity_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_helper(tmp_path, monkeypatch, """echo '{"Username":"<token>","Secret":"s"}'""")
    found = find_credentials("r.example", write(tmp_path / "c", {"credsStore": "test"}))
    assert found == Credentials("", "", "s")


def test_helper_that_knows_nothing_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_helper(tmp_path, monkeypatch, "echo credentials not found in native keychain; exit 1")
    config = {"credsStore": "test", "auths": {"r.example": {"auth": auth("me", "pw")}}}
    assert find_credentials("r.example", write(tmp_path / "c", config)) == Credentials("me", "pw")


def test_missing_helper_is_named_with_its_cure(tmp_path: Path) -> None:
    path = write(tmp_path / "c", {"credsStore": "none-such"})
    with pytest.raises(UnauthorizedError, match="docker-credential-none-such; install it, or remove it from"):
        find_credentials("r.example", path)


def test_secrets_are_not_in_the_repr() -> None:
    assert "hunter2" not in repr(Credentials("me", "hunter2", "hunter2"))
