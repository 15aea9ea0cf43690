"""What a layer says about its files is what the files are; what it hides is hidden as the overlay does it."""

import os
import stat
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.trees import (
    directory,
    hardlink,
    make_tar,
    member,
    snapshot,
    symlink,
    unpack,
    unpack_gzip,
    walk,
)

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path) and os.getxattr(path, "trusted.overlay.opaque") == b"y"


# Attributes


@pytest.mark.parametrize("mode", [0o000, 0o644, 0o777, 0o4755, 0o2755, 0o1777, 0o7777, 0o6511])
def test_mode_is_exact(root: Path, mode: int) -> None:
    unpack(
        make_tar(member("f", b"x", mode=mode, uid=12, gid=34), directory("d", mode=mode), member("g", mode=mode)), root
    )
    assert [mode_of(root / name) for name in "fdg"] == [mode] * 3


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_owner_is_exact_beyond_octal(root: Path, form: int) -> None:
    uid, gid = 3_000_000, 4_000_000_000
    unpack(make_tar(*(make("x" + kind, uid=uid, gid=gid) for kind, make in MAKERS), form=form), root)
    for kind, _ in MAKERS:
        assert (root / f"x{kind}").lstat()[4:6] == (uid, gid)


MAKERS = [
    ("file", member),
    ("directory", directory),
    ("symlink", lambda name, **fields: symlink(name, "target", **fields)),
    ("pipe", lambda name, **fields: member(name, kind=tarfile.FIFOTYPE, **fields)),
]


@pytest.mark.parametrize("text", ["1700000000.123456789", "1700000000", "0.000000001", "-1.5", "4294967296.9"])
def test_time_is_exact_to_the_nanosecond(root: Path, text: str) -> None:
    fields = {"pax_headers": {"mtime": text}}
    unpack(make_tar(*(make("x" + kind, **fields) for kind, make in MAKERS)), root)
    whole, _, fraction = text.lstrip("-").partition(".")
    expected = int(whole) * 10**9 + int(fraction.ljust(9, "0") or 0)
    for kind, _ in MAKERS:
        assert (root / f"x{kind}").lstat().st_mtime_ns == (-expected if text[0] == "-" else expected)


def test_directory_keeps_its_time_when_it_is_filled_later(root: Path) -> None:
    unpack(
        make_tar(directory("d", mtime=1), directory("d/e", mtime=2), member("d/e/f"), directory("./", mtime=3)), root
    )
    assert [(root / path).stat().st_mtime for path in ("d", "d/e", ".")] == [1, 2, 3]


def test_file_in_a_setgid_directory_has_its_own_group(root: Path) -> None:
    unpack(make_tar(directory("d", mode=0o2775, gid=8), member("d/f"), directory("d/e"), symlink("d/s", "t")), root)
    for name in "fes":
        assert (root / "d" / name).lstat().st_gid == 0
    assert mode_of(root / "d/e") == 0o755


def test_capability_survives_owner_and_content(root: Path) -> None:
    # struct vfs_cap_data, revision 2, effective: cap_net_raw
    value = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
    headers = {"SCHILY.xattr.security.capability": value.decode("utf-8", "surrogateescape")}
    unpack(make_tar(member("ping", b"x" * 1000, mode=0o755, uid=5, gid=6, pax_headers=headers)), root)
    assert os.getxattr(root / "ping", "security.capability") == value


def test_attributes_of_every_kind_of_file_are_set(root: Path) -> None:
    headers = {"SCHILY.xattr.trusted.x": "a b\n=c"}
    unpack(make_tar(*(make("x" + kind, pax_headers=headers) for kind, make in MAKERS)), root)
    for kind, _ in MAKERS:
        assert os.getxattr(root / f"x{kind}", "trusted.x", follow_symlinks=False) == b"a b\n=c"


def test_attribute_that_a_file_cannot_have_is_counted(root: Path) -> None:
    headers = {"SCHILY.xattr.user.x": "1"}
    assert unpack(make_tar(symlink("s", "t", pax_headers=headers)), root).ignored_xattrs == 1


def test_default_acl_of_a_directory_is_not_inherited(root: Path) -> None:
    # version 2; user_obj rwx, group_obj r-x, other --- (include/uapi/linux/posix_acl_xattr.h)
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, perm, 0xFFFFFFFF) for tag, perm in ((1, 7), (4, 5), (32, 0))
    )
    headers = {"SCHILY.xattr.system.posix_acl_default": acl.decode("utf-8", "surrogateescape")}
    unpack(make_tar(directory("d", pax_headers=headers), member("d/f", mode=0o666)), root)
    assert mode_of(root / "d/f") == 0o666
    assert os.getxattr(root / "d", "system.posix_acl_default") == acl


def test_implied_directory_is_of_root_and_0755(root: Path) -> None:
    unpack(make_tar(member("a/b/c", uid=5)), root)
    assert (mode_of(root / "a/b"), (root / "a/b").stat().st_uid) == (0o755, 0)


def test_names_are_bytes(root: Path) -> None:
    name = b"\xff\xfe" + "ä€".encode() + b"\n"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        target = root.with_name(f"root{form}")
        unpack(make_tar(member(os.fsdecode(name)), form=form, errors="surrogateescape"), target)
        assert os.listdir(os.fsencode(target)) == [name]


def test_hard_links_share_their_inode(root: Path) -> None:
    unpack(make_tar(member("a", b"x"), directory("d"), hardlink("d/b", "a"), hardlink("c", "./d/b")), root)
    assert (root / "a").stat().st_ino == (root / "d/b").stat().st_ino == (root / "c").stat().st_ino


def test_long_names_and_targets_of_both_kinds(tmp_path: Path) -> None:
    name, target = "n" * 200 + "/" + "m" * 200, "t" * 300
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        unpack(make_tar(symlink(name, target), hardlink("h", name), form=form), tmp_path / str(form))
        assert os.readlink(tmp_path / str(form) / "h") == target


def test_ustar_prefix_belongs_to_the_name(root: Path) -> None:
    name = "/".join(["p" * 50] * 3)
    unpack(make_tar(member(name), form=tarfile.USTAR_FORMAT), root)
    assert (root / name).is_file()


def test_v7_tar_marks_directories_by_a_slash(root: Path) -> None:
    block = bytearray(make_tar(member("d/"), form=tarfile.USTAR_FORMAT)[:512])
    block[0:3] = b"d/\0"
    block[156:157] = b"\0"
    block[257:265] = bytes(8)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    unpack(bytes(block) + bytes(1024), root)
    assert (root / "d").is_dir()


def test_global_header_is_about_all_members_after_it(root: Path) -> None:
    tar = make_tar(
        *(member("a"), member("b", pax_headers={"mtime": "7"})), pax_headers={"mtime": "5", "comment": "from git"}
    )
    unpack(tar, root)
    assert [(root / name).stat().st_mtime for name in "ab"] == [5, 7]


def test_content_is_what_the_tar_has(root: Path) -> None:
    sizes = [0, 1, 511, 512, 513, 1 << 20, (1 << 20) + 1, 5_000_001]
    contents = {f"f{size}": os.urandom(size) for size in sizes}
    totals = unpack_gzip(make_tar(*(member(name, content) for name, content in contents.items())), root)
    assert {name: (root / name).read_bytes() for name in contents} == contents
    assert totals.size == sum(sizes)


# One thing in place of another

KINDS = {
    "file": member("x", b"content"),
    "directory": directory("x", mode=0o711),
    "symlink": symlink("x", "target"),
    "pipe": member("x", kind=tarfile.FIFOTYPE),
    "whiteout": member(".wh.x"),
    "hardlink": hardlink("x", "other"),
}


@pytest.mark.parametrize("second", [kind for kind in KINDS if kind != "whiteout"])
@pytest.mark.parametrize("first", KINDS)
def test_later_member_replaces_an_earlier_one(root: Path, first: str, second: str) -> None:
    other = member("other", b"other")
    unpack(make_tar(other, KINDS[first], KINDS[second]), root)
    unpack(make_tar(other, KINDS[second]), root.with_name("expected"))
    left = snapshot(root, with_times=False)
    if (first, second) == ("whiteout", "directory"):
        assert is_opaque(root / "x")  # it still hides what the lower layers have
        os.removexattr(root / "x", "trusted.overlay.opaque")
        left = snapshot(root, with_times=False)
    assert left == snapshot(root.with_name("expected"), with_times=False)


def test_directory_twice_is_merged_and_the_last_attributes_win(root: Path) -> None:
    unpack(make_tar(directory("d", mode=0o700, mtime=1), member("d/f"), directory("d", mode=0o711, mtime=2)), root)
    assert (root / "d/f").exists()
    assert (mode_of(root / "d"), (root / "d").stat().st_mtime) == (0o711, 2)


def test_replaced_directory_takes_its_late_attributes_along(root: Path) -> None:
    unpack(make_tar(directory("d/e", mtime=1), member("d", b"file", mtime=9), directory("dd", mtime=4)), root)
    assert (root / "d").stat().st_mtime == 9
    assert (root / "dd").stat().st_mtime == 4


# Whiteouts


def test_whiteout_becomes_a_device(root: Path) -> None:
    unpack(make_tar(directory("d"), member("d/.wh.gone")), root)
    assert is_whiteout(root / "d/gone")
    assert sorted(walk(root)) == ["d", "d/gone"]


def test_opaque_directory_is_marked(root: Path) -> None:
    unpack(make_tar(directory("d"), member("d/kept"), member("d/.wh..wh..opq")), root)
    assert is_opaque(root / "d")
    assert sorted(walk(root)) == ["d", "d/kept"]


def test_opaque_root_is_marked(root: Path) -> None:
    unpack(make_tar(member(".wh..wh..opq"), member("kept")), root)
    assert is_opaque(root)


def test_opaque_mark_survives_a_later_entry_of_the_directory(root: Path) -> None:
    unpack(make_tar(member("d/.wh..wh..opq"), directory("d", mode=0o711)), root)
    assert is_opaque(root / "d")
    assert mode_of(root / "d") == 0o711


@pytest.mark.parametrize("whiteout_first", [True, False])
@pytest.mark.parametrize("kind", ["file", "symlink", "pipe"])
def test_whiteout_hides_lower_layers_and_not_its_own(root: Path, kind: str, *, whiteout_first: bool) -> None:
    members = [KINDS["whiteout"], KINDS[kind]]
    unpack(make_tar(*(members if whiteout_first else reversed(members))), root)
    assert not is_whiteout(root / "x")


@pytest.mark.parametrize("whiteout_first", [True, False])
@pytest.mark.parametrize("entry", [directory("x"), member("x/inside")])
def test_whiteout_of_a_directory_that_the_layer_has_makes_it_opaque(
    root: Path, entry: tuple[tarfile.TarInfo, bytes], *, whiteout_first: bool
) -> None:
    members = [KINDS["whiteout"], entry]
    unpack(make_tar(*(members if whiteout_first else reversed(members))), root)
    assert is_opaque(root / "x")


@pytest.mark.parametrize("opaque_first", [True, False])
def test_whiteout_in_an_opaque_directory_is_left_out(root: Path, *, opaque_first: bool) -> None:
    members = [member("d/.wh..wh..opq"), member("d/e/.wh.x"), member("d/.wh.y")]
    unpack(make_tar(member("d/z"), *(members if opaque_first else reversed(members))), root)
    assert sorted(walk(root)) == ["d", "d/e", "d/z"]


def test_opaque_directory_that_was_replaced_counts_no_more(root: Path) -> None:
    unpack(make_tar(member("d/.wh..wh..opq"), member("d/.wh.x"), member("d", b"file"), member("e/.wh.x")), root)
    assert sorted(walk(root)) == ["d", "e", "e/x"]
    assert (root / "d").read_bytes() == b"file"


def test_book_keeping_of_aufs_is_skipped(root: Path) -> None:
    unpack(make_tar(directory(".wh..wh.plnk"), member(".wh..wh.plnk/1.2"), member(".wh..wh.aufs"), member("a")), root)
    assert walk(root) == ["a"]


def test_whiteout_of_a_name_that_begins_like_one(root: Path) -> None:
    unpack(make_tar(directory("d"), member("d/.wh..wh.x"), member("d/.wh.wh")), root)
    assert is_whiteout(root / "d/.wh.x")
    assert is_whiteout(root / "d/wh")


# Against GNU tar and the standard library, on random trees

names = st.sampled_from(["a", "b", "ä" * 3, "with space", "n" * 120, "-x", "x\ny", "..a", "a.", "0"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
attributes = st.fixed_dictionaries(
    {
        "mode": st.integers(0, 0o7777),
        "uid": st.sampled_from([0, 1, 1000, 2**21, 2**32 - 2]),
        "gid": st.sampled_from([0, 5, 2**21 + 1]),
        "mtime": st.sampled_from([0, 1, 1_700_000_000, 1_700_000_000.25, 2**33]),
    }
)
contents = st.one_of(st.binary(max_size=20), st.sampled_from([b"x" * 512, b"y" * 5000]))


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return members whose parents, and hard link targets, come before them."""
    members: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
    files: list[str] = []
    for path in draw(st.lists(paths, max_size=12)):
        parts = path.split("/")
        parents = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        if path in members or any(
            parent in members and members[parent][0].type != tarfile.DIRTYPE for parent in parents
        ):
            continue
        for parent in parents:
            if parent not in members:
                members[parent] = directory(parent, **draw(attributes))
        kind = draw(st.sampled_from(["file", "file", "directory", "symlink", "hardlink", "pipe", "device"]))
        fields = draw(attributes)
        if kind == "file" or (kind == "hardlink" and not files):
            members[path] = member(path, draw(contents), **fields)
            files.append(path)
        elif kind == "directory":
            members[path] = directory(path, **fields)
        elif kind == "symlink":
            members[path] = symlink(path, draw(st.sampled_from(["/etc/passwd", "..", "a", "t" * 150])), **fields)
        elif kind == "hardlink":
            target = draw(st.sampled_from(files))
            # As real archives have it; where the two differ, the standard library lets the link's word count.
            same = {key: getattr(members[target][0], key) for key in ("mode", "uid", "gid", "mtime")}
            members[path] = hardlink(path, target, **same)
        elif kind == "pipe":
            members[path] = member(path, kind=tarfile.FIFOTYPE, **fields)
        else:
            members[path] = member(path, kind=tarfile.CHRTYPE, devmajor=1, devminor=draw(st.integers(3, 9)), **fields)
    return list(members.values())


forms = st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.needs("tar")
@many
@given(members=trees(), form=forms)
def test_tree_is_the_one_that_gnu_tar_makes(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], form: int
) -> None:
    base = tmp_path / os.urandom(6).hex()
    (base / "gnu").mkdir(parents=True)
    tar = make_tar(*members, form=form)
    unpack_gzip(tar, base / "ours")
    command = [
        "tar",
        "-xpf",
        "-",
        "--same-owner",
        "--numeric-owner",
        "--delay-directory-restore",
        "-C",
        str(base / "gnu"),
    ]
    subprocess.run(command, input=tar, check=True, env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]})
    ours, theirs = snapshot(base / "ours"), snapshot(base / "gnu")
    del ours["."], theirs["."]
    assert ours == theirs


@many
@given(members=trees(), form=forms)
def test_tree_is_the_one_that_the_standard_library_makes(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], form: int
) -> None:
    base = tmp_path / os.urandom(6).hex()
    (base / "stdlib").mkdir(parents=True)
    tar = make_tar(*members, form=form)
    unpack(tar, base / "ours")
    _extract_with_stdlib(base / "ours.blob", base / "stdlib")
    ours, theirs = snapshot(base / "ours"), snapshot(base / "stdlib")
    del ours["."], theirs["."]
    assert {path: _rounded(node) for path, node in ours.items()} == {p: _rounded(node) for p, node in theirs.items()}


def _extract_with_stdlib(blob: Path, target: Path) -> None:
    with tarfile.open(blob) as archive:
        archive.extraction_filter = staticmethod(lambda info, _path: info)
        archive.extractall(target, numeric_owner=True)  # noqa: S202 - made by this test


def _rounded(node: tuple) -> tuple:
    """The standard library does not set the times of symlinks, and keeps others as floats."""
    return (*node[:3], 0 if node[0] == "l" else node[3] // 1000, *node[4:])
