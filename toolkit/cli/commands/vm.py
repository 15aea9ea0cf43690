"""`container vm run` and `container vm status`."""

import signal
from contextlib import ExitStack
from functools import partial

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, INT, LIST, STRING, Flag, Kind, Parsed, UsageError
from toolkit.cli.foreground import check_terminal, console_size
from toolkit.cli.kinds import BYTES, ENV
from toolkit.cli.session import STDERR, Outcome, Session
from toolkit.cli.signals import SignalPipe
from toolkit.cli.table import render_rows
from toolkit.core.units import parse_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class _EndedError(Exception):
    """A signal ended the machine."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_code = 128 + number


def run(session: Session, parsed: Parsed) -> Outcome:
    """Boot a machine with this one's files, run a command in it, and switch it off."""
    from toolkit.vm.carry import Streams
    from toolkit.vm.run import Wishes
    from toolkit.vm.run import run as run_in_machine

    stdin, tty = parsed["interactive"], parsed["tty"]
    check_terminal(session, stdin=stdin, tty=tty)
    if parsed["timeout"] < 0:
        raise UsageError(f"invalid timeout: {parsed['timeout']} is less than 0")
    wishes = Wishes(
        command=parsed.args,
        environment=tuple((name, value) for name, equals, value in (e.partition("=") for e in parsed["env"]) if equals),
        directory=parsed["workdir"],
        shares=parsed["share"],
        disks=parsed["disk"],
        memory_bytes=parsed["memory"],
        cpus=parsed["cpus"],
        timeout_s=parsed["timeout"] or None,
        stdin=stdin,
        tty=tty,
        size=console_size(session) if tty else None,
        accelerator=parsed["accelerator"],
    )
    with ExitStack() as stack:
        streams = Streams(
            write=session.write,
            stdin=session.stdin if stdin else None,
            console=partial(session.write, STDERR) if parsed["console"] else None,
            watch=_watch(session, stack),
            size=lambda: console_size(session),
        )
        if tty and stdin and (fd := session.stdin_fd()) is not None:
            from toolkit.linux.terminal import RawMode

            stack.enter_context(RawMode(fd))
        try:
            return Outcome(run_in_machine(wishes, streams, session.complain))
        except _EndedError as exc:
            return Outcome(exc.exit_code)


def _watch(session: Session, stack: ExitStack) -> "tuple[int, Callable[[], None]] | None":
    """Have signals end the machine, where they are this command's; a new size of the terminal only wakes the loop."""
    if not session.owns_process:
        return None
    signals = stack.enter_context(SignalPipe((*_ENDING, signal.SIGWINCH)))

    def take() -> None:
        for number in signals.take():
            if number != signal.SIGWINCH:
                raise _EndedError(number)

    return signals.fd, take


_HEADERS = {"Part": "PART", "Here": "HERE", "Purpose": "WHAT IT IS FOR", "Lack": "LACK", "Cure": "CURE"}


def status(session: Session, parsed: Parsed) -> Outcome:
    """Print what a virtual machine needs, and how to get what is missing."""
    from toolkit.vm import kernel, parts

    found = parts.find_all()
    rows = [
        {
            "Part": each.part.name,
            "Here": each.path or "no",
            "Purpose": each.part.purpose,
            "Lack": each.lack,
            "Cure": "" if each.path else parts.cure([each.part]),
        }
        for each in found
    ]
    cached = kernel.find(kernel.cache_directory())
    rows.append(
        {
            "Part": "kernel",
            "Here": cached.release if cached else "no",
            "Purpose": "is what the command runs on",
            "Lack": "" if cached else "not fetched yet",
            "Cure": "" if cached else "the first 'container vm run' fetches it with apt, and installs nothing",
        }
    )
    session.stdout.write(render_rows(rows, _HEADERS, ("Part", "Here", "Purpose", "Cure"), parsed["format"]))
    return Outcome(value=found)


_SIZES = Kind("list", parse_bytes, tuple)
_ACCELERATORS = ("auto", "kvm", "tcg")


def _accelerator(text: str) -> str:
    if text not in _ACCELERATORS:
        raise ValueError(f"it is one of {', '.join(_ACCELERATORS)}")
    return text


VM_RUN = Command(
    "run",
    "[OPTIONS] [--] COMMAND [ARG...]",
    "Run a command in a virtual machine with this machine's files",
    run,
    "container vm run -- cat /sys/fs/cgroup/cgroup.controllers\n"
    "container vm run --share . -- sh -c 'uname -r > kernel.txt'\n"
    "container vm run -it -- bash",
    flags=(
        Flag("accelerator", "", Kind("string", _accelerator), "auto (KVM where it works), kvm or tcg", default="auto"),
        Flag("console", "", BOOL, "Show what the guest's kernel says, on stderr"),
        Flag("cpus", "", INT, "Number of CPUs", default=2),
        Flag("disk", "", _SIZES, "Add an empty disk of this size (/dev/vda, /dev/vdb, ...)"),
        Flag("env", "e", ENV, "Set environment variables"),
        Flag("interactive", "i", BOOL, "Pass STDIN on to the command"),
        Flag("memory", "m", BYTES, "Memory, which is also where written files are", default=2 << 30),
        Flag("share", "", LIST, "Directory whose changes come back to this machine"),
        Flag("timeout", "", INT, "Seconds until the machine is ended, boot included; 0: never"),
        Flag("tty", "t", BOOL, "Give the command a terminal"),
        Flag("workdir", "w", STRING, "Working directory in the guest (default: the present one)"),
    ),
    min_args=1,
    interspersed=False,
    details="The guest has its own kernel, a cgroup v2 tree with every controller, and the files of this machine as "
    "they are: nothing in the guest can change them, and what it writes is gone with it, but for directories that "
    "were shared. The exit code is the command's; 124 if it took too long, 125 if the machine failed. A signal ends "
    "the machine. Emulation takes 15 to 20 times as long as KVM, which is used where it works.",
    own_exit_codes=True,
)

VM_STATUS = Command(
    "status",
    "[OPTIONS]",
    "Show what a virtual machine needs here, and the cure for what is missing",
    status,
    "container vm status",
    flags=(
        Flag(
            "format",
            "",
            STRING,
            "Format output using a custom template:\n'table TEMPLATE':   Print output in table format\n"
            "'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template",
        ),
    ),
    max_args=0,
)
