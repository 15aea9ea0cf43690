"""An engine on a root of its own, with one small image: busybox.

The image is real busybox and nothing else, so a test knows every file in it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.session import EngineRoot
from toolkit.core.errors import NotFoundError
from toolkit.engine.attachment import Attachment
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions

BUSYBOX = "busybox"
_PASSWD = """root:x:0:0:root:/root:/bin/sh
ada:x:1000:1000:Ada:/home/ada:/bin/sh
bob:x:1001:100::/home/bob:/bin/sh
"""
_GROUP = """root:x:0:
users:x:100:
ada:x:1000:
wheel:x:10:ada,bob
audio:x:29:ada
"""
_DIRECTORIES = ("bin", "dev", "etc", "home/ada", "proc", "root", "sys", "tmp", "usr", "var")


class Ran(NamedTuple):
    """How a container (or exec) ended."""

    code: int | None
    out: str
    err: str


class _Record(NamedTuple):
    id: str
    config: dict[str, Any]
    diff_ids: tuple[str, ...]


class _Layers:
    def __init__(self, paths: dict[str, str]) -> None:
        self._paths = paths

    def path(self, diff_id: str) -> str:
        return self._paths[diff_id]


class FakeStore:
    """Images that are plain directories."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}
        self.layers = _Layers(self.paths)
        self._records: dict[str, _Record] = {}

    def add(self, name: str, *trees: str, **config: Any) -> None:
        """Have an image of these layers, the lowest first."""
        diff_ids = tuple(f"sha256:{index}-{name}" for index in range(len(trees)))
        self.paths.update(zip(diff_ids, trees, strict=True))
        whole = {"Env": ["PATH=/bin"], "Cmd": ["sh"], **config}
        self._records[name] = _Record(f"sha256:{name}", whole, diff_ids)

    def resolve(self, reference: str) -> _Record:
        """Find an image."""
        if reference not in self._records:
            raise NotFoundError(f"No such image: {reference}")
        return self._records[reference]

    def list(self) -> list[_Record]:
        """Return all."""
        return list(self._records.values())


def make_busybox_tree(root: str) -> None:
    """Lay out busybox with a link for each of its programs."""
    for name in _DIRECTORIES:
        os.makedirs(f"{root}/{name}")
    os.chmod(f"{root}/tmp", 0o1777)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", f"{root}/bin/busybox")
    for name in subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            os.symlink("busybox", f"{root}/bin/{name}")
    for name, text in (("passwd", _PASSWD), ("group", _GROUP)):
        with open(f"{root}/etc/{name}", "w") as file:
            file.write(text)


@pytest.fixture(scope="session")
def busybox_tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the unpacked layer of busybox, shared by all tests."""
    root = str(tmp_path_factory.mktemp("busybox"))
    os.chmod(root, 0o755)
    make_busybox_tree(root)
    return root


@pytest.fixture
def engine(engine_root: EngineRoot, busybox_tree: str) -> Iterator[Engine]:
    """Return an engine whose only image is busybox; its containers and its zygote end with the test."""
    made = open_engine(engine_root, busybox_tree)
    yield made
    close_engine(made)


def open_engine(where: EngineRoot, busybox_tree: str) -> Engine:
    """Open an engine that has the image busybox."""
    made = Engine.open(where.root, where.run)
    store = FakeStore()
    store.add(BUSYBOX, busybox_tree)
    made.images._store = store  # type: ignore[assignment]
    made.seccomp_filter = lambda options, process: None  # type: ignore[method-assign]
    return made


def close_engine(engine: Engine) -> None:
    """Remove all containers of an engine and have its zygote leave."""
    for container in engine.containers.list(all=True):
        container.remove(force=True)
    engine.shutdown()


def collect(attachment: Attachment) -> Ran:
    """Read to the end."""
    parts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    with attachment:
        for output in attachment:
            parts[output.stream].append(output.data)
    out, err = (b"".join(parts[name]).decode(errors="replace") for name in ("stdout", "stderr"))
    return Ran(attachment.exit_code, out, err)


def run(engine: Engine, *argv: str, stdin: bytes | None = None, **options: Any) -> Ran:
    """Run a command in a new container and remove it."""
    options = {"image": BUSYBOX, "auto_remove": True, **options}
    if stdin is not None:
        options |= {"open_stdin": True, "stdin_once": True}
    container = engine.containers.create(ContainerOptions(command=argv, **options))
    attachment = container.start(attach=True)
    assert attachment is not None
    if stdin is not None:
        attachment.write_stdin(stdin)
        attachment.close_stdin()
    return collect(attachment)


def sh(engine: Engine, script: str, **options: Any) -> Ran:
    """Run a shell script in a new container and remove it."""
    return run(engine, "sh", "-c", script, **options)
