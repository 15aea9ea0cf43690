"""docker's default seccomp profile, as data in this project's own order, and its conditional rules resolved.

The calls that are allowed without conditions are grouped by what they are for,
so that a reader can see what is missing: no new namespaces, no mounts, no
kernel modules, no keyrings, no io_uring, no clock setting, no raw I/O.

It is the profile of moby 28, with the `socket` rule of moby 29: since
CVE-2026-31431 ("Copy Fail") the address families are a list of what is allowed,
where 28 allowed everything but AF_VSOCK (and could be outwitted: the kernel
takes the lower half of the argument, the filter compares all of it).

See Also:
    moby/profiles, seccomp/default.json; docs.docker.com/engine/security/seccomp
"""

from typing import TypedDict

from toolkit.core.errors import InvalidError, UnsupportedError
from toolkit.linux.capability import parse
from toolkit.linux.seccomp.rules import Argument, Filter, Rule, scmp_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FILES = """
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
    fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync
    flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64
    ioctl lchown lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at
    newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink
    readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx
    symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat
    utimensat_time64 utimes vmsplice write writev
    cachestat listmount statmount
"""
EXTENDED_ATTRIBUTES = """
    fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr
    lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
"""
WATCHING = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch _newselect poll ppoll
    ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4
"""
ASYNCHRONOUS_IO = """
    io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
"""
MEMORY = """
    brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect
    mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages
"""
PROCESSES = """
    execve execveat exit exit_group fork getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid
    gettid get_robust_list get_thread_area ioprio_get ioprio_set pidfd_open prctl prlimit64 restart_syscall rseq
    riscv_hwprobe sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield setpgid setpriority setrlimit setsid set_robust_list set_thread_area
    set_tid_address times ugetrlimit uretprobe vfork wait4 waitid waitpid
"""
LOCKS = """
    futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
"""
SIGNALS = """
    kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn tgkill tkill
"""
IDENTITY = """
    capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
    getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
    setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
"""
CONFINEMENT = """
    landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
"""
TIME = """
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64
"""
MACHINE = """
    getrandom sysinfo uname
"""
SYSTEM_V_AND_POSIX_IPC = """
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
    mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
"""
SOCKETS = """
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
    recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
"""
ALWAYS = [
    name
    for group in (
        FILES,
        EXTENDED_ATTRIBUTES,
        WATCHING,
        ASYNCHRONOUS_IO,
        MEMORY,
        PROCESSES,
        LOCKS,
        SIGNALS,
        IDENTITY,
        CONFINEMENT,
        TIME,
        MACHINE,
        SYSTEM_V_AND_POSIX_IPC,
        SOCKETS,
    )
    for name in group.split()
]
"""What every container may call, whatever the arguments."""

FAMILIES = (*range(12), 13, 14, 15, 16, 17, 18, 21, 22, 24, *range(26, 34), 35, 36, 39, *range(41, 46))
"""The address families of socket(2): without AF_ALG (38), AF_VSOCK (40) and the long dead ones."""
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""PER_LINUX, PER_LINUX32, both with UNAME26, and the question which it is."""
NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""

BY_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
        lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
        sethostname setns syslog umount umount2 unshare
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}
"""Calls that come with a capability."""
RELEVANT = parse(BY_CAPABILITY)
"""The capabilities that make a difference to the profile."""

_GO_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "i386": "x86", "x32": "x32", "arm": "arm"}
BY_ARCHITECTURE = {
    "amd64": "arch_prctl modify_ldt",
    "arm64": "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
}
SUBARCHITECTURES = {"x86_64": ("x86_64", "i386", "x32"), "aarch64": ("aarch64", "arm")}
"""The machine, and whose programs it runs besides its own."""

_ALLOW = "SCMP_ACT_ALLOW"
_EQ = "SCMP_CMP_EQ"


def default_profile(capabilities: int, architecture: str) -> Filter:
    """Return docker's default profile for a container with these capabilities, as OCI's `linux.seccomp`.

    Raises:
        UnsupportedError: this machine is neither x86_64 nor aarch64.
    """
    _check_machine(architecture)
    return Filter(
        defaultAction="SCMP_ACT_ERRNO",
        defaultErrnoRet=1,
        architectures=[scmp_name(name) for name in SUBARCHITECTURES[architecture]],
        syscalls=list(_rules(capabilities, architecture)),
    )


def _check_machine(architecture: str) -> None:
    if architecture not in SUBARCHITECTURES:
        message = f"seccomp filters for {architecture} are not known here"
        raise UnsupportedError(message, hint="--security-opt seccomp=unconfined runs without one")


def _rules(capabilities: int, architecture: str) -> list[Rule]:
    held = [names.split() for name, names in BY_CAPABILITY.items() if capabilities & parse([name])]
    found = [
        _allow(ALWAYS),
        # Until Linux 4.8 a tracer could change a call after the filter had let it pass; such
        # kernels lack much else that this engine needs.
        _allow(["process_vm_readv", "process_vm_writev", "ptrace"]),
        *(_allow(["socket"], Argument(index=0, value=family, op=_EQ)) for family in FAMILIES),
        *(_allow(["personality"], Argument(index=0, value=value, op=_EQ)) for value in PERSONALITIES),
        _allow(BY_ARCHITECTURE[_GO_ARCH[architecture]].split()),
        *(_allow(names) for names in held),
    ]
    if not capabilities & parse(["CAP_SYS_ADMIN"]):
        masked = Argument(index=0, value=NEW_NAMESPACES, valueTwo=0, op="SCMP_CMP_MASKED_EQ")
        found.append(_allow(["clone"], masked))
        # Its flags lie behind a pointer; with ENOSYS the C library takes clone instead.
        found.append(Rule(names=["clone3"], action="SCMP_ACT_ERRNO", errnoRet=38))
    return found


def _allow(names: "Sequence[str]", *arguments: Argument) -> Rule:
    return Rule(names=list(names), action=_ALLOW, args=list(arguments))


# docker's own format: OCI's with conditions


class Conditions(TypedDict, total=False):
    """When a rule of a docker profile counts (or not)."""

    caps: list[str]
    arches: list[str]
    minKernel: str


class DockerRule(Rule, total=False):
    """A rule with conditions; `name` is the older spelling of one name."""

    name: str
    includes: Conditions
    excludes: Conditions
    comment: str


class _ArchMap(TypedDict, total=False):
    architecture: str
    subArchitectures: list[str] | None


class DockerProfile(TypedDict, total=False):
    """What `--security-opt seccomp=FILE` holds."""

    defaultAction: str
    defaultErrnoRet: int
    architectures: list[str]
    archMap: list[_ArchMap]
    syscalls: list[DockerRule]
    flags: list[str]
    listenerPath: str
    listenerMetadata: str


def resolve(profile: DockerProfile, capabilities: int, architecture: str, kernel: tuple[int, int]) -> Filter:
    """Return OCI's `linux.seccomp` for a docker profile: the rules that count for this container, here.

    Args:
        profile: the document.
        capabilities: those of the container.
        architecture: the machine's.
        kernel: its version, only because the format has rules by version.

    Raises:
        InvalidError: the document contradicts itself.
        UnsupportedError: this machine is neither x86_64 nor aarch64.

    See Also:
        moby, profiles/seccomp/seccomp_linux.go
    """
    _check_machine(architecture)
    found = Filter(defaultAction=profile.get("defaultAction", ""), syscalls=[])
    if "defaultErrnoRet" in profile:
        found["defaultErrnoRet"] = profile["defaultErrnoRet"]
    if "flags" in profile:
        found["flags"] = profile["flags"]
    if names := _architectures(profile, architecture):
        found["architectures"] = names
    rules = profile.get("syscalls") or []
    found["syscalls"] = [_plain(rule) for rule in rules if _counts(rule, capabilities, _GO_ARCH[architecture], kernel)]
    return found


def _architectures(profile: DockerProfile, architecture: str) -> list[str]:
    names, by_machine = profile.get("architectures") or [], profile.get("archMap") or []
    if names and by_machine:
        message = "a seccomp profile has either 'architectures' or 'archMap'"
        raise InvalidError(message, hint="remove one of the two")
    for entry in by_machine:
        if entry.get("architecture") == scmp_name(architecture):
            return [scmp_name(architecture), *(entry.get("subArchitectures") or [])]
    return names


def _plain(rule: DockerRule) -> Rule:
    if rule.get("name") and rule.get("names"):
        message = "a rule of a seccomp profile has either 'name' or 'names'"
        raise InvalidError(message, hint="put all of them into 'names'")
    plain = Rule(names=rule.get("names") or [rule.get("name", "")], action=rule.get("action", ""))
    if "args" in rule:
        plain["args"] = rule["args"] or []
    if "errnoRet" in rule:
        plain["errnoRet"] = rule["errnoRet"]
    return plain


def _counts(rule: DockerRule, capabilities: int, arch: str, kernel: tuple[int, int]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if arch in (excludes.get("arches") or []):
        return False
    if any(capabilities & parse([name]) for name in excludes.get("caps") or []):
        return False
    if excludes.get("minKernel") and _version(excludes.get("minKernel", "")) <= kernel:
        return False
    if includes.get("arches") and arch not in (includes.get("arches") or []):
        return False
    if not all(capabilities & parse([name]) for name in includes.get("caps") or []):
        return False
    return not includes.get("minKernel") or _version(includes.get("minKernel", "")) <= kernel


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    if not (major.isdigit() and minor.isdigit()):
        message = f'invalid kernel version in a seccomp profile: "{text}"'
        raise InvalidError(message, hint='it looks like "4.8"')
    return int(major), int(minor)
