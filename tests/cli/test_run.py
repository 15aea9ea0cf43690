"""`container run`: its streams, its signals, its exit codes, its plan; see test_run_options.py for its options."""

import os
import re
import signal
import subprocess
import time

import pytest

from tests.cli.conftest import Shell
from toolkit.cli.explain import events_text
from toolkit.engine.telling import tell
from toolkit.runtime.steps import RESERVE_STEPS
from toolkit.trace import Event

pytestmark = pytest.mark.needs("root", "overlay")


def test_output_error_and_exit_code_are_the_commands(shell: Shell) -> None:
    done = shell("run", "--rm", "lab", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)


def test_rm_leaves_no_container_and_its_absence_does(shell: Shell) -> None:
    shell("run", "--rm", "--name", "gone", "lab", "true", check=0)
    shell("run", "--name", "kept", "lab", "true", check=0)
    assert shell.out("ps", "-a", "--format", "{{.Names}}") == "kept"


def test_detached_run_prints_the_id_and_leaves_it_running(shell: Shell) -> None:
    ident = shell.out("run", "-d", "lab", "sleep", "60")
    assert re.fullmatch("[0-9a-f]{64}", ident)
    assert shell.out("ps", "-q", "--no-trunc") == ident


def test_detached_container_with_rm_goes_when_it_ends(shell: Shell) -> None:
    ident = shell.out("run", "-d", "--rm", "lab", "sleep", "0.2")
    deadline_s = time.monotonic() + 10
    while ident in shell.out("ps", "-aq", "--no-trunc"):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_name_that_is_taken_is_refused_with_the_cure(shell: Shell) -> None:
    first = shell.out("create", "--name", "web", "lab", "true")
    line = shell.fail("run", "--name", "web", "lab", "true", code=125)
    assert line.startswith(f'Conflict. The container name "/web" is already in use by container "{first}"')
    assert "You have to remove (or rename)" in line


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["lab", "nosuch"], 127, 'exec: "nosuch": executable file not found in $PATH'),
        (["lab", "/no/such"], 127, 'exec: "/no/such": stat /no/such: no such file or directory'),
        (["lab", "/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'),
        (["lab", "/etc"], 126, 'exec: "/etc": is a directory: permission denied; name a program in it'),
        (["--uts", "host", "--hostname", "x", "lab", "true"], 125, "conflicting options: hostname and the UTS mode"),
        (["-m", "1m", "lab", "true"], 125, "minimum memory limit allowed is 6MB"),
        (["--cpus", "4096", "lab", "true"], 125, "range of CPUs is from 0.01 to"),
        (["--name", "!", "lab", "true"], 125, "invalid container name"),
        (["-w", "tmp", "lab", "true"], 125, "the working directory 'tmp' is invalid"),
        (["-u", "nobody-here", "lab", "true"], 125, "unable to find user nobody-here"),
        (["--cap-add", "FLY", "lab", "true"], 125, ""),
        (["--pull", "never", "nosuch", "true"], 125, "No such image: nosuch"),
        (["UPPER", "true"], 125, "invalid reference format"),
        (["--pid", "container:nosuch", "lab", "true"], 125, "No such container: nosuch"),
        (["--detach-keys", "ctrl-zz", "lab", "true"], 125, "invalid detach keys"),
    ],
)
def test_what_cannot_run_is_one_line_and_dockers_exit_code(
    shell: Shell, words: list[str], code: int, line: str
) -> None:
    assert line in shell.fail("run", "--rm", *words, code=code)
    assert shell.out("ps", "-aq") == ""


def test_killed_by_a_signal_is_128_and_its_number(shell: Shell) -> None:
    ident = shell.out("run", "-d", "lab", "sleep", "60")
    waiting = shell.start("wait", ident)
    shell("kill", "-s", "KILL", ident, check=0)
    assert waiting.communicate(timeout=20)[0] == b"137\n"
    assert shell("run", "--rm", "lab", "sh", "-c", "sh -c 'kill -TERM $$'").returncode == 128 + signal.SIGTERM


def test_terminal_for_input_that_is_none_is_refused(shell: Shell) -> None:
    line = shell.fail("run", "-it", "--rm", "lab", "true", code=1)
    assert line.startswith("the input device is not a TTY")
    assert shell.out("ps", "-aq") == ""


def test_terminal_without_input_works_in_a_pipe(shell: Shell) -> None:
    assert shell("run", "-t", "--rm", "lab", "sh", "-c", "test -t 1 && echo yes").stdout == "yes\r\n"


def test_stdin_is_passed_on_and_its_end_too(shell: Shell) -> None:
    assert shell.out("run", "--rm", "-i", "lab", "wc", "-c", stdin=b"x" * 1_000_000) == "1000000"


def test_without_i_stdin_is_empty(shell: Shell) -> None:
    assert shell.out("run", "--rm", "lab", "cat", stdin=b"not for you") == ""


def test_output_after_the_end_of_stdin_is_not_lost(shell: Shell) -> None:
    script = "cat >/dev/null; sleep 0.3; echo late"
    assert shell.out("run", "--rm", "-i", "lab", "sh", "-c", script, stdin=b"x") == "late"


def test_bytes_pass_unchanged_both_ways(shell: Shell) -> None:
    data = bytes(range(256)) * 40_000
    assert shell.raw("run", "--rm", "-i", "lab", "cat", stdin=data).stdout == data


def test_a_reader_that_leaves_ends_it_quietly(shell: Shell) -> None:
    running = shell.start("run", "--rm", "lab", "sh", "-c", "while :; do echo y; done")
    assert running.stdout is not None
    assert running.stdout.readline() == b"y\n"
    running.stdout.close()
    assert running.wait(20) == 141
    assert running.stderr is not None
    assert running.stderr.read() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_passed_on(shell: Shell, number: signal.Signals) -> None:
    script = 'trap "echo caught; exit 9" INT TERM HUP; echo ready; while :; do sleep 0.05; done'
    running = shell.start("run", "--rm", "lab", "sh", "-c", script)
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(number)
    assert running.wait(20) == 9
    assert running.stdout.read() == b"caught\n"


def test_without_sig_proxy_the_command_ends_and_the_container_goes_on(shell: Shell) -> None:
    running = shell.start("run", "--name", "web", "--sig-proxy=false", "lab", "sh", "-c", "echo ready; sleep 60")
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 128 + signal.SIGTERM
    assert shell.out("ps", "--format", "{{.Names}}") == "web"


def test_third_interrupt_ends_the_command_over_a_deaf_container(shell: Shell) -> None:
    running = shell.start("run", "--name", "deaf", "lab", "sh", "-c", 'trap "" INT; echo ready; sleep 60')
    assert running.stdout is not None
    running.stdout.readline()
    for _ in range(3):
        running.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert running.wait(20) == 130
    assert shell.out("ps", "--format", "{{.Names}}") == "deaf"


def test_dry_run_prints_the_plan_and_leaves_nothing(shell: Shell) -> None:
    text = shell.out("run", "--dry-run", "--name", "web", "--hostname", "box", "lab", "true")
    assert re.search(r"^ *\d+  PivotRoot \(\w+, rootfs\)$", text, re.MULTILINE)
    assert 'sethostname("box", 3)' in text
    assert re.search(r"^ 1  \w+ \(\w+, \w+\)$", text, re.MULTILINE)
    assert shell.out("ps", "-aq") == ""


def test_explain_runs_it_and_prints_every_call_with_its_cost(shell: Shell) -> None:
    done = shell("run", "--rm", "--explain", "--hostname", "box", "lab", "echo", "hello", check=0)
    assert done.stdout == "hello\n"
    assert re.search(r'^ +\d+\.\d{3} +\d+\.\d +\d+  \w+ +sethostname\("box", 3\) = 0$', done.stderr, re.MULTILINE)
    count = int(re.search(r"^(\d+) calls took", done.stderr, re.MULTILINE)[1])  # type: ignore[index] # asserted by use
    assert count > 50


def test_two_at_once(shell: Shell) -> None:
    running = [shell.start("run", "--rm", "lab", "sh", "-c", f"sleep 0.2; echo {number}") for number in range(4)]
    assert [one.communicate(timeout=30)[0] for one in running] == [b"0\n", b"1\n", b"2\n", b"3\n"]
    assert [one.returncode for one in running] == [0, 0, 0, 0]


def test_quiet_first_run_of_an_unreachable_image_is_one_line(shell: Shell) -> None:
    line = shell.fail("run", "-q", "--rm", "127.0.0.1:1/nosuch", "true", code=125)
    assert "127.0.0.1:1" in line


def test_image_that_is_not_here_is_looked_for_in_its_registry(shell: Shell) -> None:
    done = shell("run", "--rm", "127.0.0.1:1/nosuch", "true", check=125)
    first, *_, last = done.stderr.splitlines()
    assert first == "Unable to find image '127.0.0.1:1/nosuch:latest' locally"
    assert last.startswith("container: ")


def test_input_that_is_not_read_waits_outside_and_not_in_memory(shell: Shell) -> None:
    running = shell.start("run", "--rm", "-i", "--name", "pig", "lab", "sleep", "60", stdin=subprocess.PIPE)
    assert running.stdin is not None
    os.set_blocking(running.stdin.fileno(), False)
    sent = 0
    deadline_s = time.monotonic() + 3
    while sent < 100 << 20 and time.monotonic() < deadline_s:
        try:
            sent += os.write(running.stdin.fileno(), bytes(1 << 20))
        except BlockingIOError:
            time.sleep(0.01)
    assert (1 << 20) < sent < (8 << 20)
    shell.out("kill", "pig")
    assert running.wait(20) == 137


def test_more_than_all_buffers_goes_through_and_back(shell: Shell) -> None:
    data = bytes(range(256)) * (120_000)
    script = "sleep 0.5; cat"
    assert shell.raw("run", "--rm", "-i", "lab", "sh", "-c", script, stdin=data).stdout == data


def test_run_that_is_killed_at_any_moment_leaves_no_container_of_rm(shell: Shell) -> None:
    for delay_ms in range(20, 220, 10):
        running = shell.start("run", "--rm", "--name", f"victim-{delay_ms}", "lab", "true")
        time.sleep(delay_ms / 1000)
        running.kill()
        running.wait()
    deadline_s = time.monotonic() + 10
    while (left := shell.out("ps", "-a", "--format", "{{.Names}} {{.Status}}")) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert left == ""


def test_attach_chooses_what_is_shown(shell: Shell) -> None:
    script = ["lab", "sh", "-c", "cat; echo out; echo err >&2; exit 3"]
    done = shell("run", "--rm", "-a", "stdout", *script, check=3)
    assert (done.stdout, done.stderr) == ("out\n", "")
    done = shell("run", "--rm", "-a", "stderr", *script, check=3)
    assert (done.stdout, done.stderr) == ("", "err\n")
    done = shell("run", "--rm", "-i", "-a", "stdin", "-a", "stdout", *script, stdin=b"in\n", check=3)
    assert (done.stdout, done.stderr) == ("in\nout\n", "")
    done = shell("run", "-i", "-a", "stdin", "--name", "quiet", *script, stdin=b"in\n", check=3)
    assert done.stdout.strip() == shell.out("inspect", "-f", "{{.Id}}", "quiet")
    assert shell.out("logs", "quiet") == "in\nout"
    template = "{{.Config.AttachStdin}} {{.Config.AttachStdout}} {{.Config.AttachStderr}}"
    assert shell.out("inspect", "-f", template, "quiet") == "true false false"
    assert "Conflicting options: -a and -d" in shell.fail("run", "-d", "-a", "stdout", "lab", "true", code=125)


def test_a_start_is_timed_from_its_own_first_call_however_long_the_reserve_has_waited() -> None:
    calls = [*RESERVE_STEPS[0].calls(), "setsid()", 'mkdir("/a", 0755)', 'mkdir("/b", 0755)']
    birth = [0] * len(RESERVE_STEPS[0].calls())
    steps = [*birth, 1, len(RESERVE_STEPS), len(RESERVE_STEPS)]
    starts_ns = [*birth, 20, 60_000_000_000, 60_001_000_000]
    events = [
        Event("x", call, 0, "", start, 1000, 1, "init", step)
        for call, step, start in zip(calls, steps, starts_ns, strict=True)
    ]
    said = events_text(events, tell(RESERVE_STEPS))
    assert [line.split()[0] for line in said.splitlines()[1:-1]] == ["before"] * (len(birth) + 1) + ["0.000", "1.000"]
