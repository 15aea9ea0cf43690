"""What is to be mounted in a container, as it was asked for, and docker's short form of it: SOURCE:DESTINATION:MODE.

Pure.  The words and the refusals are docker's.

See Also:
    moby, volume/mounts/linux_parser.go
"""

import os

from toolkit.core.errors import InvalidError
from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NOTHING: "Mapping[str, str]" = {}
BIND, VOLUME, TMPFS = "bind", "volume", "tmpfs"
PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_ACCESS = ("rw", "ro")
_LABELS = ("z", "Z")
"""For SELinux; docker takes them, and does nothing, where there is none."""
_CONSISTENCIES = ("consistent", "cached", "delegated", "default")
"""For Docker Desktop; they do nothing on Linux."""
_MODES = (_ACCESS, _LABELS, PROPAGATIONS, ("nocopy",), _CONSISTENCIES, ("rro",))
"""Groups of words, of each of which a mode may have one; the last one is ours."""
_FORM = "write it as SOURCE:DESTINATION[:ro], or DESTINATION alone"


class MountSpec(NamedTuple):
    """One mount, as it was asked for."""

    kind: str
    """BIND, VOLUME or TMPFS."""
    target: str
    """Absolute, in the container."""
    source: str = ""
    """A path on the host, or a volume's name; empty: a volume without a name of its own."""
    read_only: bool = False
    mode: str = ""
    """As it was written in the short form."""
    propagation: str = ""
    """One of PROPAGATIONS; empty: rprivate."""
    recursion: str = ""
    """What is mounted below a bind mount's source: empty: shown, and read-only too where this is; "disabled": not
    shown; "writable": a read-only mount does not make it so; "readonly": it must be possible."""
    makes_source: bool = False
    """A directory is made on the host where there is nothing, as docker's -v does."""
    no_copy: bool = False
    """A new volume does not begin with what the image has there."""
    subpath: str = ""
    """Only this directory, or file, of the volume."""
    driver: str = ""
    """Of the volume, where it is to be made; empty: local."""
    driver_options: "Mapping[str, str]" = _NOTHING
    labels: "Mapping[str, str]" = _NOTHING
    """Of the volume, where it is to be made."""
    tmpfs_size_bytes: int = 0
    """0: half of the memory, as the kernel has it."""
    tmpfs_mode: int = 0
    """0: 1777."""
    idmap: str = ""
    """How owners are shown: empty: as they are; "container": as the container's user namespace has them; else ranges,
    see `parse_idmap`."""


def parse_short(text: str, driver: str = "") -> MountSpec:
    """Read what follows -v: SOURCE:DESTINATION[:MODE], or DESTINATION.

    Args:
        text: as it was written; a relative path has been made absolute.
        driver: of volumes that have to be made.

    Raises:
        InvalidError: it means nothing.
    """
    parts = text.split(":", 3)
    is_alone_with_mode = len(parts) == 2 and _is_mode(parts[1])
    if not parts[0] or len(parts) > 3 or is_alone_with_mode:
        raise InvalidError(f"invalid volume specification: '{text}'", hint=_FORM)
    mode = parts[2] if len(parts) == 3 else ""
    if not _is_mode(mode):
        raise InvalidError(f"invalid mode: {mode}", hint="ro, rw, rro, nocopy, rslave, ...")
    source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    words = mode.split(",")
    propagation = next((word for word in words if word in PROPAGATIONS), "")
    kind = BIND if source.startswith("/") else VOLUME
    made = MountSpec(
        kind,
        target,
        os.path.normpath(source) if kind == BIND else source,
        read_only="ro" in words or "rro" in words,
        mode=mode,
        propagation=propagation,
        recursion="readonly" if "rro" in words else "",
        makes_source=kind == BIND,
        no_copy="nocopy" in words,
        driver=driver if kind == VOLUME else "",
    )
    try:
        if propagation and kind == VOLUME:
            raise _wrong(VOLUME, "field BindOptions must not be specified", "propagation is a bind mount's")
        return check(made)
    except InvalidError as exc:
        raise InvalidError(f"invalid volume specification: '{text}': {exc.message}", hint=exc.hint) from exc


def _is_mode(text: str) -> bool:
    if not text:
        return True
    words = text.split(",")
    groups = [next((group for group in _MODES if word in group), None) for word in words]
    return None not in groups and len({*groups}) == len(groups)


def parse_from(text: str) -> tuple[str, bool, str]:
    """Read what follows --volumes-from: CONTAINER[:MODE]; return its name, whether it is read-only, and the mode.

    Raises:
        InvalidError: it names nothing, or the mode means nothing.
    """
    name, _, mode = text.partition(":")
    if not name:
        raise InvalidError("volumes-from specification cannot be an empty string", hint="write it as CONTAINER[:ro]")
    words = mode.split(",")
    if not _is_mode(mode) or not {*words}.isdisjoint((*PROPAGATIONS, "nocopy", "rro")):
        raise InvalidError(f"invalid mode: {mode}", hint="ro or rw")
    return name, "ro" in words, mode or "rw"


def check(spec: MountSpec) -> MountSpec:
    """Return the same mount, its destination in its shortest form.

    Raises:
        InvalidError: what it asks for cannot be.
    """
    kind, target = spec.kind, os.path.normpath(spec.target) if spec.target else ""
    if kind not in (BIND, VOLUME, TMPFS):
        raise _wrong(kind, "mount type unknown", "bind, volume or tmpfs")
    if not target:
        raise _wrong(kind, "field Target must not be empty", "say where with target=/path")
    if not target.startswith("/"):
        raise _wrong(kind, f"invalid mount path: '{spec.target}' mount path must be absolute", "begin it with /")
    if target.strip("/") == "":
        raise _wrong(kind, "invalid specification: destination can't be '/'", "choose a directory below it")
    for text in (spec.target, spec.source, spec.subpath):
        if "\0" in text:
            raise _wrong(kind, f"invalid path {text!r}", "a path has no null byte in it")
    {BIND: _check_bind, VOLUME: _check_volume, TMPFS: _check_tmpfs}[kind](spec)
    if spec.idmap:
        parse_idmap(spec.idmap)
    return spec._replace(target="/" + target.lstrip("/"))


def _check_bind(spec: MountSpec) -> None:
    if not spec.source:
        raise _wrong(BIND, "field Source must not be empty", "say what with source=/path")
    if not spec.source.startswith("/"):
        problem = f"invalid mount path: '{spec.source}' mount path must be absolute"
        raise _wrong(BIND, problem, "begin it with /")
    if spec.propagation and spec.propagation not in PROPAGATIONS:
        raise _wrong(BIND, f"invalid propagation mode: {spec.propagation}", f"one of {', '.join(PROPAGATIONS)}")
    if spec.recursion in ("writable", "readonly") and not spec.read_only:
        message = f"option 'bind-recursive={spec.recursion}' requires 'readonly' to be specified in conjunction"
        raise InvalidError(message, hint="add readonly")


def _check_volume(spec: MountSpec) -> None:
    if not spec.source and spec.read_only:
        raise _wrong(VOLUME, "must not set ReadOnly mode when using anonymous volumes", "give it a name")
    if spec.subpath and (spec.subpath.startswith("/") or ".." in spec.subpath.split("/")):
        raise _wrong(VOLUME, f'subpath "{spec.subpath}" must be a relative path within the volume', "without ..")
    if spec.subpath and not spec.source:
        raise _wrong(VOLUME, "must not set Subpath when using anonymous volumes", "give it a name")


def _check_tmpfs(spec: MountSpec) -> None:
    if spec.source:
        raise _wrong(TMPFS, "field Source must not be specified", "leave it out")
    if spec.idmap:
        raise _wrong(TMPFS, "field Idmap must not be specified", "its files have no other owners")


def _wrong(kind: str, problem: str, cure: str) -> InvalidError:
    return InvalidError(f'invalid mount config for type "{kind}": {problem}', hint=cure)


class IdTriple(NamedTuple):
    """A range of ids of the files themselves, and as what the container sees them."""

    file: int
    shown: int
    size: int


def parse_idmap(text: str) -> tuple[tuple[IdTriple, ...], tuple[IdTriple, ...]]:
    """Read uids=FILE-SHOWN-SIZE#...;gids=...; return the ranges of users and of groups, none for "container".

    The form is podman's.  Without gids they are as the uids.

    Raises:
        InvalidError: it is something else.
    """
    if text == "container":
        return (), ()
    found: dict[str, tuple[IdTriple, ...]] = {}
    for part in text.split(";"):
        key, _, ranges = part.partition("=")
        if key not in ("uids", "gids") or key in found:
            raise InvalidError(f"invalid idmap: {text}", hint="write it as uids=FILE-SHOWN-SIZE;gids=FILE-SHOWN-SIZE")
        found[key] = tuple(_triple(each, text) for each in ranges.split("#"))
    if "uids" not in found:
        raise InvalidError(f"invalid idmap: {text}", hint="it needs uids=FILE-SHOWN-SIZE")
    return found["uids"], found.get("gids", found["uids"])


def _triple(text: str, whole: str) -> IdTriple:
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise InvalidError(f"invalid idmap: {whole}", hint=f"'{text}' is no FILE-SHOWN-SIZE, such as 1000-0-1")
    made = IdTriple(*map(int, parts))
    if not made.size or max(made.file, made.shown) + made.size > 1 << 32:
        raise InvalidError(f"invalid idmap: {whole}", hint="ids go from 0 to 4294967295")
    return made
