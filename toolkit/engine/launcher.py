"""Starting things: from a stored container to a request that the zygote's child carries out."""

import errno
import functools
import os

from toolkit.core import document
from toolkit.core.errors import CommandNotExecutableError, ConflictError, InvalidError, NotFoundError, StorageFullError
from toolkit.engine import devices, events, filters, health, networkfiles, oci, restart, runtimes, users
from toolkit.engine.networkfiles import LOCAL_HOSTS
from toolkit.engine.options import ExecOptions
from toolkit.linux import lock, namespace, procfs
from toolkit.runtime import plan as planner
from toolkit.runtime.client import Session, Zygote
from toolkit.runtime.health import HEALTH_FILE
from toolkit.runtime.meeting import NETWORKS_FILE
from toolkit.runtime.request import Request
from toolkit.runtime.spec import Config, Process
from toolkit.storage import overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine
    from toolkit.engine.options import ContainerOptions
    from toolkit.linux.cgroup.resources import Resources
    from toolkit.network.model import Endpoint
    from toolkit.runtime.steps import ConnectNetwork, Step
    from toolkit.storage.driver import RootFilesystem

_FILES = ("resolv.conf", "hostname", "hosts")


class Launcher:
    """Starts an engine's containers and execs."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self.zygote = Zygote(engine.paths.run, lambda: engine.cgroups.home())  # noqa: PLW0108 - it looks for them
        self._identities: dict[tuple[object, ...], users.Identity] = {}
        self.alter: Callable[[tuple[Step, ...]], tuple[Step, ...]] | None = None
        """Makes another plan of each plan before it is carried out: a lesson leaves a defence out, and looks what
        happens.  None: plans are as they are made."""

    def plan(self, container: "Container", *, gated: bool = False) -> "tuple[Step, ...]":
        """Return the steps of a start, without doing any of them; with `gated`, of one that stops between them."""
        root = self._root_filesystem(container, volatile=container.options.auto_remove)
        sources: Mapping[str, str] = {}
        if "mounts" in container.doc:
            from toolkit.engine import mounting

            sources = mounting.sources(self._engine, container)
        network = self._engine.networks.steps(container, None) if container.doc.get("networks") else ()
        config = self._config(container, root, None, sources)
        return self._plan(container, config, root, network, gated=gated)

    def start(
        self,
        container: "Container",
        *,
        attach: bool,
        trace: bool,
        gated: bool,
        console_size: tuple[int, int] | None,
        lock_fd: int = -1,
    ) -> Session:
        """Have a monitor start the container; return the connection to it.

        With `lock_fd` it is its restart policy that starts it: the locked run directory is its last monitor's.

        Raises:
            ConflictError: someone else is starting it at this moment.
            EngineError: its options cannot be planned.
        """
        is_by_hand = lock_fd < 0
        if is_by_hand:
            is_vain = functools.partial(_is_up, container)
            lock_fd = self._engine.recovery.take(container.id, container.name, is_vain=is_vain)
        try:
            if is_by_hand:
                restart.begin(container)
            return self._start(container, lock_fd, attach=attach, trace=trace, gated=gated, console_size=console_size)
        except BaseException as exc:
            os.close(lock_fd)
            lock_fd = -1
            # Nothing has been carried out: the container is as it was, or gone with --rm.
            self._engine.recovery.undo(container.id, forget=container.options.auto_remove)
            if container.doc.get("networks"):
                self._engine.networks.release(container.id)
            if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
                hint = "free some space and try again"
                raise StorageFullError("no space left for the container's files", hint=hint) from exc
            raise
        finally:
            if lock_fd >= 0:
                os.close(lock_fd)

    def _start(
        self,
        container: "Container",
        lock_fd: int,
        *,
        attach: bool,
        trace: bool,
        gated: bool,
        console_size: tuple[int, int] | None,
    ) -> Session:
        """Ask for a monitor, plan and prepare the disk while it gets ready; then have the plan carried out."""
        self._engine.state.get("container", container.id)  # it may have been removed while we waited
        sources: Mapping[str, str] = {}
        if "mounts" in container.doc:
            from toolkit.engine import mounting

            sources = mounting.hold(self._engine, container)
        root = self._root_filesystem(container, volatile=container.options.auto_remove)
        config = self._config(container, root, console_size, sources)
        _make_directory(self._engine.paths.container(container.id))
        request = self._request(container, attach=attach, trace=trace, gated=gated)
        if sources:
            request = self._with_volumes(request, container)
        state, *program = self._other_runtime(container) or ("",)
        if program:
            os.makedirs(state, 0o700, exist_ok=True)
            request = request._replace(undertaker=runtimes.undertaker(state, tuple(program), container.id))
        else:
            request = request._replace(uses_reserve=not gated and planner.begins_in_reserve(config))
        session = self.zygote.begin(request, lock_fd)
        try:
            places = self._engine.networks.allocate(container) if container.doc.get("networks") else ()
            network = self._engine.networks.steps(container, places) if places else ()
            plan = self._plan(container, config, root, network, gated=gated)
            container.cgroups.prepare(container.id, oci.resources(container.options))
            _unlink(self._engine.paths.exit_file(container.id))
            if request.uses_reserve and (count := planner.before_root(plan)):
                session.begin_plan(plan, count)
            overlay.prepare(root)
            self._write_files(container, config, places)
        except BaseException:
            session.close()
            raise
        session.carry_out(plan)
        return session

    def _other_runtime(self, container: "Container") -> tuple[str, ...]:
        """Return where the runtime that was asked for keeps its state, and its command; nothing for our own."""
        name = container.options.runtime
        program = runtimes.command(name, self._engine.settings.runtimes) if name else ()
        return (runtimes.state_directory(self._engine.paths.run, container.id), *program) if program else ()

    def _request(self, container: "Container", *, attach: bool, trace: bool, gated: bool) -> Request:
        """Say what the monitor has to do."""
        paths, options = self._engine.paths, container.options
        return Request(
            id=container.id,
            tty=options.tty,
            stdin=options.open_stdin,
            stdin_once=options.stdin_once,
            run_dir=container.run_dir,
            log="" if options.log_driver == "none" else paths.log(container.id),
            log_keeping=_log_keeping(container, options) if options.log_driver or options.log_options else (),
            exit_file=paths.exit_file(container.id),
            cgroups=container.cgroups.directories(container.id, oci.resources(options)),
            holder=container.cgroups.holder(container.id),
            oom_file=container.cgroups.oom_file(container.id),
            trace=trace,
            gated=gated,
            foreground=attach,
            keeps_mounts="mounts" not in container.doc and not options.runtime,
            successor=self._engine.remover(container.id) if options.auto_remove else (),
            care=self._care(container, options) if options.timeout_s or health.is_checked(container) else None,
            journal=paths.events,
            actor=events.attributes_of(container.doc, container.name),
        )

    def _with_volumes(self, request: Request, container: "Container") -> Request:
        """Say what the monitor has to do about volumes: tell of their end, and have what drivers mounted unmounted."""
        from toolkit.engine import mounting

        request = request._replace(volumes=mounting.volumes_of(container))
        if not self._engine.volumes.store.claimed_by(container.id):
            return request
        is_kept = not container.options.auto_remove
        return request._replace(successor=self._engine.remover(container.id), is_kept=is_kept)

    def _care(self, container: "Container", options: "ContainerOptions") -> "tuple[Any, ...]":
        """Say what else the monitor has to do while the container runs."""
        from toolkit.runtime import steps
        from toolkit.runtime.tending import Care

        _unlink(f"{container.directory}/{HEALTH_FILE}")
        image = container.doc["image_config"]
        config = health.configuration(options, image)
        command = health.probe_command(config, image)
        care = Care(float(options.timeout_s))
        if command:
            care = care._replace(
                check=health.check_of(config, options.health_on_failure),
                probe=steps.encode(self._probe_plan(container, options, command)),
                command=" ".join(command),
                stop_signal=container.stop_signal,
                stop_timeout_s=container.stop_timeout_s,
            )
        return care.encode()

    def _probe_plan(
        self, container: "Container", options: "ContainerOptions", command: tuple[str, ...]
    ) -> "tuple[Step, ...]":
        """Return the plan of an exec that goes into a container which does not run yet: into all its namespaces."""
        kinds = ["mnt", "pid", "net", "ipc", "uts", "cgroup"]
        if oci.has_user_namespace(options):
            kinds.append("user")
        if options.boottime_offset_s or options.monotonic_offset_s:
            kinds.append("time")
        join_files = container.cgroups.place(container.id, oci.resources(options)).join_files
        target = planner.ExecTarget(0, 0, tuple(kinds), join_files, oci.root_of(self._in_its_users(options)))
        wanted = ExecOptions(command)
        process = self._exec_process(container, wanted)
        seccomp = self._engine.seccomp_filter(self._exec_security(container, wanted), process)
        return planner.exec_plan(process, target, seccomp=seccomp)

    def _root_filesystem(self, container: "Container", *, volatile: bool) -> "RootFilesystem":
        layers = [self._engine.images.layer_path(diff_id) for diff_id in container.doc["diff_ids"]]
        return overlay.root_filesystem(layers, self._engine.paths.container(container.id), volatile=volatile)

    def _config(
        self,
        container: "Container",
        root: "RootFilesystem",
        console_size: tuple[int, int] | None,
        sources: "Mapping[str, str]",
    ) -> Config:
        """Return the OCI config; `sources` says where each volume lies."""
        options, image = self._in_its_users(container.options), container.doc["image_config"]
        options = self._with_links(container, options)
        identity = self._identity(container, root, options.user or image.get("User") or "")
        place = oci.Place(
            hostname=self._hostname(container),
            files=self._files(container, options),
            cgroup=container.cgroups.name(container.id),
            joined=self._joined(options),
            capabilities=self._engine.capabilities,
            devices=devices.find(options),
            shm=self._shared_memory(options),
        )
        config = oci.config(options, image, identity, place)
        if "mounts" in container.doc:
            from toolkit.engine import mountconfig, mounting

            mountconfig.add_to(config, mounting.points_of(container), sources)
        if console_size is not None:
            config["process"]["consoleSize"] = {"height": console_size[0], "width": console_size[1]}
        if not self._other_runtime(container):
            return config
        limits = container.cgroups.holdable(_limits(config))
        seccomp = filters.document(options, config["process"])
        return runtimes.prepared(config, self._engine.paths.rootfs, limits, seccomp)

    def _with_links(self, container: "Container", options: "ContainerOptions") -> "ContainerOptions":
        """Return the options with the variables that tell of those that it is linked to."""
        if not options.links:
            return options
        from toolkit.engine import links

        linked = links.environment(container, links.find(self._engine, container))
        return options._replace(env=(*linked, *options.env))

    def _files(self, container: "Container", options: "ContainerOptions") -> tuple[tuple[str, str], ...]:
        """Return the files that are bound over the image's; who has another's network sees its hosts and servers."""
        directory = self._engine.paths.container(container.id)
        network = directory
        if options.network.startswith("container:"):
            network = self._engine.containers.get(options.network.partition(":")[2]).directory
        return tuple((f"{directory if name == 'hostname' else network}/{name}", f"/etc/{name}") for name in _FILES)

    def _identity(self, container: "Container", root: "RootFilesystem", user: str) -> users.Identity:
        """Look its user up; in a container that never ran that is a matter of the image alone, and is kept."""
        look_up = functools.partial(overlay.read_text, root)
        if os.path.exists(root.upper):
            return users.resolve(user, look_up, container.options.group_add)
        key = (root.lower, user, container.options.group_add)
        if key not in self._identities:
            self._identities[key] = users.resolve(user, look_up, container.options.group_add)
        return self._identities[key]

    def _joined(self, options: "ContainerOptions") -> dict[str, str]:
        """Return the namespaces that are another container's: kind -> path."""
        found: dict[str, str] = {}
        for kind, mode, proc_name in (
            ("pid", options.pid_mode, "pid"),
            ("ipc", options.ipc_mode, "ipc"),
            ("uts", options.uts_mode, "uts"),
            ("network", options.network, "net"),
            ("user", options.userns_mode, "user"),
            ("cgroup", options.cgroupns_mode, "cgroup"),
        ):
            if mode.startswith("container:"):
                other = self._engine.containers.get(mode.partition(":")[2])
                pid = other.pid
                if not pid:
                    raise ConflictError(f"cannot join {kind} of {other.name}: it is not running", hint="start it first")
                found[kind] = f"/proc/{pid}/ns/{proc_name}"
        return found

    def _in_its_users(self, options: "ContainerOptions") -> "ContainerOptions":
        """Return the options with the id maps of the container whose user namespace is joined.

        Raises:
            ConflictError: that one has none of its own.
        """
        if not options.userns_mode.startswith("container:"):
            return options
        other = self._engine.containers.get(options.userns_mode.partition(":")[2])
        if not oci.has_user_namespace(other.options):
            hint = "make that container with --userns private"
            raise ConflictError(f"{other.name} has no user namespace of its own to join", hint=hint)
        theirs = self._in_its_users(other.options)
        return options._replace(uid_map=theirs.uid_map, gid_map=theirs.gid_map)

    def _shared_memory(self, options: "ContainerOptions") -> str:
        """Return where the /dev/shm is that comes with another container's ipc namespace."""
        if not options.ipc_mode.startswith("container:"):
            return ""
        other = self._engine.containers.get(options.ipc_mode.partition(":")[2])
        mode = other.options.ipc_mode
        if mode in ("", "private", "none"):
            message = f"can't join IPC of container {other.id}: non-shareable IPC"
            raise InvalidError(message, hint="make that container with --ipc shareable")
        return f"/proc/{other.pid}/root/dev/shm"

    @staticmethod
    def _hostname(container: "Container") -> str:
        options = container.options
        if options.hostname:
            return options.hostname
        if options.network == "host" or options.uts_mode == "host":
            return os.uname().nodename
        return container.short_id

    def _plan(
        self,
        container: "Container",
        config: Config,
        root: "RootFilesystem",
        network: "tuple[ConnectNetwork, ...]",
        *,
        gated: bool,
    ) -> "tuple[Step, ...]":
        engine, options = self._engine, container.options
        place = planner.OverlayRoot(
            root.lower, root.upper, root.work, root.options, engine.paths.rootfs, engine.paths.root
        )
        if other := self._other_runtime(container):
            directory = engine.paths.container(container.id)
            return planner.foreign_plan(config, container.id, directory, other, place, network)
        plan = planner.plan(
            config,
            overlay=place,
            cgroup=container.cgroups.place(container.id, _limits(config)),
            seccomp=engine.seccomp_filter(options, config["process"]),
            network=network,
        )
        if options.init:
            plan = planner.with_init(plan)
        if self.alter is not None:
            plan = self.alter(plan)
        return planner.without_reserve(plan) if gated else plan

    def _write_files(self, container: "Container", config: Config, places: "tuple[Endpoint, ...]") -> None:
        """Write the files that are bound over the image's, and the bundle's config."""
        options, directory = container.options, self._engine.paths.container(container.id)
        hosts = _read("/etc/hosts") if options.network == "host" else LOCAL_HOSTS
        resolv = _read("/etc/resolv.conf")
        if places or options.extra_hosts:
            host_gateway = self._engine.networks.host_gateway
            hosts = networkfiles.hosts(hosts, options, self._hostname(container), places, host_gateway)
        if options.links:
            from toolkit.engine import links

            hosts += links.hosts(links.find(self._engine, container))
        if places or options.dns or options.dns_search or options.dns_options:
            has_names = bool(places) and any(name != "bridge" for name in container.doc["networks"])
            resolv = networkfiles.resolv_conf(resolv, options, is_apart=bool(places), has_names=has_names)
        contents = {
            "hostname": self._hostname(container) + "\n",
            "hosts": hosts,
            "resolv.conf": resolv,
            "config.json": document.encode(config).decode(),
        }
        if places:
            from toolkit.runtime import membership

            contents[NETWORKS_FILE] = membership.encode(self._engine.networks.memberships(places))
        for name, text in contents.items():
            fd = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)

    def exec(
        self,
        container: "Container",
        pid: int,
        options: "ExecOptions",
        *,
        exec_id: str,
        console_size: tuple[int, int] | None,
        joins_cgroups: bool = True,
    ) -> Session:
        """Have a monitor run one more command in a running container, or in one that is being made.

        Args:
            container: where.
            pid: one of its processes: whose namespaces are entered.
            options: what to run.
            exec_id: names it.
            console_size: rows and columns of its terminal.
            joins_cgroups: the container has cgroups of its own already.
        """
        request = Request(
            id=container.id,
            tty=options.tty,
            stdin=options.open_stdin,
            stdin_once=True,
            foreground=True,
            journal=self._engine.paths.events,
            actor={**events.attributes_of(container.doc, container.name), "execID": exec_id},
        )
        session = self.zygote.begin(request)
        try:
            plan = self._exec_plan(container, pid, options, console_size, joins_cgroups=joins_cgroups)
            session.carry_out(plan)
        except BaseException:
            session.close()
            raise
        return session

    def _exec_plan(
        self,
        container: "Container",
        pid: int,
        options: "ExecOptions",
        console_size: tuple[int, int] | None,
        *,
        joins_cgroups: bool = True,
    ) -> "tuple[Step, ...]":
        start_time = procfs.start_time(pid)
        here = namespace.namespace_inodes()
        try:
            there = namespace.namespace_inodes(pid)
        except OSError as exc:
            raise ConflictError(f"container {container.name} is not running", hint="start it again") from exc
        target = planner.ExecTarget(
            pid,
            start_time,
            tuple(kind for kind in there if there[kind] != here.get(kind)),
            container.cgroups.join_files(container.id, oci.resources(container.options), pid) if joins_cgroups else (),
            oci.root_of(self._in_its_users(container.options)),
        )
        process = self._exec_process(container, options)
        if console_size is not None:
            process["consoleSize"] = {"height": console_size[0], "width": console_size[1]}
        seccomp = self._engine.seccomp_filter(self._exec_security(container, options), process)
        return planner.exec_plan(process, target, seccomp=seccomp)

    @staticmethod
    def _exec_security(container: "Container", options: "ExecOptions") -> "ContainerOptions":
        return container.options._replace(privileged=container.options.privileged or options.privileged)

    def _exec_process(self, container: "Container", options: "ExecOptions") -> Process:
        """An exec is the container's own process with another command, and what else was asked for."""
        if not options.command:
            raise NotFoundError("no exec command specified", hint="name one after the container")
        if options.working_dir and not options.working_dir.startswith("/"):
            raise CommandNotExecutableError(
                f"the working directory '{options.working_dir}' is invalid, it needs to be an absolute path",
                hint="begin it with /",
            )
        base = container.options
        root = self._root_filesystem(container, volatile=base.auto_remove)
        image = container.doc["image_config"]
        user = options.user or base.user or image.get("User") or ""
        try:
            identity = users.resolve(user, functools.partial(overlay.read_text, root), base.group_add)
        except InvalidError as exc:  # docker's exit code of an exec that could not begin is 126
            raise CommandNotExecutableError(exc.message, hint=exc.hint) from exc
        merged = self._exec_security(container, options)._replace(
            entrypoint=(),
            command=options.command,
            tty=options.tty,
            working_dir=options.working_dir or base.working_dir,
            env=base.env + options.env,
        )
        return oci.process(merged, image, identity, self._hostname(container), self._engine.capabilities)


def _log_keeping(container: "Container", options: "ContainerOptions") -> "tuple[Any, ...]":
    from toolkit.engine import logdriver

    image = container.doc["image_config"]
    return logdriver.keeping(options, image, oci.environment(options, image, options.hostname))


def _is_up(container: "Container") -> bool:
    return container.read_status().is_up


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _limits(config: Config) -> "Resources":
    """Return what `oci.config` has found to be limited, devices of the host's included: they are looked for once."""
    return config.get("linux", {}).get("resources", {})


def _make_directory(path: str) -> None:
    """Make a container's directory; where it has been started before, wait until its mounts of that time are gone."""
    try:
        os.mkdir(path, 0o710)
    except FileExistsError:
        fd = lock.open_directory(path)
        lock.wait_lock(fd, shared=True)
        os.close(fd)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # its first start


__all__ = ["Launcher"]
