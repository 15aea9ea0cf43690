"""qemu's command line.  Pure."""

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BOOT = (
    # The console's lines are read by those who look for a fault; a guest that panics ends.
    "console=ttyS0 loglevel=4 panic=-1 reboot=t"
    # Nothing but v2, and pressure counted, which Debian switches off.
    " cgroup_no_v1=all psi=1"
    # Emulation is no attacker's neighbour, and its clocks are qemu's.
    " mitigations=off nokaslr no_timer_check tsc=unstable random.trust_cpu=on"
)


class Lines(NamedTuple):
    """Descriptors of qemu's ends of the sockets to the guest."""

    console: int
    control: int
    out: int
    """With a terminal, that terminal."""
    err: int
    in_: int


class Machine(NamedTuple):
    """The machine to build."""

    memory_mib: int
    cpus: int
    kernel: str
    initramfs: int
    """Descriptor of a file with it."""
    lines: Lines
    exports: tuple[tuple[str, int], ...]
    """Tag of a file system, and qemu's end of the socket to its virtiofsd."""
    disks: tuple[int, ...] = ()
    """Open files, each an empty disk: /dev/vda, /dev/vdb, ..."""
    has_terminal: bool = False
    uses_kvm: bool = False


def argv(qemu: str, machine: Machine) -> tuple[str, ...]:
    """Return the command line."""
    emulation = ("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem")
    return (
        qemu,
        *(("-accel", "kvm", "-cpu", "host") if machine.uses_kvm else emulation),
        *("-M", "q35", "-m", f"{machine.memory_mib}M", "-smp", str(machine.cpus)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", machine.kernel, "-initrd", f"/dev/fd/{machine.initramfs}", "-append", _BOOT),
        # virtiofsd reads and writes the guest's memory.
        *(
            "-object",
            f"memory-backend-memfd,id=memory,size={machine.memory_mib}M,share=on",
            "-numa",
            "node,memdev=memory",
        ),
        *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
        *_line_options(machine.lines, has_terminal=machine.has_terminal),
        *_export_options(machine.exports),
        *_disk_options(machine.disks),
    )


def _line_options(lines: Lines, *, has_terminal: bool) -> "Sequence[str]":
    made = ["-chardev", f"socket,id=console,fd={lines.console}", "-serial", "chardev:console"]
    ports = {"control": lines.control, "out": lines.out, "err": lines.err, "in": lines.in_}
    for name, fd in ports.items():
        kind = "virtconsole" if has_terminal and name == "out" else "virtserialport"
        made += ["-chardev", f"socket,id={name},fd={fd}", "-device", f"{kind},chardev={name},name={name}"]
    return made


def _export_options(exports: tuple[tuple[str, int], ...]) -> "Sequence[str]":
    made: list[str] = []
    for tag, fd in exports:
        made += ["-chardev", f"socket,id=fs-{tag},fd={fd}", "-device", f"vhost-user-fs-pci,chardev=fs-{tag},tag={tag}"]
    return made


def _disk_options(disks: tuple[int, ...]) -> "Sequence[str]":
    made: list[str] = []
    for number, fd in enumerate(disks):
        made += ["-add-fd", f"fd={fd},set={number}"]
        file = f"file.driver=file,file.filename=/dev/fdset/{number},file.locking=off"
        made += ["-blockdev", f"driver=raw,node-name=disk{number},{file}"]
        made += ["-device", f"virtio-blk-pci,drive=disk{number},serial=disk{number}"]
    return made


def descriptors(machine: Machine) -> tuple[int, ...]:
    """Return all that qemu must inherit."""
    return (machine.initramfs, *machine.lines, *(fd for _, fd in machine.exports), *machine.disks)
