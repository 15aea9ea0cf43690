"""A container's terminal as an object: typed into by code, shown to pages that are played here."""

import contextlib
import os
import pathlib
import re
import resource
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.patience import wait_until
from toolkit.cli.detach import parse_keys
from toolkit.cli.session import Handed
from toolkit.core.errors import EngineError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.notebook.terminal.views import SILENCE_S, WINDOW_BYTES
from toolkit.notebook.values import Container
from toolkit.notebook.widgets.terminal import Terminal, TerminalTimeoutError

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

KEYS = parse_keys("")
Open = Callable[..., Terminal]


@pytest.fixture
def terminal(engine: Engine) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_one(*argv: str, auto_remove: bool = True, name: str = "") -> Terminal:
        options = ContainerOptions("busybox", argv, tty=True, open_stdin=True, auto_remove=auto_remove, name=name)
        container = engine.containers.create(options)
        attachment = container.start(attach=True, console_size=(24, 80))
        assert attachment is not None
        opened.append(Page.opened(Handed(container, attachment, KEYS, ends_with_us=True), Container(container, engine)))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


class Page(Terminal):
    """A terminal with a page of its own that can be looked into."""

    def __init__(self, handed: Handed, container: Container) -> None:
        self.messages: list[tuple[dict[str, Any], list[bytes]]] = []
        super().__init__(handed, container)

    @classmethod
    def opened(cls, handed: Handed, container: Container) -> "Page":
        return cls(handed, container)

    def send_message(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        self.messages.append((content, buffers))

    def ask(self, deed: str, view: str = "one", **words: Any) -> None:
        self._take(self, {"do": deed, "view": view, **words}, [])

    def got(self, event: str) -> list[tuple[dict[str, Any], list[bytes]]]:
        return [each for each in list(self.messages) if each[0]["event"] == event]

    def output(self) -> bytes:
        return b"".join(b"".join(buffers) for _content, buffers in self.got("output"))

    def join(self, view: str = "one", rows: int = 24, columns: int = 80) -> bytes:
        """Join, and return the replay."""
        before = len(self.got("replay"))
        self.ask("join", view, rows=rows, columns=columns)
        wait_until(lambda: len(self.got("replay")) > before, 10)
        content, buffers = self.got("replay")[-1]
        assert content["view"] == view
        return buffers[0]


def test_shell_does_what_is_sent(terminal: Open) -> None:
    shell = terminal("sh")
    shell.send("echo $((6*7))\n")
    shell.wait_for("\n42")
    shell.send("exit 5\n")
    assert shell.wait(10) == 5
    assert shell.exit_code == 5
    assert shell.container.status == "removed"
    assert "exit code 5" in repr(shell)
    with pytest.raises(EngineError, match="closed"):
        shell.send("too late\n")


def _programs(container: Container) -> list[str]:
    found: list[str] = []
    for pid in container.pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append(pathlib.Path(f"/proc/{pid}/comm").read_text())
    return found


def test_ctrl_c_goes_to_the_container(terminal: Open) -> None:
    shell = terminal("sh")
    shell.send("sleep 1000; echo code $?\n")
    wait_until(lambda: "sleep\n" in _programs(shell.container), 10)  # then it is in the foreground, too
    shell.send("\x03")
    shell.send("echo $((3+4))\n")
    shell.wait_for("\n7")


def test_what_is_waited_for_must_come(terminal: Open) -> None:
    shell = terminal("sh")
    with pytest.raises(TerminalTimeoutError, match=r"not in 0\.2 s"):
        shell.wait_for("never", 0.2)
    with pytest.raises(TerminalTimeoutError, match=r"exit\\n"):
        shell.wait(0.2)
    shell.close()
    with pytest.raises(TerminalTimeoutError, match="closed"):
        shell.wait_for("never", 5)


def test_closed_terminal_hangs_up_its_container(terminal: Open) -> None:
    shell = terminal("sleep", "1000", auto_remove=False)
    assert shell.is_open
    shell.close()
    assert not shell.is_open
    assert shell.exit_code == 137
    assert shell.container.status == "exited"


def test_detach_keys_leave_the_container(terminal: Open, engine: Engine) -> None:
    shell = terminal("sleep", "1000", name="left")
    shell.send(b"\x10")
    shell.send(b"\x11")
    assert shell.wait(10) is None
    assert shell.state["how"] == "detached"
    time.sleep(2.5)
    assert shell.container.status == "running"
    engine.containers.get("left").remove(force=True)


def test_view_gets_the_screen_and_then_what_comes(terminal: Open) -> None:
    shell = terminal("sh")
    shell.send("echo $((1+1)) before\n")
    shell.wait_for("2 before")
    assert isinstance(shell, Page)
    assert b"2 before" in shell.join()
    shell.ask("type", number=1, text="echo $((2+2)) after\n")
    wait_until(lambda: b"4 after" in shell.output(), 10)
    wait_until(lambda: shell.got("heard"), 10)
    assert shell.got("heard")[0][0] == {"event": "heard", "view": "one", "number": 1}
    shell.ask("leave")
    shell.send("echo $((4+4)) unseen\n")
    shell.wait_for("8 unseen")
    assert b"8 unseen" not in shell.output()


def test_bytes_are_counted_from_the_start(terminal: Open) -> None:
    shell = terminal("sh")
    assert isinstance(shell, Page)
    shell.join()
    shell.send("seq 1 2000; echo all\n")
    shell.wait_for("all\n")
    start = shell.got("replay")[0][0]["end"]
    shell.ask("drawn", end=start)
    wait_until(lambda: b"\r\nall\r\n" in shell.output(), 10)
    shown = shell.got("output")
    ends = [content["end"] for content, _ in shown]
    assert ends == sorted(ends)
    assert ends[-1] - start == sum(len(buffers[0]) for _, buffers in shown)


def test_flood_stops_at_a_view_that_does_not_draw(terminal: Open) -> None:
    shell = terminal("sh")
    assert isinstance(shell, Page)
    shell.join()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shell.send("yes\n")
    wait_until(lambda: len(shell.output()) >= WINDOW_BYTES, 10)
    time.sleep(0.5)
    stopped = len(shell.output())
    assert stopped <= WINDOW_BYTES + 64 * 1024
    shell.ask("drawn", end=shell.got("output")[-1][0]["end"])
    wait_until(lambda: len(shell.output()) > stopped, 10)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 20_000
    shell.ask("leave")
    shell.send("\x03")


def test_dead_view_holds_up_nobody_and_begins_anew_when_it_speaks(terminal: Open) -> None:
    shell = terminal("sh")
    assert isinstance(shell, Page)
    shell.join("dead")
    shell.send("yes | head -n 2000000; echo $((9*9)) done\n")
    shell.wait_for("81 done", SILENCE_S + 60)
    shell.ask("drawn", "dead", end=1)
    wait_until(lambda: shell.got("again"), 10)
    assert shell.got("again")[0][0]["view"] == "dead"
    assert b"81 done" in shell.join("dead")


def test_flood_that_nobody_sees_costs_little(terminal: Open) -> None:
    shell = terminal("sh")
    shell.send("yes\n")
    before_s = time.thread_time(), time.process_time()
    time.sleep(2)
    used_s = time.process_time() - before_s[1]
    assert used_s < 1.0
    shell.send("\x03")
    shell.send("clear; echo $((5*5))\n")
    shell.wait_for("25", 20)


def test_size_is_the_smallest_of_all_views(terminal: Open) -> None:
    shell = terminal("sh")
    assert isinstance(shell, Page)
    shell.join("one", 30, 100)
    shell.join("two", 20, 120)
    wait_until(lambda: shell.size == [20, 100], 10)
    shell.send("stty size\n")
    shell.wait_for("20 100")
    shell.ask("leave", "two")
    wait_until(lambda: shell.size == [30, 100], 10)
    shell.ask("resize", rows=-5, columns="wide")
    wait_until(lambda: shell.size == [2, 2], 10)


def test_characters_that_are_cut_between_messages_stay_whole(terminal: Open) -> None:
    shell = terminal("sh", "-c", r"printf '\303'; sleep 0.2; printf '\251 e\n'; sleep 1000")
    shell.wait_for("é e")


def test_what_is_typed_before_the_program_reads_is_not_lost(terminal: Open) -> None:
    shell = terminal("sh", "-c", "sleep 0.5; cat")
    shell.send("".join(f"line {number}\n" for number in range(200)))
    shell.wait_for("line 199\nline", 20)


def test_full_screen_program_is_redrawn_for_a_new_view(terminal: Open) -> None:
    shell = terminal("vi", "/tmp/new")
    assert isinstance(shell, Page)
    shell.wait_for("~")
    shell.send("ihello")
    shell.wait_for("hello")
    assert b"hello" in shell.join()


def test_exec_ends_with_its_terminal_and_the_container_goes_on(terminal: Open, engine: Engine) -> None:
    main = terminal("sleep", "1000", name="main")
    raw = engine.containers.get("main")
    attachment = raw.exec(ExecOptions(("sh",), tty=True, open_stdin=True), console_size=(24, 80))
    second = Page.opened(Handed(raw, attachment, KEYS, ends_with_us=True), Container(raw, engine))
    second.send("echo $$ $((8+8))\n")
    second.wait_for(" 16")
    second.close()
    wait_until(lambda: len(raw.pids()) == 1, 10)
    assert main.is_open


def test_killed_monitor_is_told(terminal: Open, engine: Engine) -> None:
    shell = terminal("sh", name="victim")
    shell.send("echo $((1+2))\n")
    shell.wait_for("3")
    with open(f"/proc/{shell.container.pid}/status") as file:
        found = re.search(r"^PPid:\s+(\d+)", file.read(), re.MULTILINE)
    assert found is not None
    os.kill(int(found[1]), 9)
    assert shell.wait(10) is None
    assert shell.state["how"] == "lost"
    with contextlib.suppress(EngineError):
        engine.containers.get("victim").remove(force=True)


def test_twin_is_the_last_screen(terminal: Open) -> None:
    shell = terminal("sh", name="twin")
    shell.send("printf '\\033[31mred\\033[0m\\n'; exit 4\n")
    shell.wait(10)
    figure = shell.figure()
    assert "red" in figure.text
    assert "exit code 4" in figure.text
    assert ">red</span>" in figure.html
    assert shell.join() if isinstance(shell, Page) else False, "a view that comes after the end sees it, too"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is thrown on purpose
def test_who_waits_for_the_end_sees_it_whatever_becomes_of_the_picture(
    terminal: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Terminal, _how: str, _code: int | None) -> None:
        raise ValueError("no picture")

    monkeypatch.setattr(Terminal, "note_end", fail)
    opened = terminal("true")
    opened.wait(10)
    assert not opened.is_open
    for thread in threading.enumerate():  # it throws, and is seen to, while this test is the one that runs
        if thread.name == "terminal":
            thread.join(10)
