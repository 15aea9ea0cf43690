"""The keeper of a worker's memory: is what its source says, has little open, goes on or ends when it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.assembler import assembled
from toolkit.linux.keeper import CODE, load

_SOURCES = Path(__file__).parents[2] / "toolkit" / "linux" / "keep"
_PARENT = """
import os, sys, time
from toolkit.linux import keeper, signals, sock
code = keeper.load()
said, say = os.pipe()
end, ended = os.pipe()
wait, go = os.pipe()
ours, theirs = sock.pair(sock.SOCK_STREAM)
os.set_inheritable(end, True)
lives = []
maker = os.fork()
if maker == 0:
    os.close(ended)
    os.dup2(say, 200)
    os.dup2(theirs.fileno(), 201)
    while len(lives) < 3:
        until, held = os.pipe()
        os.dup2(until, 202)
        if code.bear(keeper.SUCCESSOR, 202, 201) < 0:
            os._exit(1)
        os.close(until)
        os.close(201)
        os.write(200, f"{os.getpid()} {os.getppid()}\\n".encode())
        os.read(wait, 1)
        lives.append(os.getpid())
        try:
            HOW
        except keeper.Outlived:
            os.write(200, f"{os.getpid()} {lives} {len(os.read(201, 1))}\\n".encode())
            break
        except OSError as exc:
            print("error:", exc.errno, flush=True)
        os._exit(5)
    os._exit(6)
theirs.close()
worker, parent = map(int, os.read(said, 100).split())
assert parent == os.getpid()
with open(f"/proc/{parent}/task/{parent}/children") as listing:
    assert set(map(int, listing.read().split())) == {maker, worker}
while len(files := os.listdir(f"/proc/{maker}/fd")) > 6:
    pass  # it has just begun
print("open:", *sorted(set(files) - {"0", "1", "2"}))
print("alive:", os.waitpid(maker, os.WNOHANG) == (0, 0), flush=True)
if ASKED:
    ours.send(b".")
os.write(go, b".")
THEN
print("keeper:", os.waitpid(maker, 0)[1])
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


def _lines(how: str, then: str = "", *, is_asked: bool = False) -> list[str]:
    program = _PARENT.replace("HOW", how).replace("THEN", then).replace("ASKED", str(is_asked))
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=20)
    return done.stdout.splitlines()


_IT_WAITS = ["open: 200 201 202", "alive: True"]
_PROGRAM = "os.dup2(end, 0); code.execve('/bin/sh', ('sh', '-c', 'read line; exit $N'), {'N': '3'})"
"""It runs until we say so."""


def test_keeper_has_little_open_and_ends_soon_after_its_worker_is_a_program() -> None:
    then = "time.sleep(0.1); assert os.waitpid(worker, os.WNOHANG) == (0, 0)"
    assert _lines(_PROGRAM, then) == [*_IT_WAITS, "keeper: 0", f"worker: {3 << 8}"]


def test_keeper_goes_on_as_the_worker_when_it_is_asked() -> None:
    then = "assert os.read(said, 100).decode() == f'{maker} [{worker}] 1\\n'"
    assert _lines(_PROGRAM, then, is_asked=True) == [*_IT_WAITS, f"keeper: {6 << 8}", f"worker: {3 << 8}"]


def test_keeper_ends_at_once_when_who_could_ask_is_gone() -> None:
    assert _lines(_PROGRAM, "ours.close()") == [*_IT_WAITS, "keeper: 0", f"worker: {3 << 8}"]


def test_keeper_ends_when_its_worker_becomes_a_program_without_it() -> None:
    how = "os.dup2(end, 0); os.execv('/bin/sh', ['sh', '-c', 'read line; exit 3'])"
    assert _lines(how, is_asked=True) == [*_IT_WAITS, "keeper: 0", f"worker: {3 << 8}"]


def test_keeper_ends_when_its_worker_does() -> None:
    how, then = "signals.pause()", "os.kill(worker, signals.SIGKILL)"
    assert _lines(how, then, is_asked=True) == [*_IT_WAITS, "keeper: 0", "worker: 9"]


def test_keeper_ends_when_it_is_told_to_while_the_worker_goes_on() -> None:
    how = "os.write(held, b'.'); os.read(end, 1); os._exit(len(lives) + 6)"
    assert _lines(how) == [*_IT_WAITS, "keeper: 0", f"worker: {7 << 8}"]


def test_worker_goes_on_where_there_is_no_such_program_and_its_keeper_ends_with_it() -> None:
    lines = _lines("code.execve('/none', ('none',), {})", is_asked=True)
    assert sorted(lines) == sorted([*_IT_WAITS, "error: 2", "keeper: 0", f"worker: {5 << 8}"])


def test_worker_goes_on_when_its_keeper_is_killed() -> None:
    how = "os.read(end, 1); os._exit(len(lives) + 6)"
    assert _lines(how, "os.kill(maker, signals.SIGKILL)") == [*_IT_WAITS, "keeper: 9", f"worker: {7 << 8}"]


def test_text_that_no_program_can_be_given_is_refused() -> None:
    code = load()
    assert code is not None
    with pytest.raises(ValueError, match="null byte"):
        code.execve("/bin/sh", ("sh", "a\0b"), {})


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
