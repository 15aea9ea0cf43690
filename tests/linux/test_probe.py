"""What the probe says, against the system calls themselves."""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.child import in_child
from tests.support.features import hierarchies, missing
from tests.support.nested import REPOSITORY
from toolkit.core.errors import UnsupportedError
from toolkit.linux import probe
from toolkit.linux.capability import NAMES
from toolkit.linux.libc import MACHINE
from toolkit.linux.namespace import CLONE_NEWUTS
from toolkit.linux.probe import Feature, find_features
from toolkit.linux.seccomp.apply import load
from toolkit.linux.seccomp.table import numbers

UNSHARE = {
    "pid": "--pid",
    "mnt": "--mount",
    "uts": "--uts",
    "ipc": "--ipc",
    "net": "--net",
    "cgroup": "--cgroup",
    "user": "--user",
    "time": "--time",
}


@pytest.fixture(scope="module")
def features() -> dict[tuple[str, str], Feature]:
    return {(each.group, each.name): each for each in find_features(everything=True)}


def test_essential_features_are_found_without_the_others(features: dict[tuple[str, str], Feature]) -> None:
    essential = find_features()
    assert len(essential) == 19
    assert [(each.group, each.name) for each in essential] == list(features)[:19]


def test_every_feature_shows_its_evidence(features: dict[tuple[str, str], Feature]) -> None:
    assert [each for each in features.values() if not each.evidence] == []


def test_evidence_is_the_call_as_strace_prints_it(features: dict[tuple[str, str], Feature]) -> None:
    assert features["own view of", "pid"].evidence in (
        "unshare(CLONE_NEWPID) = 0",
        "unshare(CLONE_NEWPID) = -1 EPERM (Operation not permitted)",
    )


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("veth", ["add one type veth"]),
        ("bridge", ["add one type bridge"]),
        ("macvlan", ["add one type veth", "add two link one type macvlan"]),
        ("vxlan", ["add one type vxlan id 7 dstport 4789"]),
    ],
)
def test_link_is_here_if_ip_makes_one(features: dict[tuple[str, str], Feature], name: str, commands: list[str]) -> None:
    script = " && ".join(f"ip link {command}" for command in commands)
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, check=False)
    assert features["networks by", name].is_here == (done.returncode == 0), done.stderr


@pytest.mark.needs("root", "nft")
def test_nftables_is_here_if_nft_makes_a_table(features: dict[tuple[str, str], Feature]) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    command = ["unshare", "--net", "nft", "add table ip x"]
    done = subprocess.run(command, capture_output=True, check=False, env={"PATH": path})
    assert features["networks by", "nftables"].is_here == (done.returncode == 0), done.stderr


def test_overlay_without_root_is_here_if_mount_makes_one(features: dict[tuple[str, str], Feature]) -> None:
    script = (
        "mount -t tmpfs x /tmp && cd /tmp && mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m"
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, check=False
    )
    assert features["files from", "layers, as anybody"].is_here == (done.returncode == 0), done.stderr


def call(number: int, *arguments: object) -> bool:
    """Make a system call by its number, with nothing of the engine in between."""
    function = ctypes.CDLL(None, use_errno=True).syscall
    passed = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return bool(function(ctypes.c_long(number), *passed) >= 0)


def test_landlock_is_here_if_it_tells_its_version(features: dict[tuple[str, str], Feature]) -> None:
    assert features["defences", "landlock"].is_here == call(444, None, 0, 1)


def test_pidfd_is_here_if_one_opens(features: dict[tuple[str, str], Feature]) -> None:
    assert features["processes by", "pidfd"].is_here == in_child(lambda: call(434, os.getpid(), 0))


def test_openat2_is_here_if_it_opens(features: dict[tuple[str, str], Feature]) -> None:
    how = (ctypes.c_uint64 * 3)(os.O_PATH, 0, 0x10)
    assert features["files from", "safe paths"].is_here == in_child(lambda: call(437, -100, b"/", how, 24))


def test_files_by_descriptor_are_here_if_fsopen_is(features: dict[tuple[str, str], Feature]) -> None:
    if os.geteuid() == 0:
        assert features["files from", "nowhere yet"].is_here == in_child(lambda: call(430, b"tmpfs", 1))


def test_powers_that_are_missing_are_named(features: dict[tuple[str, str], Feature]) -> None:
    with open("/proc/self/status") as file:
        bounding = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd"))
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    missing = [number for number in range(last + 1) if not bounding >> number & 1]
    feature = features["defences", "all powers"]
    assert feature.lack == ("not " + ", ".join(NAMES[number] for number in missing) if missing else "")


@pytest.mark.parametrize(("name", "path"), [("waiting", "/proc/pressure/memory"), ("killing", "cgroup.kill")])
def test_what_a_file_stands_for(features: dict[tuple[str, str], Feature], name: str, path: str) -> None:
    found = features.get(("limits on", name))
    if path.startswith("/"):
        assert found is not None
        assert found.is_here == os.path.exists(path)
    else:
        v2 = [point for point, _ in hierarchies("cgroup2")]
        assert (found is not None) == bool(v2)


@pytest.mark.parametrize("controller", ["memory", "cpu", "pids", "cpuset", "blkio", "hugetlb"])
def test_controller_is_here_where_it_is_mounted(features: dict[tuple[str, str], Feature], controller: str) -> None:
    v2_name = "io" if controller == "blkio" else controller
    is_there = not (missing(f"cgroup1:{controller}") and missing(f"cgroup2:{v2_name}"))
    assert features["limits on", controller].is_here == is_there


def test_kvm_is_here_if_a_machine_can_be_made(features: dict[tuple[str, str], Feature]) -> None:
    def make() -> None:
        fd = os.open("/dev/kvm", os.O_RDWR)
        fcntl.ioctl(fd, 0xAE01, 0)

    try:
        in_child(make)
        made = True
    except OSError:
        made = False
    assert features["other machines by", "KVM"].is_here == made


@pytest.mark.parametrize("kind", UNSHARE)
def test_namespace_is_here_if_unshare_gets_one(features: dict[tuple[str, str], Feature], kind: str) -> None:
    done = subprocess.run(["unshare", "--fork", UNSHARE[kind], "true"], capture_output=True, check=False)
    assert features["own view of", kind].is_here == (done.returncode == 0)


FEATURES = (
    ("files from", "layers"),
    ("files from", "memory"),
    ("files from", "a root of its own"),
    ("defences", "fewer calls"),
    ("defences", "fewer powers"),
    ("defences", "no new powers"),
    ("defences", "read-only folders"),
)


@pytest.mark.needs("root", "overlay", "tmpfs", "seccomp")
@pytest.mark.parametrize("feature", FEATURES)
def test_feature_of_this_host_is_found(features: dict[tuple[str, str], Feature], feature: tuple[str, str]) -> None:
    assert features[feature].lack == ""


@pytest.mark.needs("root", "cgroup:memory")
def test_controller_is_found(features: dict[tuple[str, str], Feature]) -> None:
    assert features["limits on", "memory"].is_here


@pytest.mark.needs("root", "seccomp")
def test_user_namespace_in_which_nobody_has_powers_is_none_for_anybody() -> None:
    """As Ubuntu's AppArmor has it: the namespace can be made, and what takes powers in it is refused."""
    program = b"".join(
        struct.pack("=HBBI", *each)
        for each in (
            (0x20, 0, 0, 0),  # the call's number
            (0x15, 0, 3, numbers(MACHINE)["unshare"]),
            (0x20, 0, 0, 16),  # its first argument
            (0x15, 0, 1, CLONE_NEWUTS),
            (0x06, 0, 0, 0x00050000 | errno.EPERM),
            (0x06, 0, 0, 0x7FFF0000),
        )
    )

    def look() -> dict[str, str]:
        load(program)
        return {each.name: each.lack for each in find_features(everything=True) if each.group == "own view of"}

    lacks = in_child(look)
    assert lacks["user"] == ""
    assert "EPERM" in lacks["user, as anybody"]


def test_probe_that_does_not_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_TIMEOUT_S", 0.01)
    with pytest.raises(UnsupportedError, match=r"was not found out: .* timed out after 0\.01 seconds"):
        find_features()


def test_probe_leaves_no_cgroup() -> None:
    find_features(everything=True)
    left = subprocess.run(
        ["find", "/sys/fs/cgroup", "-maxdepth", "3", "-name", "container-toolkit-probe-*"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert left.stdout == ""


@pytest.fixture
def open_directory() -> Iterator[str]:
    """Return a directory that other users can reach, as pytest's own is not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield path


@pytest.mark.needs("root")
def test_without_root_the_cure_is_to_become_root(open_directory: str) -> None:
    shutil.copytree("toolkit", f"{open_directory}/toolkit", ignore=shutil.ignore_patterns("__pycache__"))
    system_python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", system_python]
    done = subprocess.run(
        [*command, "-m", "toolkit.linux.probe"],
        capture_output=True,
        check=True,
        cwd=open_directory,
        env={"PYTHONPATH": "."},
    )
    found = {fields[1]: Feature(*fields) for fields in json.loads(done.stdout)}
    assert found["net"].lack == "EPERM (Operation not permitted)"
    assert found["net"].cure == "become root: begin with sudo"


@pytest.mark.needs("root")
def test_all_is_probed_where_nobody_may_make_a_namespace(tmp_path: Path) -> None:
    program = (
        "import json\n"
        "from toolkit.linux.probe import find_features\n"
        "print(json.dumps([[each.group, each.name, each.lack] for each in find_features(everything=True)]))\n"
    )
    command = [sys.executable, "-m", "tests.support.unprivileged", str(tmp_path), sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": REPOSITORY}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    lacks = {(group, name): lack for group, name, lack in json.loads(done.stdout)}
    assert "EPERM" in lacks["own view of", "user, as anybody"]
    assert "EPERM" in lacks["files from", "other owners"]
    assert lacks["defences", "no new powers"] == ""
