"""The lab image of this machine, unpacked: nothing may be missing from it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from toolkit.image.embedded import assemble as assemble_module
from toolkit.image.embedded.archive import Blob, pack
from toolkit.image.embedded.assemble import Assembly, assemble
from toolkit.image.embedded.describe import config_json
from toolkit.image.embedded.host import Host
from toolkit.image.embedded.linker import Linker
from toolkit.image.embedded.python import find_python

_MAX_PYTHON_BYTES = 40_000_000


@pytest.fixture(scope="module")
def assembly() -> Assembly:
    return assemble(Host())


@pytest.fixture(scope="module")
def blobs(assembly: Assembly) -> list[Blob]:
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda layer: pack(layer.tree.entries()), assembly.layers))


@pytest.fixture(scope="module")
def tree(blobs: list[Blob], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lab") / "root"
    root.mkdir()
    for blob in blobs:
        subprocess.run(["tar", "-xz", "-C", root], input=blob.content, check=True)
    return root


def shell(tree: Path, script: str) -> subprocess.CompletedProcess[str]:
    # A child enters the tree in namespaces of its own: the host sees no mount.
    inside = f"mount -t proc proc /proc\n{script}"
    command = ["unshare", "--mount", "--pid", "--fork", "chroot", str(tree), "/bin/sh", "-c", inside]
    environment = {
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_every_program_of_the_image_finds_its_libraries_in_the_image(tree: Path) -> None:
    host = Host(str(tree))
    linker = Linker(host)
    programs = 0
    for folder, _, names in os.walk(tree):
        for name in names:
            path = f"{folder}/{name}".removeprefix(str(tree))
            elf = linker.elf(path)
            if elf is not None and elf.interpreter:
                assert [each for each in linker.closure(path) if not host.is_file(each)] == []
                programs += 1
    assert programs > 100


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("ps -o pid=,comm= | head -n 1", "1 sh"),
        ("ls -la / | grep -c ' tmp$'", "1"),
        ("id", "uid=0(root) gid=0(root)"),
        ("id student", "uid=1000(student) gid=1000(student)"),
        ("echo lab | sed s/l/L/ | awk '{print $1 1}'", "Lab1"),
        ("stat -c %a /tmp", "1777"),
        ("unshare --uts hostname", ""),
        ("grep -h ^NAME /etc/os-release", 'NAME="lab"'),
        ("find /usr /bin -perm /6000 | wc -l", "0"),
        ("tar -C / -cf - etc/passwd | tar -tf -", "etc/passwd"),
    ],
)
def test_command_runs_in_the_image(tree: Path, script: str, expected: str) -> None:
    done = shell(tree, script)
    assert done.stderr == ""
    assert done.returncode == 0
    assert expected in done.stdout


@pytest.mark.needs("root", "ip")
def test_ip_shows_an_interface(tree: Path) -> None:
    assert "LOOPBACK" in shell(tree, "ip addr").stdout


@pytest.mark.needs("root", "bash")
def test_interactive_bash_starts_without_a_complaint(tree: Path) -> None:
    done = shell(tree, "echo exit | bash -i")
    assert "No such file" not in done.stderr
    assert "command not found" not in done.stderr
    assert "root@" in done.stderr


@pytest.mark.needs("root")
def test_root_may_become_the_student(tree: Path) -> None:
    done = shell(tree, "su student -c 'id -un; cd; pwd; cat /etc/shadow'")
    assert done.stdout.split() == ["student", "/home/student"]
    assert "Permission denied" in done.stderr


@pytest.mark.needs("root")
def test_python_imports_what_a_learner_needs(tree: Path) -> None:
    modules = "asyncio ctypes json socket ssl sqlite3 subprocess curses readline lzma zlib decimal http.server unittest"
    done = shell(tree, f"python3 -c 'import {modules.replace(' ', ',')}; print(ssl.OPENSSL_VERSION[:7])'")
    assert done.stderr == ""
    assert done.stdout == "OpenSSL\n"


@pytest.mark.needs("root")
def test_python_does_not_compile_its_library_again(tree: Path) -> None:
    done = shell(
        tree,
        "unset PYTHONDONTWRITEBYTECODE; python3 -v -c 'import json, ctypes' 2>&1 | grep -c 'could not create\\|wrote'",
    )
    assert done.stdout.strip() == "0"


def test_python_layer_is_small(assembly: Assembly, blobs: list[Blob]) -> None:
    paths = [entry.path for layer in assembly.layers for entry in layer.tree.entries()]
    assert [path for path in paths if "/test/" in path or "/idlelib/" in path or "/site-packages/" in path] == []
    python = [blob for layer, blob in zip(assembly.layers, blobs, strict=True) if layer.title.startswith("Python")]
    assert 10_000_000 < python[0].unpacked_bytes < _MAX_PYTHON_BYTES


def test_same_host_gives_the_same_config(assembly: Assembly, blobs: list[Blob]) -> None:
    again = assemble(Host())
    packed = [pack(layer.tree.entries()) for layer in again.layers]
    assert config_json(again, packed) == config_json(assembly, blobs)


@pytest.mark.needs("root")
def test_python_of_its_own_prefix_runs_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = assemble_module._Assembler._find
    monkeypatch.setattr(
        assemble_module._Assembler, "_find", lambda self, name: None if name == "python3" else find(self, name)
    )
    for layer in assemble(Host()).layers:
        subprocess.run(["tar", "-xz", "-C", tmp_path], input=pack(layer.tree.entries()).content, check=True)
    done = shell(tmp_path, "su student -c 'python3 -c \"import ssl, sqlite3, json, sys; print(sys.base_prefix)\"'")
    assert done.stderr == ""
    assert done.stdout.strip() in {"/usr", "/usr/local"}


def test_shim_is_passed_over_for_the_interpreter_that_runs_this(tmp_path: Path) -> None:
    linker = Linker(Host())
    shim = tmp_path / "python3"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    shim.chmod(0o755)
    python = find_python(linker, [str(shim)])
    assert python is not None
    assert linker.elf(python.program) is not None
    assert os.path.isfile(f"{python.stdlib}/os.py")


def test_interpreter_with_its_own_prefix_moves_to_usr_local() -> None:
    python = find_python(Linker(Host()), [])
    assert python is not None
    moved = python._replace(prefix="/opt/python")
    assert moved.place("/opt/python/lib/python3.12/os.py") == "/usr/local/lib/python3.12/os.py"
    assert moved.place("/usr/lib/libc.so.6") == "/usr/lib/libc.so.6"
