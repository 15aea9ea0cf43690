"""Real pseudo-terminals: what a user sees who types."""

import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator

import pytest

from tests.cli.conftest import PROGRAM, Shell
from toolkit.linux.terminal import get_attributes

pytestmark = pytest.mark.needs("root", "overlay")

_TIMEOUT_S = 20
CTRL_C, CTRL_D, CTRL_P, CTRL_Q = b"\x03", b"\x04", b"\x10", b"\x11"


class Typist:
    """A command on a terminal of its own, and someone at it."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.master, (24, 80))
        self.before = get_attributes(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [*PROGRAM, *words],
            env={**shell.environ, "TERM": "xterm"},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def expect(self, text: bytes) -> bytes:
        """Read until `text` has appeared; return what came up to it, and forget that."""
        deadline_s = time.monotonic() + _TIMEOUT_S
        while text not in self.seen:
            rest_s = deadline_s - time.monotonic()
            assert rest_s > 0, self.seen
            assert select.select([self.master], [], [], rest_s)[0], self.seen
            self.seen += os.read(self.master, 65536)
        before, _, self.seen = self.seen.partition(text)
        return before

    def wait(self) -> int:
        """Read until the command has ended; return its exit code."""
        deadline_s = time.monotonic() + _TIMEOUT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline_s, self.seen
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 65536)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        return self.process.returncode

    def is_raw(self) -> bool:
        return get_attributes(self.slave) != self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def sit(shell: Shell) -> "Iterator[type[Typist]]":
    made: list[Typist] = []

    def start(*words: str) -> Typist:
        made.append(Typist(shell, *words))
        return made[-1]

    yield start  # type: ignore[misc] # a function that makes Typists
    for typist in made:
        typist.close()


PROMPT = ("-e", "PS1=> ", "lab", "sh")


def test_a_shell_answers_and_its_exit_code_is_the_commands(sit: "type[Typist]") -> None:
    typist = sit("run", "--rm", "-it", *PROMPT)  # type: ignore[call-arg]
    typist.expect(b"> ")
    assert typist.is_raw()
    typist.type(b"echo $((6 * 7))\r")
    assert b"\n42\r" in typist.expect(b"\n42\r") + b"\n42\r"
    typist.type(b"exit 5\r")
    assert typist.wait() == 5
    assert not typist.is_raw()


def test_end_of_input_ends_the_shell(sit: "type[Typist]") -> None:
    typist = sit("run", "--rm", "-it", *PROMPT)  # type: ignore[call-arg]
    typist.expect(b"> ")
    typist.type(CTRL_D)
    assert typist.wait() == 0


def test_interrupt_key_goes_to_the_process_inside_and_not_to_the_command(sit: "type[Typist]") -> None:
    typist = sit("run", "--rm", "-it", *PROMPT)  # type: ignore[call-arg]
    typist.expect(b"> ")
    typist.type(b"sleep 60\r")
    time.sleep(0.3)
    typist.type(CTRL_C)
    typist.expect(b"> ")
    typist.type(b"exit $?\r")
    assert typist.wait() == 130


def test_size_is_the_users_from_the_start_and_follows(sit: "type[Typist]") -> None:
    typist = sit("run", "--rm", "-it", *PROMPT)  # type: ignore[call-arg]
    typist.expect(b"> ")
    typist.type(b"stty size\r")
    typist.expect(b"\n24 80\r")
    typist.expect(b"> ")
    termios.tcsetwinsize(typist.master, (50, 132))
    typist.process.send_signal(signal.SIGWINCH)  # the kernel's own goes to the foreground of a controlling terminal
    time.sleep(0.3)
    typist.type(b"stty size\r")
    typist.expect(b"\n50 132\r")


def test_first_program_sees_the_size_at_once(sit: "type[Typist]") -> None:
    typist = sit("run", "--rm", "-it", "lab", "stty", "size")  # type: ignore[call-arg]
    assert typist.wait() == 0
    assert typist.seen == b"24 80\r\n"


def test_detach_keys_leave_it_running_and_attach_comes_back(sit: "type[Typist]", shell: Shell) -> None:
    typist = sit("run", "-it", "--name", "web", *PROMPT)  # type: ignore[call-arg]
    typist.expect(b"> ")
    typist.type(b"mark=here\r")
    typist.expect(b"> ")
    typist.type(CTRL_P)
    time.sleep(0.1)
    typist.type(CTRL_Q)
    assert typist.wait() == 0
    assert b"read escape sequence" in typist.seen
    assert not typist.is_raw()
    assert shell.out("ps", "--format", "{{.Names}}") == "web"
    again = sit("attach", "web")  # type: ignore[call-arg]
    time.sleep(0.5)
    again.type(b"echo still $mark\r")
    again.expect(b"\nstill here\r")
    again.type(b"exit 3\r")
    assert again.wait() == 3


def test_detach_keys_can_be_chosen_and_others_pass(sit: "type[Typist]") -> None:
    typist = sit("run", "-it", "--detach-keys", "ctrl-x,d", "--name", "web", "lab", "cat")  # type: ignore[call-arg]
    typist.type(b"a\x18b\r")
    typist.expect(b"a^Xb\r\na")
    typist.type(b"\x18d")
    assert typist.wait() == 0


def test_exec_with_a_terminal(sit: "type[Typist]", shell: Shell) -> None:
    shell.out("run", "-d", "--name", "web", "lab", "sleep", "60")
    typist = sit("exec", "-it", "-e", "PS1=> ", "web", "sh")  # type: ignore[call-arg]
    typist.expect(b"> ")
    typist.type(b"tty; stty size\r")
    typist.expect(b"/dev/pts/")
    typist.expect(b"\n24 80\r")
    typist.type(b"exit 4\r")
    assert typist.wait() == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_terminal_is_given_back_when_the_command_is_ended(
    sit: "type[Typist]", shell: Shell, number: signal.Signals
) -> None:
    typist = sit("run", "-it", "--name", "web", *PROMPT)  # type: ignore[call-arg]
    typist.expect(b"> ")
    assert typist.is_raw()
    typist.process.send_signal(number)
    assert typist.wait() == 128 + number
    assert not typist.is_raw()
    assert shell.out("ps", "--format", "{{.Names}}") == "web"


def test_terminal_is_given_back_when_the_container_is_killed(sit: "type[Typist]", shell: Shell) -> None:
    typist = sit("run", "-it", "--name", "web", *PROMPT)  # type: ignore[call-arg]
    typist.expect(b"> ")
    shell.out("kill", "web")
    assert typist.wait() == 137
    assert not typist.is_raw()


def test_interrupt_without_a_terminal_inside_goes_to_the_container(sit: "type[Typist]") -> None:
    script = 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.05; done'
    typist = sit("run", "--rm", "lab", "sh", "-c", script)  # type: ignore[call-arg]
    typist.expect(b"ready")
    typist.process.send_signal(signal.SIGINT)
    assert typist.wait() == 9
    assert b"caught" in typist.seen


def test_colours_and_bytes_of_a_program_pass_unchanged(sit: "type[Typist]") -> None:
    typist = sit("run", "--rm", "-it", "lab", "printf", r"\033[31mred\033[0m")  # type: ignore[call-arg]
    assert typist.wait() == 0
    assert typist.seen == b"\x1b[31mred\x1b[0m"
