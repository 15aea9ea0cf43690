"""Containers that a check makes for itself, to try a student's program; and commands in a student's container."""

import contextlib
import io
import os
import tarfile

from toolkit.core.errors import EngineError
from toolkit.lab.evidence import Finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from toolkit.engine import Container
    from toolkit.lab.look import Look


def execute(container: "Container", *command: str) -> Finished:
    """Run one more command in a container and wait; a container that cannot take it answers with 125."""
    from toolkit.engine import ExecOptions

    try:
        with container.exec(ExecOptions(command)) as attachment:
            output = b"".join(chunk.data for chunk in attachment)
    except EngineError as exc:
        return Finished(exc.exit_code, str(exc))
    return Finished(attachment.exit_code, output.decode(errors="replace"))


@contextlib.contextmanager
def started(
    look: "Look", name: str, *command: str, files: tuple[str, ...] = (), **options: "Any"
) -> "Generator[Container]":
    """Run a container of the image `lab` while the block runs, and remove it.

    Args:
        look: whose engine it is in.
        name: of the container; one of the lab's CONTAINERS, so that it goes in any case.
        command: what it runs.
        files: of the student's directory, which it has in its `/`.
        options: fields of ContainerOptions.
    """
    from toolkit.engine import ContainerOptions

    look.remove_containers(name)
    container = look.engine.containers.create(ContainerOptions("lab", command, name=name, **options))
    try:
        for file in files:
            put(container, look.path(file))
        container.start()
        yield container
    finally:
        container.remove(force=True)


def put(container: "Container", path: str) -> None:
    """Copy a file into the `/` of a container."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(path, arcname=os.path.basename(path))
    stream.seek(0)
    container.files.put("/", stream)
