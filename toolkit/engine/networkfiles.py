"""What a container finds in /etc/hosts and /etc/resolv.conf; pure."""

from toolkit.core.errors import InvalidError
from toolkit.network.dns.servers import ADDRESS, PUBLIC, is_loopback
from toolkit.network.subnet import parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from toolkit.engine.options import ContainerOptions
    from toolkit.network.model import Endpoint

HOST_GATEWAY = "host-gateway"
LOCAL_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts(
    base: str, options: "ContainerOptions", hostname: str, endpoints: "Sequence[Endpoint]", host_gateway: str
) -> str:
    """Return /etc/hosts.

    Args:
        base: what it begins with.
        options: of the container.
        hostname: its name for itself.
        endpoints: its places in networks.
        host_gateway: the address of this machine for `host-gateway`; empty: it has none for containers.

    Raises:
        InvalidError: an extra host that means nothing.
    """
    lines = [base]
    for text in options.extra_hosts:
        name, address = split_host(text)
        if address == HOST_GATEWAY:
            if not host_gateway:
                message = "unable to derive the IP value for host-gateway: there is no network bridge"
                raise InvalidError(message, hint="write the address itself")
            address = host_gateway
        lines.append(f"{address}\t{name}\n")
    return "".join(lines) + own_lines(hostname, options.domainname, endpoints)


def own_lines(hostname: str, domainname: str, endpoints: "Iterable[Endpoint]") -> str:
    """Return the lines of /etc/hosts by which a container finds itself."""
    names = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    addresses = [address for one in endpoints for family in (4, 6) if (address := one.address(family))]
    return "".join(f"{address}\t{names}\n" for address in addresses)


def split_host(text: str) -> tuple[str, str]:
    """Read NAME:ADDRESS or NAME=ADDRESS, with docker's brackets around IPv6.

    Raises:
        InvalidError: it is neither.
    """
    signs = [at for at in (text.find("="), text.find(":")) if at > 0]
    if not signs:
        raise InvalidError(f'bad format for add-host: "{text}"', hint="write it as NAME:ADDRESS")
    name, address = text[: min(signs)], text[min(signs) + 1 :]
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address == HOST_GATEWAY:
        return name, address
    try:
        return name, str(parse_address(address))
    except InvalidError as exc:
        message = f'invalid IP address in add-host: "{address}"'
        raise InvalidError(message, hint="write it as NAME:ADDRESS, or NAME:host-gateway") from exc


def resolv_conf(base: str, options: "ContainerOptions", *, is_apart: bool, has_names: bool = False) -> str:
    """Return /etc/resolv.conf.

    Args:
        base: this machine's.
        options: of the container.
        is_apart: it has a network of its own, in which this machine's loopback is not to be reached.
        has_names: it is in a network in which names are known, and has a name server of ours; that asks the others.
    """
    given = [line.split() for line in base.splitlines() if line.strip() and line.lstrip()[0] not in "#;"]
    servers = list(options.dns) or [words[1] for words in given if words[0] == "nameserver" and len(words) > 1]
    if has_names:
        servers = [ADDRESS]
    elif is_apart and not options.dns:
        servers = [each for each in servers if not is_loopback(each)] or list(PUBLIC)
    search = list(options.dns_search) or [word for words in given if words[0] == "search" for word in words[1:]]
    settings = list(options.dns_options) or [word for words in given if words[0] == "options" for word in words[1:]]
    if has_names and not any(each.startswith("ndots:") for each in settings):
        settings.append("ndots:0")  # "web" is a whole name in such a network; musl would not ask for it alone
    lines = [f"nameserver {each}" for each in servers]
    if search and search != ["."]:
        lines.append("search " + " ".join(search))
    if settings:
        lines.append("options " + " ".join(settings))
    return "\n".join(lines) + "\n"
