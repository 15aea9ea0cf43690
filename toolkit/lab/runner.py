"""Checks, each in a process of its own that is ended when its time is up."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from typing import Any

from toolkit.lab.task import BROKEN, LATE, Result, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.lab.task import Task

OWNER_VARIABLE = "TOOLKIT_LAB"
"""In the environment of what a student's notebook starts: the student's directory, by which it is found again."""
_SETUP_S = 180.0
_MODULE = "toolkit.lab.process"
SOURCE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class _LateError(Exception):
    """The process did not end in time."""


class _DiedError(Exception):
    """The process ended without an answer; the message is what it said."""


def check(directory: str, task: "Task", *, kernel_pid: int = 0, home: str = "") -> Result:
    """Ask the kernel whether a task is done; always returns.

    Args:
        directory: the student's.
        task: of the lab there.
        kernel_pid: the notebook's process that asks; 0: none.
        home: where the checks are read from; empty: the student's copy of them.
    """
    asked = Result(task.ident, task.title, task.points, BROKEN)
    try:
        return decode(_ask("check", directory, task.ident, task.limit_s, kernel_pid=kernel_pid, home=home))
    except _LateError:
        return asked._replace(
            state=LATE,
            reason=f"the check was stopped after {task.limit_s:g} seconds: something that it waited for does not end",
            cure="see whether a program or a container of yours hangs, and end it",
        )
    except _DiedError as exc:
        return asked._replace(reason=str(exc), cure="restart the kernel and run the lab from its first cell")


def setup(directory: str, *, home: str = "") -> list[tuple[str, str]]:
    """Make what the lab in `directory` needs, after taking away what is left of an earlier try.

    Args:
        directory: the student's.
        home: as for `check`.

    Returns:
        What stands in the way, each with its cure; empty: all is ready.
    """
    return _deed("setup", directory, home)


def cleanup(directory: str, *, home: str = "") -> list[tuple[str, str]]:
    """Take away all that the lab in `directory` has made on this machine, its files excepted; return what is left."""
    return _deed("cleanup", directory, home)


def _deed(verb: str, directory: str, home: str) -> list[tuple[str, str]]:
    try:
        answer = _ask(verb, directory, "", _SETUP_S, home=home)
    except _LateError:
        return [(f"the {verb} of the lab did not end in {_SETUP_S:g} seconds", "try again")]
    except _DiedError as exc:
        return [(str(exc), "try again; if it stays so, show it to your teacher")]
    if isinstance(answer, dict):  # its checks.py could not be read
        return [(str(answer["reason"]), str(answer["cure"]))]
    return [(reason, cure) for reason, cure in answer]


def _ask(verb: str, directory: str, ident: str, limit_s: float, *, kernel_pid: int = 0, home: str = "") -> Any:
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as complaint:
        words = [verb, directory, home or directory, ident, str(kernel_pid), str(answer.fileno())]
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaint,
                pass_fds=[answer.fileno()],
                env=_environment(),
                cwd="/",
                start_new_session=True,
            )
        except OSError as exc:
            raise _DiedError(f"the check could not be started: {exc}") from exc
        try:
            _wait(process, limit_s)
        finally:
            _end(process)
        answer.seek(0)
        complaint.seek(0)
        said = complaint.read().decode(errors="replace").strip().splitlines()
        try:
            return json.load(answer)
        except ValueError:
            last = said[-1] if said else f"it ended with code {process.returncode}"
            raise _DiedError(f"the check did not come to an answer: {last}") from None


def _environment() -> dict[str, str]:
    """Return the environment of a check: this engine's code, and no mark of a student's process."""
    kept = {name: value for name, value in os.environ.items() if name != OWNER_VARIABLE}
    path = os.pathsep.join([SOURCE_ROOT, *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}


def _wait(process: "subprocess.Popen[bytes]", limit_s: float) -> None:
    """Wait until the process has ended, without reaping it: its number stays its own until `_end`."""
    pidfd = os.pidfd_open(process.pid)
    try:
        if not select.select([pidfd], [], [], limit_s)[0]:
            raise _LateError
    finally:
        os.close(pidfd)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of the check and of what it has started, then reap it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended, and nothing that it started is in its group
    process.wait()
