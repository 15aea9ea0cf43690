"""The processes that unpack: whatever kills them, or the one that waits for them, leaves nothing behind."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.patience import wait_until
from tests.support.trees import make_tar, member, snapshot, unpack
from toolkit.core.digest import digest_of
from toolkit.core.errors import (
    BombError,
    CorruptLayerError,
    EngineError,
    PrivilegeError,
    StorageFullError,
    UnsafePathError,
)
from toolkit.image.layers import LayerProgress, LayerRequest, LayerStore, Limits
from toolkit.image.unpack.tree import explained
from toolkit.linux.mount import MNT_DETACH, mount, umount

pytestmark = pytest.mark.needs("root")
MANY = make_tar(*(member(f"{number % 100}/{number}", b"x" * 100) for number in range(20_000)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> LayerStore:
    return LayerStore(str(root))


def request_for(tmp_path: Path, tar: bytes) -> LayerRequest:
    blob = tmp_path / f"{digest_of(tar)[7:19]}.tar"
    blob.write_bytes(tar)
    return LayerRequest(str(blob), "", digest_of(tar))


def half_made(root: Path) -> list[str]:
    tmp = root / "layers" / "tmp"
    return os.listdir(tmp) if tmp.exists() else []


def children() -> set[int]:
    """Return the processes whose parent this process is; registries of other tests are among them."""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        found |= set(map(int, Path(f"/proc/self/task/{task}/children").read_text().split()))
    return found


def test_process_makes_what_is_made_in_this_one(tmp_path: Path, store: LayerStore) -> None:
    tar = make_tar(*(member(f"f{number}", os.urandom(number), mode=0o4711, uid=number) for number in range(50)))
    request = request_for(tmp_path, tar)
    store.apply([request])
    unpack(tar, tmp_path / "here")
    ours, theirs = snapshot(Path(store.path(request.diff_id))), snapshot(tmp_path / "here")
    del ours["."], theirs["."]  # of which the tar says nothing
    assert ours == theirs


@pytest.mark.parametrize(
    ("tar", "limits", "kind", "words"),
    [
        (make_tar(member("../x")), Limits(), UnsafePathError, "the path ../x leads out of its layer; .* do not use it"),
        (
            make_tar(member("x", bytes(2000)))[:1500],
            Limits(),
            CorruptLayerError,
            "ends early, in x; the image is damaged",
        ),
        (make_tar(member("x")), Limits(max_bytes=100), BombError, "more than 100 bytes; raise the limit"),
        (make_tar(member("x"), member("y")), Limits(max_entries=1), BombError, "more than 1 members"),
        (make_tar(member("n" * 300)), Limits(), CorruptLayerError, "no file can be made"),
    ],
)
def test_error_of_the_process_is_raised_here_in_one_line(
    tmp_path: Path, root: Path, store: LayerStore, tar: bytes, limits: Limits, kind: type[EngineError], words: str
) -> None:
    request = request_for(tmp_path, tar)
    with pytest.raises(kind, match=words) as caught:
        store.apply([request], limits=limits)
    assert str(caught.value).startswith(f"layer {request.diff_id[7:19]}: ")
    assert "\n" not in str(caught.value)
    assert not store.has(request.diff_id)
    assert half_made(root) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mount("tmpfs", str(path), "tmpfs", 0, "size=1m")
    yield path
    umount(str(path), MNT_DETACH)


@pytest.mark.needs("tmpfs")
def test_full_disk_is_named_and_freed(tmp_path: Path, small_disk: Path) -> None:
    store = LayerStore(str(small_disk))
    before = os.statvfs(small_disk).f_bfree
    with pytest.raises(StorageFullError, match="no space left on the device that holds the layers; free some"):
        store.apply([request_for(tmp_path, make_tar(member("big", bytes(3 << 20))))])
    assert half_made(small_disk) == []
    assert os.statvfs(small_disk).f_bfree >= before - 4  # the store's own directories


@pytest.mark.needs("tmpfs")
def test_full_disk_by_many_small_files_is_named(tmp_path: Path, small_disk: Path) -> None:
    with pytest.raises(StorageFullError):
        LayerStore(str(small_disk)).apply([request_for(tmp_path, MANY)])
    assert half_made(small_disk) == []


def test_member_that_may_not_be_written_names_the_cure() -> None:
    found = explained(PermissionError(errno.EPERM, "Operation not permitted"), b"home/student")
    assert isinstance(found, PrivilegeError)
    assert str(found).startswith("cannot write home/student: EPERM (Operation not permitted); unpacking needs root")


def test_killed_worker_is_named_and_nothing_is_left(tmp_path: Path, root: Path, store: LayerStore) -> None:
    before = children()

    def kill(_progress: LayerProgress) -> None:
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(EngineError, match="was killed by signal 9"):
        store.apply([request_for(tmp_path, MANY)], progress=kill)
    assert half_made(root) == []


def test_error_in_the_progress_callback_ends_the_workers(tmp_path: Path, root: Path, store: LayerStore) -> None:
    before = children()

    def fail(_progress: LayerProgress) -> None:
        raise RuntimeError("the bar is broken")

    with pytest.raises(RuntimeError, match="the bar is broken"):
        store.apply([request_for(tmp_path, MANY)], progress=fail)
    assert half_made(root) == []
    assert children() == before


PARENT = """
import sys
from toolkit.image.layers import LayerRequest, LayerStore
root, blob, diff_id = sys.argv[1:]
LayerStore(root).apply([LayerRequest(blob, "", diff_id)])
"""


def start_parent(root: Path, request: LayerRequest) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PARENT, str(root), request.blob_path, request.diff_id]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()}, stderr=subprocess.PIPE)


def files_below(path: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(path))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_parent_that_dies_takes_its_worker_along(tmp_path: Path, root: Path, number: int) -> None:
    big = request_for(tmp_path, make_tar(*(member(f"{n}", b"x" * 100) for n in range(60_000))))
    with start_parent(root, big) as parent:
        wait_until(lambda: files_below(root) > 100, 10)
        parent.send_signal(number)
        parent.communicate()
    wait_until(lambda: not _lives_in(root), 10)
    assert (half_made(root) == []) == (number == signal.SIGINT)  # only SIGKILL leaves something behind
    store = LayerStore(str(root))  # and the next open cleans that up
    assert half_made(root) == []
    assert list(store.list()) == []


def _lives_in(root: Path) -> bool:
    """Tell whether a process has something open below `root`."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{fd}").startswith(f"{root}/") for fd in os.listdir(f"/proc/{pid}/fd")):
                return True
        except OSError:
            continue
    return False


def test_open_leaves_alone_what_somebody_works_on(tmp_path: Path, root: Path) -> None:
    request = request_for(tmp_path, MANY)
    with start_parent(root, request) as parent:
        wait_until(lambda: half_made(root), 10)
        for _ in range(20):
            LayerStore(str(root))
        assert parent.communicate()[1] == b""
    assert parent.returncode == 0
    assert LayerStore(str(root)).has(request.diff_id)


def test_two_processes_make_the_same_layer(tmp_path: Path, root: Path) -> None:
    request = request_for(tmp_path, MANY)
    with start_parent(root, request) as one, start_parent(root, request) as other:
        assert one.communicate()[1] == other.communicate()[1] == b""
    assert (one.returncode, other.returncode) == (0, 0)
    assert LayerStore(str(root)).info(request.diff_id).entries == 20_000
    assert half_made(root) == []


def test_two_threads_make_the_same_layer(tmp_path: Path, root: Path, store: LayerStore) -> None:
    request = request_for(tmp_path, MANY)
    threads = [threading.Thread(target=store.apply, args=([request],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.has(request.diff_id)
    assert half_made(root) == []


def test_worker_imports_little() -> None:
    """What a worker imports decides how fast it starts."""
    code = (
        "import sys; before = set(sys.modules); import toolkit.image.unpack.worker;"
        "print(*sorted(name for name in set(sys.modules) - before))"
    )
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {os.getcwd()!r}); {code}"]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert not set(loaded) & {"subprocess", "pathlib", "json", "dataclasses", "msgspec", "tempfile", "shutil", "ctypes"}
