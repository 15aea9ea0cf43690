"""What is done to containers after `run`: every command on real ones, right names and wrong."""

import json
import re
import time

import pytest

from tests.cli.conftest import Shell, lines_of

pytestmark = pytest.mark.needs("root", "overlay")


@pytest.fixture
def web(shell: Shell) -> str:
    """Return the id of a running container named web."""
    script = 'trap "exit 7" TERM; echo out; echo err >&2; while :; do sleep 0.05; done'
    ident = shell.out("run", "-d", "--name", "web", "-l", "tier=front", "lab", "sh", "-c", script)
    deadline_s = time.monotonic() + 10
    while "err" not in shell("logs", "web").stderr:
        assert time.monotonic() < deadline_s
    return ident


def test_ps_shows_what_runs_and_all_on_demand(shell: Shell, web: str) -> None:
    shell.out("create", "--name", "idle", "lab", "true")
    assert [line.split()[-1] for line in lines_of(shell.out("ps"))] == ["web"]
    assert [line.split()[-1] for line in lines_of(shell.out("ps", "-a"))] == ["idle", "web"]
    assert shell.out("ps", "-q") == web[:12]
    both = shell("ps", "-q", "--format", "{{.Names}}", check=0)
    assert both.stdout == web[:12] + "\n"
    assert both.stderr == "WARNING: Ignoring custom format, because both --format and --quiet are set.\n"
    assert shell.out("ps", "-n", "1", "--format", "{{.Names}} {{.Status}}") == "idle Created"
    assert shell.out("ps", "-l", "--format", "{{.Names}}") == "idle"
    assert re.search(r'"sh -c \'trap "exit 7…"|"sh -c \'trap \\"exit 7…"', shell.out("ps"))


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["name=we"], "web"),
        (["name=^w.b$"], "web"),
        (["name=idle"], "idle"),
        (["name=idle", "name=web"], "idle web"),
        (["status=created"], "idle"),
        (["status=running", "status=created"], "idle web"),
        (["label=tier"], "web"),
        (["label=tier=front"], "web"),
        (["label=tier=back"], ""),
        (["ancestor=lab"], "idle web"),
        (["ancestor=lab:latest"], "idle web"),
        (["ancestor=nosuch"], ""),
        (["exited=0"], ""),
    ],
)
def test_ps_filters(shell: Shell, web: str, filters: list[str], names: str) -> None:
    shell.out("create", "--name", "idle", "lab", "true")
    words = [word for each in filters for word in ("--filter", each)]
    assert shell.out("ps", "-a", *words, "--format", "{{.Names}}").split() == names.split()


def test_ps_filters_by_id_and_exit_code(shell: Shell, web: str) -> None:
    shell("run", "--name", "three", "lab", "sh", "-c", "exit 3", check=3)
    assert shell.out("ps", "-f", f"id={web[:7]}", "--format", "{{.Names}}") == "web"
    assert shell.out("ps", "-f", "exited=3", "--format", "{{.Names}} {{.State}}") == "three exited"


def test_bad_filter_is_refused(shell: Shell) -> None:
    assert shell.fail("ps", "-f", "color=red", code=1).startswith("invalid filter 'color'")
    assert shell.fail("ps", "-f", "status=tired", code=1) == "invalid filter 'status=tired'"
    assert shell.fail("ps", "-f", "exited=x", code=1) == "invalid filter 'exited=x'"
    assert "invalid filter pattern" in shell.fail("ps", "-f", "name=(", code=1)
    assert "failed to parse template" in shell.fail("ps", "--format", "{{", code=1)


def test_logs_come_on_the_stream_they_were_written_to(shell: Shell, web: str) -> None:
    done = shell("logs", "web", check=0)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_logs_with_times_tails_and_moments(shell: Shell) -> None:
    shell("run", "--name", "many", "lab", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; done", check=0)
    assert re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z \d\n?){5}", shell.out("logs", "-t", "many"))
    assert shell.out("logs", "--tail", "2", "many") == "4\n5"
    assert shell.out("logs", "-n0", "many") == ""
    assert shell.out("logs", "--tail", "all", "many") == "1\n2\n3\n4\n5"
    assert shell.out("logs", "--since", "1h", "many") == "1\n2\n3\n4\n5"
    assert shell.out("logs", "--since", "2999-01-01T00:00:00Z", "many") == ""
    assert shell.out("logs", "--until", "1h", "many") == ""
    assert shell.fail("logs", "--tail", "x", "many", code=1).startswith("invalid tail: 'x'")
    assert shell.fail("logs", "--since", "x", "many", code=1).startswith("invalid time: 'x'")


def test_logs_follow_until_the_end(shell: Shell) -> None:
    ident = shell.out("run", "-d", "lab", "sh", "-c", "echo 1; sleep 0.4; echo 2; sleep 0.4; echo 3")
    running = shell.start("logs", "-f", ident)
    assert running.communicate(timeout=20)[0] == b"1\n2\n3\n"
    assert running.returncode == 0


def test_logs_follow_can_be_interrupted(shell: Shell, web: str) -> None:
    running = shell.start("logs", "-f", "web")
    assert running.stdout is not None
    assert running.stdout.readline() == b"out\n"
    running.send_signal(2)
    assert running.wait(20) == 130


def test_exec_has_streams_exit_code_and_options(shell: Shell, web: str) -> None:
    done = shell("exec", "-w", "/tmp", "-e", "A=b", "-u", "12:34", "web", "sh", "-c", "pwd; echo $A; id -u >&2; exit 4")
    assert (done.stdout, done.stderr, done.returncode) == ("/tmp\nb\n", "12\n", 4)
    assert shell.out("exec", "-i", "web", "cat", stdin=b"in") == "in"
    assert shell.out("exec", "web", "sh", "-c", "echo $PPID") == "0"
    assert shell("exec", "-t", "web", "sh", "-c", "test -t 1 && echo yes").stdout == "yes\r\n"


def test_exec_detached_returns_at_once_and_goes_on(shell: Shell, web: str) -> None:
    assert shell.out("exec", "-d", "web", "sh", "-c", "until [ -e /go ]; do sleep 0.05; done; touch /done") == ""
    assert shell("exec", "web", "test", "-e", "/done").returncode == 1
    shell.out("exec", "web", "touch", "/go")
    deadline_s = time.monotonic() + 10
    while shell("exec", "web", "test", "-e", "/done").returncode:
        assert time.monotonic() < deadline_s


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["nosuch", "true"], 1, "No such container: nosuch"),
        (["web", "nosuch"], 127, 'exec: "nosuch": executable file not found in $PATH'),
        (["web", "/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'),
        (["web", "/etc"], 126, 'exec: "/etc": is a directory: permission denied; name a program in it'),
        (["-u", "nobody-here", "web", "true"], 126, "unable to find user nobody-here"),
        (["-w", "tmp", "web", "true"], 126, "the working directory 'tmp' is invalid"),
        (["-w", "/no/such", "web", "true"], 126, "the working directory /no/such does not exist"),
        (["idle", "true"], 1, "is not running"),
        (["-it", "web", "true"], 1, "the input device is not a TTY"),
    ],
)
def test_exec_that_cannot_be(shell: Shell, web: str, words: list[str], code: int, line: str) -> None:
    shell.out("create", "--name", "idle", "lab", "true")
    assert line in shell.fail("exec", *words, code=code)


def test_stop_gives_the_process_its_chance(shell: Shell, web: str) -> None:
    assert shell.out("stop", "-t", "20", "web") == "web"
    assert shell.out("wait", "web") == "7"
    assert shell.out("stop", "web") == "web"


@pytest.mark.parametrize("words", [["stop", "-t", "0"], ["rm", "-f"]])
def test_end_of_one_with_rm_is_no_error(shell: Shell, words: list[str]) -> None:
    shell.out("run", "-d", "--rm", "--name", "brief", "lab", "sleep", "60")
    done = shell(*words, "brief", check=0)
    assert (done.stdout, done.stderr) == ("brief\n", "")
    assert shell.out("ps", "-aq") == ""


def test_kill_with_and_without_a_name(shell: Shell, web: str) -> None:
    assert shell.out("kill", "-s", "TERM", "web") == "web"
    assert shell.out("wait", "web") == "7"
    assert "not running" in shell.fail("kill", "web", code=1)
    assert shell.out("start", "web") == "web"
    assert shell.out("kill", web[:12]) == web[:12]
    assert shell.out("wait", "web") == "137"
    shell.out("start", "web")
    assert shell.fail("kill", "-s", "NOSUCH", "web", code=1).startswith("invalid signal: NOSUCH")


def test_wait_waits(shell: Shell) -> None:
    first = shell.out("run", "-d", "lab", "sh", "-c", "sleep 0.5; exit 5")
    second = shell.out("run", "-d", "lab", "true")
    assert shell.out("wait", first, second) == "5\n0"


def test_rm_wants_force_for_one_that_runs(shell: Shell, web: str) -> None:
    assert "it is running" in shell.fail("rm", "web", code=1)
    assert shell.out("rm", "-f", "web") == "web"
    assert shell.out("ps", "-aq") == ""


def test_several_at_once_go_on_after_a_failure(shell: Shell) -> None:
    for name in ("one", "two"):
        shell.out("create", "--name", name, "lab", "true")
    done = shell("rm", "one", "nosuch", "two", check=1)
    assert done.stdout == "one\ntwo\n"
    assert done.stderr.startswith("container: No such container: nosuch")


def test_rm_force_of_nothing_succeeds_and_says_so(shell: Shell) -> None:
    done = shell("rm", "-f", "nosuch", check=0)
    assert done.stdout == ""
    assert "No such container: nosuch" in done.stderr


@pytest.mark.parametrize(
    "command", ["start", "stop", "kill", "wait", "rm", "logs", "attach", "top", "inspect", "stats"]
)
def test_unknown_container_is_one_line_and_exit_code_1(shell: Shell, command: str) -> None:
    assert re.search("no such (container|object): nosuch", shell.fail(command, "nosuch", code=1), re.IGNORECASE)


def test_create_then_start_attached(shell: Shell) -> None:
    shell.out("create", "--name", "later", "-i", "lab", "sh", "-c", "cat; exit 6")
    done = shell("start", "-ai", "later", stdin=b"words\n")
    assert (done.stdout, done.returncode) == ("words\n", 6)
    assert shell.out("start", "later") == "later"
    assert "at once" in shell.fail("start", "-a", "later", "other", code=1)


def test_start_keeps_what_was_written(shell: Shell) -> None:
    shell("run", "--name", "keeps", "lab", "sh", "-c", "test -e /x && echo again; touch /x", check=0)
    assert shell("start", "-a", "keeps", check=0).stdout == "again\n"


def test_attach_to_what_runs(shell: Shell, web: str) -> None:
    running = shell.start("attach", "web")
    time.sleep(0.5)
    running.send_signal(15)
    assert running.wait(20) == 7
    assert "start it first" in shell.fail("attach", "web", code=1)


def test_inspect_prints_dockers_json(shell: Shell, web: str) -> None:
    text = shell.out("inspect", "web")
    (document,) = json.loads(text)
    assert document["Id"] == web
    assert document["State"]["Status"] == "running"
    assert document["Config"]["Labels"]["tier"] == "front"
    assert text.startswith('[\n    {\n        "Id": ')
    assert shell.out("inspect", "-f", "{{.State.Running}} {{.Name}} {{.Config.Entrypoint}}", "web") == "true /web []"
    assert (
        shell.out("inspect", "-f", '{{index .Config.Labels "tier"}}{{.Config.Labels.none}}', "web") == "front<no value>"
    )
    assert shell.out("inspect", "-f", "json", "web").startswith('{"Id":')


def test_inspect_of_several_prints_those_that_are_there(shell: Shell, web: str) -> None:
    done = shell("inspect", "web", "nosuch", check=1)
    assert len(json.loads(done.stdout)) == 1
    assert done.stderr.startswith("container: no such object: nosuch")


def test_inspect_by_type(shell: Shell, web: str) -> None:
    assert shell.out("inspect", "--type", "image", "-f", "{{index .RepoTags 0}}", "lab") == "lab:latest"
    assert "no such image: web" in shell.fail("inspect", "--type=image", "web", code=1)
    assert "no such container: lab" in shell.fail("container", "inspect", "lab", code=1)


def test_bad_template_of_inspect_is_refused_before_anything(shell: Shell) -> None:
    line = shell.fail("inspect", "-f", "{{.Foo", "nosuch", code=1)
    assert line == "template parsing error: template: :1: unclosed action"


def test_unknown_field_of_inspect_is_named(shell: Shell, web: str) -> None:
    line = shell.fail("inspect", "-f", "{{.Foo}}", "web", code=1)
    assert line == 'template parsing error: template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"'


def test_top_shows_the_hosts_view(shell: Shell, web: str) -> None:
    heading, *rows = shell.out("top", "web").splitlines()
    assert heading.split()[:3] == ["UID", "PID", "PPID"]
    assert any("trap" in row for row in rows)
    pid = shell.out("inspect", "-f", "{{.State.Pid}}", "web")
    assert pid in {row.split()[0] for row in lines_of(shell.out("top", "web", "-o", "pid,cmd"))}


def test_stats_once(shell: Shell, web: str) -> None:
    (row,) = lines_of(shell.out("stats", "--no-stream"))
    assert re.fullmatch(r"[0-9a-f]{12}   web       \d+\.\d\d% +\S+iB / \S+iB +\d+\.\d\d% +0B / 0B +\S+ / \S+ +\d+", row)
    assert shell.out("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "web").startswith("web ")


def test_short_unique_prefix_of_an_id_is_enough(shell: Shell, web: str) -> None:
    assert shell.out("inspect", "-f", "{{.Id}}", web[:4]) == web


def test_pause_and_unpause_print_the_name_and_ps_says_so(shell: Shell, web: str) -> None:
    assert shell.out("pause", "web") == "web"
    assert shell.out("ps", "--format", "{{.State}} {{.Status}}").endswith("(Paused)")
    assert shell.out("ps", "-f", "status=paused", "-q") == web[:12]
    assert shell.fail("pause", "web", code=1) == "Container web is already paused"
    assert shell.fail("exec", "web", "true", code=1) == "Container web is paused, unpause the container before exec"
    assert shell.out("unpause", "web") == "web"
    assert shell.out("ps", "--format", "{{.State}}") == "running"


def test_restart_prints_the_name_and_gives_a_new_process(shell: Shell, web: str) -> None:
    before = shell.out("inspect", "-f", "{{.State.Pid}}", "web")
    assert shell.out("restart", "-t", "5", "web") == "web"
    assert shell.out("inspect", "-f", "{{.State.Pid}}", "web") not in (before, "0")


def test_stop_with_another_signal(shell: Shell, web: str) -> None:
    shell.out("stop", "--signal", "KILL", "web")
    assert shell.out("inspect", "-f", "{{.State.ExitCode}}", "web") == "137"


def test_restart_policy_is_shown_and_obeyed(shell: Shell) -> None:
    shell.out("run", "-d", "--name", "again", "--restart", "on-failure:1", "lab", "sh", "-c", "sleep 0.2; exit 3")
    assert shell.out("wait", "again") == "3"
    assert shell.out("wait", "again") == "3"
    text = "{{.RestartCount}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"
    assert shell.out("inspect", "-f", text, "again") == "1 on-failure 1"
    assert shell.out("system", "resume") == "again"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--restart", "foo"], "invalid restart policy: unknown policy 'foo'"),
        (["--restart", "always:3"], "invalid restart policy: maximum retry count can only be used with 'on-failure'"),
        (["--restart", "on-failure:-1"], "invalid restart policy: maximum retry count cannot be negative"),
        (["--restart", "always", "--rm"], "conflicting options: cannot specify both --restart and --rm"),
    ],
)
def test_restart_policy_that_means_nothing_is_refused(shell: Shell, words: list[str], complaint: str) -> None:
    assert shell.fail("run", *words, "lab", "true", code=125).startswith(complaint)


def test_health_is_shown_by_ps_and_its_filter(shell: Shell) -> None:
    words = ("--health-cmd", "test -e /tmp/ok", "--health-interval", "100ms", "--health-retries", "1000")
    shell.out("run", "-d", "--name", "ill", *words, "lab", "sleep", "60")
    assert shell.out("ps", "--format", "{{.Status}}").endswith("(health: starting)")
    assert shell.out("ps", "-f", "health=starting", "--format", "{{.Names}}") == "ill"
    shell.out("exec", "ill", "touch", "/tmp/ok")
    deadline_s = time.monotonic() + 30
    while not shell.out("ps", "--format", "{{.Status}}").endswith("(healthy)"):
        assert time.monotonic() < deadline_s
    assert shell.out("ps", "-f", "health=healthy", "--format", "{{.Names}}") == "ill"
    assert shell.out("ps", "-f", "health=none", "--format", "{{.Names}}") == ""
    shell.out("rm", "-f", "ill")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--no-healthcheck", "--health-cmd", "x"], "--no-healthcheck conflicts with --health-* options"),
        (["--health-cmd", "x", "--health-timeout", "-1s"], "--health-timeout cannot be negative"),
        (["--health-cmd", "x", "--health-retries", "-1"], "--health-retries cannot be negative"),
        (["--health-interval", "5"], 'invalid argument "5" for "--health-interval" flag: time: missing unit in'),
    ],
)
def test_health_options_that_mean_nothing_are_refused(shell: Shell, words: list[str], complaint: str) -> None:
    done = shell("run", *words, "lab", "true", check=125)
    assert done.stderr.startswith(f"container: {complaint}")


def test_timeout_ends_it(shell: Shell) -> None:
    shell("run", "--timeout", "1", "lab", "sleep", "60", check=137)
