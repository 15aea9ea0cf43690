"""The dynamic linker's search order, on made-up trees of several systems."""

import struct

import pytest

from tests.support.fake_host import FakeHost
from toolkit.core.errors import NotFoundError

GLIBC = "/lib64/ld-linux-x86-64.so.2"
MUSL = "/lib/ld-musl-x86_64.so.1"


def cache(*pairs: tuple[str, str], hwcap: int = 0) -> bytes:
    strings, places = b"", []
    start = 48 + 24 * len(pairs)
    for pair in pairs:
        at = []
        for text in pair:
            at.append(start + len(strings))
            strings += text.encode() + b"\0"
        places.append(struct.pack("=iIIIQ", 0x303, *at, 0, hwcap))
    return b"glibc-ld.so.cache1.1" + struct.pack("=II20x", len(pairs), len(strings)) + b"".join(places) + strings


@pytest.fixture
def glibc(fake: FakeHost) -> FakeHost:
    fake.elf(GLIBC)
    fake.elf("/lib64/libc.so.6", soname="libc.so.6", needed=["ld-linux-x86-64.so.2"])
    return fake


@pytest.fixture
def musl(fake: FakeHost) -> FakeHost:
    fake.elf(MUSL)
    fake.link("/lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1")
    return fake


def test_static_program_needs_nothing(fake: FakeHost) -> None:
    fake.elf("/bin/static")
    assert fake.closure("/bin/static") == []


def test_script_is_not_elf(fake: FakeHost) -> None:
    fake.file("/bin/script", b"#!/bin/sh\n")
    assert fake.closure("/bin/script") == []


def test_torn_elf_file_counts_as_none(fake: FakeHost) -> None:
    fake.file("/bin/torn", b"\x7fELF\x02\x01")
    assert fake.closure("/bin/torn") == []


def test_lib64_is_searched_without_a_cache(glibc: FakeHost) -> None:
    glibc.elf("/bin/ls", interpreter=GLIBC, needed=["libc.so.6"])
    assert glibc.closure("/bin/ls") == [GLIBC, "/lib64/libc.so.6"]


def test_multiarch_directory_is_searched_first(glibc: FakeHost) -> None:
    glibc.elf("/lib/x86_64-linux-gnu/libz.so.1")
    glibc.elf("/lib64/libz.so.1")
    glibc.elf("/bin/gzip", interpreter=GLIBC, needed=["libz.so.1"])
    assert glibc.closure("/bin/gzip")[1:] == ["/lib/x86_64-linux-gnu/libz.so.1"]


def test_library_of_a_library_is_found(glibc: FakeHost) -> None:
    glibc.elf("/lib64/liba.so", needed=["libb.so"])
    glibc.elf("/lib64/libb.so", needed=["libc.so.6"])
    glibc.elf("/bin/a", interpreter=GLIBC, needed=["liba.so"])
    assert glibc.closure("/bin/a")[1:] == ["/lib64/liba.so", "/lib64/libb.so", "/lib64/libc.so.6"]


def test_cache_comes_before_directories(glibc: FakeHost) -> None:
    glibc.elf("/opt/special/libz.so.1")
    glibc.elf("/lib64/libz.so.1")
    glibc.file("/etc/ld.so.cache", cache(("libz.so.1", "/opt/special/libz.so.1")))
    glibc.elf("/bin/gzip", interpreter=GLIBC, needed=["libz.so.1"])
    assert glibc.closure("/bin/gzip")[1:] == ["/opt/special/libz.so.1"]


def test_old_cache_header_is_skipped(glibc: FakeHost) -> None:
    glibc.elf("/opt/special/libz.so.1")
    new = cache(("libz.so.1", "/opt/special/libz.so.1"))
    glibc.file("/etc/ld.so.cache", b"ld.so-1.7.0\0" + bytes(36) + new)
    glibc.elf("/bin/gzip", interpreter=GLIBC, needed=["libz.so.1"])
    assert glibc.closure("/bin/gzip")[1:] == ["/opt/special/libz.so.1"]


def test_library_for_newer_cpus_is_passed_over(glibc: FakeHost) -> None:
    glibc.elf("/lib64/glibc-hwcaps/x86-64-v3/libz.so.1")
    glibc.elf("/lib64/libz.so.1")
    tuned = cache(("libz.so.1", "/lib64/glibc-hwcaps/x86-64-v3/libz.so.1"), hwcap=1 << 62)
    glibc.file("/etc/ld.so.cache", tuned)
    glibc.elf("/bin/gzip", interpreter=GLIBC, needed=["libz.so.1"])
    assert glibc.closure("/bin/gzip")[1:] == ["/lib64/libz.so.1"]


def test_ld_so_conf_stands_in_for_a_missing_cache(glibc: FakeHost) -> None:
    glibc.elf("/opt/mine/libmine.so")
    glibc.file("/etc/ld.so.conf", b"# ours\ninclude /etc/ld.so.conf.d/*.conf\n")
    glibc.file("/etc/ld.so.conf.d/mine.conf", b"/opt/mine # here\n")
    glibc.elf("/bin/mine", interpreter=GLIBC, needed=["libmine.so"])
    assert glibc.closure("/bin/mine")[1:] == ["/opt/mine/libmine.so"]


def test_runpath_origin_is_where_the_file_really_lies(glibc: FakeHost) -> None:
    glibc.elf("/opt/app/bin/app", interpreter=GLIBC, needed=["libapp.so"], runpath="$ORIGIN/../lib")
    glibc.elf("/opt/app/lib/libapp.so")
    glibc.link("/bin/app", "/opt/app/bin/app")
    assert glibc.closure("/bin/app")[1:] == ["/opt/app/bin/../lib/libapp.so"]


def test_rpath_of_the_program_serves_its_libraries(glibc: FakeHost) -> None:
    glibc.elf("/bin/app", interpreter=GLIBC, needed=["liba.so"], rpath="/opt/a")
    glibc.elf("/opt/a/liba.so", needed=["libb.so"])
    glibc.elf("/opt/a/libb.so")
    assert glibc.closure("/bin/app")[1:] == ["/opt/a/liba.so", "/opt/a/libb.so"]


def test_runpath_of_the_program_does_not_serve_its_libraries(glibc: FakeHost) -> None:
    glibc.elf("/bin/app", interpreter=GLIBC, needed=["liba.so"], runpath="/opt/a")
    glibc.elf("/opt/a/liba.so", needed=["libb.so"])
    glibc.elf("/opt/a/libb.so")
    with pytest.raises(NotFoundError, match=r"liba\.so needs libb\.so"):
        glibc.closure("/bin/app")


def test_runpath_turns_rpath_off(glibc: FakeHost) -> None:
    glibc.elf("/bin/app", interpreter=GLIBC, needed=["liba.so"], rpath="/opt/a", runpath="/opt/b")
    glibc.elf("/opt/a/liba.so")
    glibc.elf("/opt/b/liba.so")
    assert glibc.closure("/bin/app")[1:] == ["/opt/b/liba.so"]


def test_library_with_runpath_does_not_use_its_loaders_rpath(glibc: FakeHost) -> None:
    glibc.elf("/bin/app", interpreter=GLIBC, needed=["liba.so"], rpath="/opt/a")
    glibc.elf("/opt/a/liba.so", needed=["libb.so"], runpath="/opt/b")
    glibc.elf("/opt/a/libb.so")
    with pytest.raises(NotFoundError, match=r"liba\.so needs libb\.so"):
        glibc.closure("/bin/app")


def test_rpath_beside_a_runpath_does_not_serve_libraries(glibc: FakeHost) -> None:
    glibc.elf("/bin/app", interpreter=GLIBC, needed=["liba.so"], rpath="/opt/a", runpath="/opt/b")
    glibc.elf("/opt/b/liba.so", needed=["libb.so"])
    glibc.elf("/opt/a/libb.so")
    with pytest.raises(NotFoundError, match=r"liba\.so needs libb\.so"):
        glibc.closure("/bin/app")


def test_library_of_another_machine_is_passed_over(glibc: FakeHost) -> None:
    glibc.elf("/lib/x86_64-linux-gnu/liba.so", machine="aarch64")
    glibc.elf("/usr/lib/liba.so")
    glibc.elf("/bin/app", interpreter=GLIBC, needed=["liba.so"])
    assert glibc.closure("/bin/app")[1:] == ["/usr/lib/liba.so"]


def test_soname_that_is_loaded_is_not_searched_again(glibc: FakeHost) -> None:
    glibc.elf("/lib64/liba-2.so", soname="liba.so.2", needed=[])
    glibc.elf("/lib64/libb.so", needed=["liba.so.2"])
    glibc.elf("/bin/app", interpreter=GLIBC, needed=["liba-2.so", "libb.so"])
    assert glibc.closure("/bin/app")[1:] == ["/lib64/liba-2.so", "/lib64/libb.so"]


def test_missing_library_is_named(glibc: FakeHost) -> None:
    glibc.elf("/bin/app", interpreter=GLIBC, needed=["libgone.so.9"])
    with pytest.raises(NotFoundError, match=r"/bin/app needs libgone\.so\.9, which is nowhere"):
        glibc.closure("/bin/app")


def test_musl_libc_is_its_own_linker(musl: FakeHost) -> None:
    musl.elf("/bin/busybox", interpreter=MUSL, needed=["libc.so", "libc.musl-x86_64.so.1"])
    assert musl.closure("/bin/busybox") == [MUSL, "/lib/libc.musl-x86_64.so.1"]


def test_musl_searches_its_own_directories_in_order(musl: FakeHost) -> None:
    musl.elf("/usr/lib/libz.so.1")
    musl.elf("/usr/local/lib/libz.so.1")
    musl.elf("/bin/gzip", interpreter=MUSL, needed=["libz.so.1"])
    assert musl.closure("/bin/gzip")[1:] == ["/usr/local/lib/libz.so.1"]


def test_musl_path_file_replaces_its_directories(musl: FakeHost) -> None:
    musl.elf("/usr/lib/libz.so.1")
    musl.elf("/opt/lib/libz.so.1")
    musl.file("/etc/ld-musl-x86_64.path", b"/opt/lib\n/usr/lib\n")
    musl.elf("/bin/gzip", interpreter=MUSL, needed=["libz.so.1"])
    assert musl.closure("/bin/gzip")[1:] == ["/opt/lib/libz.so.1"]


def test_musl_runpath_serves_libraries_too(musl: FakeHost) -> None:
    musl.elf("/bin/app", interpreter=MUSL, needed=["liba.so"], runpath="/opt/a")
    musl.elf("/opt/a/liba.so", needed=["libb.so"])
    musl.elf("/opt/a/libb.so")
    assert musl.closure("/bin/app")[1:] == ["/opt/a/liba.so", "/opt/a/libb.so"]


def test_find_returns_what_dlopen_would_load(glibc: FakeHost) -> None:
    from toolkit.image.embedded.linker import Linker

    glibc.elf("/lib64/libnss_files.so.2")
    glibc.elf("/bin/sh", interpreter=GLIBC)
    assert Linker(glibc.host).find("libnss_files.so.2", "/bin/sh") == "/lib64/libnss_files.so.2"
    assert Linker(glibc.host).find("libnss_gone.so.2", "/bin/sh") is None
