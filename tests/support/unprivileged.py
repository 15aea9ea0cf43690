"""Become somebody who may make no container: `python -m tests.support.unprivileged HOME COMMAND...`, as root.

As on Binder: not root, no new user namespace, and a home directory that holds
nothing.  The one capability that is left is to read files wherever they are: the
Python that runs the tests may lie in root's home.
"""

import os
import sys
from typing import cast

from toolkit.linux import capability, namespace
from toolkit.linux.seccomp import apply
from toolkit.linux.seccomp.compile import compile_filter
from toolkit.linux.seccomp.rules import Filter

NOBODY = 65534
_KEPT = ("PATH", "PYTHONPATH", "LANG")
_ANY = namespace.CLONE_NEWUSER


def no_namespaces() -> bytes:
    """Return a filter under which unshare, clone and clone3 make no user namespace; clone3 is not there at all."""
    masked = [{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": _ANY, "valueTwo": _ANY}]
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["unshare", "clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": masked},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},  # ENOSYS: the C library falls back
        ],
    }
    return compile_filter(cast("Filter", profile), os.uname().machine)


def main(home: str, command: list[str]) -> None:
    """Give everything up, then run the command."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    os.chown(home, NOBODY, NOBODY)
    apply.load(no_namespaces())
    reading = capability.parse(["DAC_READ_SEARCH"])
    capability.drop_bounding(reading)
    capability.set_keepcaps(True)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    capability.capset(reading, reading, reading)
    capability.raise_ambient(reading)
    os.chdir(home)
    os.execvpe(command[0], command, {**kept, "HOME": home})  # noqa: S606 - to become another program is the purpose


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
