"""Trees and the bytes of their layers."""

import gzip
import hashlib
import stat
import subprocess
from pathlib import Path

from tests.support.fake_host import FakeHost
from toolkit.image.embedded.archive import pack
from toolkit.image.embedded.tree import MADE_S, Tree


def test_copy_keeps_each_link_on_the_way(fake: FakeHost) -> None:
    fake.link("/bin", "usr/bin")
    fake.link("/usr/bin/sh", "dash")
    fake.file("/usr/bin/dash", b"shell")
    tree = Tree(fake.host)
    assert tree.copy("/bin/sh") == "/usr/bin/dash"
    assert [(entry.path, entry.target) for entry in tree.entries()] == [
        ("/bin", "usr/bin"),
        ("/usr", ""),
        ("/usr/bin", ""),
        ("/usr/bin/dash", ""),
        ("/usr/bin/sh", "dash"),
    ]


def test_copy_drops_the_setuid_bit(fake: FakeHost) -> None:
    fake.file("/bin/su", b"", 0o4755)
    tree = Tree(fake.host)
    tree.copy("/bin/su")
    assert [stat.S_IMODE(entry.mode) for entry in tree.entries()] == [0o755, 0o755]


def test_file_of_a_lower_layer_is_not_repeated(fake: FakeHost) -> None:
    fake.file("/bin/ls", b"")
    lower = Tree(fake.host)
    lower.copy("/bin/ls")
    upper = Tree(fake.host, lower)
    upper.copy("/bin/ls")
    assert list(upper.entries()) == []


def test_directory_of_an_upper_layer_keeps_the_lower_mode(fake: FakeHost) -> None:
    lower = Tree(fake.host)
    lower.directory("/root", 0o700)
    upper = Tree(fake.host, lower)
    upper.file("/root/note", "hello")
    assert [(entry.path, stat.S_IMODE(entry.mode)) for entry in upper.entries()] == [
        ("/root", 0o700),
        ("/root/note", 0o644),
    ]


def test_same_tree_gives_the_same_bytes(fake: FakeHost) -> None:
    def build() -> bytes:
        tree = Tree(fake.host)
        tree.file("/etc/hostname", "lab\n")
        tree.directory("/tmp", 0o1777)
        return pack(tree.entries()).content

    assert build() == build()


def test_digests_are_of_the_packed_and_the_unpacked_bytes(fake: FakeHost) -> None:
    tree = Tree(fake.host)
    tree.file("/etc/hostname", "lab\n")
    blob = pack(tree.entries())
    tar = gzip.decompress(blob.content)
    assert blob.digest == "sha256:" + hashlib.sha256(blob.content).hexdigest()
    assert blob.diff_id == "sha256:" + hashlib.sha256(tar).hexdigest()
    assert blob.unpacked_bytes == len(tar)


def test_gnu_tar_reads_what_was_packed(fake: FakeHost, tmp_path: Path) -> None:
    fake.file("/bin/ls", b"program")
    tree = Tree(fake.host)
    tree.copy("/bin/ls")
    tree.link("/bin/dir", "ls")
    tree.directory("/tmp", 0o1777, owner=1000)
    archive = tmp_path / "layer.tgz"
    archive.write_bytes(pack(tree.entries()).content)
    listing = subprocess.run(
        ["tar", "--numeric-owner", "--utc", "-tvzf", archive], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split()[:2] for line in listing] == [
        ["drwxr-xr-x", "0/0"],
        ["lrwxrwxrwx", "0/0"],
        ["-rwxr-xr-x", "0/0"],
        ["drwxrwxrwt", "1000/1000"],
    ]
    assert listing[1].endswith("bin/dir -> ls")
    assert MADE_S == 1_700_000_000
