"""`container inspect`, of containers, images, networks and volumes."""

from toolkit.cli.command import PROGRAM, Command
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.kinds import one_of
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import EngineError, InvalidError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

Document = dict[str, "Any"]
Found = tuple["Any", Document]

_FREE_MAPS = frozenset(
    ("Labels", "Tmpfs", "Sysctls", "Ports", "Networks", "Annotations", "Volumes", "ExposedPorts", "PortBindings",
     "StorageOpt", "Options", "Data", "Containers", "AuxiliaryAddresses", "DriverOpts")
)  # fmt: skip
"""Fields whose keys are the user's own (Go maps); all other objects have fixed fields (Go structs)."""
_LISTS = frozenset(
    ("Args", "Cmd", "Entrypoint", "Env", "OnBuild", "Binds", "CapAdd", "CapDrop", "Dns", "DnsOptions", "DnsSearch",
     "ExtraHosts", "GroupAdd", "Links", "SecurityOpt", "VolumesFrom", "Devices", "Ulimits", "ExecIDs", "Mounts",
     "MaskedPaths", "ReadonlyPaths", "RepoTags", "RepoDigests", "Layers", "Aliases", "DNSNames",
     "SecondaryIPAddresses", "SecondaryIPv6Addresses")
)  # fmt: skip
"""Fields that hold lists, so that a null in them prints as Go prints a nil slice."""


def inspect(session: Session, parsed: Parsed) -> Outcome:
    """Print objects as docker's JSON, or what a template makes of them."""
    finders = {"container": _container, "image": _image, "network": _network, "volume": _volume}
    kind = parsed["type"]
    return _inspect(session, parsed, [finders[kind]] if kind else list(finders.values()), kind or "object")


def inspect_containers(session: Session, parsed: Parsed) -> Outcome:
    """Print containers only."""
    return _inspect(session, parsed, [_container], "container")


def inspect_images(session: Session, parsed: Parsed) -> Outcome:
    """Print images only."""
    return _inspect(session, parsed, [_image], "image")


def show_all(session: Session, parsed: Parsed, find: "Callable[[str], Found]") -> Outcome:
    """Print what `find` returns for each name that was given, in one document."""
    return _inspect(session, parsed, [lambda _session, name: find(name)], "volume")


def _inspect(session: Session, parsed: Parsed, finders: "list[Callable[[Session, str], Found]]", noun: str) -> Outcome:
    show = _formatter(parsed["format"])
    if parsed.get("size"):
        finders = [_container_with_size if find is _container else find for find in finders]
    found: list[Found] = []
    error: EngineError | None = None
    for name in parsed.args:
        try:
            found.append(_find(session, name, finders, noun))
        except EngineError as exc:
            session.stdout.flush()
            error = exc
            break
    session.stdout.write(show([document for _, document in found]))
    if error is not None:
        session.complain(f"{PROGRAM}: {error}")
    return Outcome(0 if error is None else 1, [value for value, _ in found], error)


def _find(session: Session, name: str, finders: "list[Callable[[Session, str], Found]]", noun: str) -> Found:
    for find in finders:
        try:
            return find(session, name)
        except NotFoundError:
            continue
    raise NotFoundError(f"no such {noun}: {name}")


def _container(session: Session, name: str) -> Found:
    container = session.engine.containers.get(name)
    return container, container.inspect()


def _container_with_size(session: Session, name: str) -> Found:
    from toolkit.engine.usage import sizes

    container, document = _container(session, name)
    document["SizeRw"], document["SizeRootFs"] = sizes(session.engine, container)
    return container, document


def _image(session: Session, name: str) -> Found:
    return session.engine.images.get(name), session.engine.images.inspect(name)


def _volume(session: Session, name: str) -> Found:
    found = session.engine.volumes.get(name)
    return found, found.inspect()


def inspect_networks(session: Session, parsed: Parsed) -> Outcome:
    """Print networks only."""
    return _inspect(session, parsed, [_network], "network")


def _network(session: Session, name: str) -> Found:
    from toolkit.engine import networkinspect

    networks = session.engine.networks
    found = networks.get(name)
    return found, networkinspect.network(found, networks.members(found))


def _formatter(template: str) -> "Callable[[list[Document]], str]":
    """Return what makes text of the objects; a template is read before any object is looked up."""
    if not template:
        return _as_json
    if template == "json":
        template = "{{json .}}"
    from toolkit.cli.template import TemplateError, compile_template, render

    try:
        compiled = compile_template(template.replace("\\t", "\t").replace("\\n", "\n"))
    except TemplateError as exc:
        raise InvalidError(f"template parsing error: {exc}") from exc

    def show(documents: list[Document]) -> str:
        try:
            return "".join(render(compiled, _view(document, "")) + "\n" for document in documents)
        except TemplateError as exc:
            raise InvalidError(f"template parsing error: {exc}") from exc

    return show


def _as_json(documents: list[Document]) -> str:
    from toolkit.cli.template.text import to_json

    return to_json(documents, indent=4) + "\n"


def _view(value: "Any", name: str) -> "Any":
    """Return a document as templates see Go's types: free maps, structs, and nil slices."""
    from toolkit.cli.template import NIL_LIST, FreeMap

    if isinstance(value, dict):
        kind = (
            FreeMap
            if name in _FREE_MAPS or (name == "Config" and "Env" not in value and "Labels" not in value)
            else dict
        )
        return kind({key: _view(item, key) for key, item in value.items()})
    if isinstance(value, list):
        return [_view(item, "") for item in value]
    return NIL_LIST if value is None and name in _LISTS else value


FORMAT = Flag(
    "format",
    "f",
    STRING,
    "Format output using a custom template:\n'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template",
)
_SIZE = Flag("size", "s", BOOL, "Display total file sizes if the type is container")
_TYPE = one_of(
    "string",
    ("container", "image", "network", "volume"),
    'unknown type: "{text}": must be one of "container", "image", "network", "volume"',
)
_EXAMPLE = "container inspect --format '{{.State.Pid}}' web"
_USAGE = "[OPTIONS] NAME|ID [NAME|ID...]"

INSPECT = Command(
    "inspect",
    _USAGE,
    "Return low-level information on objects",
    inspect,
    _EXAMPLE,
    flags=(
        FORMAT,
        _SIZE,
        Flag("type", "", _TYPE, "Only inspect objects of the given type (container|image|network|volume)"),
    ),
    min_args=1,
)
CONTAINER_INSPECT = Command(
    "inspect",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Display detailed information on one or more containers",
    inspect_containers,
    _EXAMPLE,
    flags=(FORMAT, _SIZE),
    min_args=1,
)
IMAGE_INSPECT = Command(
    "inspect",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Display detailed information on one or more images",
    inspect_images,
    "container image inspect --format '{{json .Config}}' lab",
    flags=(FORMAT,),
    min_args=1,
)
NETWORK_INSPECT = Command(
    "inspect",
    "[OPTIONS] NETWORK [NETWORK...]",
    "Display detailed information on one or more networks",
    inspect_networks,
    "container network inspect --format '{{json .IPAM.Config}}' bridge",
    flags=(FORMAT, Flag("verbose", "v", BOOL, "Verbose output for diagnostics (the same: all is shown)")),
    min_args=1,
)
