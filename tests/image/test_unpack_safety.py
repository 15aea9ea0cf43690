"""No layer, however it is made, writes outside its directory, fills the machine, or passes damaged."""

import contextlib
import gzip
import os
import random
import stat
import struct
import tarfile
import zlib
from pathlib import Path

import pytest
import zstandard

from tests.support.trees import directory, hardlink, make_tar, member, symlink, unpack, unpack_gzip, walk
from toolkit.core.errors import BombError, CorruptLayerError, UnsafePathError, UnsupportedError
from toolkit.image.unpack.limits import Limits

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that no layer may touch."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_text("secret")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def untouched(outside: Path) -> bool:
    return os.listdir(outside) == ["secret"] and (outside / "secret").stat().st_nlink == 1


# Paths


@pytest.mark.parametrize("name", ["../outside/x", "a/../../outside/x", "..", "a/../..", "/../outside/x", "./../x"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_path_that_leads_out_is_refused(root: Path, outside: Path, name: str, kind: bytes) -> None:
    with pytest.raises(UnsafePathError, match="leads out of its layer"):
        unpack(make_tar(member(name, kind=kind, target="x")), root)
    assert untouched(outside)


def test_dots_within_the_layer_are_resolved(root: Path) -> None:
    unpack(make_tar(member("./a/.//b/../c", b"x")), root)
    assert (root / "a/c").read_bytes() == b"x"


def test_absolute_path_is_relative_to_the_root(root: Path, outside: Path) -> None:
    unpack(make_tar(member(f"{outside}/x", b"x")), root)
    assert untouched(outside)
    assert (root / str(outside)[1:] / "x").read_bytes() == b"x"


@pytest.mark.parametrize("how", ["absolute", "relative"])
def test_symlink_in_the_middle_leads_nowhere_out(root: Path, outside: Path, how: str) -> None:
    target = str(outside) if how == "absolute" else "../../../.." + str(outside)
    unpack(make_tar(directory("a"), symlink("a/evil", target), member("a/evil/x", b"x")), root)
    assert untouched(outside)
    assert (root / str(outside)[1:] / "x").read_bytes() == b"x"


def test_member_below_a_symlink_of_its_layer_lands_where_it_leads(root: Path) -> None:
    unpack(
        make_tar(directory("usr/lib"), symlink("lib", "usr/lib"), member("lib/x", b"x"), member("lib/y", b"y")), root
    )
    assert (root / "lib").is_symlink()
    assert (root / "usr/lib/x").read_bytes() == b"x"
    assert (root / "usr/lib/y").read_bytes() == b"y"


def test_symlink_through_symlinks_is_resolved_step_by_step(root: Path) -> None:
    unpack(
        make_tar(
            *(directory("x/y"), symlink("j", "x/y"), symlink("k", "j/.."), symlink("l", "/k/new/./deep")),
            member("l/f", b"f"),
        ),
        root,
    )
    assert (root / "x/new/deep/f").read_bytes() == b"f"


def test_symlink_that_is_replaced_no_longer_leads(root: Path) -> None:
    unpack(
        make_tar(
            *(directory("one"), directory("two"), symlink("l", "one"), member("l/a", b"a")),
            *(symlink("l", "two"), member("l/b", b"b")),
        ),
        root,
    )
    assert sorted(walk(root)) == ["l", "one", "one/a", "two", "two/b"]


def test_directory_that_becomes_a_symlink_no_longer_holds(root: Path, outside: Path) -> None:
    unpack(make_tar(member("d/a", b"a"), symlink("d", str(outside)), member("d/b", b"b")), root)
    assert untouched(outside)
    assert (root / str(outside)[1:] / "b").read_bytes() == b"b"


def test_loop_of_symlinks_is_refused(root: Path) -> None:
    with pytest.raises(CorruptLayerError, match="too many levels of symbolic links"):
        unpack(make_tar(symlink("a", "b"), symlink("b", "a"), member("a/x", b"x")), root)


def test_file_is_not_written_through_a_symlink(root: Path, outside: Path) -> None:
    unpack(make_tar(symlink("x", str(outside / "secret")), member("x", b"overwritten")), root)
    assert (outside / "secret").read_text() == "secret"
    assert (root / "x").read_bytes() == b"overwritten"
    assert not (root / "x").is_symlink()


def test_attributes_are_not_set_through_a_symlink(root: Path, outside: Path) -> None:
    before = (outside / "secret").stat()
    unpack(make_tar(symlink("x", str(outside / "secret"), uid=7, mtime=1, mode=0o4777)), root)
    after = (outside / "secret").stat()
    assert (before.st_uid, before.st_mode, before.st_mtime_ns) == (after.st_uid, after.st_mode, after.st_mtime_ns)
    assert (root / "x").lstat().st_uid == 7


def test_member_below_a_file_is_refused(root: Path) -> None:
    with pytest.raises(CorruptLayerError, match="below a, which is not a directory"):
        unpack(make_tar(member("a", b"a"), member("a/b", b"b")), root)


def test_root_that_is_a_file_is_refused(root: Path) -> None:
    with pytest.raises(CorruptLayerError, match="root of the layer"):
        unpack(make_tar(symlink("./", "/etc")), root)


def test_path_longer_than_any_is_refused(root: Path) -> None:
    with pytest.raises(CorruptLayerError, match="5000 bytes"):
        unpack(make_tar(member("a/" * 2499 + "aa", b"")), root)


def test_deep_path_is_made_and_replaced(root: Path) -> None:
    deep = "d/" * 1500
    unpack(make_tar(member(deep + "f", b"x"), member(deep + "g", b"x"), member("d", b"flat")), root)
    assert (root / "d").read_bytes() == b"flat"


# Hard links


@pytest.mark.parametrize("target", ["../outside/secret", "a/../../outside/secret"])
def test_hard_link_that_leads_out_is_refused(root: Path, outside: Path, target: str) -> None:
    with pytest.raises(UnsafePathError):
        unpack(make_tar(hardlink("x", target)), root)
    assert untouched(outside)


def test_hard_link_to_an_absolute_path_stays_inside(root: Path, outside: Path) -> None:
    with pytest.raises(CorruptLayerError, match="not in this layer"):
        unpack(make_tar(hardlink("x", str(outside / "secret"))), root)
    assert untouched(outside)


def test_hard_link_through_a_symlink_stays_inside(root: Path, outside: Path) -> None:
    with pytest.raises(CorruptLayerError, match="not in this layer"):
        unpack(make_tar(symlink("d", str(outside)), hardlink("x", "d/secret")), root)
    assert untouched(outside)


def test_hard_link_to_a_symlink_is_one_more_name_of_it(root: Path, outside: Path) -> None:
    unpack(make_tar(symlink("s", str(outside / "secret")), hardlink("x", "s")), root)
    assert untouched(outside)
    assert (root / "x").lstat().st_ino == (root / "s").lstat().st_ino


@pytest.mark.parametrize(("target", "why"), [("nothing", "not in this layer"), ("d", "a directory"), ("", "not in")])
def test_hard_link_to_no_file_is_refused(root: Path, target: str, why: str) -> None:
    with pytest.raises(CorruptLayerError, match=why):
        unpack(make_tar(directory("d"), hardlink("x", target)), root)


def test_hard_link_to_itself_changes_nothing(root: Path) -> None:
    unpack(make_tar(member("x", b"x"), hardlink("./x", "x")), root)
    assert (root / "x").read_bytes() == b"x"


# Whiteouts


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "a/.wh...", "a/.wh.."])
def test_whiteout_of_what_is_not_in_its_directory_is_refused(root: Path, name: str) -> None:
    with pytest.raises(UnsafePathError, match="whiteout"):
        unpack(make_tar(member(name)), root)


def test_whiteout_below_a_symlink_stays_inside(root: Path, outside: Path) -> None:
    unpack(make_tar(symlink("d", str(outside)), member("d/.wh.secret"), member("d/.wh..wh..opq")), root)
    assert untouched(outside)
    assert "trusted.overlay.opaque" not in os.listxattr(outside)


def test_overlays_own_attributes_are_not_taken_from_a_layer(root: Path) -> None:
    headers = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.user.kept": "yes",
    }
    unpack(make_tar(directory("d", pax_headers=headers)), root)
    assert os.listxattr(root / "d") == ["user.kept"]


# Bombs


def test_more_bytes_than_the_limit_are_refused(root: Path) -> None:
    bomb = make_tar(member("zeros", bytes(30_000_000)))
    with pytest.raises(BombError, match="more than 20000000 bytes"):
        unpack_gzip(bomb, root, Limits(max_bytes=20_000_000))
    assert (root / "zeros").stat().st_size < 25_000_000


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_higher_ratio_than_the_limit_is_refused(root: Path, pack: type) -> None:
    bomb = pack(make_tar(member("zeros", bytes(30_000_000))))
    with pytest.raises(BombError, match="more than 100 times its size"):
        unpack(bomb, root, Limits(max_ratio=100, ratio_free_bytes=10_000_000))


def test_zeros_behind_the_archive_count_too(root: Path) -> None:
    with pytest.raises(BombError):
        unpack_gzip(make_tar() + bytes(30_000_000), root, Limits(max_bytes=20_000_000))


def test_zstd_frame_with_a_huge_window_is_refused(root: Path) -> None:
    packer = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    )
    writer = packer.compressobj()
    blob = writer.compress(bytes(1 << 20)) + writer.flush()
    with pytest.raises(CorruptLayerError, match="zstd data"):
        unpack(blob, root)


# Damage

RANDOM = random.Random(1)  # noqa: S311 - the same damage in each run
SOUND = make_tar(
    directory("d", pax_headers={"comment": "x" * 600}),
    member("d/" + "long" * 60, RANDOM.randbytes(3000)),
    member("e", b"e" * 1200),
    symlink("s", "t" * 200),
)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bytes], ids=["gzip", "zstd", "plain"])
def test_blob_that_ends_early_anywhere_is_refused(tmp_path: Path, pack: type) -> None:
    blob = pack(SOUND)
    whole = len(blob.rstrip(b"\0")) if pack is bytes else len(blob)  # a plain tar may lack its end blocks
    for number, end in enumerate(RANDOM.sample(range(20, whole - 1), 60)):
        if pack is bytes and end % 512 == 0:
            continue  # where a member ends, an archive may end
        with pytest.raises(CorruptLayerError):
            _unpack_and_require_all(blob[:end], tmp_path / str(number))


def _unpack_and_require_all(blob: bytes, target: Path) -> None:
    """Unpack; zstandard takes an early end for the end, which the worker finds by the diffID: so compare here."""
    totals = unpack(blob, target)
    if totals.entries < 4 or blob.startswith(b"\x28\xb5"):
        raise CorruptLayerError("not all of it")


def test_anything_behind_gzip_data_is_refused(root: Path) -> None:
    with pytest.raises(CorruptLayerError, match="something else behind its end"):
        unpack(gzip.compress(SOUND) + b"garbage", root)


def test_zeros_behind_gzip_data_are_padding(root: Path) -> None:
    assert unpack(gzip.compress(SOUND) + bytes(700_000), root).entries == 4


def test_gzip_in_several_members_is_one_stream(root: Path) -> None:
    pieces = [SOUND[:1000], b"", SOUND[1000:1001], SOUND[1001:]]
    assert unpack(b"".join(gzip.compress(piece) for piece in pieces), root).entries == 4


def test_wrong_gzip_checksum_is_found(root: Path) -> None:
    blob = bytearray(gzip.compress(SOUND))
    blob[-8] ^= 1
    with pytest.raises(CorruptLayerError, match="gzip data is damaged"):
        unpack(bytes(blob), root)


def test_flipped_bit_in_a_header_is_found(root: Path) -> None:
    damaged = bytearray(make_tar(member("a", b"a")))
    damaged[3] ^= 0x10
    with pytest.raises(CorruptLayerError, match="checksum"):
        unpack(bytes(damaged), root)


def test_checksum_of_signed_bytes_is_accepted(root: Path) -> None:
    block = bytearray(make_tar(member("a", b"a"), form=tarfile.USTAR_FORMAT))
    block[0:2] = b"\xc3\xa4"
    block[148:156] = b" " * 8
    total = sum(struct.unpack("512b", bytes(block[:512])))
    block[148:156] = b"%06o\0 " % total
    unpack(bytes(block), root)
    assert os.listdir(os.fsencode(root)) == [b"\xc3\xa4"]


@pytest.mark.parametrize("blob", [b"x" * 512, b"x" * 100, b"\x7fELF" + bytes(2000)])
def test_what_is_no_tar_is_refused(root: Path, blob: bytes) -> None:
    with pytest.raises(CorruptLayerError):
        unpack(blob, root)


@pytest.mark.parametrize(("magic", "name"), [(b"BZh91AY", "bzip2"), (b"\xfd7zXZ\x00", "xz")])
def test_other_compression_is_named(root: Path, magic: bytes, name: str) -> None:
    with pytest.raises(CorruptLayerError, match=f"compressed with {name}"):
        unpack(magic + bytes(600), root)


def test_lone_zero_block_in_the_middle_is_refused(root: Path) -> None:
    with pytest.raises(CorruptLayerError, match="zero block"):
        unpack(make_tar(member("a", b"a"))[:1024] + bytes(512) + make_tar(member("b", b"b")), root)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (b"x", "damaged extended"),
        (b"99 path=x\n", "damaged extended"),
        (b"8 path=x\n", "damaged extended"),
        (b"9 pathx\n\n", "damaged extended"),
        (b"-1 path=x\n", "damaged extended"),
        (b"11 uid=-12\n", "'-12' for uid"),
        (b"11 size=1e\n", "'1e' for size"),
        (b"13 mtime=1.x\n", "for mtime"),
        (b"12 path=x\0y\n", "NUL byte"),
        (b"18 uid=4294967295\n", "impossible owner"),
    ],
)
def test_damaged_extended_header_is_refused(root: Path, records: bytes, words: str) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    tar = header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + make_tar(member("a", b"a"))
    with pytest.raises(CorruptLayerError, match=words):
        unpack(tar, root)


def test_extended_header_of_a_huge_size_is_refused(root: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2 << 20
    with pytest.raises(CorruptLayerError, match="extended tar header of 2097152 bytes"):
        unpack(header.tobuf(tarfile.USTAR_FORMAT) + bytes(3 << 20), root)


def test_extended_header_at_the_end_is_refused(root: Path) -> None:
    tar = make_tar(directory("d", pax_headers={"comment": "x"}))
    with pytest.raises(CorruptLayerError, match="ends after an extended header"):
        unpack(tar[:1024], root)


@pytest.mark.parametrize(
    "changes",
    [{"pax_headers": {"GNU.sparse.major": "1"}}, {"type": b"S"}, {"type": b"V"}, {"type": b"M"}],
)
def test_member_of_a_foreign_kind_is_refused(root: Path, changes: dict[str, object]) -> None:
    with pytest.raises(UnsupportedError, match=r"sparse tar member|tar member of type"):
        unpack(make_tar(member("a", **changes)), root)


def test_impossible_device_is_refused(root: Path) -> None:
    with pytest.raises(CorruptLayerError, match="impossible device"):
        unpack(make_tar(member("a", kind=tarfile.CHRTYPE, devmajor=1 << 20, devminor=1), form=tarfile.GNU_FORMAT), root)


def test_negative_size_is_refused(root: Path) -> None:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 12
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(CorruptLayerError, match="negative size"):
        unpack(bytes(header) + bytes(1024), root)


def test_random_bytes_never_end_in_another_error(tmp_path: Path) -> None:
    for number in range(150):
        damaged = bytearray(SOUND)
        for _ in range(RANDOM.randrange(1, 6)):
            damaged[RANDOM.randrange(len(damaged))] = RANDOM.randrange(256)
        for start in range(0, len(damaged), 512):  # make the checksums right, so that the damage gets through
            block = damaged[start : start + 512]
            if block[257:262] == b"ustar":
                block[148:156] = b" " * 8
                damaged[start + 148 : start + 156] = b"%06o\0 " % sum(block)
        with contextlib.suppress(CorruptLayerError, UnsafePathError, UnsupportedError):
            unpack(bytes(damaged), tmp_path / str(number))


def test_stdlib_decompressor_is_a_full_substitute(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import toolkit.image.unpack.stream as module

    monkeypatch.setattr(module, "_inflater", lambda: (zlib.decompressobj(31), zlib.error))
    assert unpack(gzip.compress(SOUND[:700]) + gzip.compress(SOUND[700:]) + bytes(99), root).entries == 4
    with pytest.raises(CorruptLayerError, match="ends early"):
        unpack(gzip.compress(SOUND)[:-9], root.with_name("other"))


def test_special_files_are_made_inside(root: Path) -> None:
    unpack(
        make_tar(
            member("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
            member("disk", kind=tarfile.BLKTYPE, devmajor=259, devminor=70_000, mode=0o4660),
            member("pipe", kind=tarfile.FIFOTYPE, mode=0o600),
        ),
        root,
    )
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert (root / "disk").stat().st_rdev == os.makedev(259, 70_000)
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("null", "disk", "pipe")] == [0o666, 0o4660, 0o600]


@pytest.mark.parametrize("text", [b"0o17", b"-1", b"1_0", b"9", b"+7", b"0x7", b"7 7", b"a"])
def test_number_that_is_not_octal_is_refused(root: Path, text: bytes) -> None:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
    header[108:116] = text.ljust(8, b"\0")  # uid
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(CorruptLayerError, match="where a number belongs"):
        unpack(bytes(header) + bytes(1024), root)
