"""Lab 8: which capabilities the kernel shows for the containers' processes, and what an errand comes to with them."""

from toolkit.lab import Look, evidence, task, trial
from toolkit.linux import capability

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Container

TITLE = "Drop capabilities until it breaks"
MINUTES = 45
RUN_S = 20
NEEDS = ("defences fewer powers", "defences no new powers", "files from layers")
CONTAINERS = ("bare", "almost", "minimal", "sealed", "try")

MINIMAL = capability.parse(("CHOWN", "FOWNER", "DAC_OVERRIDE", "SETUID"))
"""What the errand needs: a test tries each smaller set."""
_STEPS = 5


def _effective(container: "Container") -> int:
    return capability.read_sets(container.pid).effective


def _spelled(mask: int) -> str:
    return ", ".join(name.removeprefix("CAP_") for name in capability.names(mask)) or "none"


def _errand(look: Look, container: "Container") -> tuple[int, bool]:
    """Run the errand in a container; return how many steps it began, and whether it came to its end."""
    trial.put(container, look.path("errand.sh"))
    ran = trial.execute(container, "sh", "/errand.sh")
    steps = [line for line in ran.output.splitlines() if line[:2].strip().isdecimal()]
    return len(steps), ran.exit_code == 0


@task(
    "L8.1",
    points=2,
    title="Root without any power",
    hints=[
        "`--cap-drop` takes the name of a capability, or a word for all of them.",
        "`%container run -d --name bare --cap-drop ALL lab sleep 1000`",
    ],
)
def bare(look: Look) -> None:
    """Read user and capabilities of the first process."""
    container = look.running("bare")
    user = evidence.status(container.pid).get("Uid", "").split()[:1]
    look.must("its user", "0", ", ".join(user))
    look.expect("its capabilities", "none", _spelled(_effective(container)))


@task(
    "L8.2",
    points=2,
    title="Break step four, and only that",
    hints=[
        "The file belongs to user 1000 by then, and only its owner may write it. Root writes it all the same: by what?",
        "By a capability that overrides the permissions of files: *discretionary access control*, DAC.",
        "`%container run -d --name almost --cap-drop DAC_OVERRIDE lab sleep 1000`",
    ],
)
def almost(look: Look) -> None:
    """See that one capability is missing, and where the errand ends."""
    container = look.running("almost")
    missing = capability.names(capability.DEFAULT & ~_effective(container))
    look.must("how many of the usual capabilities it lacks", 1, len(missing))
    begun, is_done = _errand(look, container)
    look.expect("the step at which the errand ends in it", 4, "it comes to its end" if is_done else begun)


@task(
    "L8.3",
    points=4,
    title="As few as possible",
    hints=[
        "Begin with `--cap-drop ALL`, run the errand, see at which step it ends, and add what that step needs.",
        "chown needs CHOWN. chmod needs to be the file's owner, or FOWNER. setpriv changes the user: SETUID.",
        "`--cap-drop ALL --cap-add CHOWN --cap-add FOWNER --cap-add DAC_OVERRIDE --cap-add SETUID`",
    ],
)
def minimal(look: Look) -> None:
    """Run the errand in the student's container, and compare its capabilities with what the errand needs."""
    container = look.running("minimal")
    effective = _effective(container)
    begun, is_done = _errand(look, container)
    look.must("the errand in it", "comes to its end", "comes to its end" if is_done else f"ends at step {begun}")
    fewer = effective & ~capability.DEFAULT == 0 and effective != capability.DEFAULT
    look.must("capabilities, beside the usual 14", "fewer", "fewer" if fewer else "not fewer", points=2)
    spare = effective & ~MINIMAL
    look.expect("capabilities that it has and the errand does not need", 0, len(capability.names(spare)))


@task(
    "L8.4",
    points=2,
    title="Sealed",
    hints=[
        "Three options: another user, no capabilities, and a promise that none will be gained.",
        "The promise is called no-new-privileges, and is a `--security-opt`.",
        "`--user 1000 --cap-drop ALL --security-opt no-new-privileges`",
    ],
)
def sealed(look: Look) -> None:
    """Read all that the kernel says about the powers of the first process."""
    container = look.running("sealed")
    status = evidence.status(container.pid)
    look.must("its user", "1000", ", ".join(status.get("Uid", "").split()[:1]))
    sets = capability.read_sets(container.pid)
    look.expect("capabilities that it, or a program that it starts, could ever have", "none", _spelled(sets.bounding))
    look.expect("NoNewPrivs in its status", "1", status.get("NoNewPrivs", "none"))
