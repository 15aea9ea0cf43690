"""What a registry wants to see: the WWW-Authenticate header, parsed.

A header may carry several challenges, and commas separate both challenges and
parameters, so splitting at commas is wrong (RFC 9110, section 11.6.1).  Pure:
no I/O here.
"""

import re
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?=\s|,|$)\s*")
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*\s*(?=,|$)")
_PARAMETER = re.compile(rf'[\s,]*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))\s*(?=,|$)')
_ESCAPE = re.compile(r"\\(.)")


class Challenge(NamedTuple):
    """One way in: "basic" or "bearer", and what goes with it."""

    scheme: str
    """Lower case."""
    parameters: "Mapping[str, str]"
    """Names in lower case: realm, service, scope, error."""


def parse_challenges(headers: "Iterable[str]") -> list[Challenge]:
    """Read all WWW-Authenticate headers of a response; what is malformed ends its header."""
    return [challenge for header in headers for challenge in _parse(header)]


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while scheme := _SCHEME.match(header, position):
        position = scheme.end()
        if token68 := _TOKEN68.match(header, position):
            position = token68.end()
            found.append(Challenge(scheme[1].lower(), {}))
            continue
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            quoted, bare = parameter[2], parameter[3]
            parameters[parameter[1].lower()] = bare if quoted is None else _ESCAPE.sub(r"\1", quoted)
            position = parameter.end()
        found.append(Challenge(scheme[1].lower(), parameters))
    return found
