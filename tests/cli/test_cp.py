"""`container cp`, `diff` and `export`: what lands where, as docker has it (each line was seen to be so with docker)."""

import io
import os
import pathlib
import tarfile

import pytest

import toolkit
from tests.cli.conftest import Shell

pytestmark = pytest.mark.needs("root", "overlay")

_MAKE = (
    "mkdir -p /d/sub; echo 1 >/d/a; echo 2 >/d/sub/b; ln -s /d /dl; ln -s nope /dang; chown 1000:1000 /d/a; : > /file"
)


@pytest.fixture
def box(shell: Shell) -> Shell:
    """Return a shell with the running container `box` that has some files."""
    shell.out("run", "-d", "--name", "box", "lab", "sh", "-c", f"{_MAKE}; touch /ready; sleep 60")
    shell.out("exec", "box", "sh", "-c", "while [ ! -e /ready ]; do sleep 0.01; done")
    return shell


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, shell: Shell) -> pathlib.Path:
    """Return a working directory with some files."""
    monkeypatch.setitem(shell.environ, "PYTHONPATH", str(pathlib.Path(toolkit.__file__).parents[1]))
    (tmp_path / "s" / "sub").mkdir(parents=True)
    (tmp_path / "s" / "f").write_text("1")
    (tmp_path / "s" / "sub" / "g").write_text("2")
    (tmp_path / "file").write_text("x")
    os.chown(tmp_path / "file", 555, 555)
    (tmp_path / "dst").mkdir()
    (tmp_path / "ls").symlink_to("s")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _tree(path: pathlib.Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


@pytest.mark.parametrize(
    ("words", "where", "tree"),
    [
        (["box:/d/a", "."], "a", []),
        (["box:/d/a", "new"], "new", []),
        (["box:/d/a", "dst"], "dst", ["a"]),
        (["box:/d", "new"], "new", ["a", "sub", "sub/b"]),
        (["box:/d/", "new"], "new", ["a", "sub", "sub/b"]),
        (["box:/d", "dst"], "dst", ["d", "d/a", "d/sub", "d/sub/b"]),
        (["box:/d/.", "dst"], "dst", ["a", "sub", "sub/b"]),
        (["box:/dl", "dst"], "dst", ["dl"]),
        (["-L", "box:/dl", "dst"], "dst", ["dl", "dl/a", "dl/sub", "dl/sub/b"]),
        (["-L", "box:/dl", "new"], "new", ["a", "sub", "sub/b"]),
        (["box:/dl/", "new"], "new", ["a", "sub", "sub/b"]),
        (["box:/dang", "new"], "new", []),
    ],
)
def test_out_of_a_container(box: Shell, here: pathlib.Path, words: list[str], where: str, tree: list[str]) -> None:
    box.out("cp", *words)
    assert os.path.lexists(here / where)
    assert _tree(here / where) == tree


@pytest.mark.parametrize(
    ("words", "path", "found"),
    [
        (["file", "box:/new"], "/new", "/new"),
        (["file", "box:/d"], "/d/file", "/d/file"),
        (["file", "box:/d/"], "/d/file", "/d/file"),
        (["file", "box:/dl"], "/d/file", "/d/file"),
        (["file", "box:/dang"], "/nope", "/nope"),
        (["file", "box:rel"], "/rel", "/rel"),
        (["file", "box:/d/sub/.."], "/d/file", "/d/file"),
        (["s", "box:/new"], "/new", "/new /new/f /new/sub /new/sub/g"),
        (["s/", "box:/new"], "/new", "/new /new/f /new/sub /new/sub/g"),
        (["s", "box:/d"], "/d/s", "/d/s /d/s/f /d/s/sub /d/s/sub/g"),
        (["s/.", "box:/d"], "/d", "/d /d/a /d/f /d/sub /d/sub/b /d/sub/g"),
        (["ls", "box:/new"], "/new", "/new"),
        (["-L", "ls", "box:/new"], "/new", "/new /new/f /new/sub /new/sub/g"),
        (["-L", "ls", "box:/d"], "/d/ls", "/d/ls /d/ls/f /d/ls/sub /d/ls/sub/g"),
    ],
)
def test_into_a_container(box: Shell, here: pathlib.Path, words: list[str], path: str, found: str) -> None:
    box.out("cp", *words)
    assert box.out("exec", "box", "sh", "-c", f"find {path} | sort").split() == found.split()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["box:/d", "file"], "cannot copy directory"),
        (["box:/d/a", "nodir/"], "no such directory"),
        (["box:/d/a", "nodir/x"], "invalid output path: directory "),
        (["box:/d/a/", "new"], "/d/a/ in container box: not a directory"),
        (["box:/nope", "new"], "Could not find the file /nope in container box"),
        (["-L", "box:/dang", "new"], "Could not find the file /nope in container box"),
        (["nope:/x", "new"], "No such container: nope"),
        (["box:/a", "box:/b"], "copying between containers is not supported"),
        (["a", "b"], "must specify at least one container source"),
        (["-", "-"], "must specify at least one container source"),
        (["box:", "new"], "the path in the container is empty"),
        (["file", "box:/nodir/"], "no such directory"),
        (["file", "box:/nodir/x"], "Could not find the file /nodir in container box"),
        (["s", "box:/file"], "cannot copy directory"),
        (["file/", "box:/x"], "file/: not a directory"),
        (["nope", "box:/x"], "lstat "),
        (["file", "box:/d/a/x"], "extraction point is not a directory"),
        (["-", "box:/file"], 'destination "box:/file" must be a directory'),
        (["-", "box:/nope"], 'destination "box:/nope" must be a directory'),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    box: Shell, here: pathlib.Path, words: list[str], message: str
) -> None:
    before = _tree(here)
    assert box.fail("cp", *words, code=1).startswith(message)
    assert _tree(here) == before


def test_owner_is_ours_outside_unless_asked_and_kept_inside(box: Shell, here: pathlib.Path) -> None:
    box.out("cp", "box:/d/a", "ours")
    box.out("cp", "-a", "box:/d/a", "theirs")
    assert [(here / name).stat().st_uid for name in ("ours", "theirs")] == [os.geteuid(), 1000]
    box.out("cp", "file", "box:/kept")
    assert box.out("exec", "box", "stat", "-c", "%u:%g", "/kept") == "555:555"


def test_tar_comes_out_and_goes_in(box: Shell, here: pathlib.Path) -> None:
    done = box.raw("cp", "box:/d", "-", stdin=b"")
    assert done.returncode == 0
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert archive.getnames() == ["d", "d/a", "d/sub", "d/sub/b"]
    box.out("exec", "box", "mkdir", "/t")
    box.out("cp", "-", "box:/t", stdin=done.stdout)
    assert box.out("exec", "box", "cat", "/t/d/sub/b") == "2"
    assert "error processing tar file" in box("cp", "-", "box:/t", stdin=b"junk", check=1).stderr


def test_reader_that_has_enough_ends_it_without_a_word(box: Shell) -> None:
    running = box.start("cp", "box:/", "-")
    assert running.stdout is not None
    running.stdout.read(512)
    running.stdout.close()
    assert running.wait() == 141
    assert running.stderr is not None
    assert running.stderr.read() == b""


def test_what_is_mounted_in_a_running_container_is_seen(shell: Shell, here: pathlib.Path) -> None:
    shell.out("run", "-d", "--name", "box", "--tmpfs", "/t", "lab", "sleep", "60")
    shell.out("cp", "file", "box:/t/x")
    shell.out("cp", "box:/t/x", "new")
    assert (here / "new").read_text() == "x"


def test_diff_and_export(box: Shell, here: pathlib.Path) -> None:
    box.out("exec", "box", "sh", "-c", "printf 'x' > \"/d/$(printf 'a\\033[31mb')\"")
    lines = box.out("diff", "box").splitlines()
    assert {"A /d", "A /d/a", "A /dl", "A /ready"} <= set(lines)
    assert "A /d/a\\x1b[31mb" in lines
    box.out("export", "box", "-o", "box.tar")
    with tarfile.open("box.tar") as archive:
        assert "d/sub/b" in archive.getnames()
    assert "invalid output path" in box.fail("export", "box", "-o", "nodir/x", code=1)
    assert "No such container" in box.fail("export", "nope", code=1)
    assert "No such container" in box.fail("diff", "nope", code=1)
