"""`container pull` and `container push`."""

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.progress import progress_for
from toolkit.cli.session import Outcome, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.image.images import ImageRecord


def pull(session: Session, parsed: Parsed) -> Outcome:
    """Download an image and say what came of it."""
    name, is_quiet = parsed.args[0], parsed["quiet"]
    record = pull_image(session, name, platform=parsed["platform"], is_quiet=is_quiet, to_stderr=False)
    from toolkit.image.reference import parse_reference

    session.print(parse_reference(name).canonical())
    return Outcome(value=record)


def pull_image(session: Session, name: str, *, platform: str, is_quiet: bool, to_stderr: bool) -> "ImageRecord":
    """Download an image into the session's engine, showing how it goes unless `is_quiet`."""
    from toolkit.image.reference import parse_reference

    reference = parse_reference(name)
    images = session.engine.images
    if is_quiet:
        return images.pull(name, platform=platform or None)

    def say(line: str) -> None:
        (session.stderr if to_stderr else session.stdout).write(line + "\n")

    say(f"{reference.tag or reference.digest}: Pulling from {reference.repository}")
    with progress_for(session, to_stderr=to_stderr) as report:
        # Its last two lines are docker's "Digest: ..." (of the index, if there is one) and "Status: ..."
        return images.pull(name, platform=platform or None, progress=report)


def push(session: Session, parsed: Parsed) -> Outcome:
    """Upload an image."""
    from toolkit.image.reference import parse_reference

    name = parsed.args[0]
    reference = parse_reference(name)
    if parsed["quiet"]:
        result = session.engine.images.push(name)
        session.print(reference.canonical())
        return Outcome(value=result)
    session.print(f"The push refers to repository [{reference.registry}/{reference.repository}]")
    session.stdout.flush()
    with progress_for(session, to_stderr=False) as report:
        result = session.engine.images.push(name, progress=report)
    return Outcome(value=result)


_QUIET = Flag("quiet", "q", BOOL, "Suppress verbose output")

PULL = Command(
    "pull",
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    "Download an image from a registry",
    pull,
    "container pull ubuntu:24.04",
    flags=(Flag("platform", "", STRING, "Set platform, for an image of several (os[/arch[/variant]])"), _QUIET),
    min_args=1,
    max_args=1,
)

PUSH = Command(
    "push",
    "[OPTIONS] NAME[:TAG]",
    "Upload an image to a registry",
    push,
    "container push localhost:5000/lab",
    flags=(_QUIET,),
    min_args=1,
    max_args=1,
)
