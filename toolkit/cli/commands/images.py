"""`container images`, `rmi` and `tag`."""

from toolkit.cli.command import Command
from toolkit.cli.commands.ps import FORMAT_HELP, age, local_time
from toolkit.cli.each import each
from toolkit.cli.filters import FILTER, Filters, label_matches
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import render_ids, render_rows
from toolkit.core.clock import ZERO, parse_ns
from toolkit.core.ids import short_id
from toolkit.core.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from toolkit.image.images import ImageRecord

_HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
}
_COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size")
_WITH_DIGEST = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")
_NONE = "<none>"


def images(session: Session, parsed: Parsed) -> Outcome:
    """Print the images, newest first, a line for each name."""
    import time

    filters: Filters = parsed["filter"]
    filters.check("dangling", "label", "reference")
    wanted = parsed.args[0] if parsed.args else ""
    records = [record for record in session.engine.images.list() if _matches(record, filters)]
    records.sort(key=lambda record: parse_ns(record.created), reverse=True)
    now_ns = time.time_ns()
    rows: list[dict[str, Any]] = []
    found: list[ImageRecord] = []
    for record in records:
        names = [name for name in _names(record) if _is_named(name, wanted, filters["reference"])]
        if names:
            found.append(record)
        rows += [_row(record, *name, now_ns=now_ns, truncates=not parsed["no-trunc"]) for name in names]
    columns = _WITH_DIGEST if parsed["digests"] else _COLUMNS
    is_ids = parsed["quiet"] and not parsed["format"]
    session.stdout.write(render_ids(rows) if is_ids else render_rows(rows, _HEADERS, columns, parsed["format"]))
    return Outcome(value=found)


def _names(record: "ImageRecord") -> "Iterator[tuple[str, str, str]]":
    """Yield repository, tag and digest for each line that the image gets."""
    from toolkit.image.reference import parse_reference

    digests = dict(text.split("@", 1) for text in record.repo_digests)
    tagged: set[str] = set()
    for text in record.names:
        reference = parse_reference(text)
        repository = reference.familiar().rpartition(":")[0]
        tagged.add(repository)
        yield repository, reference.tag or _NONE, digests.get(repository, _NONE)
    for repository, digest in digests.items():
        if repository not in tagged:
            yield repository, _NONE, digest
    if not tagged and not digests:
        yield _NONE, _NONE, _NONE


def _is_named(name: tuple[str, str, str], wanted: str, patterns: list[str]) -> bool:
    repository, tag, _ = name
    fits = not patterns or any(_fits(repository, tag, pattern) for pattern in patterns)
    return fits and (not wanted or _fits(repository, tag, wanted))


def _fits(repository: str, tag: str, pattern: str) -> bool:
    """Tell whether a name fits a pattern: a repository, or repository:tag, with * for anything but a slash."""
    from fnmatch import fnmatchcase

    last = pattern.rpartition("/")[2]
    want_repository, want_tag = pattern.rsplit(":", 1) if ":" in last else (pattern, "*")
    return (
        fnmatchcase(tag, want_tag)
        and fnmatchcase(repository, want_repository)
        and repository.count("/") == want_repository.count("/")
    )


def _row(
    record: "ImageRecord", repository: str, tag: str, digest: str, *, now_ns: int, truncates: bool
) -> "dict[str, Any]":
    return {
        "Repository": repository,
        "Tag": tag,
        "Digest": digest,
        "ID": short_id(record.id) if truncates else record.id,
        "CreatedSince": "N/A" if record.created == ZERO else age(record.created, now_ns) + " ago",
        "CreatedAt": "N/A" if record.created == ZERO else local_time(record.created),
        "Size": format_bytes(record.size),
    }


def _matches(record: "ImageRecord", filters: Filters) -> bool:
    labels: dict[str, str] = record.config.get("Labels") or {}
    if not all(label_matches(wanted, labels) for wanted in filters["label"]):
        return False
    for wanted in filters["dangling"]:
        if wanted not in ("true", "false", "1", "0"):
            filters.reject("dangling", wanted)
    dangling = "false" if record.names else "true"
    return filters.any_among("dangling", [dangling, str(int(dangling == "true"))])


def rmi(session: Session, parsed: Parsed) -> Outcome:
    """Remove names, and images that have none left."""

    def deed(name: str) -> "Any":
        removed = session.engine.images.remove(name, force=parsed["force"])
        for line in removed:
            session.print(line)
        return removed

    return each(session, parsed.args, deed)


def tag(session: Session, parsed: Parsed) -> Outcome:
    """Give an image one more name."""
    source, target = parsed.args
    session.engine.images.tag(source, target)
    return Outcome(value=session.engine.images.get(target))


IMAGES = Command(
    "images",
    "[OPTIONS] [REPOSITORY[:TAG]]",
    "List images",
    images,
    "container images --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
    flags=(
        Flag("all", "a", BOOL, "Show all images (default hides intermediate images, of which there are none here)"),
        Flag("digests", "", BOOL, "Show digests"),
        Flag("filter", "f", FILTER, "Filter output based on conditions provided (dangling, label, reference)"),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("no-trunc", "", BOOL, "Don't truncate output"),
        Flag("quiet", "q", BOOL, "Only show image IDs"),
    ),
    max_args=1,
)

RMI = Command(
    "rmi",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Remove one or more images",
    rmi,
    "container rmi ubuntu:24.04",
    flags=(
        Flag("force", "f", BOOL, "Force removal of the image"),
        Flag("no-prune", "", BOOL, "Do not delete untagged parents (an image here has none)"),
    ),
    min_args=1,
)

TAG = Command(
    "tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    tag,
    "container tag lab localhost:5000/lab:v1",
    min_args=2,
    max_args=2,
)
