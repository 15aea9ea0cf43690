"""`container pull` and `container push`."""

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, LIST, STRING, Flag, Parsed
from toolkit.cli.progress import progress_for
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import InvalidError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.image.images import ImageRecord


def pull(session: Session, parsed: Parsed) -> Outcome:
    """Download an image and say what came of it."""
    name, is_quiet = parsed.args[0], parsed["quiet"]
    from toolkit.image.reference import parse_reference

    if parsed["all-tags"]:
        return _pull_all(session, parsed)
    options = {**_access(parsed), "mirrors": parsed["mirror"]}
    record = pull_image(session, name, platform=parsed["platform"], is_quiet=is_quiet, to_stderr=False, options=options)
    session.print(parse_reference(name).canonical())
    return Outcome(value=record)


def _pull_all(session: Session, parsed: Parsed) -> Outcome:
    """Download every tag of a repository."""
    from toolkit.image.reference import parse_reference

    name, access = parsed.args[0], _access(parsed)
    reference = parse_reference(name)
    if "@" in name or ":" in name.rpartition("/")[2]:
        raise InvalidError("tag can't be used with --all-tags/-a", hint="leave the tag out")
    options = {**access, "mirrors": parsed["mirror"]}
    records = [
        pull_image(
            session,
            f"{name}:{tag}",
            platform=parsed["platform"],
            is_quiet=parsed["quiet"],
            to_stderr=False,
            options=options,
        )
        for tag in session.engine.images.tags(name, **access)
    ]
    if not records:
        raise NotFoundError(f"repository {reference.familiar_name} has no tags")
    session.print(f"{reference.registry}/{reference.repository}")
    return Outcome(value=records)


def pull_image(
    session: Session,
    name: str,
    *,
    platform: str,
    is_quiet: bool,
    to_stderr: bool,
    options: "dict[str, Any] | None" = None,
) -> "ImageRecord":
    """Download an image into the session's engine, showing how it goes unless `is_quiet`."""
    from toolkit.image.reference import parse_reference

    reference = parse_reference(name)
    images = session.engine.images
    if is_quiet:
        return images.pull(name, platform=platform or None, **options or {})

    def say(line: str) -> None:
        (session.stderr if to_stderr else session.stdout).write(line + "\n")

    say(f"{reference.tag or reference.digest}: Pulling from {reference.repository}")
    with progress_for(session, to_stderr=to_stderr) as report:
        # Its last two lines are docker's "Digest: ..." (of the index, if there is one) and "Status: ..."
        return images.pull(name, platform=platform or None, progress=report, **options or {})


def _access(parsed: Parsed) -> "dict[str, Any]":
    """Return how to get into the registry that the name says."""
    from toolkit.image.reference import parse_reference

    registry = parse_reference(parsed.args[0]).registry
    return {"credentials": parsed["creds"] or None, "insecure": (registry,) if parsed["insecure"] else ()}


def push(session: Session, parsed: Parsed) -> Outcome:
    """Upload an image."""
    from toolkit.image.reference import parse_reference

    name = parsed.args[0]
    reference = parse_reference(name)
    if parsed["quiet"]:
        result = session.engine.images.push(name, **_access(parsed))
        session.print(reference.canonical())
        return Outcome(value=result)
    session.print(f"The push refers to repository [{reference.registry}/{reference.repository}]")
    session.stdout.flush()
    with progress_for(session, to_stderr=False) as report:
        result = session.engine.images.push(name, progress=report, **_access(parsed))
    return Outcome(value=result)


_CREDS = Flag("creds", "", STRING, "Credentials for the registry, USER:PASSWORD; else what docker login stored")
_INSECURE = Flag("insecure", "", BOOL, "Accept the registry without TLS, or with any certificate")
_QUIET = Flag("quiet", "q", BOOL, "Suppress verbose output")

PULL = Command(
    "pull",
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    "Download an image from a registry",
    pull,
    "container pull ubuntu:24.04",
    flags=(
        Flag("all-tags", "a", BOOL, "Download all tagged images in the repository"),
        _CREDS,
        _INSECURE,
        Flag("mirror", "", LIST, "Ask this registry first (HOST or URL); may be given several times"),
        Flag("platform", "", STRING, "Set platform, for an image of several (os[/arch[/variant]])"),
        _QUIET,
    ),
    min_args=1,
    max_args=1,
)

PUSH = Command(
    "push",
    "[OPTIONS] NAME[:TAG]",
    "Upload an image to a registry",
    push,
    "container push localhost:5000/lab",
    flags=(_CREDS, _INSECURE, _QUIET),
    min_args=1,
    max_args=1,
)
