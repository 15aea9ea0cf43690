"""`container stats` and `container top`."""

from typing import Any

from toolkit.cli.command import Command
from toolkit.cli.commands.ps import FORMAT_HELP
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import align, render_rows
from toolkit.core.errors import ConflictError
from toolkit.core.units import format_binary_bytes, format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Container

_INTERVAL_S = 1.0
_HEADERS = {
    "ID": "CONTAINER ID",
    "Container": "CONTAINER",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
_COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "BlockIO", "PIDs")
_CLEAR = "\033[H\033[J"


def stats(session: Session, parsed: Parsed) -> Outcome:
    """Print what containers use: once with --no-stream, else every second until interrupted."""
    import time

    containers = _chosen(session, parsed)
    before = {container.id: _sample(container) for container in containers}
    while True:
        time.sleep(_INTERVAL_S)
        after = {container.id: _sample(container) for container in containers}
        rows = [_row(container, before[container.id], after[container.id]) for container in containers]
        if not parsed["no-stream"] and session.stdout_is_tty:
            session.stdout.write(_CLEAR)
        session.stdout.write(render_rows(rows, _HEADERS, _COLUMNS, parsed["format"]))
        session.stdout.flush()
        if parsed["no-stream"]:
            return Outcome(value=[sample[1] for sample in after.values()])
        before = after


def _chosen(session: Session, parsed: Parsed) -> "list[Container]":
    if parsed.args:
        return [session.engine.containers.get(name) for name in parsed.args]
    return list(session.engine.containers.list(all=parsed["all"]))


def _sample(container: "Container") -> tuple[int, Any]:
    """Return the time and what the container has used by then; None where it does not run."""
    import time

    try:
        return time.monotonic_ns(), container.stats()
    except ConflictError:
        return time.monotonic_ns(), None


def _row(container: "Container", before: tuple[int, Any], after: tuple[int, Any]) -> dict[str, Any]:
    usage = after[1]
    memory = None if usage is None else usage.memory
    pids = None if usage is None else usage.pids
    block = (usage.block if usage is not None else None) or ()
    limit = _memory_limit(memory)
    return {
        "ID": container.id[:12],
        "Container": container.id[:12],
        "Name": container.name,
        "CPUPerc": f"{_cpu_percent(before, after):.2f}%",
        "MemUsage": f"{format_binary_bytes(memory.working_bytes if memory else 0)} / {format_binary_bytes(limit)}",
        "MemPerc": f"{100 * memory.working_bytes / limit if memory and limit else 0:.2f}%",
        "BlockIO": f"{format_bytes(sum(dev.read_bytes for dev in block))} / "
        f"{format_bytes(sum(dev.write_bytes for dev in block))}",
        "PIDs": str(pids.current if pids else 0),
    }


def _memory_limit(memory: Any) -> int:
    """Return the container's limit, which is never more than the machine's memory."""
    import os

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total if memory is None or memory.limit_bytes is None else min(memory.limit_bytes, total)


def _cpu_percent(before: tuple[int, Any], after: tuple[int, Any]) -> float:
    """Return how much of one CPU was used between two samples (200% is two CPUs)."""
    if before[1] is None or after[1] is None or before[1].cpu is None or after[1].cpu is None:
        return 0.0
    return float(100 * (after[1].cpu.usage_ns - before[1].cpu.usage_ns) / (after[0] - before[0]))


def top(session: Session, parsed: Parsed) -> Outcome:
    """Print a container's processes as the host's ps shows them."""
    import subprocess

    name, *options = parsed.args
    container = session.engine.containers.get(name)
    pids = container.pids()
    if not pids:
        raise ConflictError(f"container {name} is not running", hint=f"start it: container start {name}")
    done = subprocess.run(["ps", *(options or ["-ef"])], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConflictError(f"ps: {done.stderr.strip().splitlines()[0] if done.stderr else 'failed'}")
    lines = [line.split(None, done.stdout.splitlines()[0].split().index("CMD")) for line in done.stdout.splitlines()]
    rows = [cells for cells in lines[1:] if int(cells[lines[0].index("PID")]) in pids]
    session.stdout.write(align([lines[0], *rows]))
    return Outcome(value=rows)


STATS = Command(
    "stats",
    "[OPTIONS] [CONTAINER...]",
    "Display container(s) resource usage statistics",
    stats,
    "container stats --no-stream web",
    flags=(
        Flag("all", "a", BOOL, "Show all containers (default shows just running)"),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("no-stream", "", BOOL, "Disable streaming stats and only pull the first result"),
    ),
)

TOP = Command(
    "top",
    "CONTAINER [ps OPTIONS]",
    "Display the running processes of a container",
    top,
    "container top web -o pid,user,rss,cmd",
    min_args=1,
    interspersed=False,
)
