"""Paths opened and made inside a root: no symlink leads out, whatever it says."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.core.errors import SyscallError
from toolkit.linux import rooted


class _Root:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY)

    def read(self, path: str) -> str:
        fd = rooted.open_in_root(self.fd, path, os.O_RDONLY)
        with open(fd) as file:
            return file.read()

    def made(self, fd: int) -> str:
        """Return where an opened file lies, from the root on."""
        try:
            return os.readlink(f"/proc/self/fd/{fd}").removeprefix(str(self.path))
        finally:
            os.close(fd)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[_Root]:
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "file").write_text("inside")
    made = _Root(tmp_path / "root")
    yield made
    os.close(made.fd)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "root"]


@pytest.mark.parametrize("path", ["/etc/file", "etc/file", "/etc/../etc/file", "../../etc/file", "//etc///file"])
def test_path_is_seen_as_from_inside(root: _Root, path: str) -> None:
    assert root.read(path) == "inside"


@pytest.mark.parametrize("target", ["/etc/file", "../../../../etc/file", "etc/file"])
def test_symlink_is_followed_inside(root: _Root, target: str) -> None:
    os.symlink(target, root.path / "link")
    assert root.read("/link") == "inside"


@pytest.mark.parametrize("target", ["../outside", "/../outside"])
def test_symlink_does_not_lead_out(root: _Root, target: str) -> None:
    os.symlink(target, root.path / "link")
    with pytest.raises(SyscallError) as caught:
        root.read("/link")
    assert caught.value.errno == errno.ENOENT


def test_magic_link_is_not_followed(root: _Root) -> None:
    os.symlink("/proc/self/root", root.path / "link")
    (root.path / "proc").mkdir()
    with pytest.raises(SyscallError):
        root.read("/link/outside")


def test_circle_of_symlinks_is_eloop(root: _Root) -> None:
    os.symlink("b", root.path / "a")
    os.symlink("a", root.path / "b")
    with pytest.raises(SyscallError) as caught:
        rooted.make_directories(root.fd, "/a")
    assert caught.value.errno == errno.ELOOP


def test_circle_through_something_missing_is_eloop(root: _Root) -> None:
    os.symlink("/x/../b", root.path / "a")
    os.symlink("/x/../a", root.path / "b")
    with pytest.raises(SyscallError) as caught:
        rooted.make_directories(root.fd, "/a")
    assert caught.value.errno == errno.ELOOP


def test_directories_are_made_with_their_parents(root: _Root) -> None:
    assert root.made(rooted.make_directories(root.fd, "/a/b/c", 0o700)) == "/a/b/c"
    assert (root.path / "a").stat().st_mode & 0o777 == 0o700


def test_making_what_is_there_changes_nothing(root: _Root) -> None:
    assert root.made(rooted.make_directories(root.fd, "/etc")) == "/etc"
    assert root.made(rooted.make_file(root.fd, "/etc/file")) == "/etc/file"
    assert root.read("/etc/file") == "inside"


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("/run/x", "/run/x/leaf"),
        ("../../../run/x", "/run/x/leaf"),
        ("etc/../../x", "/x/leaf"),
        ("deep/er", "/deep/er/leaf"),
    ],
)
def test_what_a_dangling_symlink_points_to_is_made_inside(root: _Root, target: str, where: str) -> None:
    os.symlink(target, root.path / "link")
    assert root.made(rooted.make_directories(root.fd, "/link/leaf")) == where


def test_dangling_symlink_as_a_file_is_made_where_it_points(root: _Root) -> None:
    os.symlink("../run/systemd/stub", root.path / "etc" / "resolv.conf")
    assert root.made(rooted.make_file(root.fd, "/etc/resolv.conf")) == "/run/systemd/stub"


def test_chain_of_dangling_symlinks_is_followed(root: _Root) -> None:
    os.symlink("/b", root.path / "a")
    os.symlink("/etc/c", root.path / "b")
    assert root.made(rooted.make_file(root.fd, "/a")) == "/etc/c"


def test_file_in_the_way_is_enotdir(root: _Root) -> None:
    with pytest.raises(SyscallError) as caught:
        rooted.make_directories(root.fd, "/etc/file/below")
    assert caught.value.errno == errno.ENOTDIR


def test_beneath_refuses_to_leave(root: _Root) -> None:
    with pytest.raises(SyscallError) as caught:
        rooted.openat2(root.fd, "../outside", os.O_RDONLY, resolve=rooted.RESOLVE_BENEATH)
    assert caught.value.errno == errno.EXDEV


def test_descriptor_is_close_on_exec(root: _Root) -> None:
    fd = rooted.open_in_root(root.fd, "/etc")
    assert not os.get_inheritable(fd)
    os.close(fd)
