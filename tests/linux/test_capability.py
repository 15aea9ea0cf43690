"""Capabilities: names, docker's arithmetic, and the real sets of a child."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.child import in_child
from toolkit.core.errors import InvalidError, SyscallError
from toolkit.linux import capability
from toolkit.linux.capability import DEFAULT, names, parse
from toolkit.trace import recording


def test_names_stand_at_their_numbers() -> None:
    assert (len(capability.NAMES), capability.NAMES[21], capability.NAMES[40]) == (
        41,
        "CAP_SYS_ADMIN",
        "CAP_CHECKPOINT_RESTORE",
    )


@pytest.mark.parametrize("spelling", ["CHOWN", "chown", "CAP_CHOWN", "cap_Chown"])
def test_spellings_mean_the_same(spelling: str) -> None:
    assert parse([spelling]) == 1


def test_unknown_name_is_named() -> None:
    with pytest.raises(InvalidError, match='unknown capability: "CAP_FLY"'):
        parse(["CHOWN", "fly"])


def test_names_and_parse_are_inverse() -> None:
    assert parse(names(0x1FFFEFFFFFF)) == 0x1FFFEFFFFFF


def test_a_newer_kernels_capability_is_named_by_number() -> None:
    assert names(1 << 43) == ["CAP_43"]


def test_default_is_dockers_fourteen() -> None:
    # What `docker run` shows in /proc/1/status.
    assert DEFAULT == 0xA80425FB


def test_status_is_decoded() -> None:
    status = (
        "Name:\tx\nCapInh:\t0000000000000001\nCapPrm:\t000001fffeffffff\nCapEff:\t0000000000000003\n"
        "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n"
    )
    assert capability.decode_status(status) == (1, 0x1FFFEFFFFFF, 3, 0xA80425FB, 0)


def test_last_cap_bounds_the_bounding_set() -> None:
    assert capability.bounding_set() < 1 << (capability.last_cap() + 1)


def test_no_such_process_is_a_syscall_error() -> None:
    with pytest.raises(SyscallError, match="ENOENT"):
        capability.read_sets(2**22 + 1)


@pytest.mark.needs("root")
def test_container_sets_are_what_the_kernel_shows() -> None:
    keep = DEFAULT & capability.bounding_set()

    def become_a_container() -> capability.CapabilitySets:
        capability.drop_bounding(keep)
        capability.clear_ambient()
        capability.capset(keep, keep)
        return capability.read_sets()

    assert in_child(become_a_container) == (0, keep, keep, keep, 0)


@pytest.mark.needs("root")
def test_executed_program_cannot_regain_what_was_dropped() -> None:
    def run() -> str:
        capability.drop_bounding(1)
        capability.capset(1, 1)
        return os.popen("grep CapEff /proc/self/status").read()  # noqa: S605 - a fixed command

    assert in_child(run).split() == ["CapEff:", "0000000000000001"]


@pytest.mark.needs("root")
def test_capset_beyond_permitted_fails_with_eperm() -> None:
    def try_it() -> None:
        capability.capset(0, 0)
        capability.capset(1, 1)

    with pytest.raises(SyscallError, match=r"EPERM.*run as root"):
        in_child(try_it)


@pytest.mark.needs("root")
def test_ambient_survives_a_change_of_user() -> None:
    def run() -> tuple[int, int]:
        capability.set_keepcaps(keep=True)
        os.setuid(65534)
        capability.capset(1 << 10, 1 << 10, 1 << 10)
        capability.raise_ambient(1 << 10)
        sets = capability.read_sets()
        return sets.effective, sets.ambient

    assert in_child(run) == (1 << 10, 1 << 10)


def test_raising_ambient_without_inheritable_fails() -> None:
    def run() -> None:
        capability.capset(0, 0)
        capability.raise_ambient(1)

    with pytest.raises(SyscallError, match="permitted and inheritable"):
        in_child(run)


def test_no_new_privs_stays() -> None:
    def run() -> tuple[bool, bool]:
        before = capability.no_new_privs()
        capability.set_no_new_privs()
        return before, capability.no_new_privs()

    assert in_child(run) == (False, True)


@pytest.mark.needs("root")
def test_securebits_read_back() -> None:
    def run() -> int:
        capability.set_securebits(capability.SECBIT_NOROOT)
        return capability.securebits()

    assert in_child(run) == capability.SECBIT_NOROOT


def test_calls_are_events_as_strace_prints_them() -> None:
    def run() -> list[str]:
        with recording() as recorder:
            capability.set_no_new_privs()
            capability.capset(0, 0)
        return [event.strace() for event in recorder.events]

    assert in_child(run) == [
        "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) = 0",
        "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=0, permitted=0, inheritable=0}) = 0",
    ]


@pytest.mark.needs("root", "strace")
def test_events_are_what_strace_sees(tmp_path: Path) -> None:
    code = (
        "from toolkit.linux import capability as c\n"
        "from toolkit.trace import recording\n"
        "with recording() as recorder:\n"
        "    c.drop_bounding(c.DEFAULT); c.clear_ambient(); c.set_keepcaps(keep=True)\n"
        "    c.set_securebits(c.SECBIT_NOROOT | c.SECBIT_KEEP_CAPS_LOCKED)\n"
        "    c.capset(1 << 10 | 1 << 21, 1 << 10 | 1 << 21 | 1, 1 << 10); c.raise_ambient(1 << 10)\n"
        "    c.set_no_new_privs()\n"
        "print(*(event.strace() for event in recorder.events), sep='\\n')\n"
    )
    command = ["strace", "-o", f"{tmp_path}/trace", "-e", "trace=prctl,capset", sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    recorded = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.splitlines()
    seen = [re.sub(r"\) +=", ") =", line) for line in (tmp_path / "trace").read_text().splitlines()]
    # The question how many capabilities there are is no event.
    assert recorded == [line for line in seen if line.startswith(("prctl", "capset")) and "CAPBSET_READ" not in line]
    assert len(recorded) == 41 - 14 + 6
