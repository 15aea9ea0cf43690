"""What this machine can do for containers, found by trying each thing.

    find_features()                  # in any process: starts a small one that tries
    find_features(everything=True)   # also what only some containers need
    python -m toolkit.linux.probe    # that small one: prints JSON

Every attempt is made by a child of its own, which ends right after; nothing on
the host changes, but for an empty cgroup that is made and taken away.  No
version is compared with anything: a feature is here if its call succeeds.

    attempt.py    one attempt in a child, its evidence, why it failed and the cure
    essential.py  what every container is made of
    optional.py   the rest: rootless, speed, limits of devices, what else the machine can run
    links.py      network links and packet filters, in a network of their own
    netlink.py    the few messages to the kernel that this takes
"""

import os
import sys
from typing import NamedTuple

from toolkit.core.errors import UnsupportedError

_TIMEOUT_S = 120
"""A second or two on most machines, and half a minute on one that is emulated and busy."""


class Feature(NamedTuple):
    """One thing that a container may need from its machine."""

    group: str
    name: str
    meaning: str
    """What it is good for, in a learner's words."""
    lack: str
    """Why it is not here; empty where it is."""
    cure: str
    """What would bring it; empty where it is here, or where nothing is known to help."""
    evidence: str = ""
    """The call that decided, as strace prints it, or what was read."""
    needed_for: str = ""
    """What of the engine does not work without it."""

    @property
    def is_here(self) -> bool:
        """Tell whether this machine has it."""
        return not self.lack


def find_features(*, everything: bool = False) -> tuple[Feature, ...]:
    """Try the features in a small process of its own, and return what was found.

    A namespace can only be left by ending, and this process may have threads.

    Args:
        everything: try also what only some containers need, as `container doctor` does.

    Raises:
        UnsupportedError: it did not come to an end, or not to a good one.
    """
    import json
    import subprocess

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-S", "-m", "toolkit.linux.probe", *(["--everything"] if everything else [])]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=_TIMEOUT_S, check=True, env=environment)
    except subprocess.SubprocessError as exc:
        raise UnsupportedError(f"what this machine can do was not found out: {exc}", hint="try it again") from exc
    return tuple(Feature(*fields) for fields in json.loads(done.stdout))
