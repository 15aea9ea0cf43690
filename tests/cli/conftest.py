"""The command as a user runs it: a process of its own, on an engine that this session shares."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from toolkit.core.errors import NotFoundError
from toolkit.engine import Engine

SPECIAL = ("CONTAINER_DEBUG", "PYTHONUNBUFFERED")
"""Variables that make the command, or Python, behave otherwise than for a user."""
PROGRAM = (sys.executable, "-m", "toolkit.cli")
_TIMEOUT_S = 60


class Shell:
    """Runs commands against one engine root."""

    def __init__(self, environ: "dict[str, str]") -> None:
        self.environ = environ
        self._started: list[subprocess.Popen[bytes]] = []

    def __call__(
        self, *words: str, stdin: "bytes | None" = None, check: "int | None" = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run `container WORDS`; with `check`, insist on its exit code."""
        raw = self.raw(*words, stdin=b"" if stdin is None else stdin)
        done = subprocess.CompletedProcess(raw.args, raw.returncode, raw.stdout.decode(), raw.stderr.decode())
        if check is not None:
            assert done.returncode == check, done.stderr
        return done

    def raw(self, *words: str, stdin: bytes) -> "subprocess.CompletedProcess[bytes]":
        """Run a command, bytes in and out."""
        return subprocess.run(
            [*PROGRAM, *words], input=stdin, env=self.environ, capture_output=True, timeout=_TIMEOUT_S, check=False
        )

    def out(self, *words: str, stdin: "bytes | None" = None) -> str:
        """Run a command that must succeed; return its output without the last line end."""
        return self(*words, stdin=stdin, check=0).stdout.rstrip("\n")

    def start(self, *words: str, **how: int) -> "subprocess.Popen[bytes]":
        """Start a command and leave it running."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        running = subprocess.Popen([*PROGRAM, *words], env=self.environ, **pipes)  # type: ignore[call-overload] # a dict
        self._started.append(running)
        return running

    def close(self) -> None:
        """End what is still running."""
        for running in self._started:
            if running.poll() is None:
                running.kill()
            for pipe in (running.stdin, running.stdout, running.stderr):
                if pipe is not None:
                    pipe.close()
            running.wait()

    def fail(self, *words: str, code: int) -> str:
        """Run a command that must fail with `code` and one line; return the line."""
        done = self(*words, check=code)
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("container: ")
        return lines[0].removeprefix("container: ")


@pytest.fixture(scope="session")
def shared_environ() -> Iterator[dict[str, str]]:
    """Return the environment of commands on the session's own engine root, in which the image `lab` is made once."""
    environ = {name: value for name, value in os.environ.items() if name not in SPECIAL}
    with Engine.open() as engine:
        engine.images.get("lab")
        yield environ
        engine.shutdown()


@pytest.fixture
def shell(shared_environ: dict[str, str]) -> Iterator[Shell]:
    """Return a shell on the session's engine; what containers a test leaves are removed."""
    made = Shell(shared_environ)
    yield made
    made.close()
    with Engine.open() as engine:
        for container in engine.containers.list(all=True):
            with suppress(NotFoundError):  # one of --rm that was just ending
                container.remove(force=True)


def lines_of(text: str) -> Sequence[str]:
    """Return the lines of a table without its heading."""
    return text.splitlines()[1:]
