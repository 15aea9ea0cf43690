"""Whether this machine's KVM can run a guest, found by running one.

That /dev/kvm opens, and makes a machine, proves little: inside of some clouds
it then runs nothing, or slower than emulation does.
"""

import os
import subprocess
import tempfile

from toolkit.vm import cpio

_TRY_S = 15.0
_WORD = b"kvm works"
_INIT = b"#!/bin/busybox sh\n/bin/busybox echo %s\n/bin/busybox poweroff -f\n" % _WORD


def has_kvm(qemu: str, kernel: str, busybox: str, cache: str) -> bool:
    """Tell whether KVM works here; it is tried once for each boot of this machine, and the answer kept in `cache`."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    path = f"{cache}/kvm"
    try:
        with open(path, encoding="ascii") as file:
            known, _, answer = file.read().partition(" ")
            if known == boot:
                return answer == "yes"
    except FileNotFoundError:
        pass
    works = _try(qemu, kernel, busybox)
    fd, unfinished = tempfile.mkstemp(dir=cache, prefix="new-kvm-")
    with open(fd, "w", encoding="ascii") as file:
        file.write(f"{boot} {'yes' if works else 'no'}")
    os.rename(unfinished, path)
    return works


def _try(qemu: str, kernel: str, busybox: str) -> bool:
    with open(busybox, "rb") as binary:
        entries = [
            *(cpio.directory(name) for name in ("bin", "dev")),
            cpio.Entry("dev/console", 0o020600, device=(5, 1)),
            cpio.file("bin/busybox", binary.read(), 0o755),
            cpio.file("init", _INIT, 0o755),
        ]
    with tempfile.TemporaryFile() as initramfs:
        initramfs.write(cpio.encode(entries))
        initramfs.flush()
        machine = ("-accel", "kvm", "-cpu", "host", "-M", "q35", "-m", "256M", "-nodefaults", "-no-user-config")
        boot = (
            "-kernel",
            kernel,
            "-initrd",
            f"/dev/fd/{initramfs.fileno()}",
            "-append",
            "console=ttyS0 panic=-1 quiet",
        )
        try:
            tried = subprocess.run(
                [qemu, *machine, *boot, "-display", "none", "-serial", "stdio", "-no-reboot"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TRY_S,
                pass_fds=(initramfs.fileno(),),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return _WORD in tried.stdout
