"""Images in one file, their history, and taking away what nothing uses."""

import pathlib
import re

import pytest

from tests.cli.conftest import Shell
from tests.cli.terminal import Typist
from tests.support.oci import make_image
from tests.support.scripted import ScriptedServer
from tests.support.session import EngineRoot

pytestmark = pytest.mark.needs("root", "overlay")


@pytest.fixture
def other(shell: Shell, engine_root: EngineRoot) -> Shell:
    """Return a shell on an engine that has nothing yet."""
    return Shell({**shell.environ, "CONTAINER_ROOT": engine_root.root, "CONTAINER_RUN": engine_root.run})


def test_saved_image_is_loaded_elsewhere_with_its_name_and_id(
    shell: Shell, other: Shell, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "lab.tar"
    assert shell.out("save", "-o", str(path), "lab") == ""
    assert [one.name for one in tmp_path.iterdir()] == ["lab.tar"]
    assert other.out("load", "-i", str(path)) == "Loaded image: lab:latest"
    assert other.out("images", "-q", "--no-trunc") == shell.out("images", "-q", "--no-trunc", "lab")
    assert other.out("load", "-q", stdin=path.read_bytes()) == ""


def test_image_goes_through_a_pipe(shell: Shell, other: Shell) -> None:
    saved = shell.raw("save", "lab", stdin=b"")
    assert saved.returncode == 0
    assert other.out("load", stdin=saved.stdout) == "Loaded image: lab:latest"


def test_what_cannot_be_saved_or_loaded_is_one_line_and_leaves_nothing(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.tar"
    assert shell.fail("save", "-o", str(path), "lab", "nosuch", code=1).startswith("No such image: nosuch")
    assert shell.fail("save", "-o", str(tmp_path / "no" / "x.tar"), "lab", code=1).endswith("no such file or directory")
    assert shell.fail("load", "-i", str(path), code=1) == f"{path}: no such file or directory"
    path.write_bytes(b"not a tar" * 100)
    assert "this is no archive of images" in shell.fail("load", "-i", str(path), code=1)
    assert [one.name for one in tmp_path.iterdir()] == ["x.tar"]


def test_save_refuses_a_terminal(shell: Shell) -> None:
    for words in (["save", "lab"], ["load"]):
        typist = Typist(shell, *words)
        try:
            assert typist.wait() == 1
            assert re.search(rb"terminal; use the -[oi] flag or redirect", typist.seen)
        finally:
            typist.close()


def test_history_is_the_newest_first(shell: Shell) -> None:
    heading, *rows = shell.out("history", "lab").splitlines()
    assert heading.split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    ident = shell.out("images", "-q", "lab")
    assert [row.split()[0] for row in rows] == [ident, *["<missing>"] * 4]
    assert "directories, users and settings" in rows[-1]
    assert shell.out("history", "--format", "{{.CreatedBy}}", "lab").splitlines()[-1].startswith("lab: directories")
    assert shell.fail("history", "nosuch", code=1).startswith("No such image: nosuch")


def test_prune_takes_away_what_does_not_run_and_only_when_told(shell: Shell) -> None:
    stopped = shell.out("create", "lab", "true")
    running = shell.out("run", "-d", "lab", "sleep", "60")
    refused = shell.out("container", "prune", stdin=b"n\n")
    assert refused.startswith("WARNING! This will remove all stopped containers.\nAre you sure")
    assert stopped in shell.out("ps", "-aq", "--no-trunc")
    done = shell.out("container", "prune", stdin=b"y\n")
    assert f"\nDeleted Containers:\n{stopped}\n\nTotal reclaimed space: 0B" in done
    assert shell.out("ps", "-aq", "--no-trunc") == running
    assert shell.out("container", "prune", "-f") == "Total reclaimed space: 0B"


def test_prune_counts_what_containers_had_written(shell: Shell) -> None:
    shell("run", "lab", "dd", "if=/dev/zero", "of=/file", "bs=1M", "count=3", check=0)
    size = shell.out("container", "prune", "-f").splitlines()[-1]
    assert re.fullmatch(r"Total reclaimed space: 3\.1\d?MB", size)


def test_image_prune_spares_names_and_what_is_used_unless_all(other: Shell, shell: Shell) -> None:
    old, new = (make_image({"file": name}) for name in (b"old", b"new"))
    with ScriptedServer() as server:
        name = f"{server.address}/thing"
        for image in (old, new):
            server.serve_image("thing", "latest", image)
            other.out("pull", "-q", name)
    first = other.out("images", "-f", "dangling=true", "-q")
    assert re.fullmatch("[0-9a-f]{12}", first)
    second = other.out("images", "-f", "dangling=false", "-q")
    assert "deleted: sha256:" + first in other.out("image", "prune", "-f")
    assert other.out("images", "-q") == second
    assert "deleted: sha256:" + second in other.out("system", "prune", "-a", "-f")
    assert other.out("images", "-q") == ""
