"""Docker's --link in the network `bridge`, which knows no names: lines of /etc/hosts, and variables.

In other networks a link is a name that the container's own name server knows
for it alone; see `toolkit.network.dns.names`.

See Also:
    moby, daemon/links: links.go; docs.docker.com, Legacy container links
"""

from typing import NamedTuple

from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.network.model import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine

_NOT_PASSED_ON = ("HOME", "PATH")


class Link(NamedTuple):
    """Another container, as one that is linked to it knows it."""

    alias: str
    container: "Container"
    address: str


def parse(text: str) -> tuple[str, str]:
    """Read NAME or NAME:ALIAS, also as docker's API writes it, /NAME:/ITSELF/ALIAS.

    Raises:
        InvalidError: it is neither.
    """
    if not text:
        raise InvalidError("empty string specified for links", hint="write it as NAME or NAME:ALIAS")
    name, _, alias = text.partition(":")
    name, alias = name.lstrip("/"), alias.rpartition("/")[2]
    if not name or ":" in alias or (text.endswith(":")):
        raise InvalidError(f"bad format for links: {text}", hint="write it as NAME or NAME:ALIAS")
    return name, alias or name


def resolved(engine: "Engine", texts: "Iterable[str]") -> tuple[str, ...]:
    """Return links with the ids of those that they name: these stay when a container is renamed.

    Raises:
        InvalidError: one cannot be read, or names none.
    """
    found: list[str] = []
    for text in texts:
        name, alias = parse(text)
        try:
            found.append(f"{engine.containers.get(name).id}:{alias}")
        except NotFoundError as exc:
            raise InvalidError(f"could not get container for {name}: {exc.message}") from exc
    return tuple(found)


def refuse(mode: str, texts: "Iterable[str]") -> None:
    """Refuse links of a container that is in no network of ours.

    Raises:
        InvalidError: there are some.
    """
    if any(True for _each in texts):
        kind = "container" if mode.startswith("container:") else mode
        message = f"conflicting options: {kind} type networking can't be used with links"
        raise InvalidError(message, hint="put both into one network")


def find(engine: "Engine", container: "Container") -> list[Link]:
    """Return what a container of the network `bridge` is linked to.

    Raises:
        ConflictError: one of them does not run.
    """
    found: list[Link] = []
    for text in container.options.links if DEFAULT in (container.doc.get("networks") or {}) else ():
        ident, alias = parse(text)
        try:
            other = engine.containers.get(ident)
        except NotFoundError:
            continue  # removed: docker forgets the link, too
        network = engine.networks.get(DEFAULT)
        place = engine.networks.endpoints(other.id).get(network.id)
        if place is None:
            message = f"Cannot link to a non running container: /{other.name} AS /{container.name}/{alias}"
            raise ConflictError(message, hint=f"start {other.name} first, in the network {DEFAULT}")
        found.append(Link(alias, other, place.address(4) or place.address(6)))
    return found


def shown(engine: "Engine", container: "Container") -> list[str] | None:
    """Return links as HostConfig has them: /NAME:/ITSELF/ALIAS; those of other networks are shown with these."""
    lines: list[str] = []
    for text in container.options.links if DEFAULT in (container.doc.get("networks") or {}) else ():
        ident, alias = parse(text)
        try:
            lines.append(f"/{engine.containers.get(ident).name}:/{container.name}/{alias}")
        except NotFoundError:
            continue  # removed
    return lines or None


def hosts(links: "Iterable[Link]") -> str:
    """Return the lines of /etc/hosts by which those that are linked are found."""
    lines: list[str] = []
    for alias, other, address in links:
        names = dict.fromkeys((alias, other.options.hostname or other.short_id, other.name))
        lines.append(f"{address}\t{' '.join(names)}\n")
    return "".join(lines)


def environment(container: "Container", links: "Iterable[Link]") -> tuple[str, ...]:
    """Return the variables that tell of those that are linked: where their ports are, and their own variables."""
    return tuple(line for link in links for line in _variables(container, link))


def _variables(container: "Container", link: Link) -> list[str]:
    from toolkit.engine import oci

    word = link.alias.upper().replace("-", "_")
    ports = sorted(map(_port, link.container.exposed))
    lines: list[str] = []
    if ports:
        number, _is_other, protocol = ports[0]
        lines.append(f"{word}_PORT={protocol}://{link.address}:{number}")
    for number, _is_other, protocol in ports:
        each = f"{word}_PORT_{number}_{protocol.upper()}"
        lines.append(f"{each}={protocol}://{link.address}:{number}")
        lines += [f"{each}_ADDR={link.address}", f"{each}_PORT={number}", f"{each}_PROTO={protocol}"]
    lines.append(f"{word}_NAME=/{container.name}/{link.alias}")
    options = link.container.options
    for pair in oci.environment(options._replace(tty=False), link.container.doc["image_config"], ""):
        if pair.partition("=")[0] not in (*_NOT_PASSED_ON, "HOSTNAME"):
            lines.append(f"{word}_ENV_{pair}")
    return lines


def _port(text: str) -> tuple[int, bool, str]:
    """Return a port so that it sorts as docker's do: by number, TCP first."""
    number, _, protocol = text.partition("/")
    return int(number.partition("-")[0]), protocol != "tcp", protocol
