"""The capstone: the engine's own tests, with the student's functions in the engine's place."""

import os
import sys

from toolkit.core.units import format_binary_bytes
from toolkit.lab import Look, evidence, task
from toolkit.lab.replacement import Replaced, judge
from toolkit.linux import capability

TITLE = "Capstone: replace a part of the engine"
MINUTES = 90
RUN_S = 25
NEEDS = ("limits on memory", "defences fewer powers", "files from layers")
CONTAINERS = ("live",)

_SIZES, _POWERS = "sizes.py", "powers.py"


def _judge(look: Look, module: str, name: str, file: str, test: str, *, half: float) -> None:
    """Run the engine's tests on a student's function; half of them passed is worth `half` points."""
    path = look.path(file)
    look.must(f"the file {file}", "there", "there" if os.path.exists(path) else "missing")
    verdict = judge(Replaced(module, name, path), test)
    count, total = len(verdict.passed), len(verdict.passed) + len(verdict.failed)
    look.must("the engine's tests of it", "can be run", "can be run" if total else verdict.complaint)
    look.expect("half of them", "pass", f"{count} of {total} pass", holds=2 * count >= total, points=half)
    look.expect("all of them", "pass", verdict.complaint or f"{count} of {total} pass", holds=not verdict.failed)


@task(
    "L13.1",
    points=3,
    title="What does 512m mean?",
    limit_s=90,
    hints=[
        "Take it apart from the end: an optional `b` or `ib`, before it an optional letter, before that a number.",
        'The letters stand for 1024 to the power of 0, 1, 2, ...: `1024 ** "bkmgtp".index(letter)`.',
        "`float` takes `-1`, `inf`, `1e400`. Refuse what begins with no digit or point, and what `int` refuses.",
    ],
)
def sizes(look: Look) -> None:
    """Grade parse_bytes by tests/core/test_sizes.py."""
    _judge(look, "toolkit.core.units", "parse_bytes", _SIZES, "core/test_sizes.py", half=1)


@task(
    "L13.2",
    points=4,
    title="Which powers does a container get?",
    limit_s=90,
    hints=[
        "The order decides: privileged wins over all, then ALL among the added, then ALL among the dropped.",
        "`parse` makes a mask of names. Keep ALL apart: it is in neither of the two masks of single names.",
        "added ALL: `available & ~dropped`; dropped ALL: `added`; else `(default & ~dropped | added) & available`.",
    ],
)
def powers(look: Look) -> None:
    """Grade tweak by tests/linux/test_capability_options.py."""
    _judge(look, "toolkit.linux.capability", "tweak", _POWERS, "linux/test_capability_options.py", half=2)


@task(
    "L13.3",
    points=3,
    title="Your engine, live",
    after=["L13.1", "L13.2"],
    hints=[
        "The command gives `container` its options as a user would. What does `python engine.py run ...` say?",
        "If both tasks above are done, this one is: run their cells again, so that both files are as they should be.",
    ],
)
def live(look: Look) -> None:
    """Have the engine with the student's functions start a container, and ask the kernel about it."""
    for file in (_SIZES, _POWERS):
        look.must(f"the file {file}", "there", "there" if os.path.exists(look.path(file)) else "missing")
    look.remove_containers("live")
    options = "--memory 48m --cap-drop ALL --cap-add CHOWN --cap-add net_raw"
    command = ["run", "-d", "--name", "live", *options.split(), "lab", "sleep", "1000"]
    ran = evidence.run([sys.executable, "engine.py", *command], look.directory, limit_s=20)
    said = ran.output.strip().splitlines()
    look.must(f"container run {options}", "starts", "starts" if ran.exit_code == 0 else " ".join(said[-1:]))
    container = look.running("live")
    memory = container.stats().memory
    limit = "none" if memory is None or memory.limit_bytes is None else format_binary_bytes(memory.limit_bytes)
    look.expect("the limit of its cgroup", "48MiB", limit)
    effective = capability.names(capability.read_sets(container.pid).effective)
    look.expect("the capabilities of its process", "CAP_CHOWN, CAP_NET_RAW", ", ".join(effective) or "none")
    container.remove(force=True)
