"""Limits and settings: what the container's own programs see of them."""

import signal
from collections.abc import Iterator

import pytest

from tests.support.engines import BUSYBOX, collect, run, sh
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions, Ulimit

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_MB = 1024 * 1024


def _in_cgroup(engine: Engine, controller: str, v1_file: str, v2_file: str, **options: object) -> str:
    """Return what the container reads of its own limit."""
    is_v1 = controller in engine.cgroups._hierarchy.v1
    path = f"/sys/fs/cgroup/{controller}/{v1_file}" if is_v1 else f"/sys/fs/cgroup/{v2_file}"
    ran = run(engine, "cat", path, **options)
    assert ran.code == 0, ran.err
    return ran.out.strip()


# Memory, processes, CPU


@pytest.mark.needs("cgroup:memory")
def test_memory_limit_kills_and_says_so(engine: Engine) -> None:
    container = engine.containers.create(
        ContainerOptions(BUSYBOX, ("sh", "-c", "tail -c 100000000 /dev/zero"), memory_bytes=16 * _MB)
    )
    attachment = container.start(attach=True)
    assert attachment is not None
    assert collect(attachment).code == 137
    assert container.inspect()["State"]["OOMKilled"] is True


@pytest.mark.needs("cgroup:memory")
def test_plain_kill_is_not_oom_killed(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60"), memory_bytes=16 * _MB))
    container.start()
    container.kill()
    container.wait()
    assert container.inspect()["State"]["OOMKilled"] is False


@pytest.mark.needs("cgroup:memory")
def test_memory_limit_is_visible_inside(engine: Engine) -> None:
    seen = _in_cgroup(engine, "memory", "memory.limit_in_bytes", "memory.max", memory_bytes=64 * _MB)
    assert int(seen) == 64 * _MB


@pytest.mark.needs("cgroup:pids")
def test_pids_limit_stops_a_fork(engine: Engine) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all"
    ran = sh(engine, script, pids_limit=5)
    assert "all" not in ran.out
    assert "Resource temporarily unavailable" in ran.err


@pytest.mark.needs("cgroup:pids")
def test_without_a_pids_limit_the_same_forks_work(engine: Engine) -> None:
    assert "all" in sh(engine, "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all").out


@pytest.mark.needs("cgroup:cpu")
def test_cpu_quota_is_visible_inside(engine: Engine) -> None:
    seen = _in_cgroup(engine, "cpu", "cpu.cfs_quota_us", "cpu.max", nano_cpus=500_000_000)
    assert seen.split()[0] == "50000"


@pytest.mark.needs("cgroup:cpu")
def test_cpu_quota_throttles(engine: Engine) -> None:
    script = "end=$(($(date +%s)+2)); while [ $(date +%s) -lt $end ]; do :; done; sleep 60"
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", script), nano_cpus=100_000_000))
    container.start()
    collect(container.exec(ExecOptions(("sleep", "1"))))
    assert container.stats().cpu.throttled_periods > 0


# Root, users, directories, environment


def test_read_only_root_refuses_writes(engine: Engine) -> None:
    ran = sh(engine, "touch /x; echo $?; touch /tmp/x", read_only=True)
    assert "Read-only file system" in ran.err
    assert ran.code != 0


def test_tmpfs_is_writable_in_a_read_only_root(engine: Engine) -> None:
    ran = sh(engine, "touch /tmp/x && df -m /tmp | tail -1", read_only=True, tmpfs={"/tmp": "size=3m"})
    assert ran.code == 0, ran.err
    assert ran.out.split()[1] == "3"


def test_root_is_writable_otherwise(engine: Engine) -> None:
    assert sh(engine, "touch /x").code == 0


@pytest.mark.parametrize(
    ("user", "seen"),
    [
        ("", "uid=0(root) gid=0(root) groups=0(root)"),
        ("ada", "uid=1000(ada) gid=1000(ada) groups=10(wheel),29(audio),1000(ada)"),
        ("1000", "uid=1000(ada) gid=1000(ada) groups=10(wheel),29(audio),1000(ada)"),
        ("ada:audio", "uid=1000(ada) gid=29(audio) groups=29(audio)"),
        ("4711", "uid=4711 gid=0(root) groups=0(root)"),
        ("4711:4712", "uid=4711 gid=4712 groups=4712"),
    ],
)
def test_user_is_looked_up_in_the_image(engine: Engine, user: str, seen: str) -> None:
    assert run(engine, "id", user=user).out.strip() == seen


def test_group_add_adds_groups(engine: Engine) -> None:
    assert "29(audio)" in run(engine, "id", user="bob", group_add=("audio", "4000")).out


def test_unknown_user_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidError, match="unable to find user nobody"):
        run(engine, "id", user="nobody")


def test_home_is_the_users(engine: Engine) -> None:
    assert sh(engine, "echo $HOME", user="ada").out == "/home/ada\n"


def test_working_directory_is_made_where_it_is_missing(engine: Engine) -> None:
    assert run(engine, "pwd", working_dir="/a/b").out == "/a/b\n"


def test_working_directory_that_is_a_file_is_one_clear_error(engine: Engine) -> None:
    with pytest.raises(Exception, match="/etc/passwd is not a directory"):
        run(engine, "pwd", working_dir="/etc/passwd")


def test_environment_is_the_images_then_the_users(engine: Engine) -> None:
    ran = run(engine, "env", env=("PATH=/bin:/x", "EMPTY=", "EQUALS=a=b", "UTF=ü"))
    lines = set(ran.out.splitlines())
    assert {"PATH=/bin:/x", "EMPTY=", "EQUALS=a=b", "UTF=ü", "HOME=/root"} <= lines


def test_bare_key_removes_what_the_image_sets(engine: Engine) -> None:
    lines = run(engine, "/bin/env", env=("PATH",)).out
    assert "PATH=" not in lines


def test_hostname_is_the_short_id_or_what_was_asked(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("hostname",)))
    attachment = container.start(attach=True)
    assert attachment is not None
    assert collect(attachment).out.strip() == container.short_id
    assert sh(engine, "hostname; cat /etc/hostname", hostname="box.example").out == "box.example\nbox.example\n"


def test_domainname_is_set(engine: Engine) -> None:
    assert run(engine, "cat", "/proc/sys/kernel/domainname", domainname="example.org").out == "example.org\n"


def test_ulimit_is_set(engine: Engine) -> None:
    assert sh(engine, "ulimit -n; ulimit -Hn", ulimits=(Ulimit("nofile", 100, 200),)).out == "100\n200\n"


def test_sysctl_is_set_in_the_namespace_only(engine: Engine) -> None:
    with open("/proc/sys/kernel/msgmax") as file:
        before = file.read()
    assert run(engine, "cat", "/proc/sys/kernel/msgmax", sysctls={"kernel.msgmax": "1234"}).out == "1234\n"
    with open("/proc/sys/kernel/msgmax") as file:
        assert file.read() == before


def test_oom_score_is_set(engine: Engine) -> None:
    assert run(engine, "cat", "/proc/self/oom_score_adj", oom_score_adj=500).out == "500\n"


def test_shm_size_is_what_was_asked(engine: Engine) -> None:
    assert sh(engine, "df -k /dev/shm | tail -1", shm_size_bytes=2 * _MB).out.split()[1] == "2048"


def test_low_ports_and_ping_are_free_for_everyone(engine: Engine) -> None:
    files = ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/net/ipv4/ping_group_range")
    assert run(engine, "cat", *files).out.split() == ["0", "0", "2147483647"]


# Capabilities


def _capabilities(engine: Engine, **options: object) -> dict[str, int]:
    out = run(engine, "grep", "Cap", "/proc/self/status", **options).out
    return {line.split(":")[0]: int(line.split()[1], 16) for line in out.splitlines()}


_DOCKER_DEFAULT = 0xA80425FB


def test_default_capabilities_are_dockers(engine: Engine) -> None:
    seen = _capabilities(engine)
    assert seen == {
        "CapInh": 0,
        "CapPrm": _DOCKER_DEFAULT,
        "CapEff": _DOCKER_DEFAULT,
        "CapBnd": _DOCKER_DEFAULT,
        "CapAmb": 0,
    }


def test_another_user_has_none_but_the_same_bound(engine: Engine) -> None:
    seen = _capabilities(engine, user="ada")
    assert (seen["CapEff"], seen["CapPrm"], seen["CapBnd"]) == (0, 0, _DOCKER_DEFAULT)


def test_cap_drop_all_leaves_nothing(engine: Engine) -> None:
    assert set(_capabilities(engine, cap_drop=("ALL",)).values()) == {0}


def test_cap_add_and_drop_change_single_bits(engine: Engine) -> None:
    seen = _capabilities(engine, cap_add=("NET_ADMIN",), cap_drop=("cap_chown",))
    assert seen["CapEff"] == (_DOCKER_DEFAULT | 1 << 12) & ~1


def test_privileged_has_all_that_the_engine_has(engine: Engine) -> None:
    with open("/proc/self/status") as status:
        ours = next(int(line.split()[1], 16) for line in status if line.startswith("CapBnd"))
    assert _capabilities(engine, privileged=True)["CapEff"] == ours


def test_unknown_capability_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidError, match="NONESUCH"):
        run(engine, "true", cap_add=("NONESUCH",))


def test_no_new_privileges_is_set_on_demand(engine: Engine) -> None:
    def seen(**options: object) -> str:
        return run(engine, "grep", "NoNewPrivs", "/proc/self/status", **options).out.split()[1]

    assert seen() == "0"
    assert seen(security_opt=("no-new-privileges",)) == "1"


# Namespaces


def _inodes(engine: Engine, **options: object) -> dict[str, str]:
    script = "for kind in mnt pid net ipc uts cgroup user; do echo $kind $(readlink /proc/self/ns/$kind); done"
    ran = sh(engine, script, **options)
    assert ran.code == 0, ran.err
    return dict(line.split() for line in ran.out.splitlines())


def _ours() -> dict[str, str]:
    import os

    return {
        kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user")
    }


def _shared(engine: Engine, **options: object) -> set[str]:
    inside, outside = _inodes(engine, **options), _ours()
    return {kind for kind in inside if inside[kind] == outside[kind]}


def test_container_has_its_own_of_everything_but_users(engine: Engine) -> None:
    assert _shared(engine) == {"user"}


@pytest.mark.parametrize(
    ("option", "kind"),
    [("pid_mode", "pid"), ("ipc_mode", "ipc"), ("uts_mode", "uts"), ("network", "net"), ("cgroupns_mode", "cgroup")],
)
def test_host_mode_shares_exactly_that_namespace(engine: Engine, option: str, kind: str) -> None:
    assert _shared(engine, **{option: "host"}) == {"user", kind}


@pytest.fixture
def other(engine: Engine) -> Container:
    """Return a running container to share namespaces with."""
    options = ContainerOptions(BUSYBOX, ("sleep", "60"), name="other", hostname="other", ipc_mode="shareable")
    container = engine.containers.create(options)
    container.start()
    return container


@pytest.mark.parametrize(
    ("option", "kind"), [("pid_mode", "pid"), ("ipc_mode", "ipc"), ("uts_mode", "uts"), ("network", "net")]
)
def test_container_mode_shares_the_others_namespace(engine: Engine, other: Container, option: str, kind: str) -> None:
    import os

    inside = _inodes(engine, **{option: "container:other"})
    theirs = {name: os.readlink(f"/proc/{other.pid}/ns/{name}") for name in inside}
    assert {name for name in inside if inside[name] == theirs[name]} == {"user", kind}


def test_container_mode_sees_the_others_processes(engine: Engine, other: Container) -> None:
    assert "sleep 60" in run(engine, "ps", pid_mode="container:other").out


def test_container_mode_of_one_that_does_not_run_is_a_conflict(engine: Engine) -> None:
    engine.containers.create(ContainerOptions(BUSYBOX, ("true",), name="idle"))
    with pytest.raises(ConflictError, match="not running"):
        run(engine, "true", network="container:idle")


def test_network_none_has_loopback_up_and_nothing_else(engine: Engine) -> None:
    ran = sh(engine, "ls /sys/class/net; ping -c 1 127.0.0.1 >/dev/null && echo answered", network="none")
    assert ran.out.split() == ["lo", "answered"]


def test_network_host_has_the_hosts_devices(engine: Engine) -> None:
    import os

    # sysfs shows the network namespace of whoever mounted it.
    assert set(run(engine, "ls", "/sys/class/net", network="host").out.split()) == set(os.listdir("/sys/class/net"))


def test_hosts_file_names_the_container_itself(engine: Engine) -> None:
    assert "127.0.0.1\tlocalhost" in run(engine, "cat", "/etc/hosts").out


# What it starts with


def test_command_is_pid_1(engine: Engine) -> None:
    assert sh(engine, "echo $$").out == "1\n"


def test_only_stdio_is_open(engine: Engine) -> None:
    assert run(engine, "ls", "/proc/self/fd").out.split() == ["0", "1", "2", "3"]  # 3 is the listing's own


@pytest.fixture
def ignored() -> Iterator[None]:
    """Ignore what nohup and a shell's & have their programs ignore."""
    numbers = (signal.SIGHUP, signal.SIGQUIT)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_signals_are_not_ignored_or_blocked(ignored: None, engine: Engine) -> None:
    out = run(engine, "grep", "Sig", "/proc/self/status").out
    masks = {
        line.split()[0]: int(line.split()[1], 16) for line in out.splitlines() if line.startswith(("SigB", "SigI"))
    }
    internal = 1 << 31 | 1 << 32  # glibc's posix_spawn leaves SIGCANCEL and SIGSETXID, its own, ignored
    assert masks["SigBlk:"] == 0
    assert masks["SigIgn:"] & ~internal == 0


def test_cgroup_namespace_shows_the_root(engine: Engine) -> None:
    paths = {line.split(":", 2)[2] for line in run(engine, "cat", "/proc/self/cgroup").out.splitlines()}
    assert "/" in paths
    assert all("container-toolkit" not in path for path in paths)


def test_dev_has_exactly_these(engine: Engine) -> None:
    assert run(engine, "ls", "/dev").out.split() == [
        *("core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm"),
        *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
    ]


def test_device_nodes_are_the_usual_ones(engine: Engine) -> None:
    ran = run(engine, "stat", "-c", "%n %a %t:%T", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
    assert ran.out.splitlines() == [
        "/dev/null 666 1:3",
        "/dev/zero 666 1:5",
        "/dev/full 666 1:7",
        "/dev/random 666 1:8",
        "/dev/urandom 666 1:9",
    ]


def test_umask_is_022(engine: Engine) -> None:
    assert sh(engine, "umask").out == "0022\n"


def test_stdin_is_empty_unless_asked_for(engine: Engine) -> None:
    assert run(engine, "cat") == (0, "", "")


def test_kernel_files_are_masked_unless_privileged(engine: Engine) -> None:
    kind = ("stat", "-c", "%F", "/proc/timer_list")
    assert run(engine, *kind).out == "character special file\n"  # /dev/null lies over it
    assert run(engine, *kind, privileged=True).out == "regular empty file\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"memory_bytes": 1024}, "minimum memory limit allowed is 6MB"),
        ({"memory_swap_bytes": 50 * _MB}, "always set the memory limit"),
        ({"memory_bytes": 50 * _MB, "memory_swap_bytes": 40 * _MB}, "larger than memory limit"),
        ({"nano_cpus": 10_000 * 10**9}, "range of CPUs"),
        ({"nano_cpus": 1}, "range of CPUs"),
        ({"working_dir": "relative"}, "absolute path"),
        ({"hostname": "x" * 65}, "invalid hostname"),
        ({"name": "-bad"}, "invalid container name"),
        ({"tmpfs": {"relative": ""}}, "invalid mount path"),
        ({"cap_drop": ("NONESUCH",)}, "NONESUCH"),
        ({"security_opt": ("seccomp={",)}, "not JSON"),
        ({"ulimits": (Ulimit("nonesuch", 1, 1),)}, "nonesuch"),
        ({"ulimits": (Ulimit("nofile", 2, 1),)}, "nofile"),
        ({"stop_signal": "NONESUCH"}, "invalid signal"),
        ({"pid_mode": "nonesuch"}, "nonesuch"),
        ({"ipc_mode": "nonesuch"}, "nonesuch"),
        ({"uts_mode": "nonesuch"}, "nonesuch"),
        ({"cgroupns_mode": "nonesuch"}, "nonesuch"),
        ({"security_opt": ("nonesuch=1",)}, "nonesuch"),
        ({"env": ("=x",)}, "environment"),
        ({"cpuset_cpus": "0-9999"}, "are not available"),
        ({"cpuset_cpus": "x"}, "invalid list of CPUs"),
        ({"oom_score_adj": 2000}, "range for oom score adj"),
        ({"command": ("a\0b",)}, "null byte"),
        ({"userns_mode": "nonesuch"}, "USER mode"),
    ],
)
def test_option_that_means_nothing_is_refused_when_it_is_created(
    engine: Engine, options: dict[str, object], text: str
) -> None:
    with pytest.raises(InvalidError, match=text):
        engine.containers.create(ContainerOptions(**{"image": BUSYBOX, "command": ("true",), **options}))  # type: ignore[arg-type]  # bad on purpose
    assert list(engine.containers.list(all=True)) == []


def test_network_that_does_not_exist_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFoundError, match="network nonesuch not found"):
        run(engine, "true", network="nonesuch")


@pytest.mark.parametrize("key", ["kernel.panic", "vm.swappiness", "kernel/panic", "net/../kernel/panic", "nonesuch"])
def test_sysctl_of_the_whole_machine_is_refused(engine: Engine, key: str) -> None:
    with pytest.raises(InvalidError, match="not in a namespace of its own"):
        run(engine, "true", sysctls={key: "10"})


@pytest.mark.parametrize(
    ("key", "option"),
    [("net.core.somaxconn", "network"), ("kernel.msgmax", "ipc_mode"), ("fs.mqueue.msg_max", "ipc_mode")],
)
def test_sysctl_of_a_namespace_that_is_the_hosts_is_refused(engine: Engine, key: str, option: str) -> None:
    with pytest.raises(InvalidError, match="not allowed in the host's"):
        run(engine, "true", sysctls={key: "10"}, **{option: "host"})


def test_joining_anothers_uts_namespace_does_not_rename_it(engine: Engine, other: Container) -> None:
    assert run(engine, "hostname", uts_mode="container:other").out == "other\n"
    assert collect(other.exec(ExecOptions(("hostname",)))).out == "other\n"


def test_working_directory_is_made_below_a_read_only_root(engine: Engine) -> None:
    assert run(engine, "pwd", working_dir="/a/b", read_only=True).out == "/a/b\n"
