"""Refusing what means nothing when a container is created, not first when it is started; in docker's words."""

import os

from toolkit.core.errors import InvalidError, NotFoundError, UnsupportedError
from toolkit.engine import health, logdriver, restart
from toolkit.engine.options import OWN_RUNTIME
from toolkit.engine.signals import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.options import ContainerOptions

_MAX_HOSTNAME = 64
_MAX_OOM_SCORE = 1000
_MODES = {
    "pid_mode": ("PID mode", ("", "host"), True),
    "ipc_mode": ("IPC mode", ("", "private", "shareable", "host", "none"), True),
    "uts_mode": ("UTS mode", ("", "host"), True),
    "userns_mode": ("USER mode", ("", "host", "private"), True),
    "cgroupns_mode": ("CGROUP mode", ("", "private", "host"), True),
}
"""Option: docker's word for it, its values, whether "container:NAME" is one too."""
_TMPFS = frozenset(("gid", "huge", "mode", "mpol", "nr_blocks", "nr_inodes", "size", "uid"))
_MAX_UMASK = 0o777
_MODULES = {"apparmor": "/sys/module/apparmor/parameters/enabled", "selinux": "/sys/fs/selinux/enforce"}
"""Where the kernel shows that a security module is at work; without it docker ignores the options for it."""
_UNCONFINED = ("apparmor=unconfined", "label=disable", "label:disable", "systempaths=unconfined")
_NO_NEW_PRIVILEGES = tuple(f"no-new-privileges{tail}" for tail in ("", "=true", ":true", "=false", ":false"))


def check(options: "ContainerOptions") -> None:
    """Refuse values that no kernel would take.

    Raises:
        InvalidError: with the cure.
        NotFoundError: a network or a time zone that does not exist.
        UnsupportedError: what this engine has no means for.
    """
    from toolkit.engine import limits

    _check_texts(options)
    limits.check(options)
    _check_modes(options)
    _check_security(options)
    _check_process(options)
    _check_ours(options)
    _check_unsupported(options)
    restart.check(options)
    health.check(options)
    logdriver.check(options)
    for path, text in options.tmpfs.items():
        _check_tmpfs(path, text)
    _check_network(options)


def _check_network(options: "ContainerOptions") -> None:
    if not (options.extra_hosts or options.dns or options.publish or options.expose or options.mac_address):
        return
    from toolkit.engine.networkfiles import split_host
    from toolkit.network.store import checked_mac
    from toolkit.network.subnet import parse_address

    for text in options.extra_hosts:
        split_host(text)
    for text in options.dns:
        parse_address(text)
    if options.mac_address:
        checked_mac(options.mac_address)
    if options.network.startswith("container:"):
        for field, what in (
            ("publish", "port publishing"), ("expose", "exposing ports"), ("mac_address", "mac-address"),
            ("dns", "dns"), ("extra_hosts", "custom host-to-IP mapping"),
        ):  # fmt: skip
            if getattr(options, field):
                raise InvalidError(f"conflicting options: {what} and the container type network mode")


def _check_tmpfs(path: str, text: str) -> None:
    if not path.startswith("/"):
        raise InvalidError(f"invalid mount path: '{path}' mount path must be absolute", hint="begin it with /")
    from toolkit.runtime.mountoptions import parse_options

    left = parse_options([option for option in text.split(",") if option]).data
    for option in left.split(",") if left else ():
        if option.partition("=")[0] not in _TMPFS or "=" not in option:
            raise InvalidError(f'invalid tmpfs option ["{option}"]', hint="size=64m, mode=1770, uid=1, exec, ro, ...")


def _check_texts(options: "ContainerOptions") -> None:
    lists = (options.command, options.entrypoint or (), options.env)
    for text in (options.hostname, options.domainname, options.working_dir, *(text for each in lists for text in each)):
        if "\0" in text:
            raise InvalidError(f"invalid value {text!r}: it has a null byte in it", hint="no program can be given one")
    for pair in options.env:
        if not pair.partition("=")[0]:
            raise InvalidError(f"invalid environment variable: {pair}", hint="write it as NAME=value")


def _check_modes(options: "ContainerOptions") -> None:
    for field, (what, values, takes_container) in _MODES.items():
        value: str = getattr(options, field)
        if value not in values and not (takes_container and _names_container(value)):
            known = [each for each in values if each] + ["container:NAME"] * takes_container
            raise InvalidError(f"invalid {what}: {value}", hint=f"one of {', '.join(known)}")
    if options.network in ("", "container:"):
        raise InvalidError(
            f"invalid network mode: {options.network}", hint="name a network, or none, host, container:NAME"
        )


def _names_container(mode: str) -> bool:
    return mode.startswith("container:") and mode != "container:"


def _check_security(options: "ContainerOptions") -> None:
    from toolkit.linux import capability

    capability.parse((*options.cap_add, *options.cap_drop))
    for option in options.security_opt:
        if option.startswith("seccomp="):
            from toolkit.engine import filters

            filters.parse_profile(option.partition("=")[2])
        elif option.startswith(("mask=", "unmask=")):
            _check_paths(option)
        elif option.startswith(("apparmor=", "label=", "label:")) and option not in _UNCONFINED:
            module = "apparmor" if option.startswith("apparmor") else "selinux"
            if os.path.exists(_MODULES[module]):
                raise UnsupportedError(f"security option {option} is not supported", hint="leave it out")
        elif option not in _UNCONFINED and option not in _NO_NEW_PRIVILEGES:
            raise InvalidError(
                f'invalid --security-opt: "{option}"',
                hint="seccomp=FILE, no-new-privileges, systempaths=unconfined, mask=PATH and unmask=PATH are known",
            )


def _check_paths(option: str) -> None:
    name, _, value = option.partition("=")
    paths = value.split(":")
    if not all(path.startswith("/") or (path == "ALL" and name == "unmask") for path in paths):
        raise InvalidError(f'invalid --security-opt: "{option}"', hint=f"write it as {name}=/path:/path")


def _check_process(options: "ContainerOptions") -> None:
    if options.working_dir and not options.working_dir.startswith("/"):
        raise InvalidError(
            f"the working directory '{options.working_dir}' is invalid, it needs to be an absolute path",
            hint="begin it with /",
        )
    if options.hostname and options.uts_mode == "host":
        raise InvalidError("conflicting options: hostname and the UTS mode", hint="leave out --hostname or --uts host")
    if len(os.fsencode(options.hostname)) > _MAX_HOSTNAME:
        raise InvalidError(f"invalid hostname: {options.hostname}", hint=f"at most {_MAX_HOSTNAME} bytes")
    if abs(options.oom_score_adj) > _MAX_OOM_SCORE:
        raise InvalidError(
            f"invalid value {options.oom_score_adj}, range for oom score adj is [-1000, 1000]", hint="choose one in it"
        )
    if options.stop_signal:
        signal_number(options.stop_signal)
    _check_ulimits(options)


def _check_ulimits(options: "ContainerOptions") -> None:
    from toolkit.linux.process import RLIMITS

    for limit in options.ulimits:
        if f"RLIMIT_{limit.name.upper()}" not in RLIMITS:
            raise InvalidError(f"invalid ulimit type: {limit.name}", hint="limits.conf(5) lists them")
        if limit.hard >= 0 and (limit.soft < 0 or limit.soft > limit.hard):
            raise InvalidError(
                f"ulimit {limit.name}: soft limit must not be more than hard limit: {limit.soft} > {limit.hard}",
                hint="write it as name=soft:hard",
            )


def _check_ours(options: "ContainerOptions") -> None:
    """What docker does not have, and podman does."""
    from toolkit.engine import oci

    if options.umask is not None and not 0 <= options.umask <= _MAX_UMASK:
        raise InvalidError(f"invalid umask {options.umask:o}", hint="octal digits, at most 0777")
    if options.timezone:
        _check_timezone(options.timezone)
    if options.privileged and oci.has_user_namespace(options):
        raise InvalidError(
            "privileged mode is incompatible with user namespaces",
            hint="run it with --userns host, or without --privileged",
        )
    if (options.uid_map or options.gid_map) and options.userns_mode != "private":
        raise InvalidError("an id map needs a user namespace", hint="give --userns private too")
    for ranges in (options.uid_map, options.gid_map):
        if ranges and min(ranges).container != 0:
            raise InvalidError("the id map leaves out id 0", hint="begin it with 0:HOST:SIZE")


def _check_timezone(name: str) -> None:
    from toolkit.engine.oci import ZONES

    path = "/etc/localtime" if name == "local" else f"{ZONES}/{name}"
    if ".." in name.split("/") or name.startswith("/") or not os.path.isfile(path):
        raise NotFoundError(f"unknown or invalid time zone {name}", hint="a name such as Europe/Paris, or local")


def _check_unsupported(options: "ContainerOptions") -> None:
    if options.gpus:
        message = 'could not select device driver "" with capabilities: [[gpu]]'
        raise UnsupportedError(message, hint="give the device files themselves with --device")
    if options.isolation not in ("", "default"):
        raise InvalidError(f"invalid isolation: \"{options.isolation}\" - linux only supports 'default'")
    if options.init and options.runtime not in ("", OWN_RUNTIME):
        raise UnsupportedError("--init is the engine's own runtime's", hint="leave out --init, or --runtime")
    if options.kernel_memory_bytes:
        raise UnsupportedError("the kernel has no limit for its own memory any more", hint="leave out --kernel-memory")
    if options.storage_opt:
        message = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
        raise UnsupportedError(message, hint="leave it out")
