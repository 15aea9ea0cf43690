"""What the probe says, against the system calls themselves."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from toolkit.linux.probe import Feature, find_features

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
    return {(each.group, each.name): each for each in find_features()}


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


def test_probe_leaves_no_cgroup() -> None:
    find_features()
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
