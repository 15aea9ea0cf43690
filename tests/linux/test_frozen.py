"""Frozen memory: it is given back while a process waits, and afterwards every byte is as it was."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.assembler import assembled, linked
from toolkit.core.errors import UnsupportedError
from toolkit.linux import frozen

_ROOT = os.path.dirname(sys.modules["toolkit"].__path__[0])
_SOURCES = Path(_ROOT) / "toolkit" / "linux" / "freeze"
_HAS_CODE = pytest.mark.skipif(os.uname().machine not in frozen.CODE, reason="no code for this machine")
ASLEEP_KB = 300
"""What a process asleep has at most; awake it has ten times that."""
_PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import gc, os, random, select, time
from toolkit.core.errors import UnsupportedError
from toolkit.linux import frozen, machinecode, memorymap, signals

signals.signal(signals.SIGINT, signals.SIG_IGN)  # Python has a handler for it
reading, writing = os.pipe()
said, say = os.pipe()

def weigh(pid, kind="Rss:"):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        (line,) = [line for line in file if line.startswith(kind)]
    return int(line.split()[1])

def await_sleep(pid):
    deadline = time.monotonic() + 20
    while weigh(pid) > ASLEEP_KB:
        assert time.monotonic() < deadline, f"it has {weigh(pid)} kB"
        time.sleep(0.005)

def sleep(patience_ms=None):
    return frozen.sleep({reading: select.POLLIN}, patience_ms)

def be_child():
    CHILD

BEFORE
gc.collect()
gc.freeze()
frozen.freeze()
pid = os.fork()
if pid == 0:
    try:
        be_child()
    except BaseException as exc:
        sys.excepthook(type(exc), exc, exc.__traceback__)
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)
PARENT
status = os.waitpid(pid, 0)[1]
print(os.waitstatus_to_exitcode(status))
"""
_WAKE = "await_sleep(pid)\nos.write(writing, b'.')"


def _run(child: str, parent: str = "", before: str = "", root: str = _ROOT) -> list[str]:
    """Freeze a process, have its child do something, return what was printed and how the child ended."""
    parts = {"CHILD": child.replace("\n", "\n    "), "PARENT": parent, "BEFORE": before}
    program = _PROGRAM
    for name, text in (*parts.items(), ("ASLEEP_KB", str(ASLEEP_KB))):
        program = program.replace(name, text)
    command = [sys.executable, "-I", "-S", "-c", program, root]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.needs("as")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="`as` is for the machine that it runs on")
def test_code_is_what_the_source_assembles_to(tmp_path: Path) -> None:
    assert assembled(_SOURCES / "x86_64.S", tmp_path) == frozen.CODE["x86_64"]


@pytest.mark.needs("aarch64-as")
def test_code_for_arm_is_what_the_source_assembles_to(tmp_path: Path) -> None:
    assert assembled(_SOURCES / "aarch64.S", tmp_path) == frozen.CODE["aarch64"]


@pytest.mark.needs("aarch64-as", "aarch64-qemu")
def test_code_for_arm_freezes_and_sleeps(tmp_path: Path) -> None:
    program = linked("aarch64", tmp_path, Path(__file__).parent / "frozen_on_arm.S", _SOURCES / "aarch64.S")
    assert subprocess.run(["qemu-aarch64", program], check=False, timeout=60).returncode == 0


@_HAS_CODE
def test_sleeper_gives_its_memory_back_and_is_woken_by_a_descriptor() -> None:
    child = "assert sleep()\nassert os.read(reading, 1) == b'.'\nprint('woken', flush=True)"
    parent = """
await_sleep(pid)
print(weigh(pid) < ASLEEP_KB < weigh(os.getpid()) / 10, weigh(pid, "Pss_File:"), weigh(pid, "Pss_Shmem:"), flush=True)
os.write(writing, b'.')
"""
    assert _run(child, parent) == ["True 0 0", "woken", "0"]


@_HAS_CODE
def test_what_the_stack_had_below_is_given_back() -> None:
    child = """
nested = []
for _level in range(900):
    nested = [nested]
def weigh_stack():
    with open("/proc/self/smaps") as file:
        return int(file.read().partition("[stack]")[2].partition("Rss:")[2].split()[0])
assert repr(nested).startswith("[[[[")
deep = weigh_stack()
assert sleep(1)
print(weigh_stack() < deep / 3)
assert repr(nested).startswith("[[[[")
"""
    assert _run(child) == ["True", "0"]


@_HAS_CODE
def test_timer_wakes_and_not_too_early() -> None:
    child = """
for patience_ms in (0, 30, 1030.5):
    before = time.monotonic()
    assert sleep(patience_ms)
    assert (time.monotonic() - before) * 1000 >= patience_ms
"""
    assert _run(child) == ["0"]


@_HAS_CODE
def test_frozen_process_goes_on_and_may_sleep_itself() -> None:
    child = "pass"
    parent = "assert sleep(1)\nimport json\nprint(json.dumps({'a': [1, 2.5, None]}))"
    assert _run(child, parent) == ['{"a": [1, 2.5, null]}', "0"]


@_HAS_CODE
@pytest.mark.parametrize("seed", range(6))
def test_every_byte_is_as_before(seed: int) -> None:
    # What was frozen is changed at random, words, runs and whole pages, up to the edges; new objects come and go.
    before = f"""
import hashlib
chance = random.Random({seed})
frozen_bytes = bytearray(chance.randbytes(600_000))
things = {{number: [str(number), float(number), (number,)] for number in range(3000)}}
"""
    child = """
import ctypes
size = len(frozen_bytes)
area = (ctypes.c_char * size).from_buffer(frozen_bytes)
first = ctypes.addressof(area)
aligned = -first % 4096
shadow = bytearray(frozen_bytes)
for again in range(8):
    for _change in range(chance.randrange(200)):
        length = min(chance.choice((1, 8, 8, 16, 100, 4096, 9000)), size)
        at = chance.choice((chance.randrange(size), aligned + 4096 * chance.randrange(100), 0, size - length))
        at = min(at, size - length)
        content = bytes(length) if chance.random() < 0.2 else chance.randbytes(length)
        frozen_bytes[at : at + length] = shadow[at : at + length] = content
    for _change in range(40):
        things[chance.choice(list(things))].append(again)
        del things[chance.choice(list(things))]
    known = hashlib.sha256(repr(things).encode()).hexdigest()
    assert sleep(1), "it did not sleep"
    assert frozen_bytes == shadow
    assert hashlib.sha256(repr(things).encode()).hexdigest() == known
    gc.collect()
import json, decimal
assert json.loads(json.dumps(list(things))) == list(things)
print(frozen._State.bed.used > 4096)
"""
    assert _run(child, before=before) == ["True", "0"]


@_HAS_CODE
def test_who_has_changed_too_much_does_not_sleep_and_loses_nothing() -> None:
    before = "area = bytearray(2 * frozen.KEPT_BYTES)"
    child = """
area[:] = content = random.Random(1).randbytes(len(area))
assert not sleep(10_000)  # at once
assert area == content
area[:] = bytes(len(area))
assert sleep(1)
assert area == bytes(len(area))
"""
    assert _run(child, before=before) == ["0"]


@_HAS_CODE
def test_mapping_that_is_another_one_now_is_left_alone() -> None:
    before = "import mmap\narea = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE)\narea[:] = b'a' * (1 << 16)"
    child = """
import ctypes
address = ctypes.addressof((ctypes.c_char * 1).from_buffer(area))
def is_frozen():
    return any(one.start == address and "memfd:frozen" in one.name for one in memorymap.read())
assert is_frozen()
anonymous_fixed = 0x32
assert machinecode.mmap(address, 1 << 16, 3, anonymous_fixed, -1, 0) == address
assert not is_frozen()
area[:] = content = b"a" * (1 << 15) + b"b" * (1 << 15)  # half of it as in the image
assert sleep(1)
assert bytes(area) == content
"""
    assert _run(child, before=before) == ["0"]


@_HAS_CODE
def test_memory_that_the_c_library_makes_longer_is_whole() -> None:
    before = "areas = [bytearray(b'x' * 300_000) for _ in range(4)]"  # each a mapping of its own
    child = """
for again in range(3):
    for area in areas:
        area += b"y" * 3_000_000
    del areas[-1]
    assert sleep(1) or again  # much has changed
    for area in areas:
        assert area == b"x" * 300_000 + b"y" * 3_000_000 * (again + 1)
"""
    assert _run(child, before=before) == ["0"]


@_HAS_CODE
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_signal_ends_a_sleeper(number: int) -> None:
    assert _run("sleep()", f"await_sleep(pid)\nos.kill(pid, {int(number)})") == [str(-number)]


@_HAS_CODE
def test_sleeper_stops_and_continues_and_takes_no_notice_of_signals_that_are_ignored() -> None:
    child = "before = [n for n in range(1, 32)]\nassert sleep()\nassert os.read(reading, 1) == b'.'"
    parent = f"""
await_sleep(pid)
for number in ({int(signal.SIGINT)}, {int(signal.SIGCHLD)}, {int(signal.SIGWINCH)}, {int(signal.SIGSTOP)}):
    os.kill(pid, number)
assert os.waitpid(pid, os.WUNTRACED)[0] == pid
os.kill(pid, {int(signal.SIGCONT)})
assert os.waitpid(pid, os.WCONTINUED)[0] == pid
{_WAKE}
"""
    assert _run(child, parent) == ["0"]


@_HAS_CODE
def test_who_handles_a_signal_does_not_sleep() -> None:
    # Its code could not run.  So it waits as ever, and the handler is called.
    child = """
import _signal
caught = []
_signal.signal(_signal.SIGUSR1, lambda number, frame: caught.append(number))
assert not sleep(20_000)
_signal.signal(_signal.SIGUSR1, _signal.SIG_IGN)
assert sleep(1)
_signal.signal(_signal.SIGRTMAX, lambda number, frame: caught.append(number))
assert not sleep(20_000)
os.kill(os.getpid(), _signal.SIGRTMAX)
assert caught == [_signal.SIGRTMAX]
"""
    assert _run(child) == ["0"]


@_HAS_CODE
def test_mask_of_signals_is_as_before() -> None:
    child = """
import _signal
_signal.pthread_sigmask(_signal.SIG_SETMASK, {_signal.SIGTERM})
os.kill(os.getpid(), _signal.SIGTERM)
assert sleep(1)
assert _signal.pthread_sigmask(_signal.SIG_BLOCK, ()) == {_signal.SIGTERM}
assert _signal.sigpending() == {_signal.SIGTERM}
"""
    assert _run(child) == ["0"]


@_HAS_CODE
def test_who_has_threads_neither_freezes_nor_sleeps() -> None:
    child = """
import _thread
stop = _thread.allocate_lock()
stop.acquire()
_thread.start_new_thread(stop.acquire, ())
while not _thread._count():
    pass
assert not sleep(20_000)
try:
    frozen.freeze()
except UnsupportedError as exc:
    print(exc, flush=True)
os._exit(0)
"""
    assert _run(child) == ["there are threads", "0"]


@_HAS_CODE
def test_who_can_open_nothing_more_does_not_sleep() -> None:
    child = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, 4096))
assert not sleep(20_000)
assert sorted(map(int, os.listdir("/proc/self/fd")))  # one more can be opened: what was is closed
"""
    assert _run(child) == ["0"]


@_HAS_CODE
def test_image_is_open_nowhere_and_no_mapping_can_be_written_and_executed() -> None:
    child = """
paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
links = [os.readlink(path) for path in paths if os.path.lexists(path)]
mappings = memorymap.read()
print(any("frozen" in link for link in links), any("frozen" in one.name for one in mappings))
print([one for one in mappings if "w" in one.permissions and "x" in one.permissions])
"""
    assert _run(child) == ["False True", "[]", "0"]


@_HAS_CODE
@pytest.mark.needs("root")
def test_nobody_can_change_the_image() -> None:
    child = """
import fcntl
(one, *_) = [one for one in memorymap.read() if "memfd:frozen" in one.name]
fd = os.open(f"/proc/self/map_files/{one.start:x}-{one.end:x}", os.O_RDWR)
for change in (lambda: os.pwrite(fd, b".", 0), lambda: os.ftruncate(fd, 0)):
    try:
        change()
    except PermissionError as exc:
        print(exc.strerror)
"""
    assert _run(child) == ["Operation not permitted", "Operation not permitted", "0"]


def test_machine_without_code_freezes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.linux.frozen.MACHINE", "riscv64")
    with pytest.raises(UnsupportedError, match="no code for riscv64"):
        frozen.freeze()


def test_who_has_not_frozen_does_not_sleep() -> None:
    assert not frozen.sleep({}, 60_000)
