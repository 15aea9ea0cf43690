"""Containers and the engine as Docker's API describes them: the documents behind inspect and info.

See Also:
    Docker Engine API 1.50, ContainerInspect and SystemInfo
"""

import os

import toolkit
from toolkit.core import clock
from toolkit.engine import health, networkinspect, oci, restart
from toolkit.engine.argv import command
from toolkit.engine.container import PAUSED, Container, Status
from toolkit.engine.hostconfig import host_config
from toolkit.engine.options import OWN_RUNTIME
from toolkit.engine.summary import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from toolkit.core.digest import Digest
    from toolkit.engine.engine import Engine
    from toolkit.image.images import ImageRecord


def container(engine: "Engine", one: Container) -> "dict[str, Any]":
    """Return what `docker inspect` shows of a container."""
    doc, options, status = one.doc, one.options, one.read_status()
    argv = command(options, doc["image_config"])
    directory = engine.paths.container(one.id)
    return {
        "Id": one.id,
        "Created": doc["created"],
        "Path": argv[0],
        "Args": list(argv[1:]),
        "State": {**state(one, status), **_oom(one, status)},
        "Image": doc["image_id"],
        "ResolvConfPath": f"{directory}/resolv.conf",
        "HostnamePath": f"{directory}/hostname",
        "HostsPath": f"{directory}/hosts",
        "LogPath": engine.paths.log(one.id),
        "Name": f"/{one.name}",
        "RestartCount": restart.count(one),
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(engine, one),
        "GraphDriver": {
            "Name": "overlay2",
            "Data": {
                "LowerDir": ":".join(engine.images.layer_path(diff_id) for diff_id in reversed(doc["diff_ids"])),
                "UpperDir": f"{directory}/upper",
                "WorkDir": f"{directory}/work",
            },
        },
        "Mounts": _mounts(engine, one),
        "Config": _config(one),
        "NetworkSettings": networkinspect.settings(engine.networks, one, status),
    }


def _host_config(engine: "Engine", one: Container) -> "dict[str, Any]":
    found = host_config(one.options)
    if one.options.links:
        from toolkit.engine import links

        found["Links"] = links.shown(engine, one)
    return found


def _mounts(engine: "Engine", one: Container) -> "list[dict[str, Any]]":
    if "mounts" not in one.doc:
        return []
    from toolkit.engine import mounting

    return mounting.inspect(engine, one)


def _oom(one: Container, status: Status) -> dict[str, bool]:
    """Tell of one that runs whether the kernel has killed something in it for lack of memory, as docker does."""
    if not status.is_alive:
        return {}
    from toolkit.runtime.remains import was_oom_killed
    from toolkit.runtime.request import Request

    return {"OOMKilled": was_oom_killed(Request(id=one.id, oom_file=one.cgroups.oom_file(one.id)))}


def _config(one: Container) -> "dict[str, Any]":
    options, image = one.options, one.doc["image_config"]
    hostname = options.hostname or one.short_id
    entrypoint = options.entrypoint if options.entrypoint is not None else image.get("Entrypoint")
    command = list(options.command)
    if not command and options.entrypoint is None:
        command = image.get("Cmd")
    return {
        "Hostname": hostname,
        "Domainname": options.domainname,
        "User": options.user or image.get("User") or "",
        "AttachStdin": options.open_stdin and options.stdin_once and "stdin" in (options.attach or ("stdin",)),
        "AttachStdout": "stdout" in (options.attach or ("stdout",)),
        "AttachStderr": "stderr" in (options.attach or ("stderr",)),
        **({"ExposedPorts": {port: {} for port in one.exposed}} if one.exposed else {}),
        "Tty": options.tty,
        "OpenStdin": options.open_stdin,
        "StdinOnce": options.stdin_once,
        "Env": [
            pair for pair in oci.environment(options, image, hostname) if not pair.startswith(("HOSTNAME=", "TERM="))
        ],
        "Cmd": command,
        "Image": options.image,
        "Volumes": {**(image.get("Volumes") or {}), **{path: {} for path in options.volumes}} or None,
        "WorkingDir": options.working_dir or image.get("WorkingDir") or "",
        "Entrypoint": list(entrypoint) if entrypoint else None,
        "Labels": {**(image.get("Labels") or {}), **options.labels},
        **({"Healthcheck": checked} if (checked := health.configuration(options, image)) else {}),
        "StopSignal": options.stop_signal or image.get("StopSignal") or "SIGTERM",
        **({} if options.stop_timeout_s is None else {"StopTimeout": options.stop_timeout_s}),
    }


def image(record: "ImageRecord", layer_path: "Callable[[Digest], str]") -> "dict[str, Any]":
    """Return what `docker image inspect` shows of an image."""
    parents = [layer_path(diff_id) for diff_id in reversed(record.diff_ids)]
    return {
        "Id": record.id,
        "RepoTags": list(record.names),
        "RepoDigests": list(record.repo_digests),
        "Parent": "",
        "Comment": next((step.get("comment", "") for step in reversed(record.history)), ""),
        "Created": record.created,
        "DockerVersion": "",
        "Author": record.author,
        "Config": record.config,
        "Architecture": record.architecture,
        **({"Variant": record.variant} if record.variant else {}),
        "Os": record.os,
        "Size": record.size,
        "GraphDriver": {
            "Name": "overlay2",
            "Data": {"UpperDir": parents[0] if parents else "", "LowerDir": ":".join(parents[1:])},
        },
        "RootFS": {"Type": "layers", "Layers": list(record.diff_ids)},
        "Metadata": {"LastTagTime": clock.ZERO},
    }


def info(engine: "Engine") -> "dict[str, Any]":
    """Return what `docker info` shows."""
    everything = engine.containers.list(all=True)
    found = [one.read_status() for one in everything]
    up, paused = sum(status.is_up for status in found), sum(status.state == PAUSED for status in found)
    kernel = os.uname()
    has = engine.cgroups.controllers
    return {
        "Containers": len(everything),
        "ContainersRunning": up - paused,
        "ContainersPaused": paused,
        "ContainersStopped": len(everything) - up,
        "Images": len(engine.images.list()),
        "Driver": "overlay2",
        "LoggingDriver": engine.settings.log_driver or "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if engine.cgroups.kind == "v2" else "1",
        "CgroupLayout": engine.cgroups.kind,
        "MemoryLimit": "memory" in has,
        "SwapLimit": engine.cgroups.limits_swap,
        "CpuCfsPeriod": "cpu" in has,
        "CpuCfsQuota": "cpu" in has,
        "CPUShares": "cpu" in has,
        "CPUSet": "cpuset" in has,
        "PidsLimit": "pids" in has,
        "Runtimes": {OWN_RUNTIME: {"path": OWN_RUNTIME}, **engine.settings.runtimes},
        "DefaultRuntime": engine.settings.default_runtime or OWN_RUNTIME,
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
        "KernelVersion": kernel.release,
        "OperatingSystem": _os_name(),
        "OSType": "linux",
        "Architecture": kernel.machine,
        "NCPU": os.cpu_count(),
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "Name": kernel.nodename,
        "DockerRootDir": engine.paths.root,
        "ServerVersion": toolkit.__version__,
        "Warnings": _network_warnings(engine)
        + [
            f"WARNING: No {controller} limit support"
            for controller in ("memory", "cpu", "pids", "cpuset")
            if controller not in has
        ],
    }


def _network_warnings(engine: "Engine") -> list[str]:
    """Return what was said of networks since the machine was booted."""
    try:
        with open(f"{engine.paths.run}/network.warned") as file:
            return [f"WARNING: {line}" for line in file.read().splitlines()]
    except FileNotFoundError:
        return []


def _os_name() -> str:
    try:
        with open("/etc/os-release") as file:
            names = [line.partition("=")[2].strip().strip('"') for line in file if line.startswith("PRETTY_NAME=")]
    except FileNotFoundError:
        names = []
    return names[0] if names else "Linux"
