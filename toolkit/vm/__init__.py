"""A virtual machine whose root is this machine's file system: the same programs under another kernel.

    status = run(Wishes(command=("uname", "-r")), streams)

What a command finds in the guest: the files of the host as they are now, which
nobody in the guest can change; a cgroup v2 tree with every controller; fresh
/proc, /sys, /dev, /run and engine directories.  What it writes goes to the
guest's memory and is gone with it, but for the directories that were shared.

    parts.py      the programs that it takes, and the cure where one is missing
    kernel.py     Debian's cloud kernel, fetched once as a package and never installed
    modules.py    which of its modules a boot needs, in the order of their dependencies
    cpio.py       the format of an initramfs; pure
    initramfs.py  what the guest starts from: busybox, modules, guest/*.sh, the command
    export.py     virtiofsd: the host's files, read-only by the kernel's word
    machine.py    qemu's command line; pure
    accelerator.py  whether this machine's KVM can be used
    keeper.py     the process that all others of a machine die with
    carry.py      bytes, signals and the exit code between the command and its caller
    run.py        all of it together
"""
