"""Someone at a terminal: a command on a pseudo-terminal of its own."""

import os
import pty
import select
import subprocess
import termios
import time

from tests.cli.conftest import PROGRAM, Shell
from toolkit.linux.terminal import get_attributes

_TIMEOUT_S = 20


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
