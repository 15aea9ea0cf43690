"""Steps that say how the process is scheduled, and which system it believes to run on."""

from toolkit.core.record import NamedTuple
from toolkit.linux import scheduling
from toolkit.linux.flags import flag_names
from toolkit.runtime.steps.base import INIT, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context


@step(
    INIT,
    "identity",
    why="A 32-bit program that asks which machine it runs on should hear of one that it can use.",
    see="personality(2)",
)
class SetPersonality(NamedTuple):
    """Have the kernel behave as another system would."""

    domain: str
    """"LINUX" or "LINUX32"."""

    def calls(self) -> tuple[str, ...]:
        return (f"personality(PER_{self.domain})",)

    def apply(self, context: "Context") -> None:
        scheduling.set_personality(self.domain)


@step(INIT, "identity", why="While it still may: real-time policies need CAP_SYS_NICE.", see="sched(7)")
class SetScheduler(NamedTuple):
    """Choose how the kernel shares the CPUs among this process and others."""

    policy: str
    nice: int
    priority: int
    flags: int
    times_ns: tuple[int, int, int]
    """Runtime, deadline and period, of SCHED_DEADLINE."""

    def calls(self) -> tuple[str, ...]:
        flags = flag_names(self.flags, scheduling.SCHEDULER_FLAGS)
        values = f"sched_policy={self.policy}, sched_flags={flags}, sched_nice={self.nice}"
        return (f"sched_setattr(0, {{{values}, sched_priority={self.priority}}}, 0)",)

    def apply(self, context: "Context") -> None:
        scheduling.set_scheduler(
            self.policy, nice=self.nice, priority=self.priority, flags=self.flags, times_ns=self.times_ns
        )


@step(INIT, "identity", why="Who reads and writes first where a disk is busy.", see="ioprio_set(2)")
class SetIoPriority(NamedTuple):
    """Choose the process's place in the queue for disks."""

    io_class: str
    priority: int

    def calls(self) -> tuple[str, ...]:
        return (f"ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE({self.io_class}, {self.priority}))",)

    def apply(self, context: "Context") -> None:
        scheduling.set_io_priority(self.io_class, self.priority)


@step(
    INIT,
    "identity",
    why="A helper beside a real-time program must keep off its CPUs, from its first moment.",
    see="sched_setaffinity(2), runtime-spec config.md execCPUAffinity",
)
class SetAffinity(NamedTuple):
    """Keep the process to some CPUs."""

    cpus: tuple[int, ...]

    def calls(self) -> tuple[str, ...]:
        return (f"sched_setaffinity(0, 128, [{', '.join(map(str, self.cpus))}])",)

    def apply(self, context: "Context") -> None:
        scheduling.set_affinity(self.cpus)
