"""`container top`, `stats`, `port`, `rename` and `update`, as a user types them."""

import json
import os
import re
import signal

import pytest

from tests.cli.conftest import Shell, lines_of
from tests.cli.terminal import Typist
from toolkit.core.errors import InvalidError
from toolkit.engine.processes import parse

pytestmark = pytest.mark.needs("root", "overlay")

_PS = """  PID USER COMMAND
   10 root sleep 10
    - -    -
   11 ada  sh -c a b
   12 bob  other
    - -    -
"""


@pytest.fixture
def web(shell: Shell) -> str:
    """Return the id of the running container `web`."""
    return shell.out("run", "-d", "--name", "web", "lab", "sleep", "60")


# top


def test_lines_of_the_processes_and_their_threads_are_kept() -> None:
    found = parse(_PS, {10, 11})
    assert list(found.titles) == ["PID", "USER", "COMMAND"]
    assert found.rows == [["10", "root", "sleep 10"], ["-", "-", "-"], ["11", "ada", "sh -c a b"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CMD\nx\n", "Couldn't find PID field"),
        ("", "Couldn't find PID field"),
        ("CMD PID\na b 1\n", "Unexpected pid 'b'"),
    ],
)
def test_output_without_a_pid_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        parse(text, {1})


@pytest.mark.parametrize(
    ("options", "titles"),
    [
        ([], "UID PID PPID C STIME TTY TIME CMD"),
        (["-o", "pid,cmd"], "PID CMD"),
        (["aux"], "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        (["-eo", "pid,user,rss,cmd"], "PID USER RSS CMD"),
        (["axf"], "PID TTY STAT TIME COMMAND"),
    ],
)
def test_top_takes_the_options_of_ps(shell: Shell, web: str, options: list[str], titles: str) -> None:
    shell.out("exec", "-d", "web", "sleep", "61")
    heading, *rows = shell.out("top", "web", *options).splitlines()
    assert heading.split() == titles.split()
    assert sorted(row.split("sleep ")[1].split()[0] for row in rows) == ["60", "61"]


def test_columns_of_top_are_as_wide_as_dockers(shell: Shell, web: str) -> None:
    assert shell.out("top", "web", "-o", "pid,cmd").startswith(f"{'PID':<20}CMD\n")


def test_top_that_cannot_be_says_why(shell: Shell, web: str) -> None:
    assert "Couldn't find PID field in ps output" in shell.fail("top", "web", "-o", "cmd", code=1)
    assert shell.fail("top", "web", "-zzz", code=1).startswith("ps: error: ")
    idle = shell.out("create", "lab", "true")
    assert f"Container {idle} is not running" in shell.fail("top", idle, code=1)


# stats


def test_stats_in_json_has_dockers_fields(shell: Shell, web: str) -> None:
    (row,) = [json.loads(line) for line in shell.out("stats", "--no-stream", "--format", "json").splitlines()]
    assert set(row) == {"BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"}
    assert (row["ID"], row["Name"], row["NetIO"], row["PIDs"]) == (web[:12], "web", "0B / 0B", "1")
    assert re.fullmatch(r"[\d.]+[KM]iB / [\d.]+GiB", row["MemUsage"])


def test_stats_of_all_shows_those_that_do_not_run_too(shell: Shell, web: str) -> None:
    shell.out("create", "--name", "idle", "lab", "true")
    assert len(lines_of(shell.out("stats", "--no-stream"))) == 1
    rows = {row.split()[1]: row for row in lines_of(shell.out("stats", "--no-stream", "-a", "--no-trunc"))}
    assert set(rows) == {"web", "idle"}
    assert rows["idle"].split()[2:6] == ["0.00%", "0B", "/", "0B"]
    assert rows["web"].startswith(web)
    assert shell.out("stats", "--no-stream", "--format", "{{.Container}} {{.PIDs}}", "idle", "web") == "idle 0\nweb 1"


def test_cpu_of_a_busy_container_is_seen(shell: Shell) -> None:
    shell.out("run", "-d", "--name", "busy", "--cpus", "0.5", "lab", "sh", "-c", "while :; do :; done")
    percent = shell.out("stats", "--no-stream", "--format", "{{.CPUPerc}}", "busy")
    assert 1 < float(percent.rstrip("%")) < 80


def test_live_table_is_drawn_over_and_learns_of_new_containers(shell: Shell, web: str) -> None:
    typist = Typist(shell, "stats")
    try:
        typist.expect(b"\033[HCONTAINER ID")
        typist.expect(b"web")
        shell.out("run", "-d", "--name", "late", "lab", "sleep", "60")
        typist.expect(b"late")
        shell.out("rm", "-f", "late")
        typist.expect(b"\033[J")
        typist.expect(b"\033[J")
        assert b"late" not in typist.expect(b"\033[J")
        typist.process.send_signal(signal.SIGINT)
        assert typist.wait() == 130
    finally:
        typist.close()


def test_stream_into_a_pipe_has_no_control_codes(shell: Shell, web: str) -> None:
    running = shell.start("stats")
    assert running.stdout is not None
    text = b"".join(running.stdout.readline() for _line in range(3))  # a second table has begun
    running.send_signal(signal.SIGINT)
    text += running.stdout.read()
    assert text.count(b"CONTAINER ID") >= 2
    assert b"\033" not in text


def test_stats_of_one_that_does_not_exist(shell: Shell) -> None:
    assert "No such container: nope" in shell.fail("stats", "nope", code=1)


# port


def test_port_says_nothing_where_nothing_is_published(shell: Shell, web: str) -> None:
    assert shell.out("port", "web") == ""
    assert shell.fail("port", "web", "80", code=1).startswith("No public port '80' published for web")
    assert shell.fail("port", "web", "80/udp", code=1).startswith("No public port '80/udp' published for web")
    assert shell.fail("port", "web", "foo", code=1).startswith("invalid port (foo)")
    assert shell.fail("port", "web", "70000", code=1).startswith("invalid port (70000)")
    assert "No such container: nope" in shell.fail("port", "nope", code=1)


# rename and update


def test_rename(shell: Shell, web: str) -> None:
    assert shell.out("rename", "web", "other") == ""
    assert shell.out("ps", "--format", "{{.Names}}") == "other"
    assert "Neither old nor new names may be empty" in shell.fail("rename", "other", "", code=1)
    assert "No such container: web" in shell.fail("rename", "web", "x", code=1)


def test_update_of_several(shell: Shell, web: str) -> None:
    shell.out("create", "--name", "idle", "lab", "true")
    assert shell.out("update", "--cpus", "0.5", "--restart", "on-failure:3", "web", "idle") == "web\nidle"
    template = (
        "{{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"
    )
    assert shell.out("inspect", "-f", template, "web", "idle").splitlines() == ["500000000 on-failure 3"] * 2
    done = shell("update", "--cpus", "0.25", "nope", "web", check=1)
    assert done.stdout == "web\n"
    assert "No such container: nope" in done.stderr


def test_update_without_a_change_is_refused(shell: Shell, web: str) -> None:
    done = shell("update", "web", check=1)
    assert done.stderr.startswith("container: you must provide one or more flags when using this command\n")
    assert "range of CPUs" in shell.fail("update", "--cpus", str(10 * (os.cpu_count() or 1)), "web", code=1)
    assert "no limit for its own memory" in shell.fail("update", "--kernel-memory", "50m", "web", code=1)
