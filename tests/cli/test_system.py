"""info, version, doctor, and how trouble in the command itself looks."""

import io
import json
import os
import subprocess
import sys

import pytest

import toolkit
import toolkit.cli
from tests.cli.conftest import PROGRAM, SPECIAL, Shell
from toolkit.linux.probe import find_features

needs_containers = pytest.mark.needs("root", "overlay")


@needs_containers
def test_info_counts_and_names(shell: Shell) -> None:
    shell.out("create", "lab", "true")
    lines = shell.out("info").splitlines()
    assert lines[0] == "Containers: 1"
    assert f"Kernel Version: {os.uname().release}" in lines
    assert shell.out("info", "--format", "{{.Containers}} {{.DefaultRuntime}}") == "1 container-toolkit"
    assert json.loads(shell.out("info", "-f", "json"))["ServerVersion"] == toolkit.__version__


def test_doctor_agrees_with_the_probe_and_names_cures() -> None:
    out = io.StringIO()
    outcome = toolkit.cli.run(["doctor"], stdout=out, stderr=io.StringIO())
    assert outcome.exit_code == 0
    shown = {feature.name: feature.is_here for feature in outcome.value}
    assert {feature.name: feature.is_here for feature in find_features()}.items() <= shown.items()
    for feature in outcome.value:
        if not feature.is_here:
            assert f"  {feature.group} {feature.name}" in out.getvalue()
            assert (feature.cure or "nothing is known to help") in out.getvalue()


def test_doctor_speaks_templates() -> None:
    out = io.StringIO()
    toolkit.cli.run(["doctor", "--format", "{{.Name}}={{.Here}}"], stdout=out, stderr=io.StringIO())
    assert any(line in ("pid=yes", "pid=no") for line in out.getvalue().splitlines())


BUG = """
import sys
from toolkit.cli import main as program
from toolkit.cli import grammar
def broken(_words):
    raise KeyError("oops\\nsecond line")
grammar.find = broken
sys.argv = ["container", "ps", "-a"]
sys.exit(program.main())
"""


def test_a_bug_is_one_line_that_says_how_to_report_it() -> None:
    environ = {name: value for name, value in os.environ.items() if name not in SPECIAL}
    done = subprocess.run([sys.executable, "-c", BUG], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("container: internal error: KeyError: ")
    assert "CONTAINER_DEBUG=1 container ps ..." in done.stderr


def test_a_bug_shows_its_traceback_to_those_who_debug() -> None:
    environ = {**os.environ, "CONTAINER_DEBUG": "1"}
    done = subprocess.run([sys.executable, "-c", BUG], env=environ, capture_output=True, text=True, check=False)
    assert "Traceback (most recent call last)" in done.stderr
    assert "KeyError" in done.stderr


def test_closed_output_is_quiet() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    environ = {name: value for name, value in os.environ.items() if name not in SPECIAL}
    done = subprocess.run([*PROGRAM, "--help"], env=environ, stdout=write_fd, stderr=subprocess.PIPE, check=False)
    os.close(write_fd)
    assert (done.returncode, done.stderr) == (141, b"")


@needs_containers
@pytest.mark.parametrize("words", [["--help"], ["ps"], ["run", "--rm", "lab", "echo", "x"]])
def test_full_output_is_one_line(shell: Shell, words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, *words], env=shell.environ, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode in (1, 125)
    assert done.stderr.count("\n") == 1
    assert "no space left on device" in done.stderr


def test_closed_standard_streams_are_no_reason_to_fail() -> None:
    command = f'"{PROGRAM[0]}" -m toolkit.cli version <&- >&- 2>&-'
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode == 0


def test_root_that_cannot_be_used_is_one_line(tmp_path: object) -> None:
    err = io.StringIO()
    outcome = toolkit.cli.run(["--root", "/proc/nowhere", "ps"], stdout=io.StringIO(), stderr=err)
    assert outcome.exit_code == 1
    assert err.getvalue().count("\n") == 1
    assert "/proc/nowhere" in err.getvalue()


@needs_containers
def test_in_process_run_returns_the_objects(shell: Shell) -> None:
    out, err = io.StringIO(), io.StringIO()
    made = toolkit.cli.run(["run", "-d", "--name", "web", "lab", "sleep", "60"], stdout=out, stderr=err)
    assert made.exit_code == 0
    assert made.value.name == "web"
    assert out.getvalue() == made.value.id + "\n"
    listed = toolkit.cli.run(["ps"], stdout=out, stderr=err)
    assert [one.id for one in listed.value] == [made.value.id]
    images = toolkit.cli.run(["images"], stdout=out, stderr=err)
    assert "lab:latest" in images.value[0].names
    failed = toolkit.cli.run(["rm", "nosuch"], stdout=out, stderr=err)
    assert failed.exit_code == 1
    assert str(failed.error).startswith("No such container: nosuch")


@needs_containers
def test_in_process_run_takes_its_script_from_a_string(shell: Shell) -> None:
    out, err = io.StringIO(), io.StringIO()
    script = io.BytesIO("echo grüße; echo problem >&2; exit 3".encode())
    outcome = toolkit.cli.run(["run", "--rm", "-i", "lab", "sh"], stdin=script, stdout=out, stderr=err)
    assert (out.getvalue(), err.getvalue(), outcome.exit_code) == ("grüße\n", "problem\n", 3)
