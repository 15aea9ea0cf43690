"""`container container prune`, `image prune` and `system prune`."""

from typing import Any

from toolkit.cli.command import Command
from toolkit.cli.filters import FILTER, Filters, label_matches
from toolkit.cli.flags import BOOL, Flag, Parsed
from toolkit.cli.moment import parse_moment_ns
from toolkit.cli.session import Outcome, Session
from toolkit.core.clock import parse_ns
from toolkit.core.errors import InvalidError
from toolkit.core.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Choice = Callable[[Mapping[str, str], str], bool]
    """Tells of labels and a moment of creation whether an object may go."""

_CONTAINERS = "all stopped containers"
_DANGLING = "all images without a name"
_NETWORKS = "all networks not used by at least one container"
_UNUSED = "all images without at least one container associated to them"


def prune_containers(session: Session, parsed: Parsed) -> Outcome:
    """Remove the containers that do not run."""
    chosen = choice(parsed)
    if not is_sure(session, parsed, [_CONTAINERS]):
        return Outcome()
    removed, size = _containers(session, chosen)
    _total(session, size)
    return Outcome(value=removed)


def prune_images(session: Session, parsed: Parsed) -> Outcome:
    """Remove the images that have no name, or all that nothing uses."""
    chosen = choice(parsed, "dangling")
    takes_all = parsed["all"] or "false" in parsed["filter"]["dangling"] or "0" in parsed["filter"]["dangling"]
    if not is_sure(session, parsed, [_UNUSED if takes_all else _DANGLING]):
        return Outcome()
    lines, size = _images(session, chosen, takes_all=takes_all)
    _total(session, size)
    return Outcome(value=lines)


def prune_all(session: Session, parsed: Parsed) -> Outcome:
    """Remove the containers that do not run, then the networks, volumes and images that nothing uses any more."""
    chosen = choice(parsed)
    if parsed["volumes"] and parsed["filter"]["until"]:
        raise InvalidError('The "until" filter is not supported with "--volumes"', hint="leave one of them out")
    volumes = ["all anonymous volumes not used by at least one container"] if parsed["volumes"] else []
    if not is_sure(session, parsed, [_CONTAINERS, _NETWORKS, *volumes, _UNUSED if parsed["all"] else _DANGLING]):
        return Outcome()
    removed, container_bytes = _containers(session, chosen)
    networks = session.engine.networks.prune(lambda one: chosen(one.labels, one.created))
    show(session, "Deleted Networks:", networks)
    if volumes:
        from toolkit.cli.commands.volume import prune_volumes

        names, volume_bytes = prune_volumes(session, parsed["filter"], takes_named=False)
        removed, container_bytes = [*removed, *names], container_bytes + volume_bytes
    lines, image_bytes = _images(session, chosen, takes_all=parsed["all"])
    _total(session, container_bytes + image_bytes)
    return Outcome(value=[*removed, *networks, *lines])


def choice(parsed: Parsed, *more: str) -> "Choice":
    """Return what the filters choose.

    Raises:
        InvalidError: a filter that does not exist, or a value that means nothing.
    """
    filters: Filters = parsed["filter"]
    filters.check("until", "label", "label!", *more)
    for value in filters["dangling"]:
        if value not in ("true", "false", "1", "0"):
            filters.reject("dangling", value)
    if len(filters["until"]) > 1:
        raise InvalidError("more than one until filter specified", hint="give one")
    until_ns = _moment_ns(filters["until"][0]) if filters["until"] else None

    def is_chosen(labels: "Mapping[str, str]", created: str) -> bool:
        return (
            (until_ns is None or parse_ns(created) < until_ns)
            and all(label_matches(wanted, labels) for wanted in filters["label"])
            and not any(label_matches(unwanted, labels) for unwanted in filters["label!"])
        )

    return is_chosen


def _moment_ns(text: str) -> int:
    try:
        return parse_moment_ns(text)
    except InvalidError as exc:
        raise InvalidError(f'failed to parse value as time or duration: "{text}"', hint=exc.hint) from exc


def is_sure(session: Session, parsed: Parsed, victims: list[str]) -> bool:
    """Ask whether all this is to be removed, unless --force was given."""
    if parsed["force"]:
        return True
    listed = f"{victims[0]}." if len(victims) == 1 else ":\n" + "\n".join(f"  - {victim}" for victim in victims)
    gap = " " if len(victims) == 1 else ""
    if len(victims) > 1 and parsed["filter"]:
        chosen = [f"{key}={value}" for key, values in parsed["filter"].items() for value in values]
        listed += "\n\n  Items to be pruned will be filtered with:\n" + "\n".join(f"  - {each}" for each in chosen)
    session.stdout.write(f"WARNING! This will remove{gap}{listed}\nAre you sure you want to continue? [y/N] ")
    session.stdout.flush()
    answer = session.stdin.readline() if session.stdin is not None else b""
    if not session.stdin_is_tty:
        session.print("")
    return answer.strip().lower() in (b"y", b"yes")


def _containers(session: Session, choice: "Choice") -> tuple[Any, int]:
    removed, size = session.engine.containers.prune(
        lambda one: choice(one.summary()["Config"]["Labels"], one.doc["created"])
    )
    show(session, "Deleted Containers:", removed)
    return removed, size


def _images(session: Session, choice: "Choice", *, takes_all: bool) -> tuple[Any, int]:
    pruned = session.engine.images.prune(
        all_unused=takes_all, chosen=lambda one: choice(one.config.get("Labels") or {}, one.created)
    )
    show(session, "Deleted Images:", [line[:1].lower() + line[1:] for line in pruned.lines])
    return pruned.lines, pruned.reclaimed_bytes


def show(session: Session, heading: str, lines: Any) -> None:
    """Print what has gone, if anything has."""
    if lines:
        session.print("\n".join([heading, *lines, ""]))


def _total(session: Session, size: int) -> None:
    session.print(f"Total reclaimed space: {format_bytes(size)}")


_FILTER = Flag("filter", "", FILTER, 'Provide filter values (e.g. "until=<timestamp>", "label=<key>=<value>")')
FORCE = Flag("force", "f", BOOL, "Do not prompt for confirmation")

CONTAINER_PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove all stopped containers",
    prune_containers,
    "container container prune --force",
    flags=(_FILTER, FORCE),
    max_args=0,
)

IMAGE_PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove unused images",
    prune_images,
    "container image prune --all",
    flags=(Flag("all", "a", BOOL, "Remove all unused images, not just those without a name"), _FILTER, FORCE),
    max_args=0,
)

SYSTEM_PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove unused data",
    prune_all,
    "container system prune --all --force",
    flags=(
        Flag("all", "a", BOOL, "Remove all unused images, not just those without a name"),
        _FILTER,
        FORCE,
        Flag("volumes", "", BOOL, "Prune anonymous volumes"),
    ),
    max_args=0,
)
