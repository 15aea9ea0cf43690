"""`container oci`: an OCI runtime, for podman, containerd, dockerd and everybody who drives runc.

Its own flags come before its command, as runc's do, so it reads the rest of
the line itself.  What goes wrong also goes to --log, in the form that callers read.
"""

from toolkit.cli.command import PROGRAM, Command, options_text
from toolkit.cli.flags import BOOL, STRING, Flag, HelpRequestedError, Parsed, UsageError, parse
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import EngineError
from toolkit.runtime.oci.log import Log
from toolkit.runtime.oci.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.cli.oci.table import Operation

_DEFAULT_RUN = "/run/container-toolkit"


def act(session: Session, parsed: Parsed) -> Outcome:
    """Do one operation; its exit codes are runc's."""
    if parsed["version"]:
        return _version(session)
    if not parsed.args or parsed.args[0] == "help":
        session.stdout.write(_help())
        return Outcome()
    log = Log(parsed["log"], parsed["log-format"] or "text", is_verbose=parsed["debug"])
    name, *words = parsed.args
    try:
        return Outcome(_operate(session, parsed, name, words, log))
    except HelpRequestedError:
        session.stdout.write(_operation_help(name))
        return Outcome()
    except (EngineError, OSError) as exc:
        log.error(str(exc))  # noqa: TRY400 - no logging, but the runtime's own log
        from toolkit.cli.oci.table import OPERATIONS

        return Outcome(OPERATIONS[name].failure_code if name in OPERATIONS else 1, error=exc)


def _operate(session: Session, parsed: Parsed, name: str, words: list[str], log: Log) -> int:
    from toolkit.cli.oci.operations import Runtime
    from toolkit.cli.oci.table import OPERATIONS

    if parsed["log-format"] not in ("", "text", "json"):
        raise UsageError(f"invalid --log-format: {parsed['log-format']!r}; it is text or json")
    if parsed["cgroup-manager"] not in ("cgroupfs", "systemd"):
        message = f"--cgroup-manager: {parsed['cgroup-manager']!r}: this runtime makes cgroups itself: cgroupfs"
        raise UsageError(message)
    if parsed["systemd-cgroup"] or parsed["cgroup-manager"] == "systemd":
        hint = "have the caller use cgroupfs: podman --cgroup-manager=cgroupfs, containerd SystemdCgroup = false"
        message = f"--systemd-cgroup: this runtime makes cgroups itself, without systemd; {hint}"
        raise UsageError(message)
    operation = OPERATIONS.get(name)
    if operation is None:
        raise UsageError(f"unknown command {name!r}; see '{PROGRAM} oci --help'")
    flags = parse(operation.flags, words, interspersed=operation.interspersed)
    _check_count(operation, name, len(flags.args))
    if operation.makes_processes:
        from toolkit.runtime.oci.reexec import ensure_sealed

        ensure_sealed(owns_process=session.owns_process)
    root = parsed["root"] or f"{session.run_dir or _DEFAULT_RUN}/oci"
    runtime = Runtime(Store(root), log, session.stdout)
    return operation.act(runtime, flags)


def _check_count(operation: "Operation", name: str, count: int) -> None:
    low, high = operation.arguments
    if low <= count and (high is None or count <= high):
        return
    exactly = "" if low == high else "at least " if count < low else "at most "
    number = low if count < low or high is None else high
    plural = "" if number == 1 else "s"
    raise UsageError(f"'{PROGRAM} oci {name}' requires {exactly}{number} argument{plural}: {operation.usage}")


def _version(session: Session) -> Outcome:
    from toolkit import __version__
    from toolkit.runtime.spec import OCI_VERSION

    session.stdout.write(f"container-toolkit version {__version__}\nspec: {OCI_VERSION}\n")
    return Outcome()


def _help() -> str:
    from toolkit.cli.oci.table import OPERATIONS

    width = max(map(len, OPERATIONS)) + 2
    rows = "\n".join(f"  {name.ljust(width)}{each.summary}" for name, each in sorted(OPERATIONS.items()))
    parts = (
        f"Usage:  {PROGRAM} oci {OCI.usage}",
        OCI.summary,
        f"Commands:\n{rows}",
        f"Options:\n{options_text(OCI.flags)}",
        f"Example:\n  {OCI.example}",
    )
    return "\n\n".join(parts) + "\n"


def _operation_help(name: str) -> str:
    from toolkit.cli.oci.table import OPERATIONS

    operation = OPERATIONS[name]
    parts = [f"Usage:  {PROGRAM} oci {name} {operation.usage}", operation.summary]
    if operation.flags:
        parts.append(f"Options:\n{options_text(operation.flags)}")
    return "\n\n".join(parts) + "\n"


OCI = Command(
    "oci",
    "[OPTIONS] COMMAND [ARG...]",
    "Be an OCI runtime, for podman, containerd and all who drive runc",
    act,
    "container oci create --bundle /tmp/bundle box && container oci start box",
    flags=(
        Flag("root", "", STRING, "Directory of the containers' state (default: oci in the run directory)"),
        Flag("log", "", STRING, "File for messages, beside stderr"),
        Flag("log-format", "", STRING, "text or json", default="text"),
        Flag("debug", "", BOOL, "Log what only developers want to read, too"),
        Flag("systemd-cgroup", "", BOOL, "Refused: this runtime makes cgroups itself"),
        Flag("cgroup-manager", "", STRING, "cgroupfs, as crun has it", default="cgroupfs"),
        Flag("criu", "", STRING, "Accepted for runc's callers, and ignored"),
        Flag("rootless", "", STRING, "Accepted for runc's callers, and ignored"),
        Flag("version", "v", BOOL, "Print the version of the runtime and of the specification"),
    ),
    interspersed=False,
    details="Commands: create, start, run, state, kill, delete, exec, ps, pause, resume, update, events, list, spec, "
    f"features. '{PROGRAM} oci help' shows what each does, '{PROGRAM} oci COMMAND --help' its options.\n"
    "The specification is OCI's runtime-spec 1.2.1; state, exit codes and flags are runc's.",
)
