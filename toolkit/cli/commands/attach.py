"""`container start` and `container attach`."""

import time

from toolkit.cli.command import Command
from toolkit.cli.detach import parse_keys
from toolkit.cli.each import each_container
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.foreground import all_streams, check_terminal, console_size, follow, killer
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import ConflictError, InvalidError

_REDRAW_S = 0.03  # for a program to notice one size before the next comes

TYPE_CHECKING = False


def start(session: Session, parsed: Parsed) -> Outcome:
    """Start containers; with --attach or --interactive stay with the one."""
    if parsed["attach"] or parsed["interactive"]:
        return _start_attached(session, parsed)
    return each_container(session, parsed, lambda container: container.start())


def _start_attached(session: Session, parsed: Parsed) -> Outcome:
    if len(parsed.args) != 1:
        raise InvalidError("you cannot start and attach multiple containers at once")
    container = session.engine.containers.get(parsed.args[0])
    options = container.options
    stdin = parsed["interactive"] and options.open_stdin
    keys = parse_keys(parsed["detach-keys"])
    check_terminal(session, stdin=stdin, tty=options.tty)
    attachment = container.start(attach=True, console_size=console_size(session) if options.tty else None)
    assert attachment is not None  # because of attach=True
    exit_code = follow(
        session,
        container,
        attachment,
        streams=all_streams(stdin=stdin),
        tty=options.tty,
        keys=keys,
        sig_proxy=parsed["sig-proxy"],
        interrupt=killer(container),
    )
    return Outcome(exit_code, container)


def attach(session: Session, parsed: Parsed) -> Outcome:
    """Connect to a container that runs."""
    container = session.engine.containers.get(parsed.args[0])
    options = container.options
    if not container.read_status().is_up:
        raise ConflictError(
            "you cannot attach to a stopped container, start it first", hint=f"container start {container.name}"
        )
    stdin = options.open_stdin and not parsed["no-stdin"]
    keys = parse_keys(parsed["detach-keys"])
    check_terminal(session, stdin=stdin, tty=options.tty)
    attachment = container.attach(stdin=stdin)
    size = console_size(session) if options.tty else None
    if size is not None:  # another size than before, then the right one: so that what runs there draws itself anew
        attachment.resize(size[0] + 1, size[1] + 1)
        time.sleep(_REDRAW_S)
    exit_code = follow(
        session,
        container,
        attachment,
        streams=all_streams(stdin=stdin),
        tty=options.tty,
        keys=keys,
        sig_proxy=parsed["sig-proxy"],
    )
    return Outcome(exit_code, container)


_DETACH_KEYS = Flag("detach-keys", "", STRING, "Override the key sequence for detaching a container")
_SIG_PROXY = Flag("sig-proxy", "", BOOL, "Proxy all received signals to the process", default=True)

START = Command(
    "start",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Start one or more stopped containers",
    start,
    "container start --attach web",
    flags=(
        Flag("attach", "a", BOOL, "Attach STDOUT/STDERR and forward signals"),
        _DETACH_KEYS,
        Flag("interactive", "i", BOOL, "Attach container's STDIN"),
        _SIG_PROXY,
    ),
    min_args=1,
)

ATTACH = Command(
    "attach",
    "[OPTIONS] CONTAINER",
    "Attach local standard input, output, and error streams to a running container",
    attach,
    "container attach web",
    flags=(_DETACH_KEYS, Flag("no-stdin", "", BOOL, "Do not attach STDIN"), _SIG_PROXY),
    min_args=1,
    max_args=1,
)
