"""One attempt in a child: what it came to, by which call, and the cure where it failed."""

import errno
import os
import sys
from typing import NamedTuple

from toolkit.linux.probe import Feature
from toolkit.trace import recording

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toolkit.trace import Event

_UNEXPECTED = 255
_AT_A_TIME = 6
_NO_CURES: "Mapping[int, str]" = {}


class LackingError(Exception):
    """What was read says that the feature is not here; no call failed."""


class Outcome(NamedTuple):
    """What an attempt came to."""

    number: int
    """0, the errno, or minus the signal that ended it."""
    evidence: str
    lack: str
    """What a LackingError said."""


class _Running(NamedTuple):
    pid: int
    reader: int


def _start(deed: "Callable[[], str | None]") -> _Running:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, "\0".join(map(str, _outcome(deed))).encode())
        except BaseException as exc:  # noqa: BLE001 - a bug in here: it is shown, and must not go on as a second parent
            sys.excepthook(type(exc), exc, exc.__traceback__)
        finally:
            os._exit(0)  # without the parent's buffers and exit handlers
    os.close(writer)
    return _Running(pid, reader)


def _finish(running: _Running) -> Outcome:
    content = b""
    while chunk := os.read(running.reader, 65536):
        content += chunk
    os.close(running.reader)
    status = os.waitstatus_to_exitcode(os.waitpid(running.pid, 0)[1])
    if not content:
        return Outcome(status if status < 0 else _UNEXPECTED, "", "")
    number, evidence, lack = content.decode().split("\0")
    return Outcome(int(number), evidence, lack)


def _outcome(deed: "Callable[[], str | None]") -> Outcome:
    with recording() as recorder:
        try:
            told = deed()
        except LackingError as exc:
            return Outcome(0, _last(recorder.events) or str(exc), str(exc))
        except OSError as exc:
            failed = str(exc).partition("; ")[0]
            return Outcome(exc.errno or _UNEXPECTED, failed, "")
    return Outcome(0, told or _last(recorder.events), "")


def _last(events: "list[Event]") -> str:
    return events[-1].strace() if events else ""


class Case(NamedTuple):
    """A feature that is still to be tried."""

    group: str
    name: str
    meaning: str
    deed: "Callable[[], str | None]"
    """Makes calls that leave events, of which the last one, or the one that failed, is the evidence;
    or returns evidence of its own."""
    needed_for: str = ""
    cures: "Mapping[int, str]" = _NO_CURES
    """The cure by errno, before the general ones; 0 is for a LackingError."""


def tried(cases: "Sequence[Case]") -> list[Feature]:
    """Try features, a few at a time, each in a child of its own; return what was found, in order."""
    running: list[_Running] = []
    found: list[Feature] = []
    for case in cases:
        running.append(_start(case.deed))
        if len(running) - len(found) == _AT_A_TIME:
            found.append(_feature(cases[len(found)], _finish(running[len(found)])))
    while len(found) < len(cases):
        found.append(_feature(cases[len(found)], _finish(running[len(found)])))
    return found


def _feature(case: Case, outcome: Outcome) -> Feature:
    lack, cure = "", ""
    if outcome.lack:
        lack, cure = outcome.lack, case.cures.get(0, "")
    elif outcome.number:
        lack, cure = _reason(outcome.number, case.cures)
    return Feature(case.group, case.name, case.meaning, lack, cure, outcome.evidence, case.needed_for)


_CURES = {
    errno.ENOSPC: "raise the limit: sysctl user.max_user_namespaces=10000",
    errno.ENODEV: "load the kernel's module",
    errno.ENOSYS: "use a newer kernel",
    errno.EINVAL: "use a newer kernel",
}
_NOT_ROOT = "become root: begin with sudo"
_SHUT_IN = "this machine is itself shut in: start it with more privileges (docker run --privileged)"


def _reason(number: int, cures: "Mapping[int, str]") -> tuple[str, str]:
    """Return why something is not here, and the cure."""
    if number < 0:
        return f"the attempt was ended by signal {-number}", ""
    lack = f"{errno.errorcode.get(number, number)} ({os.strerror(number)})"
    if number in (errno.EPERM, errno.EACCES) and os.geteuid() != 0:
        return lack, _NOT_ROOT
    if number in cures:
        return lack, cures[number]
    if number in (errno.EPERM, errno.EACCES):
        return lack, _SHUT_IN
    return lack, _CURES.get(number, "")
