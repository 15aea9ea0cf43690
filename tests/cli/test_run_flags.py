"""The options of run, create and exec: what they make of docker's idioms, and how they refuse."""

import io
import json
import pathlib
import re
import shutil
import subprocess
from typing import Any

import pytest

import toolkit.cli
from toolkit.cli.flags import UsageError, parse
from toolkit.cli.run_flags import CREATE_FLAGS, LATER, RUN_FLAGS, container_options
from toolkit.engine.options import BlockDevice, ContainerOptions, DeviceMapping, IdRange, Ulimit

ELSEWHERE = {
    "cpu-count",
    "cpu-percent",
    "disable-content-trust",
    "help",
    "io-maxbandwidth",
    "io-maxiops",
    "use-api-socket",
}
"""Options of docker that mean nothing here: Windows', and those of content trust."""


def options(*words: Any) -> Any:
    return container_options(parse(RUN_FLAGS, words, interspersed=False))


def given(*words: Any) -> Any:
    """Return the fields that differ from the defaults."""
    made = options(*words)._asdict()
    return {name: value for name, value in made.items() if value != ContainerOptions("")._asdict()[name]}


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["x"], {"image": "x"}),
        (["x", "ls", "-la", "--", "a"], {"image": "x", "command": ("ls", "-la", "--", "a")}),
        (["-it", "x"], {"image": "x", "open_stdin": True, "stdin_once": True, "tty": True}),
        (["-dit", "x"], {"image": "x", "open_stdin": True, "tty": True}),
        (["--rm", "x"], {"image": "x", "auto_remove": True}),
        (["-m", "512m", "x"], {"image": "x", "memory_bytes": 512 << 20}),
        (["-m512M", "x"], {"image": "x", "memory_bytes": 512 << 20}),
        (["--memory=1.5g", "x"], {"image": "x", "memory_bytes": 3 << 29}),
        (["-m", "6291456", "x"], {"image": "x", "memory_bytes": 6291456}),
        (["--memory-swap", "-1", "x"], {"image": "x", "memory_swap_bytes": -1}),
        (["--memory-swap=1g", "x"], {"image": "x", "memory_swap_bytes": 1 << 30}),
        (["--memory-reservation", "64mb", "x"], {"image": "x", "memory_reservation_bytes": 64 << 20}),
        (["--cpus", ".5", "x"], {"image": "x", "nano_cpus": 500_000_000}),
        (["-c", "512", "x"], {"image": "x", "cpu_shares": 512}),
        (["--cpuset-cpus", "0-1", "x"], {"image": "x", "cpuset_cpus": "0-1"}),
        (["--pids-limit", "-1", "x"], {"image": "x", "pids_limit": -1}),
        (["--shm-size", "128m", "x"], {"image": "x", "shm_size_bytes": 128 << 20}),
        (["-u", "1000:1000", "x"], {"image": "x", "user": "1000:1000"}),
        (["-w/tmp", "x"], {"image": "x", "working_dir": "/tmp"}),
        (["-h", "web", "x"], {"image": "x", "hostname": "web"}),
        (["--name", "a", "x"], {"image": "x", "name": "a"}),
        (["--entrypoint", "", "x"], {"image": "x", "entrypoint": ()}),
        (["--entrypoint=/bin/sh", "x", "-c", "y"], {"image": "x", "entrypoint": ("/bin/sh",), "command": ("-c", "y")}),
        (
            ["--cap-add", "NET_ADMIN", "--cap-drop=ALL", "x"],
            {"image": "x", "cap_add": ("NET_ADMIN",), "cap_drop": ("ALL",)},
        ),
        (["--net=host", "x"], {"image": "x", "network": "host"}),
        (["--network", "none", "x"], {"image": "x", "network": "none"}),
        (["-l", "a=b", "-l", "c", "-l", "a=d", "x"], {"image": "x", "labels": {"a": "d", "c": ""}}),
        (["--tmpfs", "/run", "--tmpfs=/t:rw,size=1m", "x"], {"image": "x", "tmpfs": {"/run": "", "/t": "rw,size=1m"}}),
        (["--ulimit", "nofile=5:10", "x"], {"image": "x", "ulimits": (Ulimit("nofile", 5, 10),)}),
        (["--ulimit=core=-1", "x"], {"image": "x", "ulimits": (Ulimit("core", -1, -1),)}),
        (["--ulimit=core=0:-1", "x"], {"image": "x", "ulimits": (Ulimit("core", 0, -1),)}),
        (["--sysctl", "net.ipv4.ip_forward=1", "x"], {"image": "x", "sysctls": {"net.ipv4.ip_forward": "1"}}),
        (
            ["--stop-signal", "INT", "--stop-timeout", "3", "x"],
            {"image": "x", "stop_signal": "INT", "stop_timeout_s": 3},
        ),
        (["--stop-timeout=-1", "x"], {"image": "x", "stop_timeout_s": -1}),
        (["--security-opt", "seccomp=unconfined", "x"], {"image": "x", "security_opt": ("seccomp=unconfined",)}),
        (["--security-opt", "seccomp:unconfined", "x"], {"image": "x", "security_opt": ("seccomp=unconfined",)}),
        (["--security-opt", "no-new-privileges", "x"], {"image": "x", "security_opt": ("no-new-privileges=true",)}),
        (
            ["--security-opt", "no-new-privileges:true", "x"],
            {"image": "x", "security_opt": ("no-new-privileges=true",)},
        ),
        (
            ["--pid=host", "--ipc=host", "--uts=host", "x"],
            {"image": "x", "pid_mode": "host", "ipc_mode": "host", "uts_mode": "host"},
        ),
        (["--pid", "container:web", "x"], {"image": "x", "pid_mode": "container:web"}),
        (["--device", "/dev/fuse", "x"], {"image": "x", "devices": (DeviceMapping("/dev/fuse", "/dev/fuse", "rwm"),)}),
        (["--device=/dev/a:rw", "x"], {"image": "x", "devices": (DeviceMapping("/dev/a", "/dev/a", "rw"),)}),
        (["--device", "/dev/a:/dev/b:r", "x"], {"image": "x", "devices": (DeviceMapping("/dev/a", "/dev/b", "r"),)}),
        (["--device-cgroup-rule", "c 1:* rwm", "x"], {"image": "x", "device_cgroup_rules": ("c 1:* rwm",)}),
        (
            ["--device-read-bps", "/dev/a:1mb", "x"],
            {"image": "x", "device_read_bps": (BlockDevice("/dev/a", 1 << 20),)},
        ),
        (["--device-write-iops", "/dev/a:10", "x"], {"image": "x", "device_write_iops": (BlockDevice("/dev/a", 10),)}),
        (
            ["--blkio-weight=300", "--blkio-weight-device", "/dev/a:20", "x"],
            {"image": "x", "blkio_weight": 300, "blkio_weight_devices": (BlockDevice("/dev/a", 20),)},
        ),
        (
            ["--cpu-period", "50000", "--cpu-quota=25000", "x"],
            {"image": "x", "cpu_period_us": 50000, "cpu_quota_us": 25000},
        ),
        (["--memory-swappiness", "0", "x"], {"image": "x", "memory_swappiness": 0}),
        (
            ["--oom-kill-disable", "--cgroup-parent", "/a", "x"],
            {"image": "x", "oom_kill_disable": True, "cgroup_parent": "/a"},
        ),
        (
            ["--security-opt", "systempaths=unconfined", "x"],
            {"image": "x", "security_opt": ("systempaths=unconfined",)},
        ),
        (["--security-opt", "unmask=ALL", "x"], {"image": "x", "security_opt": ("unmask=ALL",)}),
        (["--security-opt", "seccomp=builtin", "x"], {"image": "x", "security_opt": ("seccomp=builtin",)}),
        (["-a", "stdout", "--attach=STDERR", "x"], {"image": "x", "attach": ("stdout", "stderr")}),
        (["--annotation", "a=b=c", "x"], {"image": "x", "annotations": {"a": "b=c"}}),
        (["--umask", "0077", "--tz", "local", "x"], {"image": "x", "umask": 0o77, "timezone": "local"}),
        (["--unsetenv", "PATH", "-e", "A=1", "x"], {"image": "x", "env": ("PATH", "A=1")}),
        (
            ["--uidmap", "0:100:10", "--gidmap", "0:200:10", "x"],
            {
                "image": "x",
                "uid_map": (IdRange(0, 100, 10),),
                "gid_map": (IdRange(0, 200, 10),),
                "userns_mode": "private",
            },
        ),
        (["--cgroupns", "host", "--privileged", "x"], {"image": "x", "cgroupns_mode": "host", "privileged": True}),
        (
            ["--read-only", "--platform", "linux/arm64", "x"],
            {"image": "x", "read_only": True, "platform": "linux/arm64"},
        ),
    ],
)
def test_option_becomes_a_value(words: list[str], fields: dict[str, Any]) -> None:
    assert given(*words) == fields


_RATE = "invalid rate for device: {}. The correct format is <device-path>:<number>"

BAD = [
    (["-a", "foo"], 'invalid argument "foo" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR'),
    (
        ["--device-cgroup-rule", "foo"],
        'invalid argument "foo" for "--device-cgroup-rule" flag: invalid device cgroup format \'foo\'',
    ),
    (["--blkio-weight-device", "foo"], 'invalid argument "foo" for "--blkio-weight-device" flag: bad format: foo'),
    (
        ["--blkio-weight-device", "/dev/a:9"],
        'invalid argument "/dev/a:9" for "--blkio-weight-device" flag: invalid weight for device: /dev/a:9',
    ),
    (
        ["--device-read-bps", "/a:1"],
        'invalid argument "/a:1" for "--device-read-bps" flag: bad format for device path: /a:1',
    ),
    (
        ["--device-read-bps", "/dev/a:x"],
        'invalid argument "/dev/a:x" for "--device-read-bps" flag: '
        + _RATE.format("/dev/a:x")
        + "[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb",
    ),
    (
        ["--device-read-iops", "/dev/a:-1"],
        'invalid argument "/dev/a:-1" for "--device-read-iops" flag: '
        + _RATE.format("/dev/a:-1")
        + ". Number must be a positive integer",
    ),
    (["--ulimit", "foo"], 'invalid argument "foo" for "--ulimit" flag: invalid ulimit argument: foo'),
    (["--ulimit", "zork=5"], 'invalid argument "zork=5" for "--ulimit" flag: invalid ulimit type: zork'),
    (
        ["--ulimit", "nofile=a"],
        'invalid argument "nofile=a" for "--ulimit" flag: strconv.ParseInt: parsing "a": invalid syntax',
    ),
    (
        ["--ulimit", "nofile=5:3"],
        (
            'invalid argument "nofile=5:3" for "--ulimit" flag: '
            "ulimit soft limit must be less than or equal to hard limit: 5 > 3"
        ),
    ),
    (["--sysctl", "foo"], 'invalid argument "foo" for "--sysctl" flag: sysctl \'foo\' is not allowed'),
    (["-e", "=x"], 'invalid argument "=x" for "-e, --env" flag: invalid environment variable: =x'),
    (["-e", ""], 'invalid argument "" for "-e, --env" flag: invalid environment variable: '),
    (["-l", "=x"], 'invalid argument "=x" for "-l, --label" flag: invalid label \'=x\': empty name'),
    (
        ["--pids-limit", "x"],
        'invalid argument "x" for "--pids-limit" flag: strconv.ParseInt: parsing "x": invalid syntax',
    ),
    (
        ["--stop-timeout", "z"],
        'invalid argument "z" for "--stop-timeout" flag: strconv.ParseInt: parsing "z": invalid syntax',
    ),
    (["--rm=x"], 'invalid argument "x" for "--rm" flag: strconv.ParseBool: parsing "x": invalid syntax'),
    (["--zork"], "unknown flag: --zork"),
    (["-Z"], "unknown shorthand flag: 'Z' in -Z"),
    (["--name"], "flag needs an argument: --name"),
    (["-u"], "flag needs an argument: 'u' in -u"),
]


def complain(words: list[str]) -> Any:
    """Run the command in this process and return its exit code and what it wrote to stderr."""
    out, err = io.StringIO(), io.StringIO()
    outcome = toolkit.cli.run(words, stdout=out, stderr=err)
    assert out.getvalue() == ""
    return outcome.exit_code, err.getvalue()


@pytest.mark.parametrize(("words", "message"), BAD)
@pytest.mark.parametrize("command", ["run", "create"])
def test_bad_option_of_run_is_refused_in_one_line_with_125(command: str, words: list[str], message: str) -> None:
    assert complain([command, *words]) == (125, f"container: {message}\nSee 'container {command} --help'.\n")


@pytest.mark.needs("docker")
@pytest.mark.parametrize(("words", "message"), BAD)
def test_the_message_is_the_real_dockers(words: list[str], message: str) -> None:
    done = subprocess.run([shutil.which("docker"), "run", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    said = done.stderr.splitlines()[0].rstrip()
    assert said.replace("whitelisted", "allowed") == message.rstrip()  # docker 20.10's word


OWN = [
    (["-m", "x"], "-m, --memory", "invalid size: 'x'; write it as 512m, 1.5g or a number of bytes"),
    (["-m", "-5"], "-m, --memory", "invalid size: '-5'; write it as 512m, 1.5g or a number of bytes"),
    (["--memory-swap", "-2"], "--memory-swap", "invalid size: '-2'; write it as 512m, 1.5g or a number of bytes"),
    (["--cpus", "x"], "--cpus", "invalid number of CPUs: 'x'; write it as 0.5 or 2"),
    (["--cpus", "-1"], "--cpus", "invalid number of CPUs: '-1'; write it as 0.5 or 2"),
    (["--tmpfs", "run"], "--tmpfs", "invalid mount path: 'run' mount path must be absolute"),
    (["--device", "nope"], "--device", "nope is not an absolute path"),
    (["--device", "/a:/b:q"], "--device", "bad mode specified: q"),
    (["--device", "/a:/b:r:w"], "--device", "invalid device specification: /a:/b:r:w"),
    (
        ["--memory-swappiness", "200"],
        "--memory-swappiness",
        "invalid value: 200. Valid memory swappiness range is 0-100",
    ),
    (["--umask", "9"], "--umask", "invalid umask 9: must be an octal number of at most 0777"),
    (["--uidmap", "1:x"], "--uidmap", "invalid mapping '1:x': write it as CONTAINER:HOST:SIZE"),
    (["--storage-opt", "x"], "--storage-opt", "invalid option 'x': write it as KEY=VALUE"),
    (["--pull", "foo"], "--pull", 'invalid pull option: \'foo\': must be one of "always", "missing" or "never"'),
    (["--pid", "foo"], "--pid", "--pid: invalid PID mode"),
    (["--pid", "container:"], "--pid", "--pid: invalid PID mode"),
    (["--uts", "foo"], "--uts", "--uts: invalid UTS mode"),
    (["--cgroupns", "foo"], "--cgroupns", "--cgroupns: invalid CGROUP mode"),
    (["--userns", "foo"], "--userns", "--userns: invalid USER mode"),
    (
        ["--security-opt", "seccomp=/nonexistent"],
        "--security-opt",
        "opening seccomp profile (/nonexistent) failed: No such file or directory",
    ),
]


@pytest.mark.parametrize(("words", "label", "problem"), OWN)
def test_bad_value_is_refused_with_its_cure(words: list[str], label: str, problem: str) -> None:
    expected = f'container: invalid argument "{words[1]}" for "{label}" flag: {problem}\n'
    assert complain(["run", *words, "x"]) == (125, f"{expected}See 'container run --help'.\n")


@pytest.mark.parametrize("flag", ["--link-local-ip"])
def test_option_that_is_not_built_yet_is_unknown_and_not_ignored(flag: str) -> None:
    exit_code, text = complain(["run", flag, "x", "lab"])
    assert exit_code == 125
    assert text.startswith("container: unknown ")
    assert text.splitlines()[0].endswith("; docker has it, this engine not yet")


def test_no_option_is_both_there_and_for_later() -> None:
    assert not LATER & {name for flag in RUN_FLAGS for name in (flag.name, flag.also, flag.short) if name}


@pytest.mark.needs("docker")
def test_every_option_of_docker_is_there_or_for_later_or_not_for_linux() -> None:
    text = subprocess.run(["docker", "run", "--help"], capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"^ +(?:-\w, )?--([\w-]+)", text, re.MULTILINE))
    ours = {name for flag in RUN_FLAGS for name in (flag.name, flag.also)}
    assert names - ours - LATER == ELSEWHERE


def test_every_field_in_the_table_is_a_field_of_the_options() -> None:
    assert {flag.field for flag in CREATE_FLAGS if flag.field} <= set(ContainerOptions._fields)


def test_no_name_or_letter_is_there_twice() -> None:
    names = [name for flag in RUN_FLAGS for name in (flag.name, flag.also, flag.short) if name]
    assert len(names) == len(set(names))


def test_bare_env_takes_this_process_value_and_unsets_what_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLI_TEST_SET", "v=1")
    monkeypatch.delenv("CLI_TEST_UNSET", raising=False)
    assert options("-e", "CLI_TEST_SET", "-e", "CLI_TEST_UNSET", "x").env == ("CLI_TEST_SET=v=1", "CLI_TEST_UNSET")


def test_env_file_comes_before_env(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLI_TEST_SET", "here")
    monkeypatch.delenv("CLI_TEST_UNSET", raising=False)
    path = tmp_path / "env"
    path.write_text("\ufeffA=1\n# comment\n\n  B= two words \nCLI_TEST_SET\nCLI_TEST_UNSET\nC=#x\n")
    env = options("-e", "A=2", "--env-file", str(path), "x").env
    assert env == ("A=1", "B= two words ", "CLI_TEST_SET=here", "C=#x", "A=2")


def test_label_file_comes_before_label(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "labels"
    path.write_text("a=1\nb\n")
    assert options("-l", "a=2", "--label-file", str(path), "x").labels == {"a": "2", "b": ""}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A B=1\n", "environment variable 'A B' of {} contains whitespaces"),
        (b"=1\n", "no variable name on line '=1' of {}"),
        (b"A=\xff\n", "invalid utf8 bytes in {} at byte 2"),
    ],
)
def test_bad_env_file_is_refused(tmp_path: pathlib.Path, content: bytes, message: str) -> None:
    path = tmp_path / "env"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        options("--env-file", str(path), "x")
    assert str(caught.value) == message.format(path)
    assert caught.value.exit_code == 125


def test_missing_env_file_is_refused_with_125() -> None:
    assert complain(["run", "--env-file", "/nonexistent", "x"]) == (
        125,
        "container: open /nonexistent: no such file or directory\nSee 'container run --help'.\n",
    )


def test_seccomp_profile_travels_as_its_text(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text('{\n "defaultAction": "SCMP_ACT_ALLOW" }')
    (option,) = options("--security-opt", f"seccomp={path}", "x").security_opt
    name, _, text = option.partition("=")
    assert name == "seccomp"
    assert json.loads(text) == {"defaultAction": "SCMP_ACT_ALLOW"}


def test_seccomp_profile_that_is_no_json_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text("{")
    exit_code, text = complain(["run", "--security-opt", f"seccomp={path}", "x"])
    assert exit_code == 125
    assert f"compacting json for seccomp profile ({path}) failed" in text
    assert text.count("\n") == 2
