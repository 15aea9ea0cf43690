"""`explain run`, `step run --record` and `replay`: what was done, kept and shown again."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.cli.conftest import Shell
from toolkit.trace import reading

pytestmark = pytest.mark.needs("root", "overlay")


def test_explain_run_shows_the_programs_output_and_then_the_calls(shell: Shell) -> None:
    done = shell("explain", "run", "--rm", "lab", "sh", "-c", "echo hello; exit 4", check=4)
    assert done.stdout == "hello\n"
    assert 'pivot_root(".", ".") = 0' in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{len(done.stderr.splitlines()) - 2} calls took ")


def test_recorded_run_is_shown_again_as_a_recording(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "run.jsonl")
    done = shell("explain", "run", "--rm", "--record", path, "lab", "sh", "-c", "exit 4", check=4)
    assert done.stderr == f"recorded in {path}: container replay {path}\n"
    shown = shell.out("replay", path).splitlines()
    assert shown[0].startswith(f"recording of {reading.load(path).header.date[:10]} ")
    assert f"on kernel {os.uname().release}, {os.uname().machine}" in shown[0]
    assert shown[1] == "container explain run --rm lab sh -c 'exit 4'"
    assert shown[-1] == "exit code 4"
    assert any('pivot_root(".", ".") = 0' in line for line in shown)


def test_recorded_walk_is_shown_step_by_step_with_what_each_changed(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "walk.jsonl")
    shell("step", "run", "--record", path, "--hostname", "box", "lab", "true", stdin=b"c\n", check=0)
    shown = shell.out("replay", path)
    assert shown.index("SetHostname (init") < shown.index('sethostname("box", 3) = 0') < shown.index("PivotRoot (init")
    assert "-> mounted: " in shown
    assert "-> uts namespace: its own, " in shown


def test_walk_that_was_given_up_is_recorded_as_far_as_it_went(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "walk.jsonl")
    shell("step", "run", "--record", path, "lab", "true", stdin=b"\n\n\na\n", check=130)
    shown = shell.out("replay", path)
    assert "JoinKeyring (init" in shown
    assert "PivotRoot" not in shown
    assert reading.load(path).exit_code is None
    assert shell.out("ps", "-aq") == ""


def test_recording_has_no_value_of_the_environment(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run.jsonl"
    file = tmp_path / "env"
    file.write_text("TOKEN=verysecret\n")
    words = ["--env", "PASSWORD=topsecret", "-e", "KEY=secretkey", "--env-file", str(file), "--log-opt", "tag=hidden"]
    for command, stdin in (("explain", b""), ("step", b"c\n")):
        shell(command, "run", *words, "--record", str(path), "lab", "true", stdin=stdin, check=0)
        text = path.read_text()
        for secret in ("topsecret", "secretkey", "verysecret", "hidden"):
            assert secret not in text
        assert "--env PASSWORD=... --env KEY=..." in text


def test_replay_works_without_privileges_and_without_an_engine(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "walk.jsonl"
    shell("step", "run", "--record", str(path), "lab", "true", stdin=b"c\n", check=0)
    code = (
        "import io, os, sys, contextlib\n"
        "sys.modules['ctypes'] = sys.modules['fcntl'] = None\n"  # as where there is no Linux
        "from toolkit.cli.main import main\n"
        "words = ['replay', sys.argv[1]]\n"
        "with contextlib.redirect_stdout(io.StringIO()): main(words)\n"  # Python's own files may be closed to nobody
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(main(words))"
    )
    with open(path, "rb") as file:
        text = file.read()
    where = f"/dev/shm/{os.path.basename(str(tmp_path))}-walk.jsonl"
    try:
        pathlib.Path(where).write_bytes(text)
        environ = {**os.environ, "CONTAINER_ROOT": "/nonexistent", "CONTAINER_RUN": "/nonexistent"}
        done = subprocess.run(
            [sys.executable, "-c", code, where], capture_output=True, text=True, check=False, env=environ
        )
    finally:
        os.unlink(where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PivotRoot" in done.stdout


def test_file_that_is_no_recording_is_one_clear_error(shell: Shell, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text("hello\n")
    assert shell.fail("replay", str(path), code=1).startswith(f"{path}, line 1: this is not a recording")
    path.write_text(json.dumps({"recording": 99}) + "\n")
    assert "line 1: a recording of version 99, and this program knows version 1" in shell.fail(
        "replay", str(path), code=1
    )
    assert "No such file" in shell.fail("replay", "/nosuch", code=1)


def test_recording_that_cannot_be_written_is_said(shell: Shell) -> None:
    for command in ("explain", "step"):
        failed = shell.fail(command, "run", "--record", "/nosuch/x", "lab", "echo", "hello", code=125)
        assert failed == "/nosuch/x: a recording cannot be written there; name another file with --record"
    assert shell.out("ps", "-aq") == ""


def test_container_that_is_stepped_is_gone_at_its_end(shell: Shell) -> None:
    shell("step", "run", "lab", "true", stdin=b"c\n", check=0)
    assert shell.out("ps", "-aq") == ""
    refused = shell("step", "run", "--restart", "always", "lab", "true", check=125).stderr
    assert "--restart does not go with it" in refused.splitlines()[0]
