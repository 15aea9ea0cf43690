"""Refusing what means nothing when a container is created, not first when it is started; in docker's words."""

import os

from toolkit.core.errors import InvalidError, NotFoundError, UnsupportedError
from toolkit.engine.signals import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.engine.options import ContainerOptions

_MIN_MEMORY_BYTES = 6 * 1024 * 1024  # moby, daemon/daemon_unix.go, linuxMinMemory
_MIN_NANO_CPUS = 10_000_000
_MAX_HOSTNAME = 64
_MAX_OOM_SCORE = 1000
_MODES = {
    "pid_mode": ("PID mode", ("", "host"), True),
    "ipc_mode": ("IPC mode", ("", "private", "shareable", "host", "none"), True),
    "uts_mode": ("UTS mode", ("", "host"), True),
    "userns_mode": ("USER mode", ("", "host", "private"), False),
    "cgroupns_mode": ("CGROUP mode", ("", "private", "host"), False),
}
"""Option: docker's word for it, its values, whether "container:NAME" is one too."""
_NETWORKS = ("default", "none", "host")
_UNCONFINED = ("apparmor=unconfined", "label=disable", "label:disable", "systempaths=unconfined")
_NO_NEW_PRIVILEGES = tuple(f"no-new-privileges{tail}" for tail in ("", "=true", ":true", "=false", ":false"))


def check(options: "ContainerOptions") -> None:
    """Refuse values that no kernel would take.

    Raises:
        InvalidError: with the cure.
        NotFoundError: a network that does not exist.
        UnsupportedError: a security module that this engine does not drive.
    """
    _check_texts(options)
    _check_memory(options)
    _check_cpus(options)
    _check_modes(options)
    _check_security(options)
    _check_process(options)
    for path in options.tmpfs:
        if not path.startswith("/"):
            raise InvalidError(f"invalid mount path: '{path}'", hint="a tmpfs needs an absolute path")


def _check_texts(options: "ContainerOptions") -> None:
    lists = (options.command, options.entrypoint or (), options.env)
    for text in (options.hostname, options.domainname, options.working_dir, *(text for each in lists for text in each)):
        if "\0" in text:
            raise InvalidError(f"invalid value {text!r}: it has a null byte in it", hint="no program can be given one")
    for pair in options.env:
        if not pair.partition("=")[0]:
            raise InvalidError(f"invalid environment variable: {pair}", hint="write it as NAME=value")


def _check_memory(options: "ContainerOptions") -> None:
    if options.memory_bytes and options.memory_bytes < _MIN_MEMORY_BYTES:
        raise InvalidError("minimum memory limit allowed is 6MB", hint="give --memory 6m or more")
    if options.memory_swap_bytes > 0 and not options.memory_bytes:
        raise InvalidError("you should always set the memory limit when using the swap limit", hint="add --memory")
    if 0 < options.memory_swap_bytes < options.memory_bytes:
        raise InvalidError(
            "minimum memoryswap limit should be larger than memory limit", hint="--memory-swap counts memory plus swap"
        )
    if options.memory_bytes and options.memory_reservation_bytes > options.memory_bytes:
        raise InvalidError(
            "minimum memory limit can not be less than memory reservation limit", hint="reserve less than --memory"
        )
    if options.shm_size_bytes < 0:
        raise InvalidError("SHM size can not be less than 0", hint="give a size such as 64m")


def _check_cpus(options: "ContainerOptions") -> None:
    cpus = os.cpu_count() or 1
    if options.nano_cpus > cpus * 1_000_000_000:
        raise InvalidError(
            f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available", hint="ask for fewer"
        )
    if options.nano_cpus and options.nano_cpus < _MIN_NANO_CPUS:
        raise InvalidError(f"range of CPUs is from 0.01 to {cpus}.00", hint="ask for more")
    for text, file, what in (
        (options.cpuset_cpus, "cpu", "CPUs"),
        (options.cpuset_mems, "node", "memory nodes"),
    ):
        if text:
            _check_set(text, f"/sys/devices/system/{file}/online", what)


def _check_set(text: str, online_file: str, what: str) -> None:
    try:
        with open(online_file) as file:
            online = file.read().strip()
    except FileNotFoundError:
        online = "0"  # a kernel without NUMA has one node and no file
    missing = set(_numbers(text, what)) - set(_numbers(online, what))
    if missing:
        raise InvalidError(
            f"requested {what} are not available - requested {text}, available: {online}", hint="choose among these"
        )


def _numbers(text: str, what: str) -> "Iterator[int]":
    """Yield the numbers of a list such as 0-3,5."""
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not part.isascii() or not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 20:
            raise InvalidError(f"invalid list of {what}: '{text}'", hint="write it as 0-3,5")
        yield from range(int(first), min(int(last or first), int(first) + 65536) + 1)


def _check_modes(options: "ContainerOptions") -> None:
    for field, (what, values, takes_container) in _MODES.items():
        value: str = getattr(options, field)
        if value not in values and not (takes_container and _names_container(value)):
            known = [each for each in values if each] + ["container:NAME"] * takes_container
            raise InvalidError(f"invalid {what}: {value}", hint=f"one of {', '.join(known)}")
    if options.network not in _NETWORKS and not _names_container(options.network):
        raise NotFoundError(f"network {options.network} not found", hint="use none, host or container:NAME")


def _names_container(mode: str) -> bool:
    return mode.startswith("container:") and mode != "container:"


def _check_security(options: "ContainerOptions") -> None:
    from toolkit.linux import capability

    capability.parse((*options.cap_add, *options.cap_drop))
    for option in options.security_opt:
        if option.startswith("seccomp="):
            from toolkit.engine import filters

            filters.parse_profile(option.partition("=")[2])
        elif option.startswith(("apparmor=", "label=", "label:")) and option not in _UNCONFINED:
            raise UnsupportedError(f"security option {option} is not supported", hint="leave it out")
        elif option not in _UNCONFINED and option not in _NO_NEW_PRIVILEGES:
            raise InvalidError(
                f'invalid security option: "{option}"', hint="seccomp=FILE, seccomp=unconfined or no-new-privileges"
            )


def _check_process(options: "ContainerOptions") -> None:
    from toolkit.linux.process import RLIMITS

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
    for limit in options.ulimits:
        if f"RLIMIT_{limit.name.upper()}" not in RLIMITS:
            raise InvalidError(f"invalid ulimit type: {limit.name}", hint="limits.conf(5) lists them")
        if limit.hard >= 0 and (limit.soft < 0 or limit.soft > limit.hard):
            raise InvalidError(
                f"ulimit {limit.name}: soft limit must not be more than hard limit: {limit.soft} > {limit.hard}",
                hint="write it as name=soft:hard",
            )
