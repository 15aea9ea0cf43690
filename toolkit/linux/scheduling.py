"""How a process is scheduled: policy, I/O priority, CPUs; and which system it believes to run on.

See Also:
    sched(7), ioprio_set(2), personality(2); runtime-spec config.md, Linux Process
"""

import errno
import os
import struct

from toolkit.core.errors import InvalidError
from toolkit.linux.flags import flag_names
from toolkit.linux.libc import syscall
from toolkit.trace import span

# include/uapi/linux/sched.h
POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
SCHEDULER_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
# include/uapi/linux/ioprio.h
IO_CLASSES = {"IOPRIO_CLASS_NONE": 0, "IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_IO_CLASS_SHIFT = 13
_IOPRIO_WHO_PROCESS = 1
# include/uapi/linux/personality.h
PERSONALITIES = {"LINUX": 0x0000, "LINUX32": 0x0008}

_SCHED_ATTR = struct.Struct("=IIQiIQQQII")
"""struct sched_attr, version 2: size, policy, flags, nice, priority, runtime, deadline, period, two clamps."""


def set_scheduler(
    policy: str, *, nice: int = 0, priority: int = 0, flags: int = 0, times_ns: tuple[int, int, int] = (0, 0, 0)
) -> None:
    """Give this process a scheduling policy.

    Args:
        policy: one of POLICIES.
        nice: -20 to 19, for SCHED_OTHER and SCHED_BATCH.
        priority: 1 to 99, for SCHED_FIFO and SCHED_RR.
        flags: SCHEDULER_FLAGS.
        times_ns: runtime, deadline and period, for SCHED_DEADLINE.

    Raises:
        SyscallError: EPERM without CAP_SYS_NICE, EINVAL for values that do not go
            together, EBUSY if the deadline cannot be promised.

    See Also:
        sched_setattr(2)
    """
    attr = _SCHED_ATTR.pack(_SCHED_ATTR.size, POLICIES[policy], flags, nice, priority, *times_ns, 0, 0)
    call = (
        f"sched_setattr(0, {{size={_SCHED_ATTR.size}, sched_policy={policy}, "
        f"sched_flags={flag_names(flags, SCHEDULER_FLAGS)}, sched_nice={nice}, sched_priority={priority}, "
        f"sched_runtime={times_ns[0]}, sched_deadline={times_ns[1]}, sched_period={times_ns[2]}}}, 0)"
    )
    hints = {
        errno.EPERM: "the policy needs CAP_SYS_NICE",
        errno.EINVAL: f"these values do not go with {policy}",
        errno.EBUSY: "the deadline cannot be promised on these CPUs",
    }
    with span("process.scheduler", call, hints):
        syscall("sched_setattr", 0, attr, 0)


def set_io_priority(io_class: str, priority: int) -> None:
    """Give this process a class (IO_CLASSES) and a priority (0, the most, to 7) among those that use a disk.

    Raises:
        SyscallError: EPERM for the real-time class without CAP_SYS_ADMIN or CAP_SYS_NICE.

    See Also:
        ioprio_set(2)
    """
    call = f"ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE({io_class}, {priority}))"
    with span("process.ioprio", call, {errno.EPERM: "the real-time class needs CAP_SYS_NICE"}):
        syscall("ioprio_set", _IOPRIO_WHO_PROCESS, 0, IO_CLASSES[io_class] << _IO_CLASS_SHIFT | priority)


def set_personality(domain: str) -> None:
    """Have the kernel behave, to this process, as another system would: LINUX32 reports a 32-bit machine.

    See Also:
        personality(2)
    """
    name = f"PER_{domain}"
    with span("process.personality", f"personality({name})") as here:
        here.returns(syscall("personality", PERSONALITIES[domain]))


def set_affinity(cpus: "tuple[int, ...]") -> None:
    """Let this process run on these CPUs only.

    Raises:
        SyscallError: EINVAL where none of them is there, or in the cpuset.

    See Also:
        sched_setaffinity(2)
    """
    listed = ", ".join(map(str, cpus))
    hint = "none of these CPUs is online and in the container's cpuset"
    with span("process.affinity", f"sched_setaffinity(0, 128, [{listed}])", {errno.EINVAL: hint}):
        os.sched_setaffinity(0, cpus)


def parse_cpus(text: str) -> tuple[int, ...]:
    """Return the CPUs that a list such as "0-3,7" names.

    Raises:
        InvalidError: it is no such list.
    """
    found: list[int] = []
    for part in text.replace(" ", "").split(","):
        first, sign, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() if sign else not last)):
            raise InvalidError(f"invalid list of CPUs: '{text}'", hint="it looks like 0-3,7")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)
