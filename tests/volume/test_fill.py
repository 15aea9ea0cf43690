"""A new volume begins with what the image has: owners, modes, links, attributes; whole, or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tests.support.child import in_child
from toolkit.linux import copytree, mount, namespace
from toolkit.volume import fill
from toolkit.volume.fill import Place

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a directory with one of everything that a directory can hold."""
    made = tmp_path / "source"
    (made / "sub").mkdir(parents=True)
    (made / "file").write_text("text")
    os.chmod(made / "file", 0o4755)
    os.chown(made / "file", 7, 8)
    os.chmod(made / "file", 0o4755)
    os.link(made / "file", made / "sub/link")
    os.symlink("/etc/passwd", made / "out")
    os.chown(made / "out", 5, 6, follow_symlinks=False)
    os.mkfifo(made / "pipe", 0o622)
    os.setxattr(made / "sub", "user.colour", b"red")
    os.utime(made / "file", ns=(10**18, 10**18 + 5))
    os.chown(made, 3, 4)
    os.chmod(made, 0o2770)
    return made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return the place of an empty volume."""
    (tmp_path / "volume/_data").mkdir(parents=True)
    return Place(str(tmp_path / "volume/_data"), str(tmp_path / "volume"))


def fill_from(place: Place, source: Path) -> bool:
    fd = os.open(source, os.O_PATH | os.O_DIRECTORY)
    try:
        return place.fill(fd)
    finally:
        os.close(fd)


def test_everything_comes_over(source: Path, place: Place) -> None:
    assert fill_from(place, source)
    data = Path(place.data)
    assert {path.name for path in data.iterdir()} == {"sub", "file", "out", "pipe"}
    found = (data / "file").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_nlink) == (7, 8, 0o4755, 2)
    assert found.st_mtime_ns == 10**18 + 5
    assert (data / "sub/link").stat().st_ino == found.st_ino
    assert os.readlink(data / "out") == "/etc/passwd"
    assert (data / "out").lstat().st_uid == 5
    assert stat.S_ISFIFO((data / "pipe").stat().st_mode)
    assert os.getxattr(data / "sub", "user.colour") == b"red"
    root = data.stat()
    assert (root.st_uid, root.st_gid, stat.S_IMODE(root.st_mode)) == (3, 4, 0o2770)
    assert os.listdir(data.parent) == ["_data"]


def test_volume_that_has_something_is_left_alone(source: Path, place: Place) -> None:
    (Path(place.data) / "mine").write_text("mine")
    assert not fill_from(place, source)
    assert os.listdir(place.data) == ["mine"]


def test_volume_that_is_too_small_stays_empty(source: Path, tmp_path: Path) -> None:
    (source / "big").write_bytes(b"x" * 200_000)

    def fill_small() -> tuple[int, list[str]]:
        namespace.unshare(namespace.CLONE_NEWNS)
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
        (tmp_path / "small").mkdir()
        mount.mount("tmpfs", str(tmp_path / "small"), "tmpfs", 0, "size=64k")
        small = Place.inside(str(tmp_path / "small"))
        try:
            fill_from(small, source)
        except OSError as exc:
            return exc.errno or 0, os.listdir(small.data)
        return 0, []

    assert in_child(fill_small) == (errno.ENOSPC, [])


@pytest.mark.parametrize("last", range(1, 8))
def test_killed_at_any_entry_it_looks_empty_until_it_is_whole(
    source: Path, place: Place, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies is killed after so many entries; the next one begins anew, or ends what was whole."""
    copied = copytree._Copy.entry
    count = 0

    def dies(*args: object) -> None:
        nonlocal count
        copied(*args)  # type: ignore[arg-type]  # as they came
        count += 1
        if count == last:
            os.kill(os.getpid(), 9)

    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(copytree._Copy, "entry", dies)
        fill_from(place, source)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == (-9 if last <= 5 else 0)
    if code:
        assert os.listdir(place.data) == []
        assert place.is_empty()
        assert fill_from(place, source)
    assert len(os.listdir(place.data)) == 4
    assert os.listdir(os.path.dirname(place.data)) == ["_data"]


@pytest.mark.parametrize("last", range(4))
def test_killed_while_entries_move_over_the_next_one_ends_it(
    source: Path, place: Place, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename
    count = 0

    def dies(*args: str, **options: int) -> None:
        nonlocal count
        rename(*args, **options)
        count += "src_dir_fd" in options or last == 0
        if count == max(last, 1):
            os.kill(os.getpid(), 9)

    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(fill.os, "rename", dies)
        fill_from(place, source)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    assert len(os.listdir(place.data)) == last
    place.finish()
    assert len(os.listdir(place.data)) == 4
    assert os.stat(place.data).st_uid == 3
    assert os.listdir(os.path.dirname(place.data)) == ["_data"]


def test_what_a_container_puts_in_the_way_is_not_followed(source: Path, tmp_path: Path) -> None:
    """In a volume that is a file system of its own the copy is made inside: a container may have been there before."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/secret").write_text("kept")
    (tmp_path / "data").mkdir()
    place = Place.inside(str(tmp_path / "data"))
    for name in ("_filling", "_filled"):
        os.symlink(tmp_path / "victim", tmp_path / f"data/.container-toolkit{name}")
    assert fill_from(place, source)
    assert (tmp_path / "victim/secret").read_text() == "kept"
    assert os.listdir(tmp_path / "victim") == ["secret"]
    assert set(os.listdir(tmp_path / "data")) == {"sub", "file", "out", "pipe"}
