"""`container top` and `container port`."""

from toolkit.cli.command import Command
from toolkit.cli.flags import Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import align, clean
from toolkit.core.errors import InvalidError, NotFoundError

_WIDTH = 20


def top(session: Session, parsed: Parsed) -> Outcome:
    """Print a container's processes as the host's ps shows them."""
    from toolkit.engine.processes import top as processes

    name, *options = parsed.args
    found = processes(session.engine.containers.get(name), options)
    rows = [[clean(cell) for cell in row] for row in found.rows]
    session.stdout.write(align([list(found.titles), *rows], least=_WIDTH))
    return Outcome(value=found.rows)


def port(session: Session, parsed: Parsed) -> Outcome:
    """Print where a container's ports are published."""
    name, *rest = parsed.args
    container = session.engine.containers.get(name)
    ports = container.inspect()["NetworkSettings"]["Ports"]
    if rest:
        for address in _published(ports, rest[0], name):
            session.print(address)
    else:
        for private in sorted(ports):
            for address in _addresses(ports[private]):
                session.print(f"{private} -> {address}")
    return Outcome(value=ports)


def _published(ports: "dict[str, list[dict[str, str]] | None]", wanted: str, name: str) -> list[str]:
    number, _, protocol = wanted.partition("/")
    if not (number.isascii() and number.isdecimal() and int(number) <= 0xFFFF):
        raise InvalidError(f"invalid port ({wanted})", hint="write it as 80 or 80/udp")
    found = _addresses(ports.get(f"{number}/{protocol or 'tcp'}"))
    if not found:
        raise NotFoundError(f"No public port '{wanted}' published for {name}")
    return found


def _addresses(bindings: "list[dict[str, str]] | None") -> list[str]:
    return [
        f"[{each['HostIp']}]:{each['HostPort']}" if ":" in each["HostIp"] else f"{each['HostIp']}:{each['HostPort']}"
        for each in bindings or ()
    ]


TOP = Command(
    "top",
    "CONTAINER [ps OPTIONS]",
    "Display the running processes of a container",
    top,
    "container top web -o pid,user,rss,cmd",
    min_args=1,
    interspersed=False,
)

PORT = Command(
    "port",
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    "List port mappings or a specific mapping for the container",
    port,
    "container port web 80",
    min_args=1,
    max_args=2,
)
