"""The engine's own program in a container: what a hostile image or a hostile process can do to it (CVE-2019-5736)."""

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.engines import add_image, collect, run
from tests.support.hostile_loader import loader
from toolkit.core.errors import SyscallError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.image.embedded.elf import read_elf
from toolkit.linux import sealed

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


@pytest.fixture
def hostile(engine: Engine, busybox_tree: str, tmp_path: Path) -> Engine:
    """Bring in an image that is loaded into the engine's program: its entry point leads to it, and it is its loader."""
    interpreter = read_elf(os.path.realpath(sys.executable))
    if interpreter is None or not interpreter.interpreter or os.uname().machine != "x86_64":
        pytest.skip("needs a dynamically linked Python on x86_64")
    tree = tmp_path / "tree"
    shutil.copytree(busybox_tree, tree, symlinks=True)
    os.symlink("/proc/self/exe", tree / "entry")
    (tree / "script").write_text("#!/proc/self/exe\n")
    (tree / "script").chmod(0o755)
    place = tree / interpreter.interpreter.lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_bytes(loader())
    place.chmod(0o755)
    add_image(engine.images.store, "hostile", str(tree))
    return engine


ENTRIES = ("/entry", "/script", "/proc/self/exe")


@pytest.mark.parametrize("entry", ENTRIES)
def test_engines_program_cannot_be_changed_from_inside(hostile: Engine, entry: str) -> None:
    assert run(hostile, entry, image="hostile").code == errno.EROFS


@pytest.mark.parametrize("entry", ENTRIES)
def test_engines_program_cannot_be_changed_by_an_exec(hostile: Engine, entry: str) -> None:
    container = hostile.containers.create(ContainerOptions("hostile", ("sleep", "60")))
    container.start()
    assert collect(container.exec(ExecOptions((entry,)))).code == errno.EROFS


def test_engines_program_is_a_copy_in_memory_where_mounts_cannot_be_copied(
    hostile: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> int:
        raise SyscallError(f"open_tree({path})", errno.EPERM)

    monkeypatch.setattr(sealed, "open_on_read_only_mount", refuse)
    before = os.stat(sys.executable).st_ctime_ns
    assert run(hostile, "/entry", image="hostile").code == 0  # the copy has got another mode; its content is sealed
    assert os.stat(sys.executable).st_ctime_ns == before


def test_without_the_read_only_mount_the_hosts_file_would_be_reached(
    hostile: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = tmp_path / "python"
    shutil.copy(os.path.realpath(sys.executable), copy)
    copy.chmod(0o700)
    monkeypatch.setattr(sealed, "open_program", lambda _path: os.open(copy, os.O_PATH | os.O_CLOEXEC))
    assert run(hostile, "/entry", image="hostile").code == 0
    assert copy.stat().st_mode & 0o777 == 0o755


def test_copy_in_memory_cannot_be_written_to(tmp_path: Path) -> None:
    original = tmp_path / "program"
    original.write_bytes(b"content" * 1000)
    fd = sealed.copy_to_memory(str(original))
    try:
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        with pytest.raises(PermissionError):
            os.truncate(fd, 0)
        assert os.pread(fd, 8000, 0) == b"content" * 1000
    finally:
        os.close(fd)


def test_program_on_a_read_only_mount_cannot_be_written_to(tmp_path: Path) -> None:
    original = tmp_path / "program"
    original.write_bytes(b"content")
    fd = sealed.open_program(str(original))
    try:
        assert fd >= 10
        for attempt in (
            lambda: os.open(f"/proc/self/fd/{fd}", os.O_WRONLY),
            lambda: os.chmod(f"/proc/self/fd/{fd}", 0o777),
            lambda: os.truncate(f"/proc/self/fd/{fd}", 0),
        ):
            with pytest.raises(OSError, match="Read-only file system"):
                attempt()
        assert original.read_bytes() == b"content"
    finally:
        os.close(fd)
