"""A command in a virtual machine, from its words to its exit code."""

import os
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from typing import NamedTuple

from toolkit.core.errors import GuestError, GuestTimeoutError, InvalidError, NotFoundError, PrivilegeError
from toolkit.vm import accelerator, export, initramfs, keeper, kernel, machine, parts
from toolkit.vm.carry import Carrier, Lines, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MIB = 1 << 20
LEAST_MEMORY = 256 * _MIB
_MOST_BOOTS = 3
_MOST_CPUS = 64
_MOST_DISKS = 8
_INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER", "VIRTUAL_ENV")


class Wishes(NamedTuple):
    """What to run, and in what machine."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    """Besides what every command gets: the caller's HOME, PATH, LANG, LC_*, TERM, TZ and names."""
    directory: str = ""
    """Where it starts; empty: where the caller is."""
    shares: tuple[str, ...] = ()
    """Directories whose changes come back."""
    disks: tuple[int, ...] = ()
    """Sizes in bytes of empty disks, /dev/vda and on."""
    memory_bytes: int = 2048 * _MIB
    cpus: int = 2
    timeout_s: float | None = None
    """Seconds, boot included, until it is ended; None: never."""
    stdin: bool = False
    tty: bool = False
    size: tuple[int, int] | None = None
    """Rows and columns of the terminal at the beginning."""
    accelerator: str = "auto"
    """"kvm", "tcg" (emulation), or "auto": KVM where it works."""


def run(wishes: Wishes, streams: Streams, say: "Callable[[str], None]" = lambda _text: None) -> int:
    """Boot a machine, run the command in it and switch it off; return the command's exit code.

    Whatever happens, nothing is left: the machine has no files, and its
    processes end with the caller's.

    Args:
        wishes: what to run.
        streams: the caller's side of it.
        say: told what takes long.

    Raises:
        InvalidError, NotFoundError: a wish that means nothing here.
        PrivilegeError: not root.
        UnsupportedError: a program or the kernel is missing, and how to get it.
        GuestError: the machine did not come up, or ended before the command did.
        GuestTimeoutError: the time was over.
    """
    _check(wishes)
    found = parts.require()
    cache = kernel.cache_directory()
    ready = kernel.get(cache, found[parts.DEPMOD], say)
    for _boot in range(_MOST_BOOTS - 1):
        try:
            return _boot_and_run(wishes, streams, found, ready, cache)
        except _StillbornError as exc:
            say(f"{exc.message}; booting it again")
    return _boot_and_run(wishes, streams, found, ready, cache)


class _StillbornError(GuestError):
    """The machine ended before its command began: under emulation its kernel does, once in a few dozen boots."""


def _boot_and_run(
    wishes: Wishes, streams: Streams, found: "dict[parts.Part, str]", ready: "kernel.Kernel", cache: str
) -> int:
    with ExitStack() as ours:
        with ExitStack() as given:  # our copies of what the programs inherit: closed once they have it
            lines, theirs = _lines(ours, given)
            programs, connections = _file_servers(given, found[parts.VIRTIOFSD], _exports(wishes))
            content = _memory_file(given, initramfs.make(ready, found[parts.BUSYBOX], _task(wishes)))
            built = machine.Machine(
                memory_mib=wishes.memory_bytes // _MIB,
                cpus=wishes.cpus,
                kernel=ready.image,
                initramfs=content,
                lines=theirs,
                exports=tuple(connections),
                disks=tuple(_disk(given, size) for size in wishes.disks),
                has_terminal=wishes.tty,
                uses_kvm=_uses_kvm(wishes, found, ready, cache),
            )
            programs.append(keeper.Program("qemu", machine.argv(found[parts.QEMU], built), machine.descriptors(built)))
            complaints = ours.enter_context(tempfile.TemporaryFile())
            _start(ours, programs, complaints.fileno())
        carrier = Carrier(lines, streams, timeout_s=wishes.timeout_s, has_terminal=wishes.tty)
        try:
            return carrier.run()
        except GuestTimeoutError:
            raise
        except GuestError as exc:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip().splitlines()
            message = exc.message
            if said and carrier.boot_s is None:
                message = f"the virtual machine did not start: {said[-1]}"
            kind = _StillbornError if carrier.is_untouched else GuestError
            raise kind(message, hint=exc.hint) from exc


def _check(wishes: Wishes) -> None:
    if os.geteuid() != 0:
        raise PrivilegeError("a virtual machine shows all files of this one to its root", hint="run this as root")
    if wishes.memory_bytes < LEAST_MEMORY:
        raise InvalidError("a virtual machine needs at least 256m of memory", hint="give it more with --memory")
    if not 1 <= wishes.cpus <= _MOST_CPUS:
        raise InvalidError(f"a virtual machine has 1 to {_MOST_CPUS} CPUs, not {wishes.cpus}", hint="change --cpus")
    if len(wishes.disks) > _MOST_DISKS:
        raise InvalidError(f"a virtual machine has at most {_MOST_DISKS} disks", hint="leave out some --disk")
    for directory in wishes.shares:
        if not os.path.isdir(directory):
            raise NotFoundError(f"there is no directory {directory} to share", hint="make it first")


def _uses_kvm(wishes: Wishes, found: "dict[parts.Part, str]", ready: "kernel.Kernel", cache: str) -> bool:
    if wishes.accelerator != "auto":
        return wishes.accelerator == "kvm"
    return accelerator.has_kvm(found[parts.QEMU], ready.image, found[parts.BUSYBOX], cache)


def _task(wishes: Wishes) -> initramfs.Task:
    inherited = {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith("LC_")}
    return initramfs.Task(
        command=wishes.command,
        environment={**inherited, "container": "vm", **dict(wishes.environment)},
        directory=wishes.directory or os.getcwd(),
        shares=tuple(os.path.realpath(directory) for directory in wishes.shares),
        tty=wishes.tty,
        stdin=wishes.stdin,
        size=wishes.size,
    )


def _exports(wishes: Wishes) -> list[export.Export]:
    shared = (os.path.realpath(directory) for directory in wishes.shares)
    return [
        export.Export("host", "/", is_read_only=True),
        *(export.Export(f"share{number}", directory, is_read_only=False) for number, directory in enumerate(shared)),
    ]


def _lines(ours: ExitStack, given: ExitStack) -> tuple[Lines, machine.Lines]:
    """Make the sockets to the guest: our ends, and qemu's."""
    pairs = [socket.socketpair() for _ in Lines._fields]
    mine = Lines(*(ours.enter_context(pair[0]) for pair in pairs))
    return mine, machine.Lines(*(given.enter_context(pair[1]).fileno() for pair in pairs))


def _file_servers(
    given: ExitStack, virtiofsd: str, exports: list[export.Export]
) -> tuple[list[keeper.Program], list[tuple[str, int]]]:
    programs: list[keeper.Program] = []
    connections: list[tuple[str, int]] = []
    for each in exports:
        listener, connected = (given.enter_context(end) for end in export.connected())
        argv = export.argv(virtiofsd, each, listener.fileno())
        programs.append(keeper.Program(f"virtiofsd {each.directory}", argv, (listener.fileno(),), each.is_read_only))
        connections.append((each.tag, connected.fileno()))
    return programs, connections


def _memory_file(given: ExitStack, content: bytes) -> int:
    fd = os.memfd_create("initramfs", os.MFD_CLOEXEC)
    given.callback(os.close, fd)
    while content:
        content = content[os.write(fd, content) :]
    return fd


def _disk(given: ExitStack, size_bytes: int) -> int:
    """Make a file without a name, which takes space as it is written."""
    with tempfile.TemporaryFile() as file:
        fd = os.dup(file.fileno())
    given.callback(os.close, fd)
    os.ftruncate(fd, size_bytes)
    return fd


def _start(ours: ExitStack, programs: list[keeper.Program], complaints: int) -> None:
    """Start the keeper; at the end of `ours` its socket is closed, and it is gone with all of its children."""
    link, theirs = socket.socketpair()
    with theirs:
        inherited = {fd for program in programs for fd in program.fds}
        process = subprocess.Popen(
            keeper.command_line(theirs.fileno(), programs),
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
            pass_fds=(theirs.fileno(), *inherited),
            start_new_session=True,  # a Ctrl-C in our terminal is for us
        )
    ours.callback(process.wait)
    ours.enter_context(link)
