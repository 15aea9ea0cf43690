"""The process in which one check runs: `python -m toolkit.lab.process VERB DIRECTORY HOME TASK KERNEL ANSWER_FD`.

    check     ask the kernel about a task
    setup     clean up what an earlier try has left, and make what the lab needs
    cleanup   take everything away
    lacks     say what of the lab's needs this machine has not

The checks are those in HOME: the student's DIRECTORY, or the lab's own where
it is for points.  The answer is JSON in the file behind ANSWER_FD.  What a check prints goes
nowhere, and what it does to itself (joining namespaces, changing its root)
ends with it: this is why each has a process of its own.
"""

import json
import os
import signal
import sys
import traceback
from typing import Any

from toolkit.core.errors import EngineError, PrivilegeError, UnsupportedError
from toolkit.lab import definition
from toolkit.lab.look import LackError, Look, UnmetError
from toolkit.lab.task import BROKEN, DONE, LACKING, OPEN, Result, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.lab.definition import Definition
    from toolkit.lab.task import Task

_FAULT_CURE = "this is no fault of yours: please show it to your teacher"


def main(argv: list[str]) -> None:
    """Do what the command line says, and write the answer."""
    from toolkit.linux.process import set_parent_death_signal

    set_parent_death_signal(signal.SIGKILL)
    verb, directory, home, ident, kernel, answer_fd = argv
    os.set_inheritable(int(answer_fd), False)  # noqa: FBT003 - the standard library's own signature
    look = Look(directory, int(kernel))
    try:
        answer = _answer(verb, look, home, ident)
    finally:
        look.close()
    with open(int(answer_fd), "w", encoding="utf-8") as file:
        json.dump(answer, file)


def _answer(verb: str, look: Look, home: str, ident: str) -> Any:
    try:
        lab = definition.read(home)
    except Exception as exc:  # noqa: BLE001 - whatever a checks.py raises is told
        return encode(Result(ident, "", 0.0, BROKEN, reason=_said(exc), cure=_cure(exc) or _FAULT_CURE))
    if verb == "check":
        return encode(_check(look, lab, lab.task(ident)))
    if verb == "setup":
        return _setup(look, lab)
    if verb == "cleanup":
        return _clean(look, lab)
    return _lacks(lab.needs)


def _check(look: Look, lab: "Definition", task: "Task") -> Result:
    asked = Result(task.ident, task.title, task.points, OPEN)
    try:
        task.check(look)
    except UnmetError:
        pass
    except (LackError, PrivilegeError, UnsupportedError) as exc:
        return asked._replace(state=LACKING, reason=_said(exc), cure=_cure(exc))
    except Exception as exc:  # noqa: BLE001 - whatever a check raises is told, and gives no points
        return asked._replace(state=BROKEN, reason=_said(exc), cure=_FAULT_CURE)
    claims = tuple(look.claims)
    if claims and all(claim.holds for claim in claims):
        return asked._replace(state=DONE, claims=claims)
    if not claims:
        return asked._replace(state=BROKEN, reason="the check looked at nothing", cure=_FAULT_CURE)
    lacks = _lacks(lab.needs)
    if lacks:
        return asked._replace(state=LACKING, claims=claims, reason=lacks[0][0], cure=lacks[0][1])
    return asked._replace(claims=claims)


def _setup(look: Look, lab: "Definition") -> list[tuple[str, str]]:
    """Clean up and make the lab's things; return what stands in the way, with its cure."""
    lacks = _lacks(lab.needs)
    if lacks:
        return lacks
    left = _clean(look, lab)
    try:
        lab.setup(look)
    except (EngineError, OSError, LackError) as exc:
        return [*left, (_said(exc), _cure(exc))]
    return left


def _clean(look: Look, lab: "Definition") -> list[tuple[str, str]]:
    """Take away what the lab and the student have made; return what could not be, with its cure."""
    from toolkit.lab.remains import take_away

    try:
        if lab.containers:
            look.remove_containers(*lab.containers)
        lab.cleanup(look)
        take_away(look.directory)
    except (EngineError, OSError) as exc:
        return [(_said(exc), _cure(exc))]
    return []


def _lacks(needs: tuple[str, ...]) -> list[tuple[str, str]]:
    from toolkit.linux.probe import find_features

    if not needs:
        return []
    found = {f"{each.group} {each.name}": each for each in find_features(everything=True)}
    unknown = [name for name in needs if name not in found]
    if unknown:
        return [(f"this lab needs {unknown[0]!r}, which is no feature that can be looked for", _FAULT_CURE)]
    lacking = [found[name] for name in needs if not found[name].is_here]
    return [(f"this machine lacks {each.group} {each.name}: {each.lack}", each.cure) for each in lacking]


def _said(exc: BaseException) -> str:
    if isinstance(exc, (EngineError, LackError)):
        return str(exc)
    last = traceback.extract_tb(exc.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}, line {last.lineno}"
    return f"{type(exc).__name__}: {exc} ({place})"


def _cure(exc: BaseException) -> str:
    return exc.cure if isinstance(exc, LackError) else ""


if __name__ == "__main__":
    main(sys.argv[1:])
