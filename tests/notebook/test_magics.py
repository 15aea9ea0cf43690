"""%container and %%container on real containers."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.cells import Cells, Shown
from toolkit.notebook.errors import CommandError, CommandInterruptedError
from toolkit.notebook.session import CellSession
from toolkit.notebook.values import Container, Finished, Table

pytestmark = pytest.mark.needs("root", "overlay")


@pytest.fixture
def sleeper(cells: Cells) -> Iterator[Container]:
    container = cells.value("%container run -d --name sleeper lab sleep 1000")
    yield container
    if container.status != "removed":
        container.remove(force=True)


def names(cells: Cells) -> list[str]:
    return cells.value("%container ps -a").column("NAMES")


def test_output_is_shown_and_in_the_value(cells: Cells) -> None:
    cells.run("%container run --rm lab true")  # the first one makes the image, and says so
    shown = cells.run("%container run --rm lab echo hello")
    assert shown.stdout == "hello\n"
    assert isinstance(shown.value, Finished)
    assert (shown.value.exit_code, shown.value.output) == (0, "hello\n")


def test_stderr_goes_to_stderr_and_into_the_value(cells: Cells) -> None:
    shown = cells.run("%container run --rm lab sh -c 'echo oops >&2'")
    assert (shown.stdout, shown.stderr) == ("", "oops\n")
    assert shown.value.output == "oops\n"


def test_word_of_the_engine_is_no_trouble_and_a_warning_is(capsys: pytest.CaptureFixture[str]) -> None:
    session = CellSession(None)
    session.complain("Making the image lab")
    session.complain("WARNING: no swap limit")
    session.finish()
    assert tuple(capsys.readouterr()) == ("Making the image lab\n", "WARNING: no swap limit\n")


def test_exit_code_of_a_container_is_a_value_and_no_error(cells: Cells) -> None:
    shown = cells.run("%container run --rm lab sh -c 'exit 3'")
    assert shown.error is None
    assert shown.value.exit_code == 3
    assert shown.bundles[0]["text/plain"] == "exit code 3"


def test_success_needs_no_word(cells: Cells) -> None:
    assert cells.run("%container run --rm lab true").bundles == []


def test_detached_container_is_an_object(cells: Cells, sleeper: Container) -> None:
    assert isinstance(sleeper, Container)
    assert sleeper.status == "running"
    with open(f"/proc/{sleeper.pid}/cmdline", "rb") as file:
        assert file.read().split(b"\0")[:2] == [b"sleep", b"1000"]
    assert sleeper.pids == [sleeper.pid]
    assert "running" in sleeper._repr_html_()


def test_object_runs_commands_in_its_container(sleeper: Container) -> None:
    done = sleeper.exec("sh", "-c", "echo $PPID in $MOOD; exit 4", env={"MOOD": "tests"})
    assert (done.exit_code, done.output) == (4, "0 in tests\n")
    assert sleeper.exec("cat /proc/1/comm").lines == ["sleep"]


def test_object_has_logs_and_stats(cells: Cells) -> None:
    container = cells.value("%container run -d --name teller lab sh -c 'echo one; echo two; sleep 1000'")
    try:
        deadline = time.monotonic() + 10
        while container.logs() != "one\ntwo\n" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert container.logs() == "one\ntwo\n"
        assert container.logs(tail=1) == "two\n"
        assert container.stats().pids.current >= 1
    finally:
        container.remove(force=True)
    assert container.status == "removed"
    assert "removed" in repr(container)


def test_stop_returns_the_object_and_its_exit_code_is_docker_s(cells: Cells, sleeper: Container) -> None:
    stopped = cells.value("%container kill sleeper")
    assert stopped == sleeper
    assert sleeper.wait() == 137
    assert sleeper.exit_code == 137


def test_templates_are_not_expanded_by_ipython(cells: Cells, sleeper: Container) -> None:
    assert cells.run("%container ps --format {{.Names}}").stdout == "sleeper\n"
    assert cells.run("%container ps --format '{{.Names}} {{.Image}}'").stdout == "sleeper lab\n"


def test_variables_are_the_containers_own(cells: Cells) -> None:
    cells.run("HOME = 'of python'")
    assert cells.run("%container run --rm lab sh -c 'echo $HOME {HOME}'").stdout == "/root {HOME}\n"


def test_list_is_shown_as_a_table_once(cells: Cells, sleeper: Container) -> None:
    shown = cells.run("t = %container ps\nt")
    assert shown.stdout == ""
    assert [sorted(bundle) for bundle in shown.bundles] == [["text/html", "text/plain"]]
    assert "<td" in shown.bundles[0]["text/html"]
    assert "sleeper" in shown.bundles[0]["text/plain"]
    assert len(cells.run("t").bundles) == 1


def test_list_holds_the_objects(cells: Cells, sleeper: Container) -> None:
    table = cells.value("%container ps")
    assert isinstance(table, Table)
    assert table == [sleeper]
    assert table.rows[0]["NAMES"] == "sleeper"
    assert table.column("IMAGE") == ["lab"]


def test_images_are_a_table(cells: Cells) -> None:
    assert "lab" in cells.value("%container images").column("REPOSITORY")


def test_doctor_shows_a_board(cells: Cells) -> None:
    shown = cells.run("features = %container doctor\nfeatures")
    assert shown.stdout == ""
    assert len(shown.bundles) == 1
    here = sum(feature.is_here for feature in shown.value)
    assert f"<b>{here} of {len(shown.value)}</b>" in shown.bundles[0]["text/html"]
    assert shown.bundles[0]["text/plain"].startswith("GROUP ")
    assert cells.run("%container doctor --format {{.Name}}").stdout.startswith("pid\n")


def test_document_is_printed_once_and_is_a_value(cells: Cells) -> None:
    shown = cells.run("%container version")
    assert shown.value["KernelVersion"] == os.uname().release
    assert shown.bundles == []


def test_cell_is_the_script(cells: Cells) -> None:
    shown = cells.run("%%container run --rm lab\nx=4\necho $((x * x))\nexit 2")
    assert shown.stdout == "16\n"
    assert shown.value.exit_code == 2


def test_cell_is_the_input_of_exec(cells: Cells, sleeper: Container) -> None:
    assert cells.run("%%container exec sleeper wc -l\na\nb\n").stdout == "2\n"


def test_cell_is_typed_into_a_terminal(cells: Cells) -> None:
    shown = cells.run("%%container run --rm -it lab sh\ntty\nexit 4")
    assert "/dev/pts/0" in shown.stdout
    assert shown.value.exit_code == 4


def test_terminal_without_a_cell_is_explained(cells: Cells) -> None:
    shown = cells.run("%container run --rm -it lab sh")
    assert isinstance(shown.error, CommandError)
    assert "-it needs a terminal" in shown.error.message
    assert "%%container run IMAGE" in shown.error.message


@pytest.mark.parametrize(
    ("line", "message", "code"),
    [
        ("%container nonsense", "'nonsense' is not a container command", 1),
        ("%container run --nonsense lab", "unknown flag: --nonsense", 125),
        ("%container run --rm lab no-such-program", "executable file not found", 127),
        ("%container run --rm lab /etc/passwd", "permission denied", 126),
        ("%container logs no-such-container", "No such container", 1),
        ("%container run 'lab", "No closing quotation", 125),
        ("%container ps | cat", "'|' would need a shell", 125),
        ("%%container ps\ntext", "take the cell as their input", 125),
    ],
)
def test_failure_is_one_red_line(cells: Cells, line: str, message: str, code: int) -> None:
    shown = cells.run(line)
    assert isinstance(shown.error, CommandError)
    assert shown.error.exit_code == code
    assert message in shown.error.message
    assert "Traceback" not in shown.stdout + shown.stderr
    assert shown.stdout.startswith("\x1b[31m")
    assert shown.stdout.count(message) == 1


def test_failure_leaves_nothing(cells: Cells) -> None:
    before = names(cells)
    cells.run("%container run --rm lab no-such-program")
    assert names(cells) == before


def run_and_interrupt(cells: Cells, text: str) -> Shown:
    """Run a cell and press the stop button 0.7 s later, as Jupyter does it, if the cell still runs."""
    is_over = threading.Event()

    def press() -> None:
        if not is_over.wait(0.7):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        return cells.run(text)
    finally:
        is_over.set()
        thread.join()


def test_interrupt_reaches_the_container(cells: Cells) -> None:
    script = "trap 'echo bye; exit 5' INT; sleep 100 & wait"
    shown = run_and_interrupt(cells, f'%container run --name polite lab sh -c "{script}"')
    assert isinstance(shown.error, CommandInterruptedError)
    assert "bye" in shown.stdout
    polite = cells.value("%container ps -a --filter name=polite")[0]
    assert (polite.status, polite.exit_code) == ("exited", 5)
    polite.remove()


def test_interrupt_ends_a_container_that_ignores_it(cells: Cells) -> None:
    start_s = time.monotonic()
    shown = run_and_interrupt(cells, "%container run --rm --name deaf lab sleep 1000")
    assert isinstance(shown.error, CommandInterruptedError)
    assert time.monotonic() - start_s < 30
    assert "deaf" not in names(cells)


def test_interrupt_ends_a_container_that_goes_on_writing(cells: Cells) -> None:
    script = "while :; do echo tick; sleep 0.05; done"
    shown = run_and_interrupt(cells, f"%container run --rm --name chatty lab sh -c '{script}'")
    assert isinstance(shown.error, CommandInterruptedError)
    assert "tick" in shown.stdout
    assert "chatty" not in names(cells)


def test_interrupt_ends_a_container_with_a_terminal(cells: Cells) -> None:
    shown = run_and_interrupt(cells, "%container run --rm -t --name windowed lab sleep 1000")
    assert isinstance(shown.error, CommandInterruptedError)
    assert "windowed" not in names(cells)


def test_interrupt_ends_what_the_cell_started_and_no_more(cells: Cells, sleeper: Container) -> None:
    for command in ("exec sleeper sleep 999", "exec -t sleeper sleep 999", "attach sleeper", "logs -f sleeper"):
        shown = run_and_interrupt(cells, f"%container {command}")
        assert isinstance(shown.error, CommandInterruptedError)
        assert sleeper.status == "running"
        assert sleeper.pids == [sleeper.pid], command


def test_signal_handler_is_given_back(cells: Cells) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cells.run("%container run --rm lab true")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_files_go_in_and_out_by_a_cell(cells: Cells, sleeper: Container, tmp_path: os.PathLike[str]) -> None:
    with open(f"{tmp_path}/in", "w") as file:
        file.write("text")
    assert cells.run(f"%container cp {tmp_path}/in sleeper:/new").error is None
    assert cells.run(f"%container cp sleeper:/new {tmp_path}/out").error is None
    with open(f"{tmp_path}/out") as file:
        assert file.read() == "text"
    changes = cells.value("%container diff sleeper")
    assert ("A", "/new") in changes
    assert isinstance(cells.run("%container cp sleeper:/none .").error, CommandError)
    assert isinstance(cells.run("%container export sleeper").error, CommandError)  # a cell takes no tar


def test_limits_and_names_are_changed_by_a_cell(cells: Cells, sleeper: Container) -> None:
    assert cells.value("%container update --pids-limit 50 sleeper").id == sleeper.id
    cells.run("%container rename sleeper renamed")
    assert names(cells) == ["renamed"]
    assert cells.run("%container port renamed").stdout == ""


def test_use_of_disk_is_a_table(cells: Cells, sleeper: Container) -> None:
    table = cells.value("%container system df")
    assert table.column("TYPE") == ["Images", "Containers", "Local Volumes", "Build Cache"]
