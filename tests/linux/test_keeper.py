"""The keeper of a worker's memory: is what its source says, has nothing open, ends when it is needed no more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.assembler import assembled
from toolkit.linux.keeper import CODE, load

_SOURCES = Path(__file__).parents[2] / "toolkit" / "linux" / "keep"
_PARENT = """
import os, sys
from toolkit.linux import keeper, process, signals
process.set_child_subreaper(1)
code = keeper.load()
said, say = os.pipe()
end, ended = os.pipe()
wait, go = os.pipe()
os.set_inheritable(end, True)
shared = [1]
maker = os.fork()
if maker == 0:
    until, held = os.pipe()
    assert code.keep(until) > 0
    assert code.succeed(keeper.SUCCESSOR) == 0
    os.close(until)
    os.close(ended)
    os.write(say, f"{os.getpid()} {os.getppid()}\\n".encode())
    os.read(wait, 1)
    HOW
    os._exit(5)
assert os.waitpid(maker, 0) == (maker, 0)
worker, parent = map(int, os.read(said, 100).split())
assert parent == os.getpid()
with open(f"/proc/{parent}/task/{parent}/children") as listing:
    (keeper_pid,) = set(map(int, listing.read().split())) - {worker}
while len(files := os.listdir(f"/proc/{keeper_pid}/fd")) > 1:
    pass  # it has just begun
print("open:", files, os.readlink(f"/proc/{keeper_pid}/fd/0").partition(":")[0])
print("alive:", os.waitpid(keeper_pid, os.WNOHANG) == (0, 0))
os.write(go, b".")
THEN
print("keeper:", os.waitpid(keeper_pid, 0)[1])
os.close(ended)
print("worker:", os.waitpid(worker, 0)[1])
"""


@pytest.mark.needs("as")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="`as` is for the machine that it runs on")
def test_code_is_what_the_source_assembles_to(tmp_path: Path) -> None:
    assert assembled(_SOURCES / "x86_64.S", tmp_path) == CODE["x86_64"]


@pytest.mark.needs("aarch64-as")
def test_code_for_arm_is_what_the_source_assembles_to(tmp_path: Path) -> None:
    assert assembled(_SOURCES / "aarch64.S", tmp_path) == CODE["aarch64"]


def _lines(how: str, then: str = "") -> list[str]:
    program = _PARENT.replace("HOW", how).replace("THEN", then)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=20)
    return done.stdout.splitlines()


_IT_WAITS = ["open: ['0'] pipe", "alive: True"]


def test_keeper_has_nothing_open_and_ends_when_its_worker_executes_a_program() -> None:
    # The program still runs when the keeper has ended: it waits for us, with `read`.
    how = "os.dup2(end, 0); os.execv('/bin/sh', ['sh', '-c', 'read line; exit 3'])"
    then = "assert os.waitpid(worker, os.WNOHANG) == (0, 0)"
    assert _lines(how, then) == [*_IT_WAITS, "keeper: 0", f"worker: {3 << 8}"]


def test_keeper_ends_when_its_worker_does() -> None:
    how, then = "signals.pause()", "os.kill(worker, signals.SIGKILL)"
    assert _lines(how, then) == [*_IT_WAITS, "keeper: 0", "worker: 9"]


def test_worker_goes_on_when_its_keeper_is_killed() -> None:
    how = "os.read(end, 1); os._exit(shared[0] + 6)"
    assert _lines(how, "os.kill(keeper_pid, signals.SIGKILL)") == [*_IT_WAITS, "keeper: 9", f"worker: {7 << 8}"]


def test_maker_goes_on_where_no_successor_can_be_made() -> None:
    program = """
from toolkit.linux import keeper
print(keeper.load().succeed(0x10000), "and on")  # CLONE_THREAD alone means nothing
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=20)
    assert done.stdout.split() == ["-22", "and", "on"]


def test_machine_without_code_has_no_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.linux.keeper.MACHINE", "riscv64")
    assert load() is None
