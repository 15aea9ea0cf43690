"""Which kernel settings a container may change: those that a namespace of its own keeps."""

from toolkit.core.errors import InvalidError

_SYSCTL_KINDS = {
    **dict.fromkeys(
        (f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni")), "ipc"
    ),
    "kernel.shm_rmid_forced": "ipc",
    "fs.mqueue.": "ipc",
    "kernel.domainname": "uts",
    "net": "net",
}
"""Settings, or how their names begin, and the namespace that keeps them (namespaces(7))."""
_SYSCTL_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")


def is_own(key: str, wanted: dict[str, str]) -> bool:
    """Check that a setting is one that a namespace of the container's keeps for itself, not the whole machine's.

    Raises:
        InvalidError: it is not.
    """
    if key == "kernel.hostname":  # as runc and crun
        raise InvalidError("sysctl 'kernel.hostname' conflicts with the field hostname", hint="set that one")
    kind = _SYSCTL_KINDS.get(key) or _SYSCTL_KINDS.get(key.partition(".")[0]) or _SYSCTL_KINDS.get(key[:10])
    if kind is None or not set(key) <= _SYSCTL_LETTERS:
        raise InvalidError(f"sysctl '{key}' is not in a namespace of its own", hint="set it on the host, for everyone")
    if kind not in wanted:
        raise InvalidError(f"sysctl '{key}' is not allowed in the host's {kind} namespace", hint="leave it out")
    return True
