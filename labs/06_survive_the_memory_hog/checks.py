"""Lab 6: what the kernel has counted about memory, in the containers' cgroups."""

from toolkit.core.units import format_binary_bytes
from toolkit.lab import Look, evidence, task
from toolkit.lab.look import LackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Container
    from toolkit.linux.cgroup.stats import MemoryStats

TITLE = "Survive the memory hog"
MINUTES = 45
RUN_S = 25
NEEDS = ("limits on memory", "files from layers")
CONTAINERS = ("fence", "greedy", "measure", "fit")

_MIB = 1 << 20
_LINE = 64 * _MIB
_JOB, _GENEROUS = 90 * _MIB, 128 * _MIB


def _memory(container: "Container") -> "MemoryStats":
    memory: MemoryStats | None = container.stats().memory
    if memory is None:
        raise LackError(
            "this machine's kernel does not count the memory of containers", "boot with cgroup_enable=memory"
        )
    return memory


def _claim_line(look: Look, memory: "MemoryStats", points: float = 0.0) -> None:
    limit = "none" if memory.limit_bytes is None else format_binary_bytes(memory.limit_bytes)
    look.must("the limit that its cgroup has", "64MiB", limit, points=points)


@task(
    "L6.1",
    points=2,
    title="Draw the line",
    hints=[
        "`container run --help` lists the limits. Sizes are written as 64m.",
        "`%container run -d --name fence --memory 64m lab sleep 1000`",
    ],
)
def draw_the_line(look: Look) -> None:
    """Read the limit of the container's group."""
    _claim_line(look, _memory(look.running("fence")))


@task(
    "L6.2",
    points=3,
    title="A hog that is stopped",
    after=["L6.1"],
    hints=[
        "A process uses as much memory as it must remember. What must `tail` remember of a line that does not end?",
        "`head -c 200M /dev/zero | tail` remembers 200 MiB. It has to run inside of `fence`.",
        "`%container exec fence sh -c 'head -c 200M /dev/zero | tail'`",
    ],
)
def hog_is_stopped(look: Look) -> None:
    """Read how many processes the kernel has killed in the group, which must be alive."""
    memory = _memory(look.running("fence"))
    _claim_line(look, memory)
    kills = memory.oom_kills
    look.expect("processes killed in it for want of memory", "at least 1", kills, holds=kills >= 1)


@task(
    "L6.3",
    points=2,
    title="When it hits the first process",
    after=["L6.1"],
    hints=[
        "The container ends when its pid 1 ends. So the hog itself must be what you ask the container to run.",
        "`%container run --name greedy -m 64m lab tail /dev/zero`: one process, pid 1, and it remembers without end.",
    ],
)
def first_process_is_hit(look: Look) -> None:
    """Read how the container ended."""
    greedy = look.find_container("greedy")
    look.must("the container greedy", "exited", greedy.status if greedy else "none")
    assert greedy is not None
    end = greedy.read_status().exit
    look.must("its exit code", 137, None if end is None else end.code)
    assert end is not None
    reason = "the kernel, for want of memory" if end.oom_killed else "somebody else"
    look.expect("who has killed it", "the kernel, for want of memory", reason)


@task(
    "L6.4",
    points=3,
    title="As much as it needs",
    after=["L6.1"],
    hints=[
        '`start_job("measure")` has no limit. What it returns can be asked for `.stats().memory.peak_bytes`.',
        "The job needs about 97 MiB. Give it some more, for it is not the same each time; but not above 128 MiB.",
        '`%container rm -f fit` makes room; then `start_job("fit", "--memory 112m")`.',
    ],
)
def as_much_as_it_needs(look: Look) -> None:
    """Read limit and peak of a container in which the job has been done without a kill."""
    fit = look.running("fit")
    memory = _memory(fit)
    limit = memory.limit_bytes
    shown = "none" if limit is None else format_binary_bytes(limit)
    look.must("its limit", "at most 128MiB", shown, holds=limit is not None and limit <= _GENEROUS)
    look.must("processes killed in it for want of memory", 0, memory.oom_kills)
    evidence.wait_until(lambda: _most(fit) >= _JOB, 5.0)
    most = _most(fit)
    look.expect("what it has used at most", "the job's 90MiB or more", format_binary_bytes(most), holds=most >= _JOB)


def _most(container: "Container") -> int:
    memory = _memory(container)
    return max(memory.usage_bytes, memory.peak_bytes or 0)
