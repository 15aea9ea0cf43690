"""Lab 7: how many processes the kernel has let a container have, and how many it has refused."""

from toolkit.lab import Look, evidence, task
from toolkit.lab.look import LackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Container
    from toolkit.linux.cgroup.stats import PidsStats

TITLE = "Tame the fork bomb"
MINUTES = 45
RUN_S = 20
NEEDS = ("limits on pids", "limits on pause", "files from layers")
CONTAINERS = ("cage", "ice")

_LIMIT = 32
_FEW = 3


def _counts(container: "Container") -> "PidsStats":
    counts: PidsStats | None = container.stats().pids
    if counts is None:
        raise LackError("this machine's kernel does not count the processes of containers")
    return counts


def _cage(look: Look) -> "Container":
    cage = look.running("cage")
    limit = _counts(cage).limit
    look.must("processes that its cgroup may have", _LIMIT, "any number" if limit is None else limit)
    return cage


def _programs(pids: list[int]) -> list[str]:
    found: list[str] = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                found.append(file.read().replace("\0", " ").strip())
        except OSError:
            continue  # it has ended since
    return found


@task(
    "L7.1",
    points=2,
    title="A cage",
    hints=[
        "There is an option of `container run` for the number of processes, and lab 2 had one for an init.",
        "`%container run -d --name cage --init --pids-limit 32 lab sleep 1000`",
    ],
)
def cage(look: Look) -> None:
    """Read the limit, and see that there is an init."""
    container = _cage(look)
    programs = _programs(container.pids())
    look.expect("its main program, with an init before it", "sleep 1000", ", ".join(programs[1:]) or "no init")


@task(
    "L7.2",
    points=3,
    title="A bomb that fizzles",
    after=["L7.1"],
    hints=[
        "The bomb has to go off inside: `container exec cage ...`, with a shell that starts many programs with `&`.",
        "`for i in $(seq 100); do sleep 300 & done` tries to start a hundred.",
        "`%container exec cage sh -c 'for i in $(seq 100); do sleep 300 & done'`",
    ],
)
def bomb_fizzles(look: Look) -> None:
    """Read how often a fork was refused."""
    refused = _counts(_cage(look)).failures
    look.expect("forks that the kernel has refused in it", "at least 1", refused, holds=refused >= 1)


@task(
    "L7.3",
    points=3,
    title="Clear up from outside",
    after=["L7.2"],
    hints=[
        "You need no way in: a container's processes are processes of this machine. `cage.pids` are their numbers.",
        "Which are the bomb's? `/proc/PID/cmdline` says: `sleep 300`, with a zero byte after each word.",
        '`if Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\\0" + b"300\\0": os.kill(pid, 9)` for each of them.',
    ],
)
def clear_up(look: Look) -> None:
    """See that the bomb's processes are gone, and the container's own are not."""
    container = _cage(look)
    refused = _counts(container).failures
    look.must("forks that the kernel has refused in it", "at least 1", refused, holds=refused >= 1)
    evidence.wait_until(lambda: _counts(container).current <= _FEW, 1.0)
    count = _counts(container).current
    look.must("processes that it has now", f"at most {_FEW}", count, holds=count <= _FEW)
    programs = _programs(container.pids())
    look.expect("its main program", "sleep 1000", "sleep 1000" if "sleep 1000" in programs else "gone")


@task(
    "L7.4",
    points=2,
    title="Put it on ice",
    hints=[
        "The processes are others each time you look, so you cannot end them one by one. Can you stop all at once?",
        "docker's word for it is *pause*.",
        "`%container pause ice`",
    ],
)
def on_ice(look: Look) -> None:
    """See that all processes of the container stand still."""
    ice = look.find_container("ice")
    look.must("the container ice", "paused", ice.status if ice else "none")
    assert ice is not None
    frozen = ice.cgroups.is_frozen(ice.id)
    look.must("its processes, as the kernel says", "frozen", "frozen" if frozen else "moving")
    programs = " ".join(_programs(ice.pids()))
    look.expect("what it does", "starts one sleep after the other", programs, holds="while" in programs)
