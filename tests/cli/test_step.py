"""`container step run`: the same plan, with a gate before each step."""

import re

import pytest

from tests.cli.conftest import Shell
from tests.cli.terminal import Typist

pytestmark = pytest.mark.needs("root", "overlay")


def names_in(text: str) -> list[str]:
    """Return the steps' names in the order in which they are shown."""
    return re.findall(r"^ *\d+  (\w+) \(\w+, \w+\)$", text, re.MULTILINE)


def test_steps_are_those_of_the_plan_and_the_container_runs_at_the_end(shell: Shell) -> None:
    planned = names_in(shell.out("run", "--dry-run", "lab", "true"))
    done = shell("step", "run", "--rm", "lab", "sh", "-c", "echo hello; exit 4", stdin=b"\n\nc\n", check=4)
    assert done.stdout == "hello\n"
    assert names_in(done.stderr) == planned
    assert done.stderr.count("gives up > ") == 3


def test_giving_up_leaves_nothing_half_made(shell: Shell) -> None:
    for stdin in (b"\n\n\na\n", b"\n\n", b""):
        done = shell("step", "run", "--rm", "lab", "true", stdin=stdin, check=130)
        assert done.stderr.splitlines()[-1] == "given up: what was made of the container is gone"
    assert shell.out("ps", "-aq") == ""


def test_half_made_container_can_be_seen_from_outside(shell: Shell) -> None:
    typist = Typist(shell, "step", "run", "--rm", "--name", "half", "--hostname", "halfway", "lab", "hostname")
    try:
        while "SetHostname" not in names_in(typist.expect(b"gives up > ").decode().replace("\r", "")):
            typist.type(b"\r")
        assert shell.out("ps", "-a", "--format", "{{.Names}} {{.State}}") == "half created"
        typist.type(b"c\r")
        typist.expect(b"\r\nhalfway\r\n")
        assert typist.wait() == 0
    finally:
        typist.close()


def test_what_cannot_run_is_an_error_there_too(shell: Shell) -> None:
    done = shell("step", "run", "--rm", "lab", "nosuch", stdin=b"c\n", check=127)
    assert 'exec: "nosuch": executable file not found in $PATH' in done.stderr.splitlines()[-1]
