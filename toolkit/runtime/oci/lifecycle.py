"""The three turns in a container's life: create, start, delete.

Each takes the container's lock, so that two commands at the same time are one
after the other.
"""

import errno
import os
import signal
import time
from typing import Any, NamedTuple

from toolkit.core import clock
from toolkit.core.errors import ConflictError, EngineError, NotFoundError
from toolkit.linux import cgroup, process
from toolkit.runtime import hooks, placement, plan
from toolkit.runtime.oci import bundle, cgroups, making
from toolkit.runtime.oci.console import Console, send_listener
from toolkit.runtime.oci.state import hook_state, state
from toolkit.runtime.oci.store import (
    CREATED,
    CREATING,
    FILTERS,
    PAUSED,
    RESULT_FIFO,
    RUNNING,
    START_FIFO,
    STOPPED,
    Record,
    Store,
    is_alive,
)
from toolkit.runtime.plan.mounts import root_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.hierarchy import Hierarchy
    from toolkit.runtime.oci.log import Log
    from toolkit.runtime.spec import Config

_KILL_TIMEOUT_S = 10.0
_PAUSE_S = 0.005


class Wishes(NamedTuple):
    """How a process is to be made; the flags of `create`, `run` and `exec`."""

    console_socket: str = ""
    pid_file: str = ""
    preserve_fds: int = 0
    pivots: bool = True
    has_keyring: bool = True
    is_foreground: bool = False
    """The command stays, and looks after a terminal itself."""
    config: str = bundle.CONFIG_NAME
    """The file of the config, a path from the bundle."""
    subgroups: "tuple[str, ...]" = ()
    """Of an exec: groups below the container's, as `cgroups.subgroups` reads them."""


class Created(NamedTuple):
    """A container that has just been made."""

    record: Record
    pidfd: int
    master: int
    """Its terminal's master where the command stays with it; else -1."""


def listen_fds(config: "Config", preserve_fds: int) -> int:
    """Hand on the sockets that systemd or its like has opened; return how many descriptors are kept in all.

    See Also:
        sd_listen_fds(3)
    """
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID", "") not in ("", str(os.getpid())):
        return preserve_fds  # they are somebody else's
    if not count.isdecimal() or int(count) == 0:
        return preserve_fds
    kept = [pair for pair in config["process"].get("env", []) if not pair.startswith(("LISTEN_FDS=", "LISTEN_PID="))]
    config["process"]["env"] = [*kept, f"LISTEN_FDS={count}", "LISTEN_PID=1"]
    return preserve_fds + int(count)


def create(store: Store, ident: str, bundle_dir: str, wishes: Wishes, log: "Log") -> Created:
    """Make a container of a bundle; its first process waits for `start`.

    Raises:
        EngineError: it cannot be made; all that was made is undone.
    """
    directory = os.path.realpath(bundle_dir)
    config = bundle.load(directory, log.warning, wishes.config)
    cgroups.check_path(config)
    console = Console(config["process"], wishes.console_socket, is_foreground=wishes.is_foreground)
    kept_fds = listen_fds(config, wishes.preserve_fds)
    lock_fd = store.create(ident)
    attempt = _Attempt(store, ident, directory, config, log)
    try:
        return attempt.run(console, kept_fds, wishes)
    except BaseException:
        attempt.undo()
        raise
    finally:
        os.close(lock_fd)


class _Attempt(making.Answers):
    """One container being made."""

    def __init__(self, store: Store, ident: str, directory: str, config: "Config", log: "Log") -> None:
        self._store = store
        self._config = config
        self._log = log
        self._console: Console | None = None
        self._hierarchy = cgroup.detect().with_all()
        name, is_relative = cgroups.name_of(config, ident)
        base = cgroups.own_groups(self._hierarchy) if is_relative else {}
        self.record = Record(
            ident,
            config.get("ociVersion", ""),
            directory,
            root_path(config),
            clock.now(),
            "",
            config.get("annotations", {}),
            name,
            is_relative,
            base,
        )

    def run(self, console: Console, kept_fds: int, wishes: Wishes) -> Created:
        record, store = self.record, self._store
        self._console = console
        resources = cgroups.resources_of(self._config)
        store.write(record, dict(self._config))
        where = cgroups.of_record(record, self._hierarchy)
        if record.cgroup:
            where.make_parents(record.cgroup, resources)
        directory = store.directory(record.id)
        steps = plan.plan(
            self._config,
            cgroup=placement.place(where, record.cgroup, resources, real=self._hierarchy)
            if record.cgroup
            else plan.Cgroup(()),
            seccomp=bundle.compiled(self._config, f"{store.root}/{FILTERS}", self._log.debug),
            creation=plan.Creation(
                f"{directory}/{START_FIFO}", hook_state(record), kept_fds, wishes.has_keyring, wishes.pivots
            ),
        )
        os.chdir(record.bundle)  # where hooks are run, as runc does
        fifos = making.Fifos(*(os.open(f"{directory}/{name}", os.O_RDWR) for name in (START_FIFO, RESULT_FIFO)))
        try:
            made = making.make(plan.without_reserve(steps), self, fifos=fifos, kept_fds=kept_fds)
        finally:
            for fd in fifos:
                os.close(fd)
        self.record = self.record._replace(is_ready=True)
        store.write(self.record)
        try:
            write_pid_file(wishes.pid_file, made.pid)
        except BaseException:
            _kill(made.pidfd)
            raise
        return Created(self.record, made.pidfd, console.master)

    def born(self, pid: int, start_time: int) -> None:
        """Note the pid on disk, so that whoever finds this half done can undo it."""
        self.record = self.record._replace(pid=pid, start_time=start_time)
        self._store.write(self.record)

    def take_master(self, fd: int) -> None:
        """Take the terminal's master to where it is wanted."""
        if self._console is not None:
            self._console.take(fd)

    def take_listener(self, fd: int) -> None:
        """Take the seccomp listener to who answers for the calls."""
        seccomp = self._config.get("linux", {}).get("seccomp", {})
        document = state(self.record, CREATING)
        send_listener(seccomp.get("listenerPath", ""), fd, seccomp.get("listenerMetadata", ""), document)

    def undo(self) -> None:
        """Remove all that is left of the container; it has no process (any more)."""
        if self.record.pid:
            _run_hooks(self.record, dict(self._config), "poststop", STOPPED, self._log)
        _remove(self._store, self.record, self._hierarchy, self._log)


def write_pid_file(path: str, pid: int) -> None:
    """Write a process's number where the caller wants to read it: whole, or not at all."""
    if not path:
        return
    directory, name = os.path.split(path)
    unfinished = os.path.join(directory, f".{name}.{os.getpid()}")
    with open(unfinished, "w") as file:
        file.write(str(pid))
    os.rename(unfinished, path)


def start(store: Store, ident: str, log: "Log") -> None:
    """Have a created container run its program; return when it does.

    Raises:
        NotFoundError: there is no such container.
        ConflictError: it is not one that waits to be started.
        StartError: the program cannot be executed; the container has ended.
    """
    lock_fd = store.lock(ident)
    try:
        record = store.read(ident)
        _begin(store, record)
        _run_hooks(record, store.read_config(ident), "poststart", RUNNING, log)
    finally:
        os.close(lock_fd)


def _begin(store: Store, record: Record) -> None:
    status = store.status(record)
    if status != CREATED:
        what = "an already running" if status in (RUNNING, PAUSED) else f"a {status}"
        if status == STOPPED:
            raise ConflictError("cannot start a container that has stopped", hint="delete it and create it anew")
        raise ConflictError(f"cannot start {what} container", hint="create makes one that can be started")
    result = os.open(f"{store.directory(record.id)}/{RESULT_FIFO}", os.O_RDONLY | os.O_NONBLOCK)
    try:
        fifo = store.open_fifo(record.id)
        os.write(fifo, b"1")
        os.close(fifo)
        failure = making.read_result(result)
    finally:
        os.close(result)
    if failure is not None:
        raise failure


def _run_hooks(record: Record, config: dict[str, Any], kind: str, status: str, log: "Log") -> None:
    """Run hooks whose failure changes nothing any more; it is logged, and the next one has its turn."""
    for hook in hooks.of_config(config.get("hooks", {}).get(kind, [])):
        try:
            hooks.run_all(kind, (hook,), state(record, status))
        except EngineError as exc:
            log.warning(str(exc))


def _kill(pidfd: int) -> None:
    process.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)


def delete(store: Store, ident: str, log: "Log", *, force: bool) -> None:
    """Remove a container that has stopped, or was never started; with `force` any, and what is left of one.

    Raises:
        NotFoundError: there is no such container, unless `force`.
        ConflictError: it runs, and not `force`.
    """
    try:
        lock_fd = store.lock(ident)
    except NotFoundError:
        if force:
            return
        raise
    try:
        record = _record_or_remains(store, ident, force=force)
        if record is None:
            return
        status = store.status(record) if record.is_ready else STOPPED
        if status in (RUNNING, PAUSED) and not force:
            message = f"cannot delete container {ident} that is not stopped: {status}"
            raise ConflictError(message, hint="kill it first, or use --force")
        _end(record)
        config = store.read_config(ident)
        _remove_groups(record, cgroup.detect(), log)
        _run_hooks(record, config, "poststop", STOPPED, log)
        store.remove(ident)
    finally:
        os.close(lock_fd)


def _record_or_remains(store: Store, ident: str, *, force: bool) -> Record | None:
    """Return what is known; where that is damaged, remove the files if that is wanted, and return None."""
    try:
        record = store.read(ident)
        store.read_config(ident)
    except ConflictError:
        if not force:
            raise
        store.remove(ident)
        return None
    return record


def _end(record: Record) -> None:
    """Kill a container's processes; return when they are dead, if not reaped."""
    if is_alive(record):
        _signal(record.pid, signal.SIGKILL)
    if record.cgroup:
        hierarchy = cgroups.of_record(record, cgroup.detect())
        if os.path.isdir(hierarchy.holder(record.cgroup)):
            hierarchy.kill_all(record.cgroup)
            hierarchy.thaw(record.cgroup)
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    while is_alive(record):
        if time.monotonic() > deadline:
            raise ConflictError(f"container {record.id} does not end", hint="its process is held in the kernel")
        time.sleep(_PAUSE_S)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has just ended


def _remove(store: Store, record: Record, hierarchy: "Hierarchy", log: "Log") -> None:
    _remove_groups(record, hierarchy, log)
    store.remove(record.id)


def _remove_groups(record: Record, hierarchy: "Hierarchy", log: "Log") -> None:
    """Remove the container's groups; those that somebody else uses too stay."""
    if not record.cgroup:
        return
    try:
        cgroups.of_record(record, hierarchy).remove(record.cgroup)
    except EngineError as exc:
        if getattr(exc, "errno", 0) != errno.EBUSY:
            raise
        log.warning(str(exc))
