"""`container run`, each option looked at from inside or outside a real container."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from tests.cli.conftest import Shell
from toolkit.engine import Engine

pytestmark = pytest.mark.needs("root", "overlay")

STATUS = pathlib.Path("/proc/self/status")


def test_output_error_and_exit_code_are_the_commands(shell: Shell) -> None:
    done = shell("run", "--rm", "lab", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)


def test_rm_leaves_no_container_and_its_absence_does(shell: Shell) -> None:
    shell("run", "--rm", "--name", "gone", "lab", "true", check=0)
    shell("run", "--name", "kept", "lab", "true", check=0)
    assert shell.out("ps", "-a", "--format", "{{.Names}}") == "kept"


def test_detached_run_prints_the_id_and_leaves_it_running(shell: Shell) -> None:
    ident = shell.out("run", "-d", "lab", "sleep", "60")
    assert re.fullmatch("[0-9a-f]{64}", ident)
    assert shell.out("ps", "-q", "--no-trunc") == ident


def test_detached_container_with_rm_goes_when_it_ends(shell: Shell) -> None:
    ident = shell.out("run", "-d", "--rm", "lab", "sleep", "0.2")
    deadline_s = time.monotonic() + 10
    while ident in shell.out("ps", "-aq", "--no-trunc"):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_name_that_is_taken_is_refused_with_the_cure(shell: Shell) -> None:
    first = shell.out("create", "--name", "web", "lab", "true")
    line = shell.fail("run", "--name", "web", "lab", "true", code=125)
    assert line.startswith(f'Conflict. The container name "/web" is already in use by container "{first}"')
    assert "You have to remove (or rename)" in line


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


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["lab", "nosuch"], 127, 'exec: "nosuch": executable file not found in $PATH'),
        (["lab", "/no/such"], 127, 'exec: "/no/such": stat /no/such: no such file or directory'),
        (["lab", "/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'),
        (["lab", "/etc"], 126, 'exec: "/etc": is a directory'),
        (["-m", "1m", "lab", "true"], 125, "minimum memory limit allowed is 6MB"),
        (["--cpus", "4096", "lab", "true"], 125, "range of CPUs is from 0.01 to"),
        (["--name", "!", "lab", "true"], 125, "invalid container name"),
        (["-w", "tmp", "lab", "true"], 125, "the working directory 'tmp' is invalid"),
        (["-u", "nobody-here", "lab", "true"], 125, "unable to find user nobody-here"),
        (["--cap-add", "FLY", "lab", "true"], 125, ""),
        (["--pull", "never", "nosuch", "true"], 125, "No such image: nosuch"),
        (["UPPER", "true"], 125, "invalid reference format"),
        (["--pid", "container:nosuch", "lab", "true"], 125, "No such container: nosuch"),
        (["--detach-keys", "ctrl-zz", "lab", "true"], 125, "invalid detach keys"),
    ],
)
def test_what_cannot_run_is_one_line_and_dockers_exit_code(
    shell: Shell, words: list[str], code: int, line: str
) -> None:
    assert line in shell.fail("run", "--rm", *words, code=code)
    assert shell.out("ps", "-aq") == ""


def test_killed_by_a_signal_is_128_and_its_number(shell: Shell) -> None:
    ident = shell.out("run", "-d", "lab", "sleep", "60")
    waiting = shell.start("wait", ident)
    shell("kill", "-s", "KILL", ident, check=0)
    assert waiting.communicate(timeout=20)[0] == b"137\n"
    assert shell("run", "--rm", "lab", "sh", "-c", "sh -c 'kill -TERM $$'").returncode == 128 + signal.SIGTERM


def test_terminal_for_input_that_is_none_is_refused(shell: Shell) -> None:
    line = shell.fail("run", "-it", "--rm", "lab", "true", code=1)
    assert line.startswith("the input device is not a TTY")
    assert shell.out("ps", "-aq") == ""


def test_terminal_without_input_works_in_a_pipe(shell: Shell) -> None:
    assert shell("run", "-t", "--rm", "lab", "sh", "-c", "test -t 1 && echo yes").stdout == "yes\r\n"


def test_stdin_is_passed_on_and_its_end_too(shell: Shell) -> None:
    assert shell.out("run", "--rm", "-i", "lab", "wc", "-c", stdin=b"x" * 1_000_000) == "1000000"


def test_without_i_stdin_is_empty(shell: Shell) -> None:
    assert shell.out("run", "--rm", "lab", "cat", stdin=b"not for you") == ""


def test_output_after_the_end_of_stdin_is_not_lost(shell: Shell) -> None:
    script = "cat >/dev/null; sleep 0.3; echo late"
    assert shell.out("run", "--rm", "-i", "lab", "sh", "-c", script, stdin=b"x") == "late"


def test_bytes_pass_unchanged_both_ways(shell: Shell) -> None:
    data = bytes(range(256)) * 40_000
    assert shell.raw("run", "--rm", "-i", "lab", "cat", stdin=data).stdout == data


def test_a_reader_that_leaves_ends_it_quietly(shell: Shell) -> None:
    running = shell.start("run", "--rm", "lab", "sh", "-c", "while :; do echo y; done")
    assert running.stdout is not None
    assert running.stdout.readline() == b"y\n"
    running.stdout.close()
    assert running.wait(20) == 141
    assert running.stderr is not None
    assert running.stderr.read() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_passed_on(shell: Shell, number: signal.Signals) -> None:
    script = 'trap "echo caught; exit 9" INT TERM HUP; echo ready; while :; do sleep 0.05; done'
    running = shell.start("run", "--rm", "lab", "sh", "-c", script)
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(number)
    assert running.wait(20) == 9
    assert running.stdout.read() == b"caught\n"


def test_without_sig_proxy_the_command_ends_and_the_container_goes_on(shell: Shell) -> None:
    running = shell.start("run", "--name", "web", "--sig-proxy=false", "lab", "sh", "-c", "echo ready; sleep 60")
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 128 + signal.SIGTERM
    assert shell.out("ps", "--format", "{{.Names}}") == "web"


def test_third_interrupt_ends_the_command_over_a_deaf_container(shell: Shell) -> None:
    running = shell.start("run", "--name", "deaf", "lab", "sh", "-c", 'trap "" INT; echo ready; sleep 60')
    assert running.stdout is not None
    running.stdout.readline()
    for _ in range(3):
        running.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert running.wait(20) == 130
    assert shell.out("ps", "--format", "{{.Names}}") == "deaf"


def test_dry_run_prints_the_plan_and_leaves_nothing(shell: Shell) -> None:
    text = shell.out("run", "--dry-run", "--name", "web", "--hostname", "box", "lab", "true")
    assert re.search(r"^ *\d+  PivotRoot \(\w+, rootfs\)$", text, re.MULTILINE)
    assert 'sethostname("box", 3)' in text
    assert re.search(r"^ 1  \w+ \(\w+, \w+\)$", text, re.MULTILINE)
    assert shell.out("ps", "-aq") == ""


def test_explain_runs_it_and_prints_every_call_with_its_cost(shell: Shell) -> None:
    done = shell("run", "--rm", "--explain", "--hostname", "box", "lab", "echo", "hello", check=0)
    assert done.stdout == "hello\n"
    assert re.search(r'^ +\d+\.\d{3} +\d+\.\d +\d+  \w+ +sethostname\("box", 3\) = 0$', done.stderr, re.MULTILINE)
    count = int(re.search(r"^(\d+) calls took", done.stderr, re.MULTILINE)[1])  # type: ignore[index] # asserted by use
    assert count > 50


def test_two_at_once(shell: Shell) -> None:
    running = [shell.start("run", "--rm", "lab", "sh", "-c", f"sleep 0.2; echo {number}") for number in range(4)]
    assert [one.communicate(timeout=30)[0] for one in running] == [b"0\n", b"1\n", b"2\n", b"3\n"]
    assert [one.returncode for one in running] == [0, 0, 0, 0]


def test_quiet_first_run_of_an_unreachable_image_is_one_line(shell: Shell) -> None:
    line = shell.fail("run", "-q", "--rm", "127.0.0.1:1/nosuch", "true", code=125)
    assert "127.0.0.1:1" in line


def test_image_that_is_not_here_is_looked_for_in_its_registry(shell: Shell) -> None:
    done = shell("run", "--rm", "127.0.0.1:1/nosuch", "true", check=125)
    first, *_, last = done.stderr.splitlines()
    assert first == "Unable to find image '127.0.0.1:1/nosuch' locally"
    assert last.startswith("container: ")


def test_input_that_is_not_read_waits_outside_and_not_in_memory(shell: Shell) -> None:
    running = shell.start("run", "--rm", "-i", "--name", "pig", "lab", "sleep", "60", stdin=subprocess.PIPE)
    assert running.stdin is not None
    os.set_blocking(running.stdin.fileno(), False)
    sent = 0
    deadline_s = time.monotonic() + 3
    while sent < 100 << 20 and time.monotonic() < deadline_s:
        try:
            sent += os.write(running.stdin.fileno(), bytes(1 << 20))
        except BlockingIOError:
            time.sleep(0.01)
    assert (1 << 20) < sent < (8 << 20)
    shell.out("kill", "pig")
    assert running.wait(20) == 137


def test_more_than_all_buffers_goes_through_and_back(shell: Shell) -> None:
    data = bytes(range(256)) * (120_000)
    script = "sleep 0.5; cat"
    assert shell.raw("run", "--rm", "-i", "lab", "sh", "-c", script, stdin=data).stdout == data
