"""Real pseudo-terminals: what a user sees who types."""

import signal
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cli.conftest import Shell
from tests.cli.terminal import Typist

Sit = Callable[..., Typist]
pytestmark = pytest.mark.needs("root", "overlay")

CTRL_C, CTRL_D, CTRL_P, CTRL_Q = b"\x03", b"\x04", b"\x10", b"\x11"


@pytest.fixture
def sit(shell: Shell) -> Iterator[Sit]:
    made: list[Typist] = []

    def start(*words: str) -> Typist:
        made.append(Typist(shell, *words))
        return made[-1]

    yield start
    for typist in made:
        typist.close()


PROMPT = ("-e", "PS1=> ", "lab", "sh")


def test_a_shell_answers_and_its_exit_code_is_the_commands(sit: Sit) -> None:
    typist = sit("run", "--rm", "-it", *PROMPT)
    typist.expect(b"> ")
    assert typist.is_raw()
    typist.type(b"echo $((6 * 7))\r")
    assert b"\n42\r" in typist.expect(b"\n42\r") + b"\n42\r"
    typist.type(b"exit 5\r")
    assert typist.wait() == 5
    assert not typist.is_raw()


def test_end_of_input_ends_the_shell(sit: Sit) -> None:
    typist = sit("run", "--rm", "-it", *PROMPT)
    typist.expect(b"> ")
    typist.type(CTRL_D)
    assert typist.wait() == 0


def test_interrupt_key_goes_to_the_process_inside_and_not_to_the_command(sit: Sit) -> None:
    typist = sit("run", "--rm", "-it", *PROMPT)
    typist.expect(b"> ")
    typist.type(b"sleep 60\r")
    time.sleep(0.3)
    typist.type(CTRL_C)
    typist.expect(b"> ")
    typist.type(b"exit $?\r")
    assert typist.wait() == 130


def test_size_is_the_users_from_the_start_and_follows(sit: Sit) -> None:
    typist = sit("run", "--rm", "-it", *PROMPT)
    typist.expect(b"> ")
    typist.type(b"stty size\r")
    typist.expect(b"\n24 80\r")
    typist.expect(b"> ")
    termios.tcsetwinsize(typist.master, (50, 132))
    typist.process.send_signal(signal.SIGWINCH)  # the kernel's own goes to the foreground of a controlling terminal
    time.sleep(0.3)
    typist.type(b"stty size\r")
    typist.expect(b"\n50 132\r")


def test_first_program_sees_the_size_at_once(sit: Sit) -> None:
    typist = sit("run", "--rm", "-it", "lab", "stty", "size")
    assert typist.wait() == 0
    assert typist.seen == b"24 80\r\n"


@pytest.mark.needs("bash")  # which draws its prompt anew when the size changes
def test_detach_keys_leave_it_running_and_attach_comes_back(sit: Sit, shell: Shell) -> None:
    typist = sit("run", "-it", "--name", "web", "-e", "PS1=> ", "lab", "bash", "--norc")
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
    again = sit("attach", "web")
    again.expect(b"> ")
    again.type(b"echo still $mark\r")
    again.expect(b"still here\r\n")
    again.type(b"exit 3\r")
    assert again.wait() == 3


def test_detach_keys_can_be_chosen_and_others_pass(sit: Sit) -> None:
    typist = sit("run", "-it", "--detach-keys", "ctrl-x,d", "--name", "web", "lab", "cat")
    typist.type(b"a\x18b\r")
    typist.expect(b"a^Xb\r\na")
    typist.type(b"\x18d")
    assert typist.wait() == 0


def test_exec_with_a_terminal(sit: Sit, shell: Shell) -> None:
    shell.out("run", "-d", "--name", "web", "lab", "sleep", "60")
    typist = sit("exec", "-it", "-e", "PS1=> ", "web", "sh")
    typist.expect(b"> ")
    typist.type(b"tty; stty size\r")
    typist.expect(b"/dev/pts/")
    typist.expect(b"\n24 80\r")
    typist.type(b"exit 4\r")
    assert typist.wait() == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_terminal_is_given_back_when_the_command_is_ended(sit: Sit, shell: Shell, number: signal.Signals) -> None:
    typist = sit("run", "-it", "--name", "web", *PROMPT)
    typist.expect(b"> ")
    assert typist.is_raw()
    typist.process.send_signal(number)
    assert typist.wait() == 128 + number
    assert not typist.is_raw()
    assert shell.out("ps", "--format", "{{.Names}}") == "web"


def test_terminal_is_given_back_when_the_container_is_killed(sit: Sit, shell: Shell) -> None:
    typist = sit("run", "-it", "--name", "web", *PROMPT)
    typist.expect(b"> ")
    shell.out("kill", "web")
    assert typist.wait() == 137
    assert not typist.is_raw()


def test_interrupt_without_a_terminal_inside_goes_to_the_container(sit: Sit) -> None:
    script = 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.05; done'
    typist = sit("run", "--rm", "lab", "sh", "-c", script)
    typist.expect(b"ready")
    typist.process.send_signal(signal.SIGINT)
    assert typist.wait() == 9
    assert b"caught" in typist.seen


def test_colours_and_bytes_of_a_program_pass_unchanged(sit: Sit) -> None:
    typist = sit("run", "--rm", "-it", "lab", "printf", r"\033[31mred\033[0m")
    assert typist.wait() == 0
    assert typist.seen == b"\x1b[31mred\x1b[0m"


def test_interrupt_of_a_terminal_without_input_goes_to_the_container(sit: Sit) -> None:
    script = 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.05; done'
    typist = sit("run", "--rm", "-t", "lab", "sh", "-c", script)
    typist.expect(b"ready")
    assert not typist.is_raw()
    typist.process.send_signal(signal.SIGINT)
    assert typist.wait() == 9
