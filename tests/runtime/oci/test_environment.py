"""What a container finds itself in: the same bundle under runc and under ours, and the same answers."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import Bundle, Runtime, normalised

pytestmark = pytest.mark.needs("root", "busybox", "runc")

Change = Callable[[Bundle], None]


def _process(**fields: Any) -> Change:
    return lambda bundle: bundle.process.update(fields)


def _linux(**fields: Any) -> Change:
    return lambda bundle: bundle.linux.update(fields)


def _mount(destination: str, kind: str = "tmpfs", source: str = "tmpfs", *options: str) -> Change:
    entry = {"destination": destination, "type": kind, "source": source, "options": list(options)}
    return lambda bundle: bundle.config["mounts"].append(entry)


def _bind(*options: str) -> Change:
    def change(bundle: Bundle) -> None:
        source = bundle.path / "source"
        source.mkdir()
        (source / "file").write_text("content\n")
        _mount("/bound", "bind", "source", *options)(bundle)

    return change


def _without(kind: str) -> Change:
    def change(bundle: Bundle) -> None:
        bundle.linux["namespaces"] = [each for each in bundle.linux["namespaces"] if each["type"] != kind]

    return change


def _caps(**sets: list[str]) -> Change:
    return _process(capabilities=sets)


def _both(*changes: Change) -> Change:
    def change(bundle: Bundle) -> None:
        for each in changes:
            each(bundle)

    return change


_KINDS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_ALL_FIVE = {kind: ["CAP_KILL", "CAP_CHOWN"] for kind in _KINDS}
_MAPPING = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def _user_namespace(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux.update(uidMappings=_MAPPING, gidMappings=_MAPPING)
    for path in (bundle.path, bundle.path.parent, bundle.path.parent.parent, bundle.path.parent.parent.parent):
        path.chmod(0o755)  # runc's root must find its way by name
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.chown(path, 100000, 100000, follow_symlinks=False)


def _bind_file(bundle: Bundle) -> None:
    (bundle.path / "one").write_text("one\n")
    _mount("/new/dir/file", "bind", str(bundle.path / "one"), "bind", "ro")(bundle)


_NOTHING: Change = lambda _bundle: None  # noqa: E731 - one of a table of changes
_STATUS = "grep -E '^(Uid|Gid|Groups|Cap|NoNew|Seccomp:|Umask)' /proc/self/status"
_TREE = (
    "cut -d' ' -f4- /proc/self/mountinfo | grep -E ' /(bound|t)[ /]' | "
    "sed 's/shared:[0-9]*/shared/; s/master:[0-9]*/master/'"
)

CASES: dict[str, tuple[Change, str]] = {
    "mounts": (_NOTHING, "grep -v -e cgroup -e null -e acpi -e firmware -e kcore /proc/mounts | grep -v devtmpfs"),
    "devices": (_NOTHING, "ls -ln /dev | sed 's/ [A-Z].*:.. / /' | grep -v -e total -e core"),
    "status": (_NOTHING, _STATUS),
    "limits": (_process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]), "ulimit -n; ulimit -Hn"),
    "environment": (_process(env=["PATH=/bin", "A=b=c", "B="]), "env | sort"),
    "home-of-user": (_process(user={"uid": 1000, "gid": 1000}, env=["PATH=/bin"]), "echo $HOME"),
    "home-of-nobody": (_process(user={"uid": 77, "gid": 0}, env=["PATH=/bin"]), "echo $HOME"),
    "user": (_process(user={"uid": 5, "gid": 6, "additionalGids": [7, 8], "umask": 0o27}), f"{_STATUS}; umask"),
    "directory": (_process(cwd="/tmp"), "pwd"),
    "directory-made": (_process(cwd="/made/here"), "pwd; ls -ld /made/here | cut -c1-10"),
    "capabilities": (_caps(**_ALL_FIVE), _STATUS),
    "capabilities-of-user": (_both(_caps(**_ALL_FIVE), _process(user={"uid": 5, "gid": 5})), _STATUS),
    "no-capabilities": (lambda bundle: bundle.process.pop("capabilities"), _STATUS),
    "may-gain-privileges": (_process(noNewPrivileges=False), _STATUS),
    "oom-score": (_process(oomScoreAdj=500), "cat /proc/self/oom_score_adj"),
    "hostname": (lambda bundle: bundle.config.update(hostname="box"), "hostname"),
    "sysctl": (_linux(sysctl={"kernel.msgmax": "4096", "net.ipv4.ip_forward": "1"}), "cat /proc/sys/kernel/msgmax"),
    "masked": (
        _linux(maskedPaths=["/etc/passwd", "/home", "/nowhere"]),
        "cat /etc/passwd; ls -d /home /home/*; echo $?",
    ),
    "read-only-paths": (_linux(readonlyPaths=["/etc", "/nowhere"]), "touch /etc/x; touch /x && echo wrote"),
    "read-only-root": (
        lambda bundle: bundle.config["root"].update(readonly=True),
        "touch /x; touch /dev/shm/x; echo $?",
    ),
    "tmpfs": (_mount("/t", "tmpfs", "tmpfs", "nosuid", "size=1m", "mode=1777"), f"{_TREE}; ls -ld /t | cut -c1-10"),
    "tmpfs-keeps-mode": (_both(lambda b: (b.rootfs / "t").mkdir(0o751), _mount("/t")), "ls -ld /t | cut -c1-10"),
    "tmpfs-copied-up": (
        _mount("/etc", "tmpfs", "tmpfs", "tmpcopyup", "size=1m"),
        "ls -ln /etc | sed 's/ [A-Z].*:.. / /' | grep -v total; head -1 /etc/passwd; touch /etc/new && echo wrote",
    ),
    "bind": (_bind("bind"), f"{_TREE}; cat /bound/file; touch /bound/x && echo wrote"),
    "bind-read-only": (_bind("rbind", "ro", "nosuid", "nodev", "noexec"), f"{_TREE}; touch /bound/x"),
    "bind-private": (_bind("rbind", "rprivate"), _TREE),
    "bind-slave": (_bind("rbind", "rslave"), _TREE),
    "bind-shared": (_bind("bind", "shared"), _TREE),
    "bind-unbindable": (_bind("bind", "unbindable"), _TREE),
    "bind-recursive-attributes": (_bind("rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime"), _TREE),
    "bind-file": (_bind_file, "cat /new/dir/file; echo x > /new/dir/file"),
    "order-of-mounts": (
        _both(_mount("/t"), _mount("/t/below"), _mount("/t/below/more", "tmpfs", "tmpfs", "noexec")),
        f"{_TREE} | sed 's/^[^ ]* //'",
    ),
    "propagation-private": (_linux(rootfsPropagation="private"), "grep -c -e shared: -e master: /proc/self/mountinfo"),
    "device": (
        _linux(
            devices=[
                {"type": "c", "path": "/dev/mine", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
                {"type": "b", "path": "/dev/sub/block", "major": 7, "minor": 1, "fileMode": 0o600},
                {"type": "p", "path": "/dev/fifo", "fileMode": 0o644},
            ]
        ),
        "ls -ln /dev/mine /dev/sub/block /dev/fifo | sed 's/ [A-Z].*:.. / /'; head -c 2 /dev/mine | wc -c",
    ),
    "device-rules": (
        _linux(
            resources={
                "devices": [
                    {"allow": False, "access": "rwm"},
                    {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"},
                ]
            }
        ),
        (
            "echo > /dev/null && echo null; mknod /tmp/k c 1 11 && head -c 0 /tmp/k && echo read; echo x > /tmp/k;"
            "mknod /tmp/m b 7 0; cat /tmp/m"
        ),
    ),
    "no-dev-mounted": (
        lambda bundle: bundle.config.update(mounts=bundle.config["mounts"][:1]),
        "ls -l /dev | sed 's/ [A-Z].*:.. / /' | grep -v -e total -e core",
    ),
    "host-network": (_without("network"), "ls /sys/class/net | wc -l; readlink /proc/self/ns/net"),
    "host-pids": (_without("pid"), "readlink /proc/self/ns/pid"),
    "host-ipc": (_without("ipc"), "readlink /proc/self/ns/ipc"),
    "host-uts": (_both(_without("uts"), lambda bundle: bundle.config.pop("hostname")), "readlink /proc/self/ns/uts"),
    "host-cgroup": (
        _without("cgroup"),
        "readlink /proc/self/ns/cgroup; cut -d: -f2- /proc/self/cgroup; ls /sys/fs/cgroup/pids | head -3",
    ),
    "own-cgroup": (_NOTHING, "cut -d: -f2- /proc/self/cgroup; cat /sys/fs/cgroup/pids/pids.max"),
    "user-namespace": (
        _user_namespace,
        "cat /proc/self/uid_map /proc/self/gid_map; id -u; ls -ln / | head -3 | cut -c1-30; touch /x && echo wrote",
    ),
    "memory": (
        _linux(
            resources={
                "memory": {"limit": 33554432},
                "pids": {"limit": 17},
                "cpu": {"shares": 99, "quota": 5000, "period": 10000},
            }
        ),
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.shares cpu/cpu.cfs_quota_us",
    ),
    "no-descriptors": (_NOTHING, "ls /proc/self/fd | tr '\\n' ' '"),
    "signals": (_NOTHING, "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"),
    "session": (_NOTHING, "cut -d' ' -f4-7 /proc/self/stat"),
    "cwd-of-init": (_NOTHING, "ls -l /proc/1/cwd /proc/1/root | sed 's/.* -> //'"),
}


@pytest.mark.parametrize("case", CASES)
def test_answers_are_runcs(case: str, ours: Runtime, runc: Runtime, make_bundle: Callable[[], Bundle]) -> None:
    change, script = CASES[case]
    answers: list[tuple[int, str, str]] = []
    for runtime in (runc, ours):
        bundle = make_bundle()
        change(bundle)
        bundle.script(script)
        done = runtime.run(bundle)
        out, err = (normalised(text).replace(bundle.path.name, "BUNDLE") for text in (done.out, done.err))
        answers.append((done.code, out, err))
    assert answers[1] == answers[0]
    assert answers[0][1], "runc has answered nothing: the case shows nothing"


def test_mounts_are_not_seen_outside(ours: Runtime, bundle: Bundle) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    bundle.process["args"] = ["sleep", "60"]
    with ours.running(bundle):
        assert Path("/proc/self/mountinfo").read_text() == before


_ROOT = "grep -E '^[0-9 ]+[0-9:]+ [^ ]+ / ' /proc/self/mountinfo"


@pytest.mark.parametrize(
    ("change", "script", "answer"),
    [
        (_linux(rootfsPropagation="shared"), f"{_ROOT} | grep -o shared", "shared"),
        (_linux(rootfsPropagation="unbindable"), f"{_ROOT} | grep -o unbindable", "unbindable"),
        (_linux(personality={"domain": "LINUX32"}), "uname -m", "i686"),
        (_process(scheduler={"policy": "SCHED_BATCH", "nice": 5}), "cut -d' ' -f19,41 /proc/self/stat", "5 3"),
        (_process(ioPriority={"class": "IOPRIO_CLASS_IDLE"}), "ionice", "idle"),
        (
            lambda bundle: bundle.config.update(domainname="example.org"),
            "cat /proc/sys/kernel/domainname",
            "example.org",
        ),
    ],
    ids=["shared", "unbindable", "personality", "scheduler", "io-priority", "domainname"],
)
def test_what_this_runc_lacks(change: Change, script: str, answer: str, ours: Runtime, bundle: Bundle) -> None:
    change(bundle)
    bundle.script(script)
    done = ours.run(bundle)
    assert (done.code, done.out.strip()) == (0, answer), done.err


def test_shared_root_shows_its_mounts_to_who_shares_it(ours: Runtime, bundle: Bundle) -> None:
    bundle.linux["rootfsPropagation"] = "shared"
    bundle.process["capabilities"] = {kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}
    bundle.script("mount -t tmpfs none /tmp && unshare -m true; grep ' /tmp ' /proc/self/mountinfo | grep -o shared")
    assert ours.run(bundle).out == "shared\n"


def test_filter_need_allow_no_more_than_the_program(ours: Runtime, bundle: Bundle) -> None:
    """With no_new_privs it is loaded last: what init still does then is the execve."""
    needed = ["execve", "exit_group", "write", "brk", "mmap", "munmap", "mprotect", "arch_prctl", "prctl", "readlink"]
    needed += ["set_tid_address", "set_robust_list", "rseq", "prlimit64", "getrandom", "getuid", "uname", "newfstatat"]
    rule = {"names": needed, "action": "SCMP_ACT_ALLOW"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [rule]}
    bundle.process["args"] = ["/bin/busybox", "echo", "alive"]
    done = ours.run(bundle)
    assert (done.code, done.out) == (0, "alive\n"), done.err


def test_filter_older_than_this_program_is_no_obstacle(ours: Runtime, bundle: Bundle) -> None:
    """Without no_new_privs it is loaded early; what it does not know it refuses, as profiles of 2018 do."""
    new = ["close_range", "openat2", "faccessat2", "clone3", "mount_setattr", "move_mount", "open_tree", "fsopen"]
    bundle.process["noNewPrivileges"] = False
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": new, "action": "SCMP_ACT_ERRNO"}],
    }
    bundle.script("grep Seccomp: /proc/self/status")
    done = ours.run(bundle)
    assert (done.code, done.out) == (0, "Seccomp:\t2\n"), done.err
    bundle.process["args"] = ["/etc/passwd"]
    assert "permission denied" in ours.run(bundle).err


def test_unbindable_root_is_unbindable_inside(ours: Runtime, bundle: Bundle) -> None:
    bundle.linux["rootfsPropagation"] = "runbindable"
    bundle.script("cut -d' ' -f5- /proc/self/mountinfo | grep '^/ ' | grep -o unbindable")
    done = ours.run(bundle)
    assert done.out == "unbindable\n", done.err


@pytest.mark.parametrize(
    ("rule", "code", "answer"),
    [
        ({"action": "SCMP_ACT_ERRNO", "errnoRet": 13}, 1, "Permission denied"),
        ({"action": "SCMP_ACT_ERRNO"}, 1, "Operation not permitted"),
        ({"action": "SCMP_ACT_KILL_PROCESS"}, 128 + 31, ""),
        ({"action": "SCMP_ACT_TRAP"}, 128 + 31, ""),
        ({"action": "SCMP_ACT_LOG"}, 0, ""),
        ({"action": "SCMP_ACT_TRACE"}, 1, "Function not implemented"),
    ],
)
def test_every_action_of_a_filter(
    ours: Runtime, runc: Runtime, make_bundle: Callable[[], Bundle], rule: dict[str, Any], code: int, answer: str
) -> None:
    for runtime in (runc, ours):
        bundle = make_bundle()
        bundle.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], **rule}],
        }
        bundle.script("exec mkdir /x")
        done = runtime.run(bundle)
        assert (done.code, answer in done.err) == (code, True), done.err
