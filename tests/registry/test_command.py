"""`container pull`, `push` and `registry serve`, each as a user types them."""

import base64
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.oci import make_image, push
from tests.support.session import EngineRoot

pytestmark = pytest.mark.needs("root")

_HERE = str(Path(__file__).parents[2])


def environment(made: EngineRoot) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": _HERE, "CONTAINER_ROOT": made.root, "CONTAINER_RUN": made.run}


def command(*args: str) -> list[str]:
    return [sys.executable, "-c", "import sys; from toolkit.cli.main import main; sys.exit(main())", *args]


class Served(NamedTuple):
    process: "subprocess.Popen[str]"
    address: str


@pytest.fixture
def served(engine_root: EngineRoot, tmp_path: Path) -> Iterator[Served]:
    """`container registry serve` with one user."""
    users = tmp_path / "htpasswd"
    users.write_text("me:{SHA}" + base64.b64encode(hashlib.sha1(b"pw").digest()).decode())  # noqa: S324 - the format
    args = command("registry", "serve", "--root", str(tmp_path / "registry"), "--port", "0", "--htpasswd", str(users))
    with subprocess.Popen(args, env=environment(engine_root), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.match(r"registry at (\S+),", process.stdout.readline())
        assert found is not None
        yield Served(process, found[1])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)


def container(made: EngineRoot, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(*args), env=environment(made), capture_output=True, text=True, check=False)


def test_pull_and_push_with_credentials(served: Served, engine_root: EngineRoot) -> None:
    image = make_image({"a": b"1"})
    authorization = "Basic " + base64.b64encode(b"me:pw").decode()
    push(served.address, "a/b", "latest", image, {"Authorization": authorization})
    name = f"{served.address}/a/b"
    pulled = container(engine_root, "pull", "--creds", "me:pw", name)
    assert pulled.returncode == 0, pulled.stderr
    lines = pulled.stdout.splitlines()
    assert lines[0] == "latest: Pulling from a/b"
    assert f"{image.layers[0][7:19]}: Pull complete" in lines
    assert lines[-3:] == [
        f"Digest: {image.digest}",
        f"Status: Downloaded newer image for {name}:latest",
        f"{name}:latest",
    ]
    pushed = container(engine_root, "push", "--creds", "me:pw", name)
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.splitlines()[-1] == f"latest: digest: {image.digest} size: {len(image.content)}"


def test_pull_without_credentials_is_one_line(served: Served, engine_root: EngineRoot) -> None:
    refused = container(engine_root, "pull", f"{served.address}/a/b")
    assert refused.returncode == 1
    assert "repository does not exist or may require login" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "Traceback" not in refused.stderr


def test_server_says_in_one_line_that_its_port_is_taken(
    served: Served, engine_root: EngineRoot, tmp_path: Path
) -> None:
    port = served.address.rpartition(":")[2]
    refused = container(engine_root, "registry", "serve", "--port", port, "--root", str(tmp_path / "other"))
    assert refused.returncode != 0
    assert "is already in use; choose another" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_server_ends_quietly_on_interrupt(engine_root: EngineRoot, tmp_path: Path) -> None:
    args = command("registry", "serve", "--root", str(tmp_path / "registry"), "--port", "0")
    pipe = subprocess.PIPE
    with subprocess.Popen(args, env=environment(engine_root), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (130, "")
