"""`container stats`."""

import os
from typing import Any, NamedTuple

from toolkit.cli.command import Command
from toolkit.cli.commands.ps import FORMAT_HELP
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import render_rows
from toolkit.core.errors import ConflictError, NotFoundError
from toolkit.core.units import format_binary_bytes, format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.engine import Container

_INTERVAL_S = 1.0
_HEADERS = {
    "ID": "CONTAINER ID",
    "Container": "CONTAINER",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
_COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\033[H", "\033[K", "\033[J"


class _Sample(NamedTuple):
    """What a container had used at one moment."""

    at_ns: int
    usage: Any
    """None where it does not run."""
    net_bytes: tuple[int, int]
    """Received and sent."""


_Seen = dict[str, tuple[str, "Container", _Sample]]
"""By id: what the user calls it, the container, its sample."""


def stats(session: Session, parsed: Parsed) -> Outcome:
    """Print what containers use: once with --no-stream, else every second until interrupted."""
    import time

    before = _look(session, parsed)
    while True:
        time.sleep(_INTERVAL_S)
        after = _look(session, parsed)
        rows = [
            _row(name, one, before[ident][2] if ident in before else sample, sample, truncates=not parsed["no-trunc"])
            for ident, (name, one, sample) in after.items()
        ]
        text = render_rows(rows, _HEADERS, _COLUMNS, parsed["format"])
        if session.stdout_is_tty and not parsed["no-stream"]:
            text = _HOME + text.replace("\n", f"{_REST_OF_LINE}\n") + _REST_OF_SCREEN
        session.stdout.write(text)
        session.stdout.flush()
        if parsed["no-stream"]:
            return Outcome(value=[sample.usage for _, _, sample in after.values()])
        before = after


def _look(session: Session, parsed: Parsed) -> _Seen:
    """Take a sample of each container that was asked for; without names, of those that there are now."""
    containers = session.engine.containers
    chosen: Sequence[tuple[str, Container]]
    if parsed.args:
        chosen = [(name, containers.get(name)) for name in parsed.args]
    else:
        chosen = [(one.id[:12], one) for one in containers.list(all=parsed["all"])]
    return {one.id: (name, one, _sample(one)) for name, one in chosen}


def _sample(container: "Container") -> _Sample:
    import time

    try:
        usage = container.stats()
        pid = 0 if container.options.network == "host" else container.pid
        return _Sample(time.monotonic_ns(), usage, _net_bytes(pid))
    except (ConflictError, NotFoundError):
        return _Sample(time.monotonic_ns(), None, (0, 0))


def _net_bytes(pid: int) -> tuple[int, int]:
    """Return what a process's network namespace has received and sent, but for loopback; see proc_pid_net(5), dev."""
    if not pid:
        return 0, 0
    try:
        with open(f"/proc/{pid}/net/dev") as file:
            lines = [line.partition(":") for line in file if ":" in line]
    except OSError:
        return 0, 0  # it ends in this moment
    counters = [rest.split() for name, _, rest in lines if name.strip() != "lo"]
    return sum(int(each[0]) for each in counters), sum(int(each[8]) for each in counters)


def _row(name: str, container: "Container", before: _Sample, after: _Sample, *, truncates: bool) -> dict[str, Any]:
    usage = after.usage
    memory = None if usage is None else usage.memory
    pids = None if usage is None else usage.pids
    block = (usage.block if usage is not None else None) or ()
    limit = _memory_limit(memory) if usage is not None else 0
    return {
        "BlockIO": _pair(sum(each.read_bytes for each in block), sum(each.write_bytes for each in block)),
        "CPUPerc": f"{_cpu_percent(before, after):.2f}%",
        "Container": name,
        "ID": container.id[:12] if truncates else container.id,
        "MemPerc": f"{100 * memory.working_bytes / limit if memory and limit else 0:.2f}%",
        "MemUsage": f"{format_binary_bytes(memory.working_bytes if memory else 0)} / {format_binary_bytes(limit)}",
        "Name": container.name,
        "NetIO": _pair(*after.net_bytes),
        "PIDs": str(pids.current if pids else 0),
    }


def _pair(first: int, second: int) -> str:
    return f"{format_bytes(first)} / {format_bytes(second)}"


def _memory_limit(memory: Any) -> int:
    """Return the container's limit, which is never more than the machine's memory."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total if memory is None or memory.limit_bytes is None else min(memory.limit_bytes, total)


def _cpu_percent(before: _Sample, after: _Sample) -> float:
    """Return how much of one CPU was used between two samples (200% is two CPUs)."""
    cpus = [None if each.usage is None else each.usage.cpu for each in (before, after)]
    if cpus[0] is None or cpus[1] is None or after.at_ns == before.at_ns:
        return 0.0
    return max(0.0, float(100 * (cpus[1].usage_ns - cpus[0].usage_ns) / (after.at_ns - before.at_ns)))


STATS = Command(
    "stats",
    "[OPTIONS] [CONTAINER...]",
    "Display a live stream of container(s) resource usage statistics",
    stats,
    "container stats --no-stream web",
    flags=(
        Flag("all", "a", BOOL, "Show all containers (default shows just running)"),
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("no-stream", "", BOOL, "Disable streaming stats and only pull the first result"),
        Flag("no-trunc", "", BOOL, "Do not truncate output"),
    ),
)
