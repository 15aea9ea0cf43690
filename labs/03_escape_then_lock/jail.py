"""Put yourself in jail, and see whether you get out.

    python jail.py chroot none      go in by chroot, and look around
    python jail.py chroot escape    go in by chroot, then call your escape()
    python jail.py lock escape      go in by your lock_in(), then call your escape()
    python jail.py lock door        the same, with a directory of the outside left open
    python jail.py closed door      the same, but your close_doors() is called before

What it sees as `/` at the end is printed.  Its last word on a line is read by the check.
"""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location

ROOTFS = "rootfs"


def load(path):
    """Import a file of yours, while it can still be found."""
    spec = spec_from_file_location(os.path.basename(path).removesuffix(".py"), os.path.abspath(path))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leave_by(door):
    """Go through a directory that somebody has left open."""
    os.fchdir(door)
    os.chroot(".")
    os.chdir("/")


def main(entry, exit_):
    escape = load("escape.py").escape if exit_ == "escape" else None
    lock = None if entry == "chroot" else load("lock.py")
    door = os.open("/", os.O_RDONLY | os.O_DIRECTORY) if exit_ == "door" else -1
    if lock is None:
        os.chroot(ROOTFS)
        os.chdir("/")
    else:
        lock.lock_in()
    if entry == "closed":
        lock.close_doors()
    print(f"inside, / is: {' '.join(sorted(os.listdir('/'))[:12])} ...", flush=True)
    try:
        if escape is not None:
            escape()
        elif door >= 0:
            leave_by(door)
    except OSError as error:
        print(f"that did not work: {error}", flush=True)
    print(f"now, / is: {' '.join(sorted(os.listdir('/'))[:12])} ...", flush=True)
    print("at the end", flush=True)
    sys.stdin.read()  # the check looks at this process now


main(*sys.argv[1:])
