"""Images and registries as a user has them: pull, push, images, tag, rmi, registry serve."""

import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.cli.conftest import PROGRAM, Shell, lines_of
from tests.cli.terminal import Typist
from tests.support.oci import make_image, push
from tests.support.scripted import ScriptedServer, cut, hang

pytestmark = pytest.mark.needs("root", "overlay")


def serve(shell: Shell, root: pathlib.Path, *words: str) -> str:
    """Start `container registry serve`; return its address."""
    running = shell.start("registry", "serve", "--port", "0", "--root", str(root), *words)
    assert running.stdout is not None
    line = running.stdout.readline().decode()
    found = re.fullmatch(r"registry at (127\.0\.0\.1:\d+), in .*; Ctrl-C ends it\n", line)
    assert found, line
    return found[1]


@pytest.fixture
def registry(shell: Shell, tmp_path: pathlib.Path) -> str:
    return serve(shell, tmp_path / "registry")


@pytest.fixture(autouse=True)
def only_lab(shell: Shell) -> Iterator[None]:
    """Take away what names a test gave to images."""
    yield
    for name in shell.out("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        if name != "lab:latest":
            shell("rmi", "-f", name)


def test_push_and_pull_say_what_docker_says(shell: Shell, registry: str) -> None:
    name = f"{registry}/team/lab:v1"
    assert shell.out("tag", "lab", name) == ""
    pushed = shell.out("push", name).splitlines()
    assert pushed[0] == f"The push refers to repository [{registry}/team/lab]"
    layers = [line.partition(":")[0] for line in pushed if line.endswith(": Pushed")]
    assert len(layers) == 5
    found = re.fullmatch(r"v1: digest: (sha256:[0-9a-f]{64}) size: \d+", pushed[-1])
    assert found
    shell.out("rmi", name)
    pulled = shell.out("pull", name).splitlines()
    assert pulled[0] == "v1: Pulling from team/lab"
    assert pulled[1:-3] == [f"{layer}: Already exists" for layer in layers] or {*pulled[1:-3]} == {
        f"{layer}: Already exists" for layer in layers
    }
    assert pulled[-3:] == [f"Digest: {found[1]}", f"Status: Downloaded newer image for {name}", name]
    assert shell.out("pull", name).splitlines()[-2] == f"Status: Image is up to date for {name}"
    assert shell.out("pull", "-q", name) == name
    assert shell.out("images", "--digests", "--format", "{{.Digest}}", f"{registry}/team/lab") == found[1]
    assert shell.out("inspect", "-f", "{{index .RepoDigests 0}}", name) == f"{registry}/team/lab@{found[1]}"


def test_a_fresh_engine_pulls_layer_by_layer_and_runs_it(shell: Shell, registry: str, engine_root: object) -> None:
    name = f"{registry}/lab"
    shell.out("tag", "lab", name)
    shell.out("push", "-q", name)
    fresh = Shell({**shell.environ, "CONTAINER_ROOT": engine_root.root, "CONTAINER_RUN": engine_root.run})  # type: ignore[attr-defined] # EngineRoot
    done = fresh("run", "--rm", name, "echo", "hello", check=0)
    assert done.stdout == "hello\n"
    lines = done.stderr.splitlines()
    assert lines[:2] == [f"Unable to find image '{name}:latest' locally", "latest: Pulling from lab"]
    assert sum(line.endswith(": Pulling fs layer") for line in lines) == 5
    assert sum(line.endswith(": Pull complete") for line in lines) == 5
    assert lines[-1] == f"Status: Downloaded newer image for {name}:latest"
    assert fresh("run", "--rm", name, "echo", "again", check=0).stderr == ""
    assert fresh("run", "--rm", "--pull", "always", "-q", name, "true", check=0).stderr == ""
    stop_zygote(fresh)


def stop_zygote(shell: Shell) -> None:
    program = "from toolkit.engine import Engine; Engine.open().shutdown()"
    subprocess.run([PROGRAM[0], "-c", program], env=shell.environ, check=True)


@pytest.mark.needs("htpasswd")
@pytest.mark.parametrize("words", [[], ["--token-auth"]])
def test_registry_with_users_wants_credentials(shell: Shell, tmp_path: pathlib.Path, words: list[str]) -> None:
    users = tmp_path / "htpasswd"
    subprocess.run(["htpasswd", "-Bbc", str(users), "ann", "secret"], check=True, capture_output=True)
    address = serve(shell, tmp_path / "registry", "--htpasswd", str(users), *words)
    name = f"{address}/lab"
    shell.out("tag", "lab", name)
    shell.environ["DOCKER_CONFIG"] = str(tmp_path)
    try:
        line = shell.fail("pull", "-q", name, code=1)
        assert address in line
        encoded = base64.b64encode(b"ann:secret").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {address: {"auth": encoded}}}))
        shell.out("push", "-q", name)
        shell.out("pull", "-q", name)
    finally:
        del shell.environ["DOCKER_CONFIG"]


def test_registry_refuses_what_it_cannot_do(shell: Shell, registry: str, tmp_path: pathlib.Path) -> None:
    port = registry.partition(":")[2]
    assert f"port {port} on 127.0.0.1 is already in use" in shell.fail(
        "registry", "serve", "--port", port, "--root", str(tmp_path / "other"), code=1
    )
    assert "cannot read /nonexistent" in shell.fail("registry", "serve", "--htpasswd", "/nonexistent", code=1)
    assert "--token-auth needs the users" in shell.fail("registry", "serve", "--token-auth", code=1)
    assert "TLS needs both" in shell.fail("registry", "serve", "--tls-cert", "x", code=1)


def test_registry_ends_with_an_interrupt(shell: Shell, tmp_path: pathlib.Path) -> None:
    running = shell.start("registry", "serve", "--port", "0", "--root", str(tmp_path / "registry"))
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    assert running.stderr is not None
    assert running.stderr.read() == b""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["pull", "{}/nosuch"], "manifest for {}/nosuch:latest not found"),
        (["push", "{}/nosuch"], "No such image: {}/nosuch:latest"),
        (["pull", "-q", "127.0.0.1:1/x"], "127.0.0.1:1"),
        (["pull", "UPPER"], "invalid reference format"),
        (["pull", "a/b:"], "invalid reference format"),
        (["tag", "nosuch", "x"], "No such image: nosuch"),
        (["tag", "lab", "UPPER"], "invalid reference format"),
        (["rmi", "nosuch"], "No such image: nosuch"),
        (["pull", "--platform", "a/b/c/d", "{}/nosuch"], "a/b/c/d"),
    ],
)
def test_wrong_names_are_one_line(shell: Shell, registry: str, words: list[str], line: str) -> None:
    assert line.format(registry) in shell.fail(*(word.format(registry) for word in words), code=1)


def test_interrupted_pull_ends_at_once_and_leaves_no_image(shell: Shell) -> None:
    image = make_image({"file": b"x" * 100_000})
    with ScriptedServer() as server:
        server.serve_image("slow", "latest", image)
        for digest, content in image.blobs.items():
            server.on("GET", f"/v2/slow/blobs/{digest}", hang(30, cut(content, 10)))
        running = shell.start("pull", f"{server.address}/slow")
        deadline_s = time.monotonic() + 20
        while not any("/blobs/" in request.path for request in server.requests):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        begun_s = time.monotonic()
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        assert time.monotonic() - begun_s < 5
        assert running.stderr is not None
        assert running.stderr.read() == b""
    assert "slow" not in shell.out("images")


def test_pull_in_a_terminal_draws_bars_and_leaves_the_cursor_as_it_was(
    shell: Shell, registry: str, engine_root: object
) -> None:
    name = f"{registry}/lab"
    shell.out("tag", "lab", name)
    shell.out("push", "-q", name)
    environ = {**shell.environ, "CONTAINER_ROOT": engine_root.root, "CONTAINER_RUN": engine_root.run}  # type: ignore[attr-defined] # EngineRoot
    typist = Typist(Shell(environ), "pull", name)
    try:
        assert typist.wait() == 0
        text = typist.seen.decode()
        assert "━" in text
        assert text.count("Pull complete") >= 5
        assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
        assert text.endswith(f"{name}:latest\r\n")
    finally:
        typist.close()


def test_images_table_filters_and_formats(shell: Shell) -> None:
    shell.out("tag", "lab", "other/name:v1")
    heading, *rows = shell.out("images").splitlines()
    assert re.fullmatch(r"REPOSITORY   TAG       IMAGE ID       CREATED +SIZE", heading)
    assert sorted(row.split()[0] for row in rows) == ["lab", "other/name"]
    assert [row.split()[0] for row in lines_of(shell.out("images", "other/name"))] == ["other/name"]
    assert lines_of(shell.out("images", "other/name:v2")) == []
    assert shell.out("images", "-f", "reference=oth*/*", "--format", "{{.Tag}}") == "v1"
    assert shell.out("images", "-f", "dangling=true", "-q") == ""
    first, second = shell.out("images", "-q").splitlines()  # a line for each name, as docker's
    assert first == second
    assert re.fullmatch("sha256:[0-9a-f]{64}", shell.out("images", "-q", "--no-trunc", "lab"))
    assert json.loads(shell.out("images", "--format", "json", "lab"))["Repository"] == "lab"
    assert shell.fail("images", "-f", "x=y", code=1).startswith("invalid filter 'x'")


def test_image_that_does_not_say_when_it_was_made(shell: Shell, registry: str) -> None:
    push(registry, "a/b", "latest", make_image({"a": b"1"}, created=""))
    shell.out("pull", "-q", f"{registry}/a/b")
    assert shell.out("images", "--format", "{{.CreatedSince}} {{.CreatedAt}}", f"{registry}/a/b") == "N/A N/A"


def test_rmi_takes_names_and_respects_containers(shell: Shell) -> None:
    shell.out("tag", "lab", "other:v1")
    assert shell.out("rmi", "other:v1") == "Untagged: other:v1"
    shell.out("create", "--name", "user", "lab", "true")
    line = shell.fail("rmi", "lab", code=1)
    assert line.startswith('conflict: unable to remove repository reference "lab" (must force)')
    assert shell.out("images", "--format", "{{.Repository}}") == "lab"


def test_image_inspect_is_dockers(shell: Shell) -> None:
    (document,) = json.loads(shell.out("image", "inspect", "lab"))
    assert document["RepoTags"] == ["lab:latest"]
    assert document["Architecture"] == {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    assert len(document["RootFS"]["Layers"]) == 5
    assert shell.out("image", "inspect", "-f", "{{.Os}} {{.ID}}", "lab") == f"linux {document['Id']}"
