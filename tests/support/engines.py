"""An engine on a root of its own, with one small image: busybox.

The image is real busybox and nothing else, so a test knows every file in it.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest

from tests.support.session import EngineRoot
from toolkit.core.state import State
from toolkit.engine.attachment import Attachment
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.image import manifest
from toolkit.image.images import Images
from toolkit.image.layers import LayerRequest
from toolkit.image.reference import parse_reference

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


def add_image(images: Images, name: str, *trees: str, **config: Any) -> None:
    """Bring in an image of these directories, the lowest layer first, through the stores that a pull uses."""
    requests: list[LayerRequest] = []
    blobs: list[manifest.Descriptor] = []
    for tree in trees:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(tree, arcname=".")
        digest = images.content.add(buffer.getvalue())
        blobs.append(manifest.Descriptor(media_type=manifest.OCI_LAYER, digest=digest, size=buffer.tell()))
        requests.append(LayerRequest(images.content.path(digest), manifest.OCI_LAYER, digest))
    document = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [request.diff_id for request in requests]},
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], **config},
    }
    with images.importing():
        images.layers.apply(requests)
        content = json.dumps(document).encode()
        described = manifest.Descriptor(
            media_type=manifest.OCI_CONFIG, digest=images.content.add(content), size=len(content)
        )
        whole = manifest.Manifest(schema_version=2, media_type=manifest.OCI_MANIFEST, config=described, layers=blobs)
        record = images.add(images.content.add(manifest.encode(whole)))
        images.tag(parse_reference(name), record.id)


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
    """Return the unpacked root of busybox, for images that are like it."""
    root = str(tmp_path_factory.mktemp("busybox"))
    os.chmod(root, 0o755)
    make_busybox_tree(root)
    return root


@pytest.fixture(scope="session")
def template_root(busybox_tree: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return an engine root with nothing but the image busybox, to be copied."""
    root = str(tmp_path_factory.mktemp("template"))
    with Engine.open(root) as made:
        add_image(made.images.store, BUSYBOX, busybox_tree)
    return root


@pytest.fixture
def engine(engine_root: EngineRoot, template_root: str) -> Iterator[Engine]:
    """Return an engine whose only image is busybox; its containers and its zygote end with the test."""
    made = open_engine(engine_root, template_root)
    yield made
    close_engine(made)


def open_engine(where: EngineRoot, template_root: str, copy: Callable[[str, str], object] = os.link) -> Engine:
    """Make an engine at `where` with the image of `template_root`; its files are hard links, quick to make."""
    for name in ("content", "layers"):
        shutil.copytree(f"{template_root}/{name}", f"{where.root}/{name}", symlinks=True, copy_function=copy)
    with closing(State(f"{template_root}/state.db")) as template, closing(State(f"{where.root}/state.db")) as state:
        for kind in ("image", "tag"):
            for row in template.list(kind):
                state.put(kind, row.id, row.doc, row.name)
    return Engine.open(where.root, where.run)


def close_engine(engine: Engine) -> None:
    """Remove all containers of an engine and have its zygote leave."""
    for container in engine.containers.list(all=True):
        container.remove(force=True)
    engine.shutdown()


def in_processes(engine: Engine, count: int, function: Callable[[Engine, int], int]) -> list[int]:
    """Call `function` in so many processes at the same time, each with the engine opened anew; return their codes.

    A process that was killed has the negative number of its signal.
    """
    # sqlite does not survive a fork: no connection may be open when it happens.
    engine.state.close()
    reader, writer = os.pipe()
    pids: list[int] = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                os.close(writer)
                os.read(reader, 1)  # the end of the pipe: all at once
                with Engine.open(engine.paths.root, engine.paths.run) as mine:
                    code = function(mine, number)
            except BaseException:
                traceback.print_exc()  # pytest shows it with the failure
                raise
            finally:
                sys.stderr.flush()
                os._exit(code)
        pids.append(pid)
    os.close(reader)
    os.close(writer)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    engine.state.__init__(engine.paths.state)  # type: ignore[misc]  # open it again, for all who have it
    return codes


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
