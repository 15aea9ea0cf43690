"""Ports of this machine: taking them, choosing free ones, and who has one that is taken.

A published port is held by a bound socket that never listens: rules of
nftables would lead its packets away from any program that had it, so a program
that has it must be noticed, and none must get it later.
"""

import errno
import os
import socket

from toolkit.core.errors import ConflictError, InvalidError
from toolkit.network.binding import PortBinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
_EVERYWHERE4, _EVERYWHERE6 = "0.0.0.0", "::"  # noqa: S104 - that is what is asked for
_KINDS = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "sctp": (socket.SOCK_STREAM, getattr(socket, "IPPROTO_SCTP", 132)),
}
_TABLES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6")}
_Key = tuple[str, str, int]


class Ports:
    """The ports that are held."""

    def __init__(self) -> None:
        self._held: dict[_Key, list[socket.socket]] = {}
        self._last = 0

    def take(self, binding: PortBinding) -> PortBinding:
        """Take a port; return the binding with the one that it became.

        Raises:
            ConflictError: it is taken, and by whom; or none of a range is free.
            InvalidError: the address is none of this machine's.
        """
        if binding.host_port and not binding.last_host_port:
            self._bind(binding)
            return binding
        for number in self._candidates(binding):
            made = binding._replace(host_port=number, last_host_port=0)
            try:
                self._bind(made)
            except ConflictError:
                continue
            if not binding.host_port:
                self._last = number
            return made
        where = f"{binding.host_port}-{binding.last_host_port}" if binding.host_port else "ephemeral ports"
        raise ConflictError(f"all ports are allocated: {where}", hint="free one, or choose another range")

    def take_again(self, binding: PortBinding) -> bool:
        """Take a port that was held by the one before us; tell whether it was still to be had."""
        try:
            self._bind(binding)
        except (ConflictError, InvalidError):
            return False
        return True

    def release(self, binding: PortBinding) -> None:
        """Let go of a port."""
        for held in self._held.pop(_key(binding), []):
            held.close()

    def _candidates(self, binding: PortBinding) -> "Iterator[int]":
        if binding.host_port:
            yield from range(binding.host_port, binding.last_host_port + 1)
            return
        with open(_RANGE) as file:
            low, high = map(int, file.read().split())
        begin = self._last + 1 if low <= self._last < high else low
        yield from range(begin, high + 1)
        yield from range(low, begin)

    def _bind(self, binding: PortBinding) -> None:
        key = _key(binding)
        where = _shown(binding)
        if key in self._held:
            raise ConflictError(f"Bind for {where} failed: port is already allocated", hint="choose another port")
        made: list[socket.socket] = []
        try:
            for family, address in _addresses(binding.host_ip):
                made.append(_bound(family, address, binding))
        except OSError as exc:
            for each in made:
                each.close()
            raise _explained(exc, binding, where) from exc
        self._held[key] = made


def _key(binding: PortBinding) -> _Key:
    return (binding.protocol, binding.host_ip, binding.host_port)


def _shown(binding: PortBinding) -> str:
    address = binding.host_ip or _EVERYWHERE4
    return f"[{address}]:{binding.host_port}" if ":" in address else f"{address}:{binding.host_port}"


def _addresses(host_ip: str) -> list[tuple[int, str]]:
    both: list[tuple[int, str]] = [(socket.AF_INET, _EVERYWHERE4)]
    if host_ip:
        return [(socket.AF_INET6 if ":" in host_ip else socket.AF_INET, host_ip)]
    return [*both, (socket.AF_INET6, _EVERYWHERE6)] if os.path.exists("/proc/net/if_inet6") else both


def _bound(family: int, address: str, binding: PortBinding) -> socket.socket:
    kind, protocol = _KINDS[binding.protocol]
    made = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if binding.protocol == "udp":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # nobody reads what might still come here
        made.bind((address, binding.host_port))
    except OSError:
        made.close()
        raise
    return made


def _explained(exc: OSError, binding: PortBinding, where: str) -> ConflictError | InvalidError:
    if exc.errno == errno.EADDRNOTAVAIL:
        message = f"cannot publish {where}: this machine does not have the address {binding.host_ip}"
        return InvalidError(message, hint="`ip address` shows those that it has")
    if exc.errno != errno.EADDRINUSE:
        return ConflictError(f"cannot publish {where}: {exc.strerror}", hint="choose another port")
    who = holder(binding.protocol, binding.host_port)
    by = f" by {who}" if who else ""
    message = f"failed to bind host port {where}/{binding.protocol}: address already in use{by}"
    return ConflictError(message, hint="choose another port, or end what has it")


def holder(protocol: str, port: int) -> str:
    """Return the process that has a port, as "nginx (pid 4711)"; empty where it cannot be found."""
    inodes = set(_inodes(protocol, port))
    if not inodes:
        return ""
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            for fd in os.listdir(f"/proc/{name}/fd"):
                if os.readlink(f"/proc/{name}/fd/{fd}") in inodes:
                    with open(f"/proc/{name}/comm") as file:
                        return f"{file.read().strip()} (pid {name})"
        except OSError:
            continue  # it has ended, or a descriptor of it has
    return ""


def _inodes(protocol: str, port: int) -> "Iterator[str]":
    """Yield what the descriptors of the sockets that have a port lead to."""
    for table in _TABLES.get(protocol, ()):
        try:
            with open(f"/proc/net/{table}") as file:
                lines = file.read().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            is_listening = fields[3] in ("0A", "07") or fields[2].endswith(":0000")
            if int(fields[1].rpartition(":")[2], 16) == port and is_listening:
                yield f"socket:[{fields[9]}]"
