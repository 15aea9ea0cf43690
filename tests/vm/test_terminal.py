"""`container vm run -it`: someone at a terminal, and a shell under another kernel."""

import os
import signal
import termios
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Shell
from tests.cli.terminal import Typist

pytestmark = pytest.mark.needs("guest")


@pytest.fixture
def typist() -> Iterator[Typist]:
    made = Typist(Shell(dict(os.environ)), "vm", "run", "-it", "-e", "PS1=> ", "--", "sh")
    yield made
    made.close()


def test_a_shell_in_the_guest_has_a_terminal_of_the_users_size(typist: Typist) -> None:
    typist.expect(b"> ")
    assert typist.is_raw()
    typist.type(b"stty size\r")
    typist.expect(b"\r\n24 80\r\n")
    termios.tcsetwinsize(typist.master, (30, 100))
    typist.process.send_signal(signal.SIGWINCH)
    typist.type(b"sleep 1; stty size\r")
    typist.expect(b"30 100\r\n")
    typist.type(b"sleep 1000\r")
    typist.expect(b"sleep 1000\r\n")
    typist.type(b"\x03")  # for the sleep, not for the machine
    typist.expect(b"> ")
    typist.type(b"exit 5\r")
    assert typist.wait() == 5
    assert not typist.is_raw()
