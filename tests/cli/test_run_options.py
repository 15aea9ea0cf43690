"""The options of `container run`, each looked at from inside or outside a real container."""

import json
import os
import pathlib
import time

import pytest

from tests.cli.conftest import Shell
from toolkit.engine import Engine

pytestmark = pytest.mark.needs("root", "overlay")

STATUS = pathlib.Path("/proc/self/status")


def test_environment(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "env"
    path.write_text("FROM_FILE=1\nBOTH=file\n")
    words = ["-e", "A=x y=z", "-e", "BOTH=flag", "-e", "LANG", "--env-file", str(path)]
    text = shell.out("run", "--rm", *words, "lab", "env")
    assert {"A=x y=z", "BOTH=flag", "FROM_FILE=1"} <= set(text.splitlines())


def test_bare_env_that_is_not_set_here_unsets_it_there(shell: Shell) -> None:
    assert "LANG" not in shell.environ or shell.environ.pop("LANG")
    text = shell.out("run", "--rm", "-e", "LANG", "lab", "env")
    assert not any(line.startswith("LANG=") for line in text.splitlines())


def test_workdir_is_made_and_entered(shell: Shell) -> None:
    assert shell.out("run", "--rm", "-w", "/some/where", "lab", "pwd") == "/some/where"


def test_user_and_group(shell: Shell) -> None:
    assert shell.out("run", "--rm", "-u", "1234:567", "lab", "sh", "-c", "id -u; id -g") == "1234\n567"


def test_hostname(shell: Shell) -> None:
    assert shell.out("run", "--rm", "-h", "web", "lab", "hostname") == "web"
    ident = shell.out("run", "-d", "lab", "sleep", "60")
    assert shell.out("exec", ident, "hostname") == ident[:12]


def test_entrypoint_is_replaced_and_emptied(shell: Shell) -> None:
    assert shell.out("run", "--rm", "--entrypoint", "echo", "lab", "a", "b") == "a b"
    assert shell.out("run", "--rm", "--entrypoint=", "lab", "echo", "c") == "c"


def test_read_only_root_and_a_tmpfs_in_it(shell: Shell) -> None:
    script = "touch /x 2>/dev/null || echo refused; touch /t/x && stat -f -c %T /t; df -k /t | tail -1"
    text = shell.out("run", "--rm", "--read-only", "--tmpfs", "/t:size=1m", "lab", "sh", "-c", script)
    assert text.splitlines()[:2] == ["refused", "tmpfs"]
    assert " 1024 " in text


def test_shm_size(shell: Shell) -> None:
    text = shell.out("run", "--rm", "--shm-size", "2m", "lab", "df", "-k", "/dev/shm")
    assert " 2048 " in text


def test_ulimit(shell: Shell) -> None:
    text = shell.out("run", "--rm", "--ulimit", "nofile=77:99", "lab", "sh", "-c", "ulimit -Sn; ulimit -Hn")
    assert text == "77\n99"


def status_field(shell: Shell, field: str, *words: str) -> str:
    text = shell.out("run", "--rm", *words, "lab", "cat", "/proc/self/status")
    return next(line.split()[1] for line in text.splitlines() if line.startswith(f"{field}:"))


def test_capabilities(shell: Shell) -> None:
    chown, net_admin = 1 << 0, 1 << 12
    default = int(status_field(shell, "CapEff"), 16)
    assert default & chown
    assert not default & net_admin
    assert int(status_field(shell, "CapEff", "--cap-drop", "ALL"), 16) == 0
    assert int(status_field(shell, "CapEff", "--cap-drop", "all", "--cap-add", "chown"), 16) == chown
    assert int(status_field(shell, "CapEff", "--cap-add", "CAP_NET_ADMIN"), 16) == default | net_admin


def test_privileged_has_all_capabilities_of_this_machine(shell: Shell) -> None:
    bounding = next(line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith("CapBnd"))
    assert int(status_field(shell, "CapEff", "--privileged"), 16) == int(bounding, 16)


def test_no_new_privileges(shell: Shell) -> None:
    assert status_field(shell, "NoNewPrivs") == "0"
    assert status_field(shell, "NoNewPrivs", "--security-opt", "no-new-privileges") == "1"


@pytest.mark.needs("seccomp")
def test_seccomp_is_on_unless_unconfined(shell: Shell) -> None:
    assert status_field(shell, "Seccomp") == "2"
    assert status_field(shell, "Seccomp", "--security-opt", "seccomp=unconfined") == "0"


@pytest.mark.needs("seccomp")
def test_own_seccomp_profile(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    done = shell("run", "--rm", "--security-opt", f"seccomp={path}", "lab", "mkdir", "/x")
    assert done.returncode == 1
    assert "Operation not supported" in done.stderr


def test_network_none_has_loopback_and_host_has_the_hosts(shell: Shell) -> None:
    here = os.readlink("/proc/self/ns/net")
    for words in ([], ["--network", "none"]):
        inside = shell.out("run", "--rm", *words, "lab", "sh", "-c", "readlink /proc/self/ns/net; ls /sys/class/net")
        assert here not in inside
        assert "lo" in inside.splitlines()
        assert "eth0" not in inside
    assert shell.out("run", "--rm", "--net=host", "lab", "readlink", "/proc/self/ns/net") == here


@pytest.mark.parametrize(
    ("flag", "kind"), [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")]
)
def test_namespace_of_the_host(shell: Shell, flag: str, kind: str) -> None:
    here = os.readlink(f"/proc/self/ns/{kind}")
    assert shell.out("run", "--rm", "lab", "readlink", f"/proc/self/ns/{kind}") != here
    assert shell.out("run", "--rm", flag, "host", "lab", "readlink", f"/proc/self/ns/{kind}") == here


def test_namespace_of_another_container(shell: Shell) -> None:
    shell("run", "-d", "--name", "other", "lab", "sleep", "60", check=0)
    theirs = shell.out("exec", "other", "readlink", "/proc/self/ns/pid")
    assert shell.out("run", "--rm", "--pid", "container:other", "lab", "readlink", "/proc/self/ns/pid") == theirs


def limits_of(shell: Shell, *words: str) -> dict[str, object]:
    ident = shell.out("run", "-d", *words, "lab", "sleep", "60")
    with Engine.open() as engine:
        usage = engine.containers.get(ident).stats()
    return {"memory": usage.memory.limit_bytes, "pids": usage.pids.limit}


@pytest.mark.needs("cgroup:memory")
def test_memory_limit_is_set_and_enforced(shell: Shell) -> None:
    assert limits_of(shell, "--memory", "64m")["memory"] == 64 << 20
    hog = "x=a; while :; do x=$x$x; done"
    assert shell("run", "--rm", "-m", "16m", "--memory-swap", "16m", "lab", "sh", "-c", hog).returncode == 137


def cgroup_file(pid: str, controller: str, *names: str) -> str:
    """Read the first of `names` that the process's group has, by the kernel's own account of where that is."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") or not controllers:
            for mount in (f"/sys/fs/cgroup/{controllers}", f"/sys/fs/cgroup/{controller}", "/sys/fs/cgroup"):
                for name in names:
                    file = pathlib.Path(f"{mount}{path}/{name}")
                    if file.exists():
                        return file.read_text().strip()
    raise AssertionError(f"no {names} for {controller} of {pid}")


@pytest.mark.needs("cgroup:memory", "cgroup:cpu")
def test_weights_and_soft_limits_are_in_the_kernel(shell: Shell) -> None:
    words = ["-c", "512", "--memory", "64m", "--memory-reservation", "32m"]
    shell("run", "-d", "--name", "web", *words, "lab", "sleep", "60", check=0)
    pid = shell.out("inspect", "-f", "{{.State.Pid}}", "web")
    assert cgroup_file(pid, "cpu", "cpu.shares", "cpu.weight") in ("512", "20", "59")  # v2 scales, two ways by version
    assert cgroup_file(pid, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)
    assert cgroup_file(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)


@pytest.mark.needs("cgroup:pids")
def test_pids_limit_is_set_and_enforced(shell: Shell) -> None:
    assert limits_of(shell, "--pids-limit", "20")["pids"] == 20
    script = "for i in 1 2 3 4 5 6; do sleep 1 & done"
    assert "fork" in shell("run", "--rm", "--pids-limit", "4", "lab", "sh", "-c", script).stderr


@pytest.mark.needs("cgroup:cpu")
def test_cpus_hold_a_busy_loop_back(shell: Shell) -> None:
    ident = shell.out("run", "-d", "--cpus", "0.1", "lab", "sh", "-c", "while :; do :; done")
    time.sleep(0.5)
    with Engine.open() as engine:
        usage = engine.containers.get(ident).stats()
    assert usage.cpu.throttled_periods > 0


def test_network_of_another_container(shell: Shell) -> None:
    shell.out("run", "-d", "--name", "giver", "lab", "sleep", "60")
    try:
        theirs = shell.out("exec", "giver", "readlink", "/proc/self/ns/net")
        assert theirs.startswith("net:[")
        joined = shell.out("run", "--rm", "--network", "container:giver", "lab", "readlink", "/proc/self/ns/net")
        assert joined == theirs
    finally:
        shell.out("rm", "-f", "giver")


def test_sysctl_of_its_own_network(shell: Shell) -> None:
    read = ["cat", "/proc/sys/net/ipv4/ip_forward"]
    assert shell.out("run", "--rm", "--sysctl", "net.ipv4.ip_forward=1", "lab", *read) == "1"
    assert shell.out("run", "--rm", "--sysctl", "net.ipv4.ip_forward=0", "lab", *read) == "0"


def test_groups_domain_and_oom_score(shell: Shell) -> None:
    words = ["--group-add", "4321", "--domainname", "lab.test", "--oom-score-adj", "77"]
    script = "id -G; cat /proc/sys/kernel/domainname /proc/self/oom_score_adj"
    groups, domain, score = shell.out("run", "--rm", *words, "lab", "sh", "-c", script).splitlines()
    assert "4321" in groups.split()
    assert (domain, score) == ("lab.test", "77")


@pytest.mark.needs("cgroup:cpuset")
def test_cpuset(shell: Shell) -> None:
    text = shell.out("run", "--rm", "--cpuset-cpus", "0", "--cpuset-mems", "0", "lab", "cat", "/proc/self/status")
    lists = dict(line.split(":\t") for line in text.splitlines() if "allowed_list" in line)
    assert lists == {"Cpus_allowed_list": "0", "Mems_allowed_list": "0"}


@pytest.mark.needs("userns")
def test_user_namespace_of_its_own(shell: Shell) -> None:
    text = shell.out("run", "--rm", "--userns", "private", "lab", "sh", "-c", "id -u; cat /proc/self/uid_map")
    user, row = text.splitlines()
    assert user == "0"
    assert row.split()[:2] == ["0", "100000"]


def test_clocks_of_its_own(shell: Shell) -> None:
    ahead_s = float(shell.out("run", "--rm", "--boottime", "1000000", "lab", "cut", "-d ", "-f1", "/proc/uptime"))
    here_s = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    assert 999_000 < ahead_s - here_s < 1_001_000


def test_labels_and_cidfile(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "cid"
    ident = shell.out("run", "-d", "-l", "a=b", "--cidfile", str(path), "lab", "sleep", "60")
    assert path.read_text() == ident
    assert shell.out("inspect", "-f", '{{index .Config.Labels "a"}}', ident) == "b"
    assert "container ID file found" in shell.fail("run", "--cidfile", str(path), "lab", "true", code=125)


def test_without_its_cidfile_there_is_no_container_and_without_a_container_no_cidfile(
    shell: Shell, tmp_path: pathlib.Path
) -> None:
    path = str(tmp_path / "nosuch" / "cid")
    assert f"ID file {path}: no such file" in shell.fail("create", "--cidfile", path, "lab", "true", code=1)
    assert shell.out("ps", "-aq") == ""
    shell.fail("run", "--cidfile", str(tmp_path / "cid"), "--memory", "1", "lab", "true", code=125)
    assert not (tmp_path / "cid").exists()


def test_stop_signal_and_timeout(shell: Shell) -> None:
    script = 'trap "echo got it; exit 5" USR1; while :; do sleep 0.05; done'
    shell("run", "-d", "--name", "web", "--stop-signal", "USR1", "lab", "sh", "-c", script, check=0)
    time.sleep(0.3)
    shell("stop", "web", check=0)
    assert shell.out("wait", "web") == "5"
    assert shell.out("logs", "web") == "got it"
    shell("run", "-d", "--name", "deaf", "--stop-timeout", "0", "lab", "sleep", "60", check=0)
    shell("stop", "deaf", check=0)
    assert shell.out("wait", "deaf") == "137"


def test_replace_takes_the_place_of_a_container_of_that_name(shell: Shell) -> None:
    first = shell.out("run", "-d", "--name", "twin", "lab", "sleep", "60")
    assert "Conflict" in shell.fail("run", "-d", "--name", "twin", "lab", "sleep", "60", code=125)
    second = shell.out("run", "-d", "--name", "twin", "--replace", "lab", "sleep", "60")
    assert first != second
    assert shell.out("ps", "-a", "--no-trunc", "--format", "{{.ID}}", "--filter", "name=twin") == second
    assert "without a name" in shell.fail("run", "--replace", "lab", "true", code=125)


def test_unsetenv_takes_away_what_the_image_sets(shell: Shell) -> None:
    script = ["lab", "/bin/sh", "-c", "/usr/bin/env || /bin/env"]
    assert "PATH=" in shell.out("run", "--rm", *script)
    environment = shell.out("run", "--rm", "--unsetenv", "PATH", *script).splitlines()
    assert not [line for line in environment if line.startswith("PATH=")]


def test_machine_that_is_too_small_is_named_in_dockers_words(shell: Shell) -> None:
    line = shell.fail("run", "--rm", "--cpus", "10000", "lab", "true", code=125)
    assert line.startswith(f"range of CPUs is from 0.01 to {os.cpu_count()}.00, as there are only")
    assert 'could not select device driver ""' in shell.fail("run", "--gpus", "all", "lab", "true", code=125)
    assert "linux only supports 'default'" in shell.fail("create", "--isolation", "hyperv", "lab", "true", code=1)
    assert shell.out("ps", "-aq") == ""
