"""The containers of an engine: making, finding and listing them."""

import os

from toolkit.core import clock, ids
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.engine.argv import command
from toolkit.engine.container import Container
from toolkit.engine.names import check_name, random_name
from toolkit.engine.options import to_store
from toolkit.engine.recovery import remove_run_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from toolkit.engine.engine import Engine
    from toolkit.engine.options import ContainerOptions
    from toolkit.engine.settings import Settings
    from toolkit.image.images import ImageRecord

KIND = "container"
_NAME_TRIES = 50


class Containers:
    """Makes, finds and lists containers."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def create(self, options: "ContainerOptions", *, will_start: bool = False, makes_volumes: bool = True) -> Container:
        """Store a new container; nothing of it exists outside the state yet, but for its volumes.

        Args:
            options: what it is to be.
            will_start: the caller starts it at once.  If this process dies before it has, a container of
                `auto_remove` is removed by the next command: nobody else knows of it.
            makes_volumes: those that there are not; else only its start would: for one whose plan is to be seen.

        Raises:
            NotFoundError: the image is not here, or not for the platform that was asked for.
            ConflictError: the name is taken.
            InvalidError: an option that means nothing.
        """
        from toolkit.engine import runtimes, settings, validate

        file = self._engine.settings
        options = settings.applied(file, options)
        validate.check(options)
        if options.runtime:
            runtimes.command(options.runtime, self._engine.settings.runtimes)  # refuses one that there is not
        options, warnings = self._possible(options)
        options, networks, more = self._connected(options, file)
        warnings += more
        name = check_name(options.name) if options.name else ""
        is_held = will_start and options.auto_remove
        images = self._engine.images
        made: Container | None = None
        while made is None:
            with images.store.holding():
                image = images.find(options.image)
                if image is not None:
                    if options.platform:
                        _refuse_other_platform(options, image)
                    command(options, image.config)  # refuses a container that has nothing to run
                    document = self._with_mounts(_document(options, image, networks), options, image)
                    made = self._insert(ids.new_id(), name, document, is_held=is_held)
            if image is None:
                images.get(options.image)  # makes the image `lab`, or tells what is wrong
        made.warnings = warnings
        try:
            if "mounts" in made.doc and makes_volumes:
                self._make_volumes(made)
            made.note("create")
        except BaseException:
            self._discard(made.id)
            raise
        return made

    def _with_mounts(
        self, document: "dict[str, Any]", options: "ContainerOptions", image: "ImageRecord"
    ) -> "dict[str, Any]":
        """Return a container's document with its mounts, where it has any."""
        if not (options.binds or options.mounts or options.volumes or options.volumes_from) and not image.config.get(
            "Volumes"
        ):
            return document
        from toolkit.engine import mounting

        found = mounting.decide(self._engine, options, image.config)
        return {**document, "mounts": [list(point) for point in found]} if found else document

    def _make_volumes(self, made: Container) -> None:
        """Make the volumes of a container that is stored already: if we are killed here, its start does the rest."""
        from toolkit.engine import mounting

        mounting.make(self._engine, made)

    def _discard(self, ident: str) -> None:
        """Take away what was stored, or was about to be, of a container whose making failed or was interrupted."""
        self._engine.state.delete(KIND, ident)
        self._engine.recovery.release(ident)

    def _possible(self, options: "ContainerOptions") -> "tuple[ContainerOptions, tuple[str, ...]]":
        """Return the options without those that docker discards where the kernel lacks them, and what to say of it."""
        from toolkit.engine import discard

        if not discard.may_be_needed(options):
            return options, ()
        return discard.discard(options, self._engine.cgroups.under(options.cgroup_parent))

    def _connected(
        self, options: "ContainerOptions", file: "Settings"
    ) -> "tuple[ContainerOptions, dict[str, Any], tuple[str, ...]]":
        """Return the options with its network by name, what it asks of its networks, and what is to be said of it.

        Raises:
            NotFoundError: there is no such network.
            InvalidError: it cannot have there what it asks for.
        """
        mode = options.network
        if mode in ("none", "host") or mode.startswith("container:") or (mode == "default" and file.bridge == "none"):
            return options, {}, _discarded(options)
        from toolkit.engine import links
        from toolkit.engine.wish import Wish, check_wish, checked_links
        from toolkit.network import model

        warning = ""
        if mode == "default":
            mode, warning = self._engine.networks.default_mode()
        warnings = (warning,) if warning else ()
        if mode == "default":
            return options, {}, warnings + _discarded(options)
        network = self._engine.networks.get(mode)
        options = options._replace(network=network.name)
        if network.driver in ("host", "null"):
            return options, {}, _discarded(options)
        wish = Wish(options.ip, options.ip6, options.mac_address, options.network_aliases)
        check_wish(network, wish)
        if options.links and network.name == model.DEFAULT:
            options = options._replace(links=links.resolved(self._engine, options.links))
        elif options.links:
            wish = wish._replace(links=checked_links(options.links))
        return options, {network.name: wish._asdict()}, warnings

    def _insert(self, ident: str, name: str, doc: "dict[str, Any]", *, is_held: bool) -> Container:
        if is_held:
            self._engine.recovery.hold(ident, name or ident)
        try:
            if name:
                self._refuse_taken(name)
                self._engine.state.insert(KIND, ident, doc, name)
            else:
                name = self._insert_with_random_name(ident, doc)
        except BaseException:  # an interrupt can come when it is stored, and before that is known here
            self._discard(ident)
            raise
        return Container(self._engine, ident, name, doc)

    def _refuse_taken(self, name: str) -> None:
        other = self._engine.state.find_name(KIND, name)
        if other is not None:
            raise ConflictError(
                f'Conflict. The container name "/{name}" is already in use by container "{other.id}"',
                hint="You have to remove (or rename) that container to be able to reuse that name.",
            )

    def _insert_with_random_name(self, ident: str, doc: "dict[str, Any]") -> str:
        for attempt in range(_NAME_TRIES):
            name = random_name() + (str(attempt) if attempt else "")
            try:
                self._engine.state.insert(KIND, ident, doc, name)
            except ConflictError:
                continue
            return name
        raise ConflictError("no free name was found", hint="give the container one with --name")

    def find_name(self, name: str) -> Container | None:
        """Return the container that has exactly this name, or None."""
        row = self._engine.state.find_name(KIND, name.removeprefix("/"))
        return None if row is None else Container.from_row(self._engine, row)

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name; its hostname stays as it is.

        Raises:
            InvalidError: the name means nothing, or is the one that it has.
            ConflictError: the name is taken.
        """
        new = check_name(name)
        if new == container.name:
            raise InvalidError("Renaming a container with the same name as its current name", hint="choose another")
        self._refuse_taken(new)
        try:
            self._engine.state.rename(KIND, container.id, new)
        except ConflictError:
            self._refuse_taken(new)
            raise  # whoever had taken it meanwhile is gone again
        container.name = new
        if container.doc.get("networks"):
            self._engine.networks.rename(container)

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
            found = [one for one in found if one.id in running and one.read_status().is_up]
        return sorted(found, key=lambda one: one.doc["created"], reverse=True)

    def prune(self, chosen: "Callable[[Container], bool]" = lambda _one: True) -> "tuple[Sequence[str], int]":
        """Remove all containers that do not run and are `chosen`; return their ids, and how many bytes they had."""
        removed: list[str] = []
        reclaimed_bytes = 0
        for one in self.list(all=True):
            if not chosen(one) or one.read_status().is_up:
                continue
            size = _size(self._engine.paths.container(one.id))
            try:
                one.remove()
            except (ConflictError, NotFoundError):
                continue  # started or removed by somebody else meanwhile
            removed.append(one.id)
            reclaimed_bytes += size
        self._engine.events.note("container", "prune", "", {"reclaimed": str(reclaimed_bytes)})
        return removed, reclaimed_bytes

    def discard(self, container: Container, *, takes_volumes: bool = False) -> None:
        """Delete a container that does not run, with the volumes that are its alone if they are to be taken too.

        Raises:
            ConflictError: it does, or somebody else is about to start or remove it.
        """
        recovery = self._engine.recovery
        fd = recovery.take(container.id, container.name)
        try:
            container.cgroups.destroy(container.id)
            recovery.remove(container.id, takes_volumes=takes_volumes)
            remove_run_dir(container.run_dir)
        finally:
            os.close(fd)


def _size(directory: str) -> int:
    """Return how many bytes the files below a directory have on disk."""
    total = 0
    for path, _directories, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _discarded(options: "ContainerOptions") -> tuple[str, ...]:
    """Return docker's word on ports that cannot be published in a network that is none of ours.

    Raises:
        InvalidError: an address or a name was asked for, which nobody has there.
    """
    if options.ip or options.ip6:
        raise InvalidError("user specified IP address is supported on user defined networks only")
    if options.network_aliases:
        raise InvalidError("network-scoped aliases are only supported for user-defined networks")
    if options.links:
        from toolkit.engine import links

        links.refuse(options.network, options.links)
    if options.publish and options.network == "host":
        return ("Published ports are discarded when using host network mode",)
    return ()


def _document(options: "ContainerOptions", image: "ImageRecord", networks: "dict[str, Any]") -> "dict[str, Any]":
    return {
        "created": clock.now(),
        "options": to_store(options),
        "image_id": image.id,
        "image_config": image.config,
        "diff_ids": list(image.diff_ids),
        "networks": networks,
    }


def _refuse_other_platform(options: "ContainerOptions", image: "ImageRecord") -> None:
    """Raise NotFoundError where the image that is here was built for another platform."""
    from toolkit.image.platform import normalize, parse_platform

    wanted = parse_platform(options.platform)
    found = normalize(image.os, image.architecture, image.variant)
    if wanted[:2] != found[:2] or (wanted.variant and wanted.variant != found.variant):
        message = f"image {options.image} is here for {found}, not for {wanted}"
        raise NotFoundError(message, hint=f"container pull --platform {options.platform} {options.image} may find it")
