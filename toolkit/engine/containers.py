"""The containers of an engine: making, finding and listing them."""

import os
from typing import Any

from toolkit.core import clock, ids
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.engine.argv import command
from toolkit.engine.container import RUNNING, Container
from toolkit.engine.names import check_name, random_name
from toolkit.engine.recovery import claim, remove_run_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.engine.engine import Engine
    from toolkit.engine.options import ContainerOptions
    from toolkit.image.images import ImageRecord

KIND = "container"
_MIN_MEMORY_BYTES = 6 * 1024 * 1024  # moby, daemon/daemon_unix.go, linuxMinMemory
_NAME_TRIES = 50


class Containers:
    """Makes, finds and lists containers."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def create(self, options: "ContainerOptions") -> Container:
        """Store a new container; nothing of it exists outside the state yet.

        Raises:
            NotFoundError: the image is not here.
            ConflictError: the name is taken.
            InvalidError: an option that means nothing.
        """
        image = self._engine.images.get(options.image)
        _check(options)
        command(options, image.config)  # refuses a container that has nothing to run
        ident = ids.new_id()
        doc = _document(options, image)
        if options.name:
            name = check_name(options.name)
            self._refuse_taken(name)
            self._engine.state.insert(KIND, ident, doc, name)
        else:
            name = self._insert_with_random_name(ident, doc)
        return Container(self._engine, ident, name, doc)

    def _refuse_taken(self, name: str) -> None:
        other = self._engine.state.find_name(KIND, name)
        if other is not None:
            raise ConflictError(
                f'Conflict. The container name "/{name}" is already in use by container "{other.id}"',
                hint="You have to remove (or rename) that container to be able to reuse that name.",
            )

    def _insert_with_random_name(self, ident: str, doc: dict[str, Any]) -> str:
        for attempt in range(_NAME_TRIES):
            name = random_name() + (str(attempt) if attempt else "")
            try:
                self._engine.state.insert(KIND, ident, doc, name)
            except ConflictError:
                continue
            return name
        raise ConflictError("no free name was found", hint="give the container one with --name")

    def get(self, reference: str) -> Container:
        """Find a container by its full id, its name or a prefix of its id that is unique.

        Raises:
            NotFoundError: there is none.
            ConflictError: more than one id begins so.
        """
        state = self._engine.state
        row = state.find_name(KIND, reference.removeprefix("/"))
        if row is None and reference:
            rows = state.find_prefix(KIND, reference.lower())
            if len(rows) > 1:
                raise ConflictError(
                    f"multiple containers found with prefix '{reference}'", hint="give more digits of the id"
                )
            row = rows[0] if rows else None
        if row is None:
            raise NotFoundError(f"No such container: {reference}", hint="`container ps -a` lists all")
        return Container.from_row(self._engine, row)

    def list(self, *, all: bool = False) -> "Sequence[Container]":  # noqa: A002 - docker's own word for it
        """Return the containers that run, or all of them; the newest first."""
        rows = self._engine.state.list(KIND)
        found = [Container.from_row(self._engine, row) for row in rows]
        if not all:
            running = set(os.listdir(self._engine.paths.running))
            found = [one for one in found if one.id in running and one.status == RUNNING]
        return sorted(found, key=lambda one: one.doc["created"], reverse=True)

    def discard(self, container: Container) -> None:
        """Delete a container that does not run."""
        run_dir = container.run_dir
        fd = claim(run_dir)
        if fd >= 0:
            try:
                self._engine.recovery.clean(container.id)
            finally:
                os.close(fd)
            remove_run_dir(run_dir)
        self._engine.recovery.remove(container.id)


def _check(options: "ContainerOptions") -> None:
    """Refuse values that no kernel would take, in docker's words.

    Raises:
        InvalidError: with the cure.
    """
    if options.memory_bytes and options.memory_bytes < _MIN_MEMORY_BYTES:
        raise InvalidError("minimum memory limit allowed is 6MB", hint="give --memory 6m or more")
    if options.memory_swap_bytes > 0 and not options.memory_bytes:
        raise InvalidError("you should always set the memory limit when using the swap limit", hint="add --memory")
    if 0 < options.memory_swap_bytes < options.memory_bytes:
        raise InvalidError(
            "minimum memoryswap limit should be larger than memory limit", hint="--memory-swap counts memory plus swap"
        )
    cpus = os.cpu_count() or 1
    if options.nano_cpus > cpus * 1_000_000_000:
        raise InvalidError(
            f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available", hint="ask for fewer"
        )
    if 0 < options.nano_cpus < 10_000_000:
        raise InvalidError(f"range of CPUs is from 0.01 to {cpus}.00", hint="ask for more")
    if options.working_dir and not options.working_dir.startswith("/"):
        raise InvalidError(
            f"the working directory '{options.working_dir}' is invalid, it needs to be an absolute path",
            hint="begin it with /",
        )
    if len(options.hostname) > 64:
        raise InvalidError(f"invalid hostname: {options.hostname}", hint="at most 64 characters")


def _document(options: "ContainerOptions", image: "ImageRecord") -> dict[str, Any]:
    stored = options._asdict()
    for field in ("labels", "sysctls", "tmpfs"):
        stored[field] = dict(stored[field])
    return {
        "created": clock.now(),
        "options": stored,
        "image_id": image.id,
        "image_config": image.config,
        "diff_ids": list(image.diff_ids),
    }
