"""`container logs`."""

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.moment import parse_moment_ns
from toolkit.cli.session import STDERR, STDOUT, Outcome, Session
from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def logs(session: Session, parsed: Parsed) -> Outcome:
    """Print what a container wrote, each line to the stream that it was written to."""
    container = session.engine.containers.get(parsed.args[0])
    lines = container.logs(
        follow=parsed["follow"],
        tail=_tail(parsed["tail"]),
        since_ns=parse_moment_ns(parsed["since"]) if parsed["since"] else 0,
        until_ns=parse_moment_ns(parsed["until"]) if parsed["until"] else 0,
    )
    for line in lines:
        text = f"{_details(line.attributes)} {line.text}" if parsed["details"] else line.text
        if parsed["timestamps"]:
            text = f"{line.time} {text}"
        session.write(STDERR if line.stream == "stderr" else STDOUT, text.encode(errors="surrogateescape"))
    return Outcome(value=container)


def _details(attributes: "Mapping[str, str]") -> str:
    """Write a line's attributes as docker does: in order, escaped, between commas."""
    if not attributes:
        return ""
    from urllib.parse import quote_plus

    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(attributes.items()))


def _tail(text: str) -> int | None:
    """Read --tail: a number of lines; "all" and a negative number are all of them."""
    if text == "all" or (text.startswith("-") and text[1:].isdecimal()):
        return None
    if not text.isdecimal():
        raise InvalidError(f"invalid tail: '{text}'", hint='write a number of lines or "all"')
    return int(text)


LOGS = Command(
    "logs",
    "[OPTIONS] CONTAINER",
    "Fetch the logs of a container",
    logs,
    "container logs --follow --tail 10 web",
    flags=(
        Flag("details", "", BOOL, "Show extra details provided to logs"),
        Flag("follow", "f", BOOL, "Follow log output"),
        Flag(
            "since",
            "",
            STRING,
            'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
        ),
        Flag("tail", "n", STRING, "Number of lines to show from the end of the logs", default="all"),
        Flag("timestamps", "t", BOOL, "Show timestamps"),
        Flag(
            "until",
            "",
            STRING,
            'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
        ),
    ),
    min_args=1,
    max_args=1,
)
