"""Where a registry is: from the name in a reference to the URLs to try.

As docker does: https, except that a registry on loopback, or one that the user
names insecure, may answer on plain http or with any certificate.
"""

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_HUB_HOST = "registry-1.docker.io"


class Endpoint(NamedTuple):
    """A registry, or a mirror of one."""

    name: str
    """As references and docker's configuration name it: "docker.io", "localhost:5000"."""
    host: str
    """Where it is: "registry-1.docker.io"."""
    schemes: tuple[str, ...]
    """To try, in this order."""
    verify: bool
    """Whether its certificate must be valid."""
    prefix: str = ""
    """A mirror's path before the repository's name, without slashes at its ends."""


def find_endpoint(registry: str, insecure: "Collection[str]" = ()) -> Endpoint:
    """Return the endpoint of the registry that a reference names.

    Args:
        registry: host with an optional port.
        insecure: hosts (with port) and networks ("10.0.0.0/8") that may do without TLS.
    """
    host = _HUB_HOST if registry == "docker.io" else registry
    if is_loopback(host) or is_insecure(host, insecure):
        return Endpoint(registry, host, ("https", "http"), verify=False)
    return Endpoint(registry, host, ("https",), verify=True)


def parse_mirror(text: str, insecure: "Collection[str]" = ()) -> Endpoint:
    """Read a mirror: "mirror:5000" or "https://mirror/prefix"; http only where it is written out.

    Raises:
        InvalidError: it is not a host or an http(s) URL.
    """
    parts = urlsplit(text if "://" in text else f"//{text}")
    if parts.scheme not in ("", "http", "https") or not parts.hostname or parts.query or parts.username:
        raise InvalidError(f"invalid registry mirror: '{text}'", hint="write it as https://HOST[:PORT][/PREFIX]")
    found = find_endpoint(parts.netloc, insecure)
    schemes = (parts.scheme,) if parts.scheme else found.schemes
    return found._replace(schemes=schemes, prefix=parts.path.strip("/"))


def is_loopback(host: str) -> bool:
    """Tell whether `host` (with an optional port) is this machine: localhost, 127.0.0.0/8 or ::1."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_insecure(host: str, insecure: "Collection[str]") -> bool:
    """Tell whether the user named `host` insecure, by name or by network."""
    return host in insecure or any(_lies_in(urlsplit(f"//{host}").hostname or "", network) for network in insecure)


def _lies_in(name: str, network: str) -> bool:
    if "/" not in network:
        return False
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(network)
    except ValueError:
        return False
