"""`container login`, `logout` and `pull --all-tags`, at real registries; where the credentials end up."""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.registry.test_command import container
from tests.support.oci import make_image, push
from tests.support.registries import PASSWORD, USER, StartRegistry
from tests.support.session import EngineRoot
from toolkit.core.errors import InvalidError, UnauthorizedError
from toolkit.registry.credentials import Credentials, find_credentials
from toolkit.registry.login import forget, registry_of, store

pytestmark = pytest.mark.needs("root")

HELPER = """#!/bin/sh
case $1 in
store) cat > "$DOCKER_CONFIG/stored" ;;
get) read -r host; grep -q "$host" "$DOCKER_CONFIG/stored" || exit 1; cat "$DOCKER_CONFIG/stored" ;;
erase) rm "$DOCKER_CONFIG/stored" ;;
esac
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return docker's configuration file of a user who has none yet."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker" / "config.json"


def _read(config: Path) -> Any:
    return json.loads(config.read_text())


# Storing


def test_credentials_are_stored_as_docker_reads_them(config: Path) -> None:
    assert store("r.example:5000", Credentials("me", "p:w")) == str(config)
    assert _read(config) == {"auths": {"r.example:5000": {"auth": base64.b64encode(b"me:p:w").decode()}}}
    assert find_credentials("r.example:5000") == Credentials("me", "p:w")
    assert config.stat().st_mode & 0o777 == 0o600
    assert os.listdir(config.parent) == ["config.json"]


def test_docker_hub_has_its_old_key(config: Path) -> None:
    store("docker.io", Credentials("me", "pw"))
    assert list(_read(config)["auths"]) == ["https://index.docker.io/v1/"]
    forget("docker.io")
    assert _read(config)["auths"] == {}


def test_all_else_in_the_file_stays_and_a_symlink_is_kept(config: Path, tmp_path: Path) -> None:
    config.parent.mkdir()
    (tmp_path / "real").write_text('{"detachKeys": "ctrl-a", "auths": {"a": {"auth": "eDp5"}}}')
    config.symlink_to(tmp_path / "real")
    store("b", Credentials("me", "pw"))
    assert _read(config)["detachKeys"] == "ctrl-a"
    assert set(_read(config)["auths"]) == {"a", "b"}
    forget("b")
    assert _read(config) == {"detachKeys": "ctrl-a", "auths": {"a": {"auth": "eDp5"}}}
    assert config.is_symlink()


@pytest.mark.parametrize("how", [{"credsStore": "test"}, {"credHelpers": {"r.example": "test"}}])
def test_helper_keeps_the_secret_and_the_file_has_none(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    config.parent.mkdir()
    config.write_text(json.dumps(how))
    assert store("r.example", Credentials("me", "secret-word")) == ""
    assert "secret-word" not in config.read_text()
    assert find_credentials("r.example") == Credentials("me", "secret-word")
    forget("r.example")
    assert find_credentials("r.example") is None
    assert _read(config) == {**how, "auths": {}}


def test_helper_that_fails_is_named(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text("#!/bin/sh\necho the keychain is locked\nexit 1\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    config.parent.mkdir()
    config.write_text('{"credsStore": "test"}')
    with pytest.raises(UnauthorizedError, match="docker-credential-test: the keychain is locked"):
        store("r.example", Credentials("me", "pw"))
    config.write_text('{"credsStore": "none-such"}')
    with pytest.raises(UnauthorizedError, match="cannot run the credential helper docker-credential-none-such"):
        store("r.example", Credentials("me", "pw"))


def test_broken_file_is_left_as_it_is(config: Path) -> None:
    config.parent.mkdir()
    config.write_text("{")
    with pytest.raises(InvalidError, match="is not JSON"):
        store("r.example", Credentials("me", "pw"))
    assert config.read_text() == "{"


@pytest.mark.parametrize(
    ("server", "registry"),
    [
        ("", "docker.io"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("r.example:5000", "r.example:5000"),
        ("https://r.example/v2/", "r.example"),
    ],
)
def test_server_names_a_registry(server: str, registry: str) -> None:
    assert registry_of(server) == registry


# The commands


@pytest.mark.needs("docker-registry", "htpasswd", "openssl")
@pytest.mark.parametrize("auth", ["basic", "token"])
def test_login_lets_a_pull_in_and_logout_does_not(
    start_registry: StartRegistry, engine_root: EngineRoot, config: Path, auth: Any
) -> None:
    registry = start_registry(auth, anonymous_pull=False)
    name = f"{registry.host}/a/b"
    refused = container(engine_root, "pull", name)
    assert refused.returncode == 1
    wrong = _login(engine_root, registry.host, "not the password")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "incorrect username or password" in wrong.stderr
    assert not config.exists()
    done = _login(engine_root, registry.host, PASSWORD)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    assert f"stored unencrypted in '{config}'" in done.stderr
    missing = container(engine_root, "pull", name)
    assert "unauthorized" not in missing.stderr.lower()
    again = container(engine_root, "login", registry.host)
    assert again.stdout.splitlines()[0].startswith(f"Authenticating with existing credentials... [Username: {USER}]")
    assert again.stdout.splitlines()[-1] == "Login Succeeded"
    out = container(engine_root, "logout", registry.host)
    assert out.stdout == f"Removing login credentials for {registry.host}\n"
    assert _read(config)["auths"] == {}


def _login(root: EngineRoot, host: str, password: str) -> "subprocess.CompletedProcess[str]":
    from tests.registry.test_command import command, environment

    args = command("login", "--username", USER, "--password-stdin", host)
    return subprocess.run(
        args, input=password + "\n", env=environment(root), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--password-stdin", "r"], "the --password-stdin option requires --username to be set"),
        (["-u", "a", "-p", "b", "--password-stdin", "r"], "--password and --password-stdin are mutually exclusive"),
        (["r"], "Cannot perform an interactive login from a non TTY device"),
        (["-u", "a", "--password-stdin", "r"], "password is empty"),
        (["-u", "a", "-p", "b", "127.0.0.1:1"], "127.0.0.1:1"),
        (["a b"], "invalid registry"),
    ],
)
def test_login_that_cannot_be(engine_root: EngineRoot, config: Path, words: list[str], message: str) -> None:
    done = container(engine_root, "login", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert not config.exists()


@pytest.mark.needs("docker-registry")
def test_all_tags_of_a_repository_are_pulled(start_registry: StartRegistry, engine_root: EngineRoot) -> None:
    registry = start_registry()
    for tag in ("one", "two", "three"):
        push(registry.host, "many", tag, make_image({tag: b"1"}))
    name = f"{registry.host}/many"
    done = container(engine_root, "pull", "--all-tags", name)
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in done.stdout.splitlines() if ": Pulling from" in line) == [
        f"{tag}: Pulling from many" for tag in ("one", "three", "two")
    ]
    listed = container(engine_root, "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert sorted(listed) == [f"{name}:one", f"{name}:three", f"{name}:two"]
    wrong = container(engine_root, "pull", "-a", f"{name}:one")
    assert (wrong.returncode, "tag can't be used with --all-tags/-a" in wrong.stderr) == (1, True)
    missing = container(engine_root, "pull", "-a", f"{registry.host}/none")
    assert missing.returncode == 1
