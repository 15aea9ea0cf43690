"""A command in namespaces of another process: which it joins, and which it does not."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from toolkit.core.errors import InvalidError, SyscallError
from toolkit.linux.enter import TIMED_OUT, run_in
from toolkit.linux.namespace import namespace_inodes

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """Return a process in uts, net and pid namespaces of its own, the first of the last one, called "elsewhere"."""
    program = """
        import os, socket, sys, time
        sys.path.insert(0, {root!r})
        from toolkit.linux.namespace import CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWUTS, unshare
        unshare(CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWPID)
        socket.sethostname("elsewhere")
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
        print(pid, flush=True)
        os.waitpid(pid, 0)
    """
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    text = "\n".join(line[8:] for line in program.format(root=root).splitlines())
    made = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    pid = int(made.stdout.readline())
    yield pid
    os.kill(pid, 9)
    made.stdout.close()
    made.wait()


def test_command_is_in_what_it_joins_and_nowhere_else(elsewhere: int) -> None:
    entered = run_in({"uts": elsewhere}, ("sh", "-c", "hostname; readlink /proc/self/ns/uts /proc/self/ns/net"))
    ours, theirs = namespace_inodes(), namespace_inodes(elsewhere)
    assert entered.output.split() == ["elsewhere", f"uts:[{theirs['uts']}]", f"net:[{ours['net']}]"]
    assert entered.exit_code == 0
    assert len(entered.calls) == 1
    assert entered.calls[0].endswith(f"</proc/{elsewhere}/ns/uts>, CLONE_NEWUTS) = 0")


def test_command_is_born_in_a_pid_namespace(elsewhere: int) -> None:
    assert run_in({"pid": elsewhere}, ("sh", "-c", "echo $$")).output == "2\n"


def test_exit_code_and_both_streams_come_back() -> None:
    assert run_in({}, ("sh", "-c", "echo out; echo err >&2; exit 7"))[:2] == (7, "out\nerr\n")
    assert run_in({}, ("sh", "-c", "kill -9 $$")).exit_code == 137
    assert run_in({}, ("no-such-program",)).exit_code == 127
    assert run_in({}, ("/etc/passwd",)).exit_code == 126


def test_command_that_takes_too_long_is_ended_with_all_that_it_started() -> None:
    start_s = time.monotonic()
    entered = run_in({}, ("sh", "-c", "sleep 60 & echo $!; sleep 60"), timeout_s=0.5)
    assert entered.exit_code == TIMED_OUT
    assert time.monotonic() - start_s < 5
    assert _state(int(entered.output)) in ("", "Z")


def _state(pid: int) -> str:
    """Return the state of a process, "Z" where it has ended and nobody has asked how; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_output_without_end_is_cut_off() -> None:
    assert len(run_in({}, ("yes",), timeout_s=30).output) == 64 * 1024


def test_process_that_is_gone_and_kind_that_is_none_are_refused() -> None:
    with pytest.raises(SyscallError, match=r"/ns/uts.* ENOENT .*the process is gone"):
        run_in({"uts": 2**22 - 1}, ("true",))
    with pytest.raises(InvalidError, match="no such kind of namespace: files"):
        run_in({"files": 1}, ("true",))
    with pytest.raises(InvalidError, match="no command"):
        run_in({}, ())


def test_what_cannot_be_joined_is_told_as_the_call_that_failed() -> None:
    with pytest.raises(SyscallError, match=r"setns\(.*CLONE_NEWUSER\) = -1 EINVAL"):  # the one that it is in already
        run_in({"user": os.getpid()}, ("true",))
