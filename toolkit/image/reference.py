"""Image names, in the grammar of github.com/distribution/reference.

    reference  := name [ ":" tag ] [ "@" digest ]
    name       := [ registry "/" ] path
    path       := component { "/" component }

A familiar name is completed as docker does it: `ubuntu` is
`docker.io/library/ubuntu:latest`.  The first part of a name is a registry only
if it contains "." or ":" or a capital letter, or is "localhost".
"""

from toolkit.core.digest import Digest, parse_digest
from toolkit.core.errors import InvalidError
from toolkit.core.record import NamedTuple

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_REGISTRY = "index.docker.io"
_OFFICIAL = "library/"
_PATH_MAX = 255
_HEX_ID = 64

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset("0123456789")
_HEX = _DIGITS | frozenset("abcdefABCDEF")
_TAG_HEAD = _LETTERS | _DIGITS | {"_"}
_TAG_TAIL = _TAG_HEAD | {".", "-"}
_PATH = {ord(each): " " for each in "abcdefghijklmnopqrstuvwxyz0123456789"}
"""Leaves of a component what stands between its letters."""
_TAG_MAX = 128
_DIGEST_MIN = 32


class Reference(NamedTuple):
    """The complete name of an image; at least one of `tag` and `digest` is set."""

    registry: str
    """Host and port, for example "docker.io" or "localhost:5000"."""
    repository: str
    """The path within the registry, for example "library/ubuntu"."""
    tag: str | None
    digest: Digest | None = None

    def __str__(self) -> str:
        return self.canonical()

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar_name(self) -> str:
        """The shortest name that is completed to `name`: "ubuntu"."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        rest = self.repository.removeprefix(_OFFICIAL)
        return self.repository if "/" in rest else rest

    def canonical(self) -> str:
        """Return the complete name: "docker.io/library/ubuntu:latest"."""
        return self.name + self._suffix()

    def familiar(self) -> str:
        """Return the name as people write it: "ubuntu:latest"."""
        return self.familiar_name + self._suffix()

    def with_tag(self, tag: str) -> "Reference":
        """Return the reference to `tag` in the same repository."""
        return Reference(self.registry, self.repository, tag)

    def with_digest(self, digest: Digest) -> "Reference":
        """Return the reference to `digest` in the same repository."""
        return Reference(self.registry, self.repository, None, digest)

    def _suffix(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        return tag if self.digest is None else f"{tag}@{self.digest}"


def parse_reference(text: str) -> Reference:
    """Read an image name; without tag and digest it means the tag "latest".

    Raises:
        InvalidError: `text` is no image name; the messages are docker's.
    """
    if len(text) == _HEX_ID and not text.strip("0123456789abcdef"):
        raise InvalidError(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    registry, rest = _split_registry(text)
    _require_lowercase(rest)
    path, tag, digest = _split(rest)
    if not (
        _is_host(registry)
        and all(_is_component(part) for part in path.split("/"))
        and (tag is None or _is_tag(tag))
        and (digest is None or _is_digest(digest))
    ):
        raise InvalidError("invalid reference format", hint=f"{text!r} is not [registry/]name[:tag][@digest]")
    if len(path) > _PATH_MAX:
        raise InvalidError(f"repository name must not be more than {_PATH_MAX} characters")
    if digest is not None:
        return Reference(registry, path, tag, parse_digest(digest))
    return Reference(registry, path, tag or DEFAULT_TAG)


def _split_registry(text: str) -> tuple[str, str]:
    """Return the registry and what follows it, completed where it is docker's own."""
    first, slash, rest = text.partition("/")
    is_host = bool(slash) and (first == "localhost" or "." in first or ":" in first or first.lower() != first)
    registry, path = (first, rest) if is_host else (DEFAULT_REGISTRY, text)
    if registry == _LEGACY_REGISTRY:
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = _OFFICIAL + path
    return registry, path


def _require_lowercase(rest: str) -> None:
    path = rest.partition(":")[0]
    if path.lower() != path:
        raise InvalidError(
            f"invalid reference format: repository name ({path}) must be lowercase",
            hint=f"did you mean {path.lower().removeprefix(_OFFICIAL)}?",
        )


def _split(rest: str) -> tuple[str, str | None, str | None]:
    """Return path, tag and digest; what is not there is None."""
    named, at, digest = rest.partition("@")
    path, colon, tag = named.partition(":")
    return path, tag if colon else None, digest if at else None


# What each part may be made of.  Written out: the module `re` costs a command 5 ms, and this is all it would do.


def _is_component(text: str) -> bool:
    """Tell whether this is [a-z0-9]+, and again after each of `.`, `_`, `__` or any number of `-`."""
    between = text.translate(_PATH)
    if " " in text or not between.startswith(" ") or not between.endswith(" "):
        return False
    return all(part in (".", "_", "__") or not part.strip("-") for part in between.split(" ") if part)


def _is_tag(text: str) -> bool:
    """Tell whether this is [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}."""
    return 0 < len(text) <= _TAG_MAX and text[0] in _TAG_HEAD and _TAG_TAIL.issuperset(text)


def _is_digest(text: str) -> bool:
    """Tell whether this is an algorithm, whose parts begin with a letter, and 32 hexadecimal digits or more."""
    algorithm, _, digits = text.partition(":")
    for separator in "-_+":
        algorithm = algorithm.replace(separator, ".")
    parts = algorithm.split(".")
    named = all(part and part[0] in _LETTERS and (_LETTERS | _DIGITS).issuperset(part) for part in parts)
    return named and len(digits) >= _DIGEST_MIN and _HEX.issuperset(digits)


def _is_host(text: str) -> bool:
    """Tell whether this is a host name or an IPv6 address in brackets, with a port or without."""
    if text.startswith("["):
        address, closed, port = text[1:].partition("]")
        is_named = bool(address) and bool(closed) and (_HEX | {":"}).issuperset(address)
        if port and not port.startswith(":"):
            return False
        name, colon, port = "", port[:1], port[1:]
    else:
        name, colon, port = text.partition(":")
        is_named = all(_is_host_part(part) for part in name.split("."))
    return is_named and (not colon or (bool(port) and _DIGITS.issuperset(port)))


def _is_host_part(text: str) -> bool:
    inner = _LETTERS | _DIGITS
    return bool(text) and text[0] in inner and text[-1] in inner and (inner | {"-"}).issuperset(text)
