"""Image names, in the grammar of github.com/distribution/reference.

    reference  := name [ ":" tag ] [ "@" digest ]
    name       := [ registry "/" ] path
    path       := component { "/" component }

A familiar name is completed as docker does it: `ubuntu` is
`docker.io/library/ubuntu:latest`.  The first part of a name is a registry only
if it contains "." or ":" or a capital letter, or is "localhost".
"""

import re
from functools import cache
from typing import NamedTuple

from toolkit.core.digest import Digest, parse_digest
from toolkit.core.errors import InvalidError

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_REGISTRY = "index.docker.io"
_OFFICIAL = "library/"
_PATH_MAX = 255
_HEX_ID = 64

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"


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


@cache
def _pattern() -> re.Pattern[str]:
    path = rf"{_COMPONENT}(?:/{_COMPONENT})*"
    return re.compile(rf"({_HOST})/({path})(?::({_TAG}))?(?:@({_DIGEST}))?")


def parse_reference(text: str) -> Reference:
    """Read an image name; without tag and digest it means the tag "latest".

    Raises:
        InvalidError: `text` is no image name; the messages are docker's.
    """
    if len(text) == _HEX_ID and not text.strip("0123456789abcdef"):
        raise InvalidError(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    registry, rest = _split_registry(text)
    _require_lowercase(rest)
    found = _pattern().fullmatch(f"{registry}/{rest}")
    if found is None:
        raise InvalidError("invalid reference format", hint=f"{text!r} is not [registry/]name[:tag][@digest]")
    _, path, tag, digest = found.groups()
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
