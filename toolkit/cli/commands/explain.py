"""`container explain run`: a run of which every call to the kernel is shown, or kept."""

from toolkit.cli.command import Command
from toolkit.cli.commands.run import run
from toolkit.cli.explain import check_path
from toolkit.cli.flags import Parsed
from toolkit.cli.run_flags import LATER, RECORD, RUN_FLAGS
from toolkit.cli.session import Outcome, Session

_FLAGS = (
    *(flag for flag in RUN_FLAGS if flag.name not in ("explain", "dry-run", "detach")),
    RECORD,
)
_IMPLIED = {"explain": True, "dry-run": False, "detach": False}


def explain_run(session: Session, parsed: Parsed) -> Outcome:
    """Run a container in the foreground; then print its calls, or write them where --record says."""
    check_path(parsed["record"])
    return run(session, parsed.with_values(_IMPLIED))


EXPLAIN_RUN = Command(
    "run",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Run a container and show every call to the kernel that made it",
    explain_run,
    "container explain run --rm lab true\ncontainer explain run --rm --record start.jsonl lab true",
    flags=_FLAGS,
    later=LATER,
    min_args=1,
    interspersed=False,
    details="A recording is text, one JSON object a line. It has the words of the command that was run, but no value "
    "of an environment variable.",
    own_exit_codes=True,
)
