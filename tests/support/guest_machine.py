"""The virtual machine in which a session's tests run that need another kernel, and the pytest in it."""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from tests.support import leaks
from tests.support.features import GUEST_PROMISED, IN_GUEST

REPORTS_FD = 3
"""Where the guest's pytest writes a line of JSON for each test: [id, outcome, text]."""
_REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_DISKS = ("--disk", "256m", "--disk", "256m")
_MEMORY = "3g"
_TEST_TIMEOUT_S = 300
"""Emulation takes 15 to 20 times as long for Python's work, more beside other tests."""
_SETTLE_S = 20.0
_PAUSE_S = 0.2
_SAID = 20_000
_CHUNK = 1 << 20


class Result(NamedTuple):
    """How a test ended in the guest."""

    outcome: str
    """"passed", "failed" or "skipped"."""
    text: str


class Guest:
    """The machine of one session."""

    def __init__(self, ids: list[str], root: str, timeout_s: int) -> None:
        """Boot it, at a lower priority than the tests beside it; it runs the tests of these ids."""
        self._timeout_s = timeout_s
        self._said, self._reports = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - close()
        self._results: dict[str, Result] = {}
        self._offset = 0
        self._ids, self._root = ids, root
        self.death = ""
        """What was seen of it where it died with tests to go, and was booted once more for them."""
        self._process = self._boot(ids)

    def _boot(self, ids: list[str]) -> "subprocess.Popen[bytes]":
        environment = {name: value for name, value in os.environ.items() if name != leaks.SESSION_VARIABLE}
        return subprocess.Popen(
            ["nice", "-n", "10", sys.executable, "-m", "toolkit.cli", *_vm_run(ids, self._root, self._timeout_s)],
            stdin=subprocess.DEVNULL,
            stdout=self._reports,
            stderr=self._said,
            env={**environment, "PYTHONPATH": _REPOSITORY},
            cwd=self._root,
        )

    def wait_for(self, ident: str) -> Result:
        """Return how a test ended, once it has."""
        while True:
            has_ended = self._process.poll() is not None
            self._take_reports()
            if ident in self._results:
                return self._results[ident]
            if has_ended:
                text = f"the guest ended with {self._process.returncode}, and no word about this test:\n{self.said()}"
                if self.death:
                    return Result("failed", text)
                self.death = text
                self._process = self._boot([one for one in self._ids if one not in self._results])
            time.sleep(_PAUSE_S)

    def _take_reports(self) -> None:
        """Read the lines that have come; the file's own offset is the writer's."""
        while data := os.pread(self._reports.fileno(), _CHUNK, self._offset):
            whole = data.rfind(b"\n") + 1
            if not whole:
                return
            self._offset += whole
            for line in data[:whole].splitlines():
                ident, outcome, text = json.loads(line)
                self._results[ident] = Result(outcome, text)

    def wait(self) -> int:
        """Return the exit code of the guest's pytest, once it has ended."""
        return self._process.wait()

    def said(self) -> str:
        """Return the last of what it printed."""
        size = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), _SAID, max(size - _SAID, 0)).decode(errors="replace")

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._said.close()
        self._reports.close()


def _vm_run(ids: list[str], root: str, timeout_s: int) -> list[str]:
    """Return the words after `container`."""
    environment = {
        IN_GUEST: "1",
        "PYTHONPATH": _REPOSITORY,
        "TOOLKIT_PROMISED": " ".join(sorted(GUEST_PROMISED)),
        # Of what is installed, nbval alone takes 35 s to import, in emulation.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    machine = ["--console", *_DISKS, "--memory", _MEMORY, "--timeout", str(timeout_s), "--workdir", root]
    options = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
    pytest += ["--timeout", str(_TEST_TIMEOUT_S), "-o", f"leak_settle_s={_SETTLE_S}", *ids]
    # Only the reports go to stdout; whatever else is said, to stderr.
    script = f'exec {REPORTS_FD}>&1 1>&2; /sbin/modprobe loop; exec "$@"'
    redirected = ["sh", "-c", script, "sh", *pytest]
    return ["vm", "run", *machine, *options, "--", *redirected]
