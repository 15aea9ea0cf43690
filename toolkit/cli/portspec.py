"""Ports on the command line: --publish and --expose, in all of docker's forms.

    80   8080:80   127.0.0.1:8080:80   127.0.0.1::80   [::1]:8080:80
    8000-8002:80-82   8000-8010:80   each with /tcp, /udp or /sctp

See Also:
    docker/go-connections, nat/nat.go and nat/parse.go
"""

from toolkit.cli.flags import Kind
from toolkit.core.errors import InvalidError
from toolkit.network.binding import PortBinding

_PROTOCOLS = ("tcp", "udp", "sctp")
_MOST = 0xFFFF


def parse_publish(text: str) -> tuple[PortBinding, ...]:
    """Read one --publish."""
    spec, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    host_ip, host, container = _split(spec)
    if not container:
        raise ValueError(f"no port specified: {text}<empty>")
    if host_ip:
        _check_address(host_ip)
    first, last = _range(container, "containerPort")
    low, high = _range(host, "hostPort") if host else (0, 0)
    if low and high - low != last - first:
        if first != last:
            raise ValueError(f"invalid ranges specified for container and host Ports: {container} and {host}")
        return (PortBinding(first, protocol, host_ip, low, high),)
    return tuple(
        PortBinding(first + offset, protocol, host_ip, low + offset if low else 0) for offset in range(last - first + 1)
    )


def _split(spec: str) -> tuple[str, str, str]:
    """Return address, port of the host and port of the container; the first two may be empty."""
    if spec.startswith("["):
        address, bracket, rest = spec[1:].partition("]:")
        if not bracket:
            raise ValueError(f"invalid IP address: {spec}")
        host, _, container = rest.rpartition(":")
        return address, host, container
    head, _, container = spec.rpartition(":")
    address, _, host = head.rpartition(":")
    return address, host, container


def _check_address(text: str) -> None:
    from toolkit.network.subnet import parse_address

    try:
        parse_address(text)
    except InvalidError as exc:
        raise ValueError(f"invalid IP address: {text}") from exc


def _range(text: str, what: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    first = _port(low, text, what)
    last = _port(high, text, what) if dash else first
    if last < first:
        raise ValueError(f"invalid {what}: {text}")
    return first, last


def _port(text: str, whole: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= _MOST:
        raise ValueError(f"invalid {what}: {whole}")
    return int(text)


def parse_expose(text: str) -> tuple[str, ...]:
    """Read one --expose: 80, 80/udp or 80-90."""
    spec, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in _PROTOCOLS or ":" in spec:
        raise ValueError(f"invalid port format for --expose: {text}")
    first, last = _range(spec, "range format for --expose")
    return tuple(f"{port}/{protocol}" for port in range(first, last + 1))


def _joined(groups: "list[tuple[object, ...]]") -> tuple[object, ...]:
    return tuple(each for group in groups for each in group)


PUBLISH = Kind("list", parse_publish, _joined)
EXPOSE = Kind("list", parse_expose, _joined)
