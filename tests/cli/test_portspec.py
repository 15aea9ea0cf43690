"""--publish and --expose in all of docker's forms."""

import pytest

from toolkit.cli.portspec import parse_expose, parse_publish
from toolkit.network.binding import PortBinding


@pytest.mark.parametrize(
    ("text", "bindings"),
    [
        ("80", [PortBinding(80)]),
        ("8080:80", [PortBinding(80, host_port=8080)]),
        ("8080:80/udp", [PortBinding(80, "udp", host_port=8080)]),
        ("127.0.0.1:8080:80", [PortBinding(80, host_ip="127.0.0.1", host_port=8080)]),
        ("127.0.0.1::80", [PortBinding(80, host_ip="127.0.0.1")]),
        ("[::1]:8080:80/TCP", [PortBinding(80, host_ip="::1", host_port=8080)]),
        ("[::1]::80", [PortBinding(80, host_ip="::1")]),
        ("80-81", [PortBinding(80), PortBinding(81)]),
        ("8000-8001:80-81", [PortBinding(80, host_port=8000), PortBinding(81, host_port=8001)]),
        ("8000-8009:80", [PortBinding(80, host_port=8000, last_host_port=8009)]),
        ("1.2.3.4:8000-8001:80-81/sctp",
         [PortBinding(80, "sctp", "1.2.3.4", 8000), PortBinding(81, "sctp", "1.2.3.4", 8001)]),
    ],
)  # fmt: skip
def test_publish_is_read_as_docker_reads_it(text: str, bindings: "list[PortBinding]") -> None:
    assert list(parse_publish(text)) == bindings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no port specified"),
        ("8080:", "no port specified"),
        ("http", "invalid containerPort: http"),
        ("0:80:90:1", "invalid IP address"),
        ("80:http", "invalid containerPort: http"),
        ("http:80", "invalid hostPort: http"),
        ("65536", "invalid containerPort: 65536"),
        ("8080:80/icmp", "invalid proto: icmp"),
        ("8000-8002:80-81", "invalid ranges specified for container and host Ports: 80-81 and 8000-8002"),
        ("81-80", "invalid containerPort: 81-80"),
        ("host:8080:80", "invalid IP address: host"),
        ("[::1:8080:80", "invalid IP address"),
    ],
)
def test_what_docker_refuses_to_publish_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_publish(text)


def test_expose_takes_ports_and_ranges() -> None:
    assert parse_expose("80") == ("80/tcp",)
    assert parse_expose("80-82/udp") == ("80/udp", "81/udp", "82/udp")


@pytest.mark.parametrize("text", ["8080:80", "80/icmp", "x", "82-80"])
def test_what_cannot_be_exposed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--expose"):
        parse_expose(text)
