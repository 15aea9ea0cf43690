"""A function of the engine replaced by a student's, in a process of its own.

    python -m toolkit.lab.replacement MODULE NAME FILE TEST ANSWER_FD

has pytest run one of the engine's own test files, in which MODULE.NAME is the
function NAME of the student's FILE.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import Any, NamedTuple

from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.lab.look import LackError

_HERE = os.path.dirname(os.path.abspath(__file__))
_TESTS = (os.path.join(_HERE, "engine_tests"), os.path.join(os.path.dirname(os.path.dirname(_HERE)), "tests"))
"""In an installed package, and in the repository."""
_LIMIT_S = 60.0
_PLAIN_PYTEST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
"""What a machine's other plugins and options are must not decide about points."""


class Replaced(NamedTuple):
    """One function that a student has written anew."""

    module: str
    name: str
    path: str
    """The student's file."""


class Verdict(NamedTuple):
    """What the engine's tests say."""

    passed: tuple[str, ...]
    failed: tuple[str, ...]
    """Names of tests."""
    complaint: str
    """Of the first failure, or of what kept the tests from running: one line."""


def engine_test(name: str) -> str:
    """Return where one of the engine's own test files lies.

    Raises:
        NotFoundError: it did not come with the package.
    """
    for place in _TESTS:
        path = os.path.join(place, name)
        if os.path.isfile(path):
            return path
    raise NotFoundError(f"the engine's test {name} is not here", hint="install the package again")


def judge(replaced: Replaced, test: str) -> Verdict:
    """Run one of the engine's test files with a student's function in the engine's place.

    Raises:
        LackError: there is no pytest.
    """
    if find_spec("pytest") is None:
        raise LackError("the engine's tests need pytest, which is not installed", "pip install pytest")
    with tempfile.TemporaryFile() as answer:
        ran = _run([*replaced, engine_test(test), str(answer.fileno())], answer.fileno())
        answer.seek(0)
        content = answer.read()
    if not content:
        return Verdict((), (), _last_line(ran))
    found = json.loads(content)
    return Verdict(tuple(found["passed"]), tuple(found["failed"]), found["complaint"])


def _run(words: list[str], answer_fd: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "toolkit.lab.replacement", *words]
    try:
        return subprocess.run(
            command,
            pass_fds=[answer_fd],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
            env={**os.environ, **_PLAIN_PYTEST},
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -1, f"the tests did not end in {_LIMIT_S:g} seconds")


def _last_line(ran: "subprocess.CompletedProcess[str]") -> str:
    lines = ran.stdout.strip().splitlines()
    return lines[-1] if lines else f"it ended with code {ran.returncode}"


def replace(replaced: Replaced) -> None:
    """Put a student's function in the engine's place, in this process.

    Raises:
        InvalidError: the student's file has no function of that name.
    """
    spec = spec_from_file_location(f"students_{replaced.name}", replaced.path)
    assert spec is not None
    assert spec.loader is not None
    theirs = module_from_spec(spec)
    spec.loader.exec_module(theirs)
    function = getattr(theirs, replaced.name, None)
    if not callable(function):
        raise InvalidError(f"{replaced.path} has no function {replaced.name}", hint="give it the name of the engine's")
    original = getattr(import_module(replaced.module), replaced.name)
    if function is original:
        raise InvalidError(f"{replaced.path} has the engine's own {replaced.name}", hint="write it anew")
    for known in [*sys.modules.values()]:
        if getattr(known, replaced.name, None) is original:
            setattr(known, replaced.name, function)


class _Witness:
    """A plugin of pytest that remembers how each test ended."""

    def __init__(self) -> None:
        self._asked: list[str] = []
        self.passed: list[str] = []
        self.complaint = ""

    @property
    def failed(self) -> list[str]:
        """Every test that has not passed: also one that was skipped, and those that a run has not come to."""
        return [name for name in self._asked if name not in self.passed]

    def pytest_collection_finish(self, session: Any) -> None:
        """Note which tests there are."""
        self._asked = [_name(item.nodeid) for item in session.items]

    def pytest_keyboard_interrupt(self) -> None:
        """Note that the run was ended from inside of a test."""
        self.complaint = self.complaint or "it ended the tests instead of being tested"

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note the end of a test, or a failure before it."""
        name = _name(report.nodeid)
        if report.failed:
            if name in self.passed:
                self.passed.remove(name)  # it passed, and what comes after it did not
            crash = getattr(report.longrepr, "reprcrash", None)
            message = crash.message if crash else str(report.longrepr)
            self.complaint = self.complaint or f"{name}: {message.splitlines()[0]}"
        elif report.passed and report.when == "call":
            self.passed.append(name)
        elif report.skipped:
            self.complaint = self.complaint or f"{name}: skipped"


def _name(nodeid: str) -> str:
    return nodeid.rpartition("::")[2]


def main(argv: list[str]) -> None:
    """Be the program that this module is."""
    import pytest

    module, name, path, test, answer_fd = argv
    sys.dont_write_bytecode = True
    replace(Replaced(module, name, path))
    witness = _Witness()
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={os.sep}"]
    pytest.main([*options, test], plugins=[witness])
    with open(int(answer_fd), "w", encoding="utf-8") as file:
        json.dump({"passed": witness.passed, "failed": witness.failed, "complaint": witness.complaint}, file)


if __name__ == "__main__":
    main(sys.argv[1:])
