"""`container port add` and `port rm`: what docker has only when a container is made."""

from toolkit.cli.command import Command
from toolkit.cli.flags import Parsed, UsageError
from toolkit.cli.portspec import parse_publish
from toolkit.cli.session import Outcome, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.network.binding import PortBinding


def add(session: Session, parsed: Parsed) -> Outcome:
    """Publish more ports of a container."""
    name, *specs = parsed.args
    bindings = [binding for spec in specs for binding in _parsed(spec)]
    container = session.engine.containers.get(name)
    session.engine.networks.publish(container, bindings)
    return Outcome(value=container)


def remove(session: Session, parsed: Parsed) -> Outcome:
    """Publish ports of a container no longer."""
    name, *specs = parsed.args
    bindings = [binding for spec in specs for binding in _parsed(spec)]
    container = session.engine.containers.get(name)
    for binding in bindings:
        session.engine.networks.unpublish(container, binding)
    return Outcome(value=container)


def _parsed(spec: str) -> "tuple[PortBinding, ...]":
    try:
        return parse_publish(spec)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc


_WORDS = "CONTAINER [[IP:]HOST_PORT:]PORT[/PROTO] [...]"

PORT_ADD = Command(
    "add",
    _WORDS,
    "Publish more ports of a container, at once where it runs",
    add,
    "container port add web 8080:80 127.0.0.1:5353:53/udp",
    min_args=2,
)

PORT_RM = Command(
    "rm",
    _WORDS,
    "Publish ports of a container no longer; a port alone means everywhere",
    remove,
    "container port rm web 8080:80",
    min_args=2,
)
