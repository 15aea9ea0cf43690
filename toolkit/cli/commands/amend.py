"""`container rename` and `container update`."""

from typing import Any

from toolkit.cli.command import Command
from toolkit.cli.each import each
from toolkit.cli.flags import INT, STRING, Flag, Parsed, UsageError
from toolkit.cli.kinds import BYTES, CPUS, RESTART, SWAP
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import InvalidError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Container


def rename(session: Session, parsed: Parsed) -> Outcome:
    """Give a container another name."""
    old, new = parsed.args
    if not old or not new:
        raise InvalidError("Neither old nor new names may be empty")
    container = session.engine.containers.get(old)
    container.rename(new)
    return Outcome(value=container)


def update(session: Session, parsed: Parsed) -> Outcome:
    """Change limits and the restart policy of containers."""
    if not parsed.given:
        raise UsageError("you must provide one or more flags when using this command", exit_code=1)
    if parsed["kernel-memory"]:
        raise UnsupportedError("the kernel has no limit for its own memory any more", hint="leave out --kernel-memory")
    changes: dict[str, Any] = {
        flag.field: parsed[flag.name] for flag in _FLAGS if flag.name in parsed.given and flag.field
    }
    if "restart" in parsed.given:
        changes["restart_policy"], changes["restart_retries"] = parsed["restart"]
        changes["restart_policy"] = changes["restart_policy"] or "no"

    def deed(name: str) -> "Container":
        container = session.engine.containers.get(name)
        warnings = container.update(**changes)
        session.print(name)
        for warning in warnings:
            session.complain(warning)
        return container

    return each(session, parsed.args, deed)


_FLAGS = (
    Flag("blkio-weight", "", INT, "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
         "blkio_weight"),
    Flag("cpu-period", "", INT, "Limit CPU CFS (Completely Fair Scheduler) period", "cpu_period_us"),
    Flag("cpu-quota", "", INT, "Limit CPU CFS (Completely Fair Scheduler) quota", "cpu_quota_us"),
    Flag("cpu-rt-period", "", INT, "Limit the CPU real-time period in microseconds", "cpu_rt_period_us"),
    Flag("cpu-rt-runtime", "", INT, "Limit the CPU real-time runtime in microseconds", "cpu_rt_runtime_us"),
    Flag("cpu-shares", "c", INT, "CPU shares (relative weight)", "cpu_shares"),
    Flag("cpus", "", CPUS, "Number of CPUs", "nano_cpus"),
    Flag("cpuset-cpus", "", STRING, "CPUs in which to allow execution (0-3, 0,1)", "cpuset_cpus"),
    Flag("cpuset-mems", "", STRING, "MEMs in which to allow execution (0-3, 0,1)", "cpuset_mems"),
    Flag("kernel-memory", "", BYTES, "Kernel memory limit (refused: the kernel has none any more)"),
    Flag("memory", "m", BYTES, "Memory limit", "memory_bytes"),
    Flag("memory-reservation", "", BYTES, "Memory soft limit", "memory_reservation_bytes"),
    Flag("memory-swap", "", SWAP, "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
         "memory_swap_bytes"),
    Flag("pids-limit", "", INT, "Tune container pids limit (set -1 for unlimited)", "pids_limit"),
    Flag("restart", "", RESTART, "Restart policy to apply when a container exits"),
)  # fmt: skip

RENAME = Command(
    "rename",
    "CONTAINER NEW_NAME",
    "Rename a container",
    rename,
    "container rename web old-web",
    min_args=2,
    max_args=2,
)

UPDATE = Command(
    "update",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Update configuration of one or more containers",
    update,
    "container update --memory 512m --memory-swap 1g web",
    flags=_FLAGS,
    min_args=1,
)
