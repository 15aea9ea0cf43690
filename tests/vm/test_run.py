"""`container vm run` with real machines: each of these boots one, and takes some seconds."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.family import is_dead
from tests.support.patience import wait_until

pytestmark = pytest.mark.needs("guest")
VM_RUN = (sys.executable, "-m", "toolkit.cli", "vm", "run")
PATIENCE_S = 100.0


def vm_run(*argv: str, given: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
    """Run a command in a machine."""
    return subprocess.run([*VM_RUN, *argv], input=given, capture_output=True, timeout=PATIENCE_S, check=False)


FACTS = r"""
import json, os, subprocess, sys
shared, private = sys.argv[1:]
def attempt(act):
    try:
        act()
        return "0"
    except OSError as exc:
        return exc.strerror
def write(path):
    with open(path, "a") as file:
        file.write("from the guest")
def read(path):
    with open(path) as file:
        return file.read().strip()
subprocess.Popen(["sleep", "1000"])
os.makedirs("/mnt/host", exist_ok=True)
subprocess.run(["mount", "-t", "virtiofs", "host", "/mnt/host"], check=True)
facts = {
    "kernel": os.uname().release,
    "controllers": sorted(read("/sys/fs/cgroup/cgroup.controllers").split()),
    "handed down": sorted(read("/sys/fs/cgroup/cgroup.subtree_control").split()),
    "pressure": os.path.exists("/proc/pressure/memory"),
    "disks": [os.stat(f"/dev/{name}").st_size + 512 * int(read(f"/sys/block/{name}/size")) for name in ("vda", "vdb")],
    "write shared": attempt(lambda: write(f"{shared}/file")),
    "write private": attempt(lambda: write(f"{private}/file")),
    "write around": attempt(lambda: write(f"/mnt/host{private}/file")),
    "private": read(f"{private}/file"),
    "engine root": os.listdir("/var/lib/container-toolkit"),
    "directory": os.getcwd(),
    "variable": os.environ["GREETING"],
    "stdin": sys.stdin.read(),
    "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    "cpus": os.cpu_count(),
}
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a command saw in a machine, and what is here afterwards."""
    base = tmp_path_factory.mktemp("vm")
    for name in ("shared", "private"):
        (base / name).mkdir()
        (base / name / "file").write_text("from the host, ")
    options = ["--share", f"{base}/shared", "-w", f"{base}/private", "-e", "GREETING=good day"]
    options += ["--disk", "64m", "--disk", "32m", "--memory", "512m", "--cpus", "1"]
    ran = vm_run(
        *options, "--", sys.executable, "-c", FACTS, f"{base}/shared", f"{base}/private", given=b"not asked for"
    )
    assert ran.returncode == 0, ran.stderr.decode()
    found: dict[str, Any] = json.loads(ran.stdout)
    return {
        **found,
        "base": str(base),
        "shared afterwards": (base / "shared/file").read_text(),
        "private afterwards": (base / "private/file").read_text(),
    }


def test_guest_has_a_kernel_of_its_own(facts: dict[str, Any]) -> None:
    assert facts["kernel"] != os.uname().release
    assert "cloud" in facts["kernel"]


def test_guest_has_every_controller_of_v2_handed_down(facts: dict[str, Any]) -> None:
    assert {"cpu", "cpuset", "hugetlb", "io", "memory", "pids"} <= set(facts["controllers"])
    assert facts["handed down"] == facts["controllers"]
    assert facts["pressure"]


def test_what_is_written_is_gone_but_for_what_is_shared(facts: dict[str, Any]) -> None:
    assert (facts["write shared"], facts["write private"]) == ("0", "0")
    assert facts["private"] == "from the host, from the guest"
    assert facts["shared afterwards"] == "from the host, from the guest"
    assert facts["private afterwards"] == "from the host, "


def test_root_of_the_guest_cannot_write_to_the_host(facts: dict[str, Any]) -> None:
    assert facts["write around"] == "Read-only file system"


def test_engines_of_the_host_are_not_in_the_guest(facts: dict[str, Any]) -> None:
    assert facts["engine root"] == []


def test_disks_memory_and_cpus_are_as_wished(facts: dict[str, Any]) -> None:
    assert facts["disks"] == [64 << 20, 32 << 20]
    assert 400 << 20 < facts["memory"] <= 512 << 20
    assert facts["cpus"] == 1


def test_command_starts_where_and_with_what_it_was_told(facts: dict[str, Any]) -> None:
    assert facts["directory"] == f"{facts['base']}/private"
    assert facts["variable"] == "good day"


def test_stdin_is_empty_unless_it_is_asked_for(facts: dict[str, Any]) -> None:
    assert facts["stdin"] == ""


def test_every_byte_and_the_exit_code_go_through() -> None:
    given = bytes(range(256)) * 4000 + b"odd"
    ran = vm_run("-i", "--", "sh", "-c", "tee /dev/stderr; exit 42", given=given)
    assert (ran.returncode, ran.stdout == given, ran.stderr == given) == (42, True, True)


def test_signal_that_kills_the_command_is_its_exit_code() -> None:
    assert vm_run("--", "sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM


def test_command_that_is_not_there_is_127() -> None:
    ran = vm_run("--", "no-such-command")
    assert ran.returncode == 127
    assert b"not found" in ran.stderr


def test_kernel_that_panics_is_told_with_its_last_words() -> None:
    ran = vm_run("--", "sh", "-c", "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 100")
    assert ran.returncode == 125
    assert re.fullmatch(rb"container: the virtual machine ended before the command did: .*; see .*\n", ran.stderr)


def test_what_takes_too_long_is_ended_with_124() -> None:
    ran = vm_run("--timeout", "1", "--", "true")
    assert ran.returncode == 124
    assert b"the command in the virtual machine did not start in 1 s" in ran.stderr


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def name(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


class Family:
    """The processes of a machine: the command, its keeper, and qemu and virtiofsd."""

    def __init__(self, *argv: str) -> None:
        self.process = subprocess.Popen([*VM_RUN, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.members = {"command": self.process.pid}
        wait_until(self._has_grown, PATIENCE_S)

    def _has_grown(self) -> bool:
        for keeper in children(self.process.pid):
            self.members["keeper"] = keeper
            for child in children(keeper):
                self.members[name(child)] = child
        return {"virtiofsd", "qemu-system-x86"} <= set(self.members)

    def end(self) -> tuple[int, str]:
        """Wait for the end of all; return the command's exit code and what it complained of."""
        _, err = self.process.communicate(timeout=PATIENCE_S)
        wait_until(lambda: all(is_dead(pid) for pid in self.members.values()), PATIENCE_S)
        return self.process.returncode, err.decode()


@pytest.mark.parametrize(
    ("victim", "code"), [("command", -9), ("keeper", 125), ("qemu-system-x86", 125), ("virtiofsd", 125)]
)
def test_whoever_is_killed_none_is_left(victim: str, code: int) -> None:
    family = Family("--", "sh", "-c", "echo up; exec sleep 1000")
    assert family.process.stdout is not None
    assert family.process.stdout.read(3) == b"up\n"
    os.kill(family.members[victim], signal.SIGKILL)
    ended, complaint = family.end()
    assert ended == code
    assert complaint == "" if victim == "command" else complaint.startswith("container: the virtual machine ")


def test_a_machine_that_dies_before_its_command_begins_is_booted_again() -> None:
    family = Family("--", "echo", "up")
    os.kill(family.members["qemu-system-x86"], signal.SIGKILL)
    out, err = family.process.communicate(timeout=PATIENCE_S)
    assert (family.process.returncode, out) == (0, b"up\n")
    assert err.decode().endswith("; booting it again\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_machine(number: int) -> None:
    family = Family("--", "sleep", "1000")
    os.kill(family.process.pid, number)
    assert family.end() == (128 + number, "")


def test_a_reader_that_goes_ends_the_machine() -> None:
    family = Family("--", "yes")
    assert family.process.stdout is not None
    assert family.process.stdout.read(4) == b"y\ny\n"
    family.process.stdout.close()
    family.process.stdout = None
    assert family.end() == (141, "")


def test_no_kernel_and_no_apt_is_said_so(tmp_path: Path) -> None:
    for program in ("qemu-system-x86_64", "virtiofsd", "busybox", "depmod"):
        (tmp_path / program).symlink_to("/bin/busybox")
    ran = subprocess.run(
        [*VM_RUN, "--", "true"],
        env={**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 125
    assert ran.stderr == (
        "container: the kernel of a virtual machine comes as a Debian package, and there is no apt here; "
        "use Debian or Ubuntu\n"
    )
