"""`container container prune`, `image prune` and `system prune`."""

from typing import Any

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.core.units import format_bytes

_CONTAINERS = "all stopped containers"
_DANGLING = "all images without a name"
_UNUSED = "all images without at least one container associated to them"


def prune_containers(session: Session, parsed: Parsed) -> Outcome:
    """Remove the containers that do not run."""
    if not _is_sure(session, parsed, [_CONTAINERS]):
        return Outcome()
    removed, size = _containers(session)
    _total(session, size)
    return Outcome(value=removed)


def prune_images(session: Session, parsed: Parsed) -> Outcome:
    """Remove the images that have no name, or all that nothing uses."""
    if not _is_sure(session, parsed, [_UNUSED if parsed["all"] else _DANGLING]):
        return Outcome()
    lines, size = _images(session, parsed)
    _total(session, size)
    return Outcome(value=lines)


def prune_all(session: Session, parsed: Parsed) -> Outcome:
    """Remove the containers that do not run, then the images that nothing uses any more."""
    if not _is_sure(session, parsed, [_CONTAINERS, _UNUSED if parsed["all"] else _DANGLING]):
        return Outcome()
    removed, container_bytes = _containers(session)
    lines, image_bytes = _images(session, parsed)
    _total(session, container_bytes + image_bytes)
    return Outcome(value=[*removed, *lines])


def _is_sure(session: Session, parsed: Parsed, victims: list[str]) -> bool:
    if parsed["force"]:
        return True
    listed = f"{victims[0]}." if len(victims) == 1 else ":\n" + "\n".join(f"  - {victim}" for victim in victims)
    gap = " " if len(victims) == 1 else ""
    session.stdout.write(f"WARNING! This will remove{gap}{listed}\nAre you sure you want to continue? [y/N] ")
    session.stdout.flush()
    answer = session.stdin.readline() if session.stdin is not None else b""
    if not session.stdin_is_tty:
        session.print("")
    return answer.strip().lower() in (b"y", b"yes")


def _containers(session: Session) -> tuple[Any, int]:
    removed, size = session.engine.containers.prune()
    _show(session, "Deleted Containers:", removed)
    return removed, size


def _images(session: Session, parsed: Parsed) -> tuple[Any, int]:
    pruned = session.engine.images.prune(all_unused=parsed["all"])
    _show(session, "Deleted Images:", [line[:1].lower() + line[1:] for line in pruned.lines])
    return pruned.lines, pruned.reclaimed_bytes


def _show(session: Session, heading: str, lines: Any) -> None:
    if lines:
        session.print("\n".join([heading, *lines, ""]))


def _total(session: Session, size: int) -> None:
    session.print(f"Total reclaimed space: {format_bytes(size)}")


_FORCE = Flag("force", "f", BOOL, "Do not prompt for confirmation")

CONTAINER_PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove all stopped containers",
    prune_containers,
    "container container prune --force",
    flags=(_FORCE,),
    max_args=0,
)

IMAGE_PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove unused images",
    prune_images,
    "container image prune --all",
    flags=(Flag("all", "a", BOOL, "Remove all unused images, not just those without a name"), _FORCE),
    max_args=0,
)

SYSTEM_PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove unused data",
    prune_all,
    "container system prune --all --force",
    flags=(Flag("all", "a", BOOL, "Remove all unused images, not just those without a name"), _FORCE),
    max_args=0,
)
