"""Lab 2: what the kernel says about those who have ended, and about who waits for them."""

import os
import time

from toolkit.lab import Look, evidence, task, trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Container

TITLE = "Who is my pid 1?"
MINUTES = 45
RUN_S = 25
NEEDS = ("own view of pid", "files from layers")
CONTAINERS = ("crowd", "mine", "tidy", "trial")

_ORPHAN = "sleep 0.2 &"
_INIT = "init.py"


def _claim_reaped(look: Look, container: "Container", points: float = 0.0) -> None:
    """Make three orphans in a container, and claim that each is waited for when it has ended."""
    for _ in range(3):
        trial.execute(container, "sh", "-c", _ORPHAN)
    time.sleep(0.4)  # all three have ended
    evidence.wait_until(lambda: not evidence.zombies(container.pid), 1.0)
    count = len(evidence.zombies(container.pid))
    look.expect("zombies in it, after the check has let three orphans end there", 0, count, points=points)


@task(
    "L2.1",
    points=2,
    title="Three zombies",
    hints=[
        "A zombie needs a process that has ended, and a parent that does not ask how. Which parent is that?",
        "pid 1 inherits the children of those who end. `sh -c 'sleep 0.2 &'` ends at once, and leaves it its `sleep`.",
        "Three times: `%container exec crowd sh -c 'sleep 0.2 &'`. After the 0.2 seconds there are three.",
    ],
)
def three_zombies(look: Look) -> None:
    """Count the zombies that are pid 1's."""
    crowd = look.running("crowd")
    first = crowd.pid
    look.must("its pid 1", "sleep", evidence.program(first).split()[0])
    evidence.wait_until(lambda: len(evidence.zombies(first)) >= 3, 1.0)
    theirs = [pid for pid in evidence.zombies(first) if evidence.status(pid).get("PPid") == str(first)]
    look.expect("zombies that wait for its pid 1", "at least 3", len(theirs), holds=len(theirs) >= 3)


@task(
    "L2.2",
    points=3,
    title="An init that reaps",
    hints=[
        "`os.wait()` waits until any child has ended, and reaps it. How often must you call it?",
        "Without end: `while True: pid, status = os.wait()`. Orphans come and go, and init goes on waiting.",
        "Only when `pid == main` is it time to end: `sys.exit(...)`. Then start the container `mine` with it again.",
    ],
)
def init_that_reaps(look: Look) -> None:
    """Let orphans end in the student's container."""
    mine = look.running("mine")
    first = mine.pid
    look.must("its pid 1", f"python3 {_INIT}", evidence.program(first))
    children = [
        evidence.program(pid) for pid in evidence.inside(first) if evidence.status(pid).get("PPid") == str(first)
    ]
    look.must("the program that its pid 1 has started", "sleep 1000", ", ".join(children) or "none")
    _claim_reaped(look, mine)
    look.expect("its pid 1, after that", f"python3 {_INIT}", evidence.program(first))


@task(
    "L2.3",
    points=2,
    title="The exit code gets through",
    after=["L2.2"],
    hints=[
        "Whoever started the container sees the exit code of pid 1, which is yours. Which code should that be?",
        "That of the main program, and no other: an orphan that ends first must not end your init.",
        "If `pid == main`: `code = os.waitstatus_to_exitcode(status)`, `sys.exit(code if code >= 0 else 128 - code)`.",
    ],
)
def exit_code_gets_through(look: Look) -> None:
    """Run programs that end in different ways under the student's init, in containers of the check's own."""
    look.must(f"the file {_INIT}", "there", "there" if os.path.exists(look.path(_INIT)) else "missing")
    orphan_first = "(sh -c 'sleep 0.2; exit 3' &); sleep 0.5; exit 7"
    look.expect("exit code of a program that ends with 7", 7, _code(look, "sh", "-c", "exit 7"), points=1)
    look.expect("the same, where an orphan ends with 3 before it", 7, _code(look, "sh", "-c", orphan_first))
    look.expect("exit code of a program that kills itself", 137, _code(look, "sh", "-c", "kill -9 $$"))


def _code(look: Look, *command: str) -> object:
    with trial.started(look, "trial", "python3", f"/{_INIT}", *command, files=(_INIT,)) as container:
        if not evidence.wait_until(lambda: container.exit_code is not None, 5.0):
            return "it does not end"
        return container.exit_code


@task(
    "L2.4",
    points=2,
    title="Signals get through",
    after=["L2.2"],
    hints=[
        "The kernel gives pid 1 no signal that it has no handler for. `signal.signal(number, function)` sets one.",
        "The function is called with the signal's number and something else: `def forward(number, _frame): ...`.",
        "In it: `os.kill(main, number)`. Set it for SIGTERM, SIGINT and SIGHUP.",
    ],
)
def signals_get_through(look: Look) -> None:
    """Ask a program under the student's init to end, as `container stop` does."""
    look.must(f"the file {_INIT}", "there", "there" if os.path.exists(look.path(_INIT)) else "missing")
    with trial.started(look, "trial", "python3", f"/{_INIT}", "sleep", "1000", files=(_INIT,)) as container:
        began = evidence.wait_until(lambda: len(evidence.inside(container.pid)) == 2, 3.0)
        look.must("processes in it: init, and the program", 2, len(evidence.inside(container.pid)), holds=began)
        time.sleep(0.2)  # whatever is set after the program was started is set now
        code = container.stop(2.0)
    ended = {143: "its program ended by SIGTERM (143)", 137: "it did not react, and was killed (137)"}
    look.expect("what `container stop` came to", ended[143], ended.get(code, f"exit code {code}"))


@task(
    "L2.5",
    points=1,
    title="The init that comes with the engine",
    after=["L2.1"],
    hints=["`container run --help | grep init`.", "`%container run -d --name tidy --init lab sleep 1000`"],
)
def engines_init(look: Look) -> None:
    """Let orphans end in a container that has the engine's init."""
    tidy = look.running("tidy")
    first = tidy.pid
    programs = [evidence.program(pid) for pid in evidence.inside(first) if pid != first]
    look.must("the program that its pid 1 looks after", "sleep 1000", ", ".join(programs) or "none")
    _claim_reaped(look, tidy)
