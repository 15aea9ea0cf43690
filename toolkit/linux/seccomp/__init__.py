"""System call filters: OCI's `linux.seccomp` to a BPF program, and into the kernel.

    profile.py   docker's default profile as data, and its conditional rules resolved
    table.py     system call names and numbers (syscalls.tsv)
    bpf.py       the assembler: labels, jumps of any length
    compile.py   rules to program
    cache.py     compiled programs on disk; all that a start of a container needs
    apply.py     the one system call, made in the container's init

`cache` and `apply` import nothing of the compiler, which loads only for a
filter that was never compiled before.
"""
