"""Attacks by system calls that only a filter refuses."""

import contextlib

from toolkit.core.errors import UnsupportedError
from toolkit.notebook.attacks.attack import Attack, Defence, Target, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from toolkit.notebook.trial import Ran


@contextlib.contextmanager
def _users() -> "Generator[Target]":
    """See that this machine lets anybody make user namespaces at all."""
    for path in ("/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/unprivileged_userns_clone"):
        try:
            with open(path) as file:
                is_off = file.read().strip() == "0"
        except FileNotFoundError:
            continue
        if is_off:
            raise UnsupportedError(f"this machine allows no user namespaces ({path} is 0)", hint="try another attack")
    yield Target()


def _judge(ran: "Ran", _target: Target) -> Verdict:
    mode = next((line.split()[1] for line in ran.status.splitlines() if line.startswith("Seccomp:")), "?")
    says = {"0": "no filter", "2": "a filter"}.get(mode, f"mode {mode}")
    return Verdict("mounted" in ran.output, f"/proc/PID/status of the process says Seccomp: {mode}, {says}")


NEW_USER_NAMESPACE = Attack(
    "new powers in a new user namespace",
    "Makes a user namespace, in which it has every capability, and with these a mount: the way into many a hole of "
    "the kernel's, since code that only root could reach is now open to anybody.",
    """
    def powers():
        return next(line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff"))
    print("CapEff before:", powers(), flush=True)
    CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
    result, why = call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
    print("unshare(CLONE_NEWUSER|CLONE_NEWNS) =", result, why, flush=True)
    if result == 0:
        print("CapEff after:", powers(), flush=True)
        result, why = call("mount", b"none", b"/mnt", b"tmpfs", 0, 0)
        print("mount(tmpfs on /mnt) =", result, why, flush=True)
        if result == 0:
            print("mounted:", [line.split()[4] for line in open("/proc/self/mountinfo") if "/mnt" in line])
    """,
    (
        Defence(
            "seccomp",
            "The filter does not let unshare make namespaces: the call says EPERM before the kernel's code is reached.",
            off={"security_opt": ("seccomp=unconfined",)},
        ),
    ),
    _judge,
    "To make a user namespace takes no power, and in it the maker has all of them.",
    _users,
    "user_namespaces(7), seccomp(2)",
)
