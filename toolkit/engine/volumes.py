"""The volumes of an engine: making, finding, listing and removing them, and having their drivers mount them.

Which containers use a volume is read from the containers' records, never counted.
"""

import os
import sys
from typing import Any

from toolkit.core.errors import ConflictError, EngineError, InvalidError, NotFoundError, PluginError
from toolkit.volume import local
from toolkit.volume.point import decode
from toolkit.volume.store import (
    ANONYMOUS_LABEL,
    LOCAL,
    Claim,
    Record,
    Store,
    check_name,
    drop_claim,
    new_name,
    read_claim,
    tree_bytes,
    write_claim,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toolkit.engine.engine import Engine
    from toolkit.volume.plugin import Plugin

_NOTHING: "Mapping[str, str]" = {}


class Volume:
    """One volume of an engine; cheap to make."""

    def __init__(self, volumes: "Volumes", record: Record, status: "Mapping[str, Any] | None" = None) -> None:
        """Wrap what is known of a volume; use `engine.volumes` to find one."""
        self._volumes = volumes
        self._status = status
        self.record = record
        self.name = record.name
        self.driver = record.driver

    def __repr__(self) -> str:
        return f"<Volume {self.name} {self.driver}>"

    @property
    def mountpoint(self) -> str:
        """Where it lies on the host; of a plugin's, empty where that does not say."""
        if self.driver == LOCAL:
            return self._volumes.store.data(self.name)
        return str((self._asked().get("Mountpoint")) or "")

    def _asked(self) -> "Mapping[str, Any]":
        if self._status is None:
            self._status = self._volumes.plugin(self.driver).get(self.name)
        return self._status

    def inspect(self) -> dict[str, Any]:
        """Return everything about it, as Docker's API does.

        Raises:
            PluginError: its driver does not answer.
        """
        is_local = self.driver == LOCAL
        status = {} if is_local else self._asked().get("Status") or {}
        return {
            "CreatedAt": self.record.created or self._asked().get("CreatedAt") or "",
            "Driver": self.driver,
            "Labels": dict(self.record.labels) or None,
            "Mountpoint": self.mountpoint,
            "Name": self.name,
            "Options": dict(self.record.options) or None,
            "Scope": "local" if is_local else self._volumes.plugin(self.driver).scope(),
            **({"Status": status} if status else {}),
        }

    def size(self) -> int:
        """Return how many bytes its files have; -1 where its driver would have to mount it first."""
        if self.driver != LOCAL or local.is_mounted_by_driver(self.record.options):
            return -1
        try:
            return tree_bytes(self.mountpoint)
        except FileNotFoundError:
            return 0  # it is being removed

    def users(self) -> "Sequence[str]":
        """Return the ids of the containers that refer to it, running or not."""
        return self._volumes.users().get(self.name, [])

    def remove(self, *, force: bool = False) -> None:
        """Delete it with all that is in it; see `Volumes.remove`."""
        self._volumes.remove(self.name, force=force)


class Volumes:
    """Makes, finds, lists and removes volumes, and has them mounted."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._plugins: dict[str, Plugin] = {}
        self.store = Store(engine.state, engine.paths.volumes, engine.paths.volume_claims)

    def create(
        self,
        name: str = "",
        *,
        driver: str = "",
        options: "Mapping[str, str]" = _NOTHING,
        labels: "Mapping[str, str]" = _NOTHING,
    ) -> Volume:
        """Make a volume; return the one that is there already if there is one of this name and driver.

        Args:
            name: empty: one is invented.
            driver: empty: local.
            options: the driver's own.
            labels: anything.

        Raises:
            InvalidError: a name or an option that means nothing.
            ConflictError: there is one of this name, with another driver.
            NotFoundError: there is no such driver.
            PluginError: the driver refuses, or does not answer.
        """
        if not name:
            name, labels = new_name(), {**labels, ANONYMOUS_LABEL: ""}
        driver = driver or LOCAL
        record = Record(name, driver, "", dict(options), dict(labels))
        if driver == LOCAL:
            check_name(name)
            local.check_options(name, options)
            self._refuse_size(record)
        elif "/" in name or name in (".", "..") or "\0" in name:
            raise InvalidError(f"create {name}: a volume's name cannot be a path", hint="choose one without a slash")
        with self.store.locked(name):
            known = self.store.find(name)
            if known is None and driver != LOCAL:
                self._create_by_plugin(name, driver, options)
            made = self.store.add(record)
        if known is None:
            self.note("create", name, driver=driver)
        return Volume(self, made)

    def _create_by_plugin(self, name: str, driver: str, options: "Mapping[str, str]") -> None:
        try:
            self.plugin(driver).create(name, options)
        except (NotFoundError, PluginError) as exc:
            raise type(exc)(f"create {name}: {exc.message}", hint=exc.hint) from exc

    def _refuse_size(self, record: Record) -> None:
        if "size" in record.options and not local.is_mounted_by_driver(record.options):
            from toolkit.core.errors import UnsupportedError

            raise UnsupportedError(
                f"create {record.name}: quota size requested but no quota support",
                hint="a volume in memory has a size: --opt type=tmpfs --opt device=tmpfs --opt size=100m",
            )

    def get(self, name: str) -> Volume:
        """Find a volume by its name; one that only a plugin knows is found, too.

        Raises:
            NotFoundError: there is none.
        """
        record = self.store.find(name)
        if record is not None:
            return Volume(self, record)
        if name:
            for found in self._of_plugins(lambda _name, _error: None):
                if found.name == name:
                    return found
        raise NotFoundError(f"get {name}: no such volume", hint="`container volume ls` lists all")

    def list(self, complain: "Callable[[str, EngineError], None] | None" = None) -> "Sequence[Volume]":
        """Return all volumes by name, also those that plugins have of their own.

        Args:
            complain: gets the name of each plugin that does not answer, and why.
        """
        known = {record.name: Volume(self, record) for record in self.store.list()}
        for found in self._of_plugins(complain or (lambda _name, _error: None)):
            known.setdefault(found.name, found)
        return [known[name] for name in sorted(known)]

    def _of_plugins(self, complain: "Callable[[str, EngineError], None]") -> "Sequence[Volume]":
        from toolkit.volume import discovery

        found: list[Volume] = []
        for name in discovery.names(self._directories):
            try:
                rows = self.plugin(name).list()
            except EngineError as exc:
                complain(name, exc)
                continue
            found += [Volume(self, Record(row["Name"], name), row) for row in rows]
        return found

    def users(self) -> "Mapping[str, Sequence[str]]":
        """Return the ids of the containers that refer to each volume that has any."""
        found: dict[str, list[str]] = {}
        for row in self._engine.state.list("container"):
            for point in decode(row.doc.get("mounts", ())):
                if point.is_volume and row.id not in found.setdefault(point.name, []):
                    found[point.name].append(row.id)
        return found

    def remove(self, name: str, *, force: bool = False, except_for: str = "") -> None:
        """Delete a volume with all that is in it.

        Args:
            name: which.
            force: one that does not exist is fine, and one whose driver does not answer is forgotten.
            except_for: the id of a container that is about to go.

        Raises:
            NotFoundError: there is none.
            ConflictError: a container refers to it, or has it mounted.
            PluginError: its driver refuses, or does not answer.
        """
        with self.store.locked(name) as directory:
            record = self.store.find(name)
            if record is None:
                record = self._record_of_plugin(name, force=force)
            if record is None:
                return
            users = [ident for ident in self.users().get(name, []) if ident != except_for]
            if users:
                raise ConflictError(f"remove {name}: volume is in use - [{', '.join(users)}]", hint=self._named(users))
            if self.store.claims(directory, self._is_alive):
                raise ConflictError(f"remove {name}: volume is in use", hint="a container that is ending has it still")
            self._delete(record, force=force)
        self.note("destroy", name, driver=record.driver)

    def _record_of_plugin(self, name: str, *, force: bool) -> Record | None:
        try:
            return self.get(name).record
        except NotFoundError:
            if not force:
                raise
            return None

    def _named(self, idents: "Sequence[str]") -> str:
        names = [row.name for ident in idents for row in self._engine.state.find_prefix("container", ident)]
        return f"remove {', '.join(name for name in names if name)} first"

    def _delete(self, record: Record, *, force: bool) -> None:
        if record.driver == LOCAL:
            if local.is_mounted_by_driver(record.options):
                local.unmount_volume(self.store.data(record.name))  # else what is there would go, too
        else:
            try:
                self.plugin(record.driver).remove(record.name)
            except EngineError:
                if not force:
                    raise
        self.store.delete(record, self._engine.paths.trash)

    def prune(
        self, chosen: "Callable[[Volume], bool]" = lambda _one: True, *, takes_named: bool = False
    ) -> "tuple[Sequence[str], int]":
        """Remove the volumes that no container refers to; return their names, and how many bytes they had.

        Args:
            chosen: only these.
            takes_named: also those that somebody gave a name.
        """
        used = self.users()
        removed: list[str] = []
        reclaimed_bytes = 0
        for record in [*self.store.list()]:
            one = Volume(self, record)
            if record.driver != LOCAL or record.name in used or not (takes_named or record.is_anonymous):
                continue
            if not chosen(one):
                continue
            size = max(one.size(), 0)
            try:
                self.remove(record.name)
            except (ConflictError, NotFoundError):
                continue  # somebody has begun to use it, or removed it
            removed.append(record.name)
            reclaimed_bytes += size
        self.store.sweep(self._engine.paths.trash)
        self._engine.events.note("volume", "prune", "", {"reclaimed": str(reclaimed_bytes)})
        return removed, reclaimed_bytes

    # Drivers

    @property
    def _directories(self) -> "Sequence[str]":
        from toolkit.volume import discovery

        return self._engine.settings.plugin_directories or discovery.DIRECTORIES

    def plugin(self, name: str) -> "Plugin":
        """Find a plugin that drives volumes; it has been asked whether it does.

        Raises:
            NotFoundError: there is none of this name.
            PluginError: it does not answer, or does something else.
        """
        from toolkit.volume import plugin, protocol

        if name not in self._plugins:
            timeout_s = self._engine.settings.plugin_timeout or protocol.TIMEOUT_S
            self._plugins[name] = plugin.find(name, self._directories, timeout_s=timeout_s)
        return self._plugins[name]

    def mount(self, record: Record, ident: str) -> str:
        """Have a volume be where a container can be given it; return where.  One that has it already gets the same.

        Raises:
            EngineError: it cannot be mounted; nothing is left of the attempt.
        """
        if record.driver == LOCAL and not local.is_mounted_by_driver(record.options):
            return self.store.data(record.name)
        with self.store.locked(record.name) as directory:
            claims = self.store.claims(directory, self._is_alive)
            if record.driver == LOCAL:
                source = self.store.data(record.name)
                write_claim(directory, Claim(ident, LOCAL, "", source))
                try:
                    if not claims or not local.is_mounted(source):
                        local.mount_volume(record.name, record.options, source)
                except BaseException:
                    drop_claim(directory, ident)
                    raise
                return source
            return self._mount_by_plugin(record, ident, directory)

    def _mount_by_plugin(self, record: Record, ident: str, directory: str) -> str:
        mine = read_claim(directory, ident)
        if mine is not None and mine.source:
            return mine.source  # its restart policy starts it again: it has never let go
        plugin = self.plugin(record.driver)
        write_claim(directory, Claim(ident, record.driver, plugin.address))
        try:
            source = plugin.mount(record.name, ident)
        except BaseException:
            self._let_go(directory, record.name, Claim(ident, record.driver, plugin.address))
            raise
        write_claim(directory, Claim(ident, record.driver, plugin.address, source))
        return source

    def where(self, name: str, driver: str, ident: str) -> str:
        """Return where a volume lies that a container has, empty where only its driver knows."""
        if driver == LOCAL:
            return self.store.data(name)
        claim = read_claim(f"{self._engine.paths.volume_claims}/{name}", ident)
        return claim.source if claim else ""

    def release(self, ident: str) -> None:
        """Have what a container had mounted by drivers be unmounted, where it was the last to need it.

        A driver that refuses is told of on stderr: the container has ended all the same.
        """
        for name in self.store.claimed_by(ident):
            with self.store.locked(name) as directory:
                claim = read_claim(directory, ident)
                if claim is not None:
                    self._let_go(directory, name, claim)

    def _let_go(self, directory: str, name: str, claim: Claim) -> None:
        from toolkit.volume import protocol
        from toolkit.volume.plugin import Plugin

        try:
            if claim.driver != LOCAL:
                timeout_s = self._engine.settings.plugin_timeout or protocol.TIMEOUT_S
                Plugin(claim.driver, claim.address, timeout_s).unmount(name, claim.container)
            elif not [
                each for each in self.store.claims(directory, self._is_alive) if each.container != claim.container
            ]:
                local.unmount_volume(claim.source)
        except (EngineError, OSError) as exc:
            sys.stderr.write(f"volume {name}: {exc}\n")
        finally:
            drop_claim(directory, claim.container)

    def _others(self, directory: str, ident: str) -> "Sequence[Claim]":
        return [each for each in self.store.claims(directory, self._is_alive) if each.container != ident]

    def _is_alive(self, ident: str) -> bool:
        """Tell whether a container is started, runs, or has not been cleaned up yet: then its claim counts."""
        return os.path.isdir(self._engine.paths.run_dir(ident))

    def note(self, action: str, name: str, **attributes: str) -> None:
        """Write down as an event what has just happened to a volume, in docker's words."""
        self._engine.events.note("volume", action, name, attributes)
