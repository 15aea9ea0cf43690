"""Programs that find this machine with cgroup v1 alone: v2 is not mounted in their mount namespace.

That is all by which a host with every controller in v1, as systemd's legacy
layout has it, differs from a hybrid one whose controllers are in v1 already.
"""

from collections.abc import Sequence

from tests.support.features import hierarchies

NEEDS = ("root", *(f"cgroup1:{name}" for name in ("cpu", "cpuacct", "devices", "freezer", "memory", "pids")))
_SCRIPT = 'while [ "$1" != -- ]; do umount "$1" || exit 120; shift; done; shift; exec "$@"'


def argv(command: Sequence[str]) -> list[str]:
    """Return a command that runs another so."""
    points = [point for point, _ in hierarchies("cgroup2")]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT, "sh", *points, "--", *command]
