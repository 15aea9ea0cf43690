"""Which files of a host make the image, on made-up hosts."""

import pytest

from tests.support.fake_host import FakeHost
from toolkit.core.errors import UnsupportedError
from toolkit.image.embedded import assemble as module
from toolkit.image.embedded.assemble import Assembly, assemble

MUSL = "/lib/ld-musl-x86_64.so.1"


@pytest.fixture(autouse=True)
def no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out this process's own interpreter."""
    monkeypatch.setattr(module, "find_python", lambda _linker, _candidates: None)


def paths(assembly: Assembly) -> dict[str, str]:
    return {entry.path: entry.target for layer in assembly.layers for entry in layer.tree.entries()}


def test_host_without_a_shell_is_refused(fake: FakeHost) -> None:
    fake.elf("/bin/ls")
    with pytest.raises(UnsupportedError, match="no shell"):
        assemble(fake.host)


def test_shell_that_cannot_start_is_refused(fake: FakeHost) -> None:
    fake.elf("/bin/sh", interpreter=MUSL, needed=["libgone.so"])
    with pytest.raises(UnsupportedError, match=r"/bin/sh cannot be copied"):
        assemble(fake.host)


def test_alpine_is_one_program_and_many_links(fake: FakeHost) -> None:
    fake.elf(MUSL)
    fake.link("/lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1")
    fake.elf("/bin/busybox", interpreter=MUSL, needed=["libc.musl-x86_64.so.1"])
    for name in ("sh", "ls", "ps"):
        fake.link(f"/bin/{name}", "/bin/busybox")
    assembly = assemble(fake.host)
    found = paths(assembly)
    assert assembly.command == "sh"
    assert {name: found[f"/bin/{name}"] for name in ("sh", "ls", "ps")} == dict.fromkeys(
        ("sh", "ls", "ps"), "/bin/busybox"
    )
    assert found[MUSL] == ""
    assert found["/lib/libc.musl-x86_64.so.1"] == "ld-musl-x86_64.so.1"


def test_fedora_keeps_its_merged_usr(fake: FakeHost) -> None:
    fake.link("/bin", "usr/bin")
    fake.link("/lib64", "usr/lib64")
    fake.elf("/usr/lib64/ld-linux-x86-64.so.2")
    fake.elf("/usr/lib64/libc.so.6", soname="libc.so.6")
    fake.elf("/usr/bin/bash", interpreter="/lib64/ld-linux-x86-64.so.2", needed=["libc.so.6"])
    fake.link("/usr/bin/sh", "bash")
    assembly = assemble(fake.host)
    found = paths(assembly)
    assert assembly.command == "bash"
    assert (found["/bin"], found["/lib64"]) == ("usr/bin", "usr/lib64")
    assert found["/usr/bin/sh"] == "bash"
    assert {"/usr/lib64/libc.so.6", "/usr/lib64/ld-linux-x86-64.so.2", "/usr/bin/bash"} <= found.keys()


def test_program_that_cannot_start_is_left_out(fake: FakeHost) -> None:
    fake.elf("/bin/sh")
    fake.elf("/bin/ls", interpreter=MUSL, needed=["libgone.so"])
    assert "/bin/ls" not in paths(assemble(fake.host))


def test_script_is_taken_if_a_shell_runs_it(fake: FakeHost) -> None:
    fake.elf("/bin/sh")
    fake.file("/bin/egrep", b'#!/bin/sh\nexec grep -E "$@"\n')
    fake.file("/bin/which", b"#!/usr/bin/perl\n")
    found = paths(assemble(fake.host))
    assert "/bin/egrep" in found
    assert "/bin/which" not in found


def test_library_of_an_odd_directory_is_linked_where_it_is_found(fake: FakeHost) -> None:
    fake.elf(MUSL)
    fake.elf("/opt/odd/libodd.so")
    fake.elf("/bin/sh", interpreter=MUSL, needed=["libodd.so"], runpath="/opt/odd")
    found = paths(assemble(fake.host))
    assert found["/opt/odd/libodd.so"] == ""
    assert found["/lib/libodd.so"] == "/opt/odd/libodd.so"
