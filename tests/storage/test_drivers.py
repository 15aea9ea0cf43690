"""Both drivers: the root that they describe, once mounted, is the image; what is changed in it is found."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.trees import directory, hardlink, make_tar, member, snapshot, symlink, unpack
from toolkit.core.digest import digest_of
from toolkit.core.errors import InvalidError, UnsupportedError
from toolkit.image.layers import LayerRequest, LayerStore
from toolkit.linux.mount import MNT_DETACH, MS_BIND, mount, umount
from toolkit.storage import merged, overlay, vfs
from toolkit.storage.choice import NAMES, get_driver
from toolkit.storage.driver import RootFilesystem

if TYPE_CHECKING:
    from toolkit.storage.driver import Driver

pytestmark = pytest.mark.needs("root", "overlay")

LAYERS = (
    make_tar(
        directory("etc", mtime=10),
        *(member("etc/passwd", b"root:x:0:0", mtime=11), member("etc/gone", b"1"), member("etc/old", b"old", mtime=12)),
        *(directory("var/replaced", mode=0o700), member("var/replaced/lower", b"l"), directory("empty", mode=0o1777)),
        *(symlink("bin", "usr/bin"), directory("usr/bin"), member("usr/bin/sh", b"#!", mode=0o4755, uid=7, gid=8)),
        *(hardlink("usr/bin/bash", "usr/bin/sh"), directory("was", mode=0o755), member("was/inside", b"i")),
    ),
    make_tar(
        *(member("etc/.wh.gone"), member("etc/new", b"new", pax_headers={"SCHILY.xattr.user.x": "1"})),
        *(
            directory("var/replaced", mode=0o711),
            member("var/replaced/.wh..wh..opq"),
            member("var/replaced/upper", b"u"),
        ),
        member(".wh.was"),
    ),
    make_tar(directory("./", mode=0o751, uid=3, gid=4), member("etc/old", b"newer"), member("was", b"now a file")),
)


class Box(NamedTuple):
    """A container's root that is mounted."""

    driver: "Driver"
    root: RootFilesystem
    path: Path


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"layer{number}" for number in range(len(LAYERS))]
    for path, tar in zip(paths, LAYERS, strict=True):
        unpack(tar, path)
    return [str(path) for path in paths]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[RootFilesystem], Path]]:
    done: list[Path] = []

    def mount_root(root: RootFilesystem) -> Path:
        target = tmp_path / f"mounted{len(done)}"
        target.mkdir()
        if root.path:
            mount(root.path, str(target), None, MS_BIND)
        else:
            data = f"lowerdir={':'.join(root.lower)},upperdir={root.upper},workdir={root.work}"
            mount("overlay", str(target), "overlay", 0, ",".join((data, *root.options)))
        done.append(target)
        return target

    yield mount_root
    for target in reversed(done):
        umount(str(target), MNT_DETACH)


@pytest.fixture(params=NAMES)
def box(
    request: pytest.FixtureRequest, tmp_path: Path, layers: list[str], mounted: Callable[[RootFilesystem], Path]
) -> Box:
    driver = get_driver(request.param)
    (tmp_path / "container").mkdir()
    root = driver.root_filesystem(layers, str(tmp_path / "container"), volatile=True)
    driver.prepare(root, (0o751, 3, 4))
    return Box(driver, root, mounted(root))


def found(box: Box) -> list[str]:
    return [f"{change.kind} {change.path}" for change in box.driver.changes(box.root)]


def test_root_is_the_image(box: Box) -> None:
    tree = snapshot(box.path, with_times=False)
    assert sorted(tree) == sorted(
        [
            *(".", "bin", "empty", "etc", "etc/new", "etc/old", "etc/passwd", "usr", "usr/bin", "usr/bin/bash"),
            *("usr/bin/sh", "var", "var/replaced", "var/replaced/upper", "was"),
        ]
    )
    assert (tree["."].mode, tree["."].owner) == (0o751, (3, 4))
    assert (tree["usr/bin/sh"].mode, tree["usr/bin/sh"].owner) == (0o4755, (7, 8))
    assert tree["usr/bin/sh"].links == ("usr/bin/bash", "usr/bin/sh")
    assert tree["etc/old"].content == b"newer"
    assert tree["etc/new"].xattrs == (("user.x", b"1"),)
    assert tree["empty"].mode == 0o1777
    assert tree["var/replaced"].mode == 0o711
    assert tree["was"].content == b"now a file"
    assert (box.path / "etc/passwd").stat().st_mtime == 11


def test_fresh_container_has_no_changes(box: Box) -> None:
    assert found(box) == []


def test_changes_are_dockers(box: Box) -> None:
    (box.path / "etc/old").unlink()
    (box.path / "etc/passwd").write_text("changed")
    (box.path / "new").mkdir()
    (box.path / "new/file").write_text("x")
    (box.path / "empty").chmod(0o700)
    (box.path / "var/replaced/added").symlink_to("/etc")
    assert found(box) == [
        *("C /empty", "C /etc", "D /etc/old", "C /etc/passwd", "A /new", "A /new/file"),
        *("C /var", "C /var/replaced", "A /var/replaced/added"),
    ]


def test_directory_that_was_made_again_shows_what_it_lost(box: Box) -> None:
    for name in ("usr/bin/sh", "usr/bin/bash"):
        (box.path / name).unlink()
    (box.path / "usr/bin").rmdir()
    (box.path / "usr/bin").mkdir()
    (box.path / "usr/bin/busybox").write_text("x")
    assert found(box) == ["C /usr", "C /usr/bin", "D /usr/bin/bash", "A /usr/bin/busybox", "D /usr/bin/sh"]


def test_one_kind_in_place_of_another_is_a_change(box: Box) -> None:
    (box.path / "was").unlink()
    (box.path / "was").mkdir()
    (box.path / "was/x").write_text("x")
    (box.path / "bin").unlink()
    (box.path / "bin").write_text("x")
    assert found(box) == ["C /bin", "C /was", "A /was/x"]


def test_image_is_never_changed(box: Box, layers: list[str]) -> None:
    before = [snapshot(Path(layer)) for layer in layers]
    (box.path / "etc/passwd").write_text("changed")
    (box.path / "etc/new").unlink()
    (box.path / "was").chmod(0o600)
    assert [snapshot(Path(layer)) for layer in layers] == before


def test_second_start_keeps_the_changes(
    box: Box, layers: list[str], mounted: Callable[[RootFilesystem], Path], tmp_path: Path
) -> None:
    (box.path / "etc/passwd").write_text("changed")
    umount(str(box.path))
    root = box.driver.root_filesystem(layers, str(tmp_path / "container"), volatile=True)
    box.driver.prepare(root, (0o751, 3, 4))
    assert (mounted(root) / "etc/passwd").read_text() == "changed"
    mount("tmpfs", str(box.path), "tmpfs")  # for the fixture, which unmounts it


def test_size_is_of_the_containers_own_files(box: Box) -> None:
    before = box.driver.size(box.root)
    (box.path / "big").write_bytes(bytes(10_000))
    os.link(box.path / "big", box.path / "big2")
    assert box.driver.size(box.root) == before + 10_000
    assert (before == 0) == (box.driver is overlay)


# Looking without mounting


@pytest.mark.parametrize(
    ("path", "text"),
    [
        *(("/etc/passwd", "root:x:0:0"), ("etc/old", "newer"), ("/bin/sh", "#!"), ("/etc/../etc/./new", "new")),
        *(("/etc/gone", ""), ("/var/replaced/lower", ""), ("/was/inside", ""), ("/was", "now a file"), ("/etc", "")),
        *(("/nothing/at/all", ""), ("/etc/passwd/x", ""), ("/", ""), ("/../../etc/old", "newer"), ("", "")),
    ],
)
def test_text_is_read_as_the_container_sees_it(box: Box, path: str, text: str) -> None:
    seen = box.path / path.lstrip("/").replace("../", "", 2) if path.startswith("/..") else box.path / path.lstrip("/")
    assert (seen.read_text() if seen.is_file() else "") == text  # the kernel's word for it
    assert merged.read_text(box.root, path) == text


def test_text_behind_a_symlink_of_another_layer_is_found(box: Box) -> None:
    (box.path / "link").symlink_to("/bin/../../usr/bin/sh")
    assert merged.read_text(box.root, "/link") == "#!"


def test_symlink_never_leads_out_of_the_root(box: Box, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (box.path / "a").symlink_to(f"../../../../../../../../..{tmp_path}")
    (box.path / "b").symlink_to(tmp_path / "secret")
    assert merged.read_text(box.root, "/a/secret") == merged.read_text(box.root, "/b") == ""


def test_loop_of_symlinks_is_no_file(box: Box) -> None:
    (box.path / "a").symlink_to("b")
    (box.path / "b").symlink_to("a")
    assert merged.read_text(box.root, "/a") == ""


def test_pipe_is_no_text(box: Box) -> None:
    os.mkfifo(box.path / "pipe")
    assert merged.read_text(box.root, "/pipe") == ""


def test_unknown_driver_is_named() -> None:
    with pytest.raises(InvalidError, match="unknown storage driver: zfs; there is overlay and vfs"):
        get_driver("zfs")


# Overlay's own


def test_layer_whose_root_is_opaque_hides_all_below(
    tmp_path: Path, layers: list[str], mounted: Callable[[RootFilesystem], Path]
) -> None:
    unpack(make_tar(member(".wh..wh..opq"), member("only")), tmp_path / "top")
    (tmp_path / "container").mkdir()
    root = overlay.root_filesystem([*layers, str(tmp_path / "top")], str(tmp_path / "container"), volatile=False)
    overlay.prepare(root)
    assert os.listdir(mounted(root)) == ["only"]
    assert merged.read_text(root, "/etc/passwd") == ""


def test_root_directory_is_as_the_image_says(tmp_path: Path, layers: list[str]) -> None:
    (tmp_path / "container").mkdir()
    root = overlay.root_filesystem(layers, str(tmp_path / "container"), volatile=False)
    overlay.prepare(root, (0o1755, 5, 6))
    upper = os.stat(root.upper)
    assert (stat.S_IMODE(upper.st_mode), upper.st_uid, upper.st_gid) == (0o1755, 5, 6)


def test_topmost_layer_that_says_so_decides_about_the_root(tmp_path: Path) -> None:
    store = LayerStore(str(tmp_path / "store"))
    tars = [make_tar(directory("./", mode=0o1751, uid=5, gid=6)), make_tar(member("x")), make_tar(member("y"))]
    requests = [LayerRequest(str(tmp_path / str(number)), "", digest_of(tar)) for number, tar in enumerate(tars)]
    for request, tar in zip(requests, tars, strict=True):
        Path(request.blob_path).write_bytes(tar)
    store.apply(requests)
    for number, expected in ((3, (0o1751, 5, 6)), (0, (0o755, 0, 0))):
        chosen = [store.path(request.diff_id) for request in (requests if number else requests[1:])]
        (tmp_path / f"container{number}").mkdir()
        root = overlay.root_filesystem(chosen, str(tmp_path / f"container{number}"), volatile=False)
        overlay.prepare(root)
        upper = os.stat(root.upper)
        assert (stat.S_IMODE(upper.st_mode), upper.st_uid, upper.st_gid) == expected


def test_more_layers_than_the_kernel_stacks_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="501 layers, and overlayfs stacks 500; squash"):
        overlay.root_filesystem(["/x"] * 501, "/y", volatile=False)


def test_vfs_copy_that_was_interrupted_is_made_again(tmp_path: Path, layers: list[str]) -> None:
    (tmp_path / "container/rootfs.unfinished/junk").mkdir(parents=True)
    root = vfs.root_filesystem(layers, str(tmp_path / "container"), volatile=False)
    vfs.prepare(root)
    assert os.listdir(tmp_path / "container") == ["rootfs"]
    assert not (tmp_path / "container/rootfs/junk").exists()


def test_removal_goes_through_any_depth_and_no_symlink(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("x")
    top = tmp_path / "top"
    top.mkdir()
    (top / "link").symlink_to(tmp_path / "outside")
    fd = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        fd = below
    os.close(fd)
    overlay.remove_tree(str(top))
    assert not top.exists()
    assert (tmp_path / "outside/kept").exists()
    overlay.remove_tree(str(top))  # once more is no fault
