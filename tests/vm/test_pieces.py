"""What a virtual machine is put together from; none of this boots one."""

import gzip
import io
import lzma
import os
import socket
import stat
import struct
import subprocess
from pathlib import Path

import pytest
import zstandard

from toolkit.core.errors import IntegrityError, InvalidError, NotFoundError, PrivilegeError, UnsupportedError
from toolkit.vm import cpio, export, initramfs, kernel, machine, modules, parts
from toolkit.vm.carry import Streams
from toolkit.vm.feed import Feeder
from toolkit.vm.initramfs import Task
from toolkit.vm.run import Wishes, run

KERNEL = kernel.Kernel("6.12", "/cache/kernel", "/cache/lib/modules/6.12")


@pytest.mark.needs("busybox", "root")
def test_busybox_unpacks_the_archive_as_it_was_meant(tmp_path: Path) -> None:
    archive = cpio.encode(
        [
            cpio.directory("etc"),
            cpio.file("etc/script", b"abc", 0o755),
            cpio.file("etc/empty", b""),
            cpio.Entry("null", stat.S_IFCHR | 0o666, device=(1, 3)),
        ]
    )
    assert len(archive) % 512 == 0
    subprocess.run(["busybox", "cpio", "-i"], input=archive, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "etc/script").read_bytes() == b"abc"
    assert stat.S_IMODE((tmp_path / "etc/script").stat().st_mode) == 0o755
    assert (tmp_path / "etc/empty").read_bytes() == b""
    null = (tmp_path / "null").stat()
    assert (stat.S_ISCHR(null.st_mode), null.st_rdev) == (True, os.makedev(1, 3))


DEPENDENCIES = """kernel/fs/overlayfs/overlay.ko.xz:
kernel/drivers/virtio/virtio-pci.ko.xz: kernel/drivers/virtio/virtio_pci_dev.ko.xz kernel/drivers/virtio/virtio.ko.xz
kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio.ko.xz
"""


def test_modules_come_after_what_they_need_and_once() -> None:
    found = modules.parse_dependencies(DEPENDENCIES)
    order = modules.in_order(found, ("virtio_pci", "virtio_blk", "built_in", "overlay"))
    assert [os.path.basename(path) for path in order] == [
        "virtio.ko.xz",
        "virtio_pci_dev.ko.xz",
        "virtio-pci.ko.xz",
        "virtio_blk.ko.xz",
        "overlay.ko.xz",
    ]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.ko", bytes),
        ("a.ko.xz", lzma.compress),
        ("a.ko.gz", gzip.compress),
        ("a.ko.zst", lambda data: zstandard.ZstdCompressor().compress(data)),
    ],
)
def test_modules_are_unpacked(tmp_path: Path, name: str, pack: object) -> None:
    assert callable(pack)
    (tmp_path / name).write_bytes(pack(b"\x7fELF module"))
    assert modules.read(f"{tmp_path}/{name}") == b"\x7fELF module"


def test_module_packed_in_an_unknown_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ko.lzo").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="compressed in an unknown way"):
        modules.read(f"{tmp_path}/a.ko.lzo")


def bz_image(payload: bytes) -> bytes:
    """Return the parts of a bzImage that name its payload."""
    payload += struct.pack("<I", 12345)
    image = bytearray(3 * 512)
    image[0x1F1] = 2  # setup sectors, besides the first
    image[0x1FE:0x200] = b"\x55\xaa"
    struct.pack_into("<II", image, 0x248, 16, len(payload))
    return bytes(image) + bytes(16) + payload + b"rest"


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress, lambda data: zstandard.ZstdCompressor().compress(data)])
def test_kernel_is_unpacked_for_a_quick_boot(pack: object) -> None:
    assert callable(pack)
    assert kernel.unpacked_image(bz_image(pack(b"\x7fELF kernel"))) == b"\x7fELF kernel"


def test_kernel_in_an_unknown_packing_is_left_as_it_is() -> None:
    image = bz_image(b"LZ4?")
    assert kernel.unpacked_image(image) == image


def test_what_is_no_kernel_is_refused() -> None:
    with pytest.raises(IntegrityError, match="no bzImage"):
        kernel.unpacked_image(bytes(4096))


def test_newest_kernel_of_the_cache_is_taken(tmp_path: Path) -> None:
    assert kernel.find(f"{tmp_path}/none") is None
    for release in ("6.12.9-cloud", "6.12.117-cloud", "6.1.200-cloud"):
        (tmp_path / f"1-{release}/lib/modules/{release}").mkdir(parents=True)
    (tmp_path / "new-unfinished").mkdir()
    found = kernel.find(str(tmp_path))
    assert found is not None
    assert (found.release, found.image) == ("6.12.117-cloud", f"{tmp_path}/1-6.12.117-cloud/kernel")


def test_settings_are_what_a_shell_reads_back() -> None:
    task = Task(("true",), {}, "/", shares=("/a b", "/it's"), tty=True, size=(24, 80))
    script = initramfs.settings(KERNEL, task) + 'printf "%s|" "$SHARES" "$TTY" "$STDIN" "$SIZE" "$MODULES"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "/a b\n/it's|yes||rows 24 cols 80|/cache/lib/modules/6.12|"


def test_words_and_environment_of_the_command_arrive_unchanged(tmp_path: Path) -> None:
    words = ("printf", "%s|", "two words", "it's", "$HOME", "", "a\nb", "\\", "é")
    script = initramfs.run_script(Task(words, {"GREETING": "good 'day'; $PATH\n"}, str(tmp_path)))
    ran = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert ran.stdout.decode() == "two words|it's|$HOME||a\nb|\\|é|"
    script = initramfs.run_script(Task(("printenv", "GREETING"), {"GREETING": "good 'day'; $PATH\n"}, str(tmp_path)))
    assert subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout == b"good 'day'; $PATH\n\n"


def test_every_descriptor_on_the_command_line_is_inherited() -> None:
    built = machine.Machine(
        memory_mib=512,
        cpus=1,
        kernel="/k",
        initramfs=3,
        lines=machine.Lines(4, 5, 6, 7, 8),
        exports=(("host", 9), ("share0", 10)),
        disks=(11,),
    )
    words = " ".join(machine.argv("qemu", built))
    assert sorted(machine.descriptors(built)) == list(range(3, 12))
    for fd in machine.descriptors(built):
        assert f"fd={fd}" in words or f"/dev/fd/{fd}" in words
    assert "-accel tcg" in words
    assert "-accel kvm" in " ".join(machine.argv("qemu", built._replace(uses_kvm=True)))
    assert "virtconsole,chardev=out" in " ".join(machine.argv("qemu", built._replace(has_terminal=True)))


def test_both_virtiofsds_are_spoken_to_in_their_own_words() -> None:
    shared = export.Export("share0", "/a,b", is_read_only=False)
    in_c = export.argv("/usr/lib/qemu/virtiofsd", shared, 7)
    assert in_c[:3] == ("/usr/lib/qemu/virtiofsd", "--fd=7", "-o")
    assert "source=/a\\,b,cache=auto" in in_c[3]
    in_rust = export.argv("/usr/libexec/virtiofsd", shared, 7)
    assert in_rust[1:4] == ("--fd=7", "--shared-dir=/a,b", "--cache=auto")


def test_the_way_to_virtiofsd_has_no_name_in_the_file_system() -> None:
    listener, ours = export.connected()
    with listener, ours:
        assert listener.getsockname()[:1] == b"\0"
        accepted, _ = listener.accept()
        with accepted:
            ours.sendall(b"x")
            assert accepted.recv(1) == b"x"


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(parts, "_SYSTEM_PATH", str(tmp_path))
    with pytest.raises(
        UnsupportedError, match=r"qemu-system-x86_64, virtiofsd, busybox, depmod, which are not"
    ) as info:
        parts.require()
    assert info.value.hint == "install it: apt-get install qemu-system-x86 virtiofsd busybox-static kmod"


def test_busybox_with_libraries_is_not_the_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "busybox").symlink_to("/bin/sh")  # a program that needs libraries
    monkeypatch.setenv("PATH", str(tmp_path))
    found = parts.find(parts.BUSYBOX)
    assert (found.path, "needs libraries" in found.lack) == ("", True)


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("wishes", "error", "message"),
    [
        (Wishes(("true",), memory_bytes=1 << 20), InvalidError, "at least 256m of memory"),
        (Wishes(("true",), cpus=0), InvalidError, "1 to 64 CPUs, not 0"),
        (Wishes(("true",), disks=(1,) * 9), InvalidError, "at most 8 disks"),
        (Wishes(("true",), shares=("/no/such",)), NotFoundError, "no directory /no/such to share"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_before_anything_starts(
    wishes: Wishes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(wishes, Streams(lambda _fd, _data: None))


def test_a_machine_is_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PrivilegeError, match="run this as root"):
        run(Wishes(("true",)), Streams(lambda _fd, _data: None))


def test_input_is_read_no_faster_than_it_is_taken() -> None:
    line, guest = socket.socketpair()
    reader, writer = os.pipe()
    with line, guest, open(reader, "rb") as stdin:
        feeder = Feeder(line, stdin, is_terminal=False)
        while not feeder.is_full:
            os.write(writer, b"x" * 4096)
            feeder.read()
            feeder.send() if feeder.is_full else None
        assert feeder.source is None  # until the guest has taken what is there
        os.close(writer)
        guest.settimeout(0)
        taken = 0
        while feeder.is_full or feeder.source is not None:
            taken += len(guest.recv(1 << 20))
            feeder.send() if feeder.is_full else feeder.read()
        while data := guest.recv(1 << 20):
            taken += len(data)
        assert taken % 4096 == 0
        assert taken > 0


def test_a_text_is_an_input_too() -> None:
    line, guest = socket.socketpair()
    with line, guest:
        feeder = Feeder(line, io.BytesIO(b"text"), is_terminal=False)
        assert feeder.source is None
        feeder.send()
        assert guest.recv(100) + guest.recv(100) == b"text"  # and then the end
