"""A lab's checks.py, read: its title and needs, its tasks, its setup and cleanup.

A checks.py is Python with

    TITLE = "A container in 40 lines"
    MINUTES = 60                            # for a student
    RUN_S = 12                              # for the solution, all checks included
    NEEDS = ("own view of pid", "limits on memory")     # features by group and name, as `container doctor` has them
    CONTAINERS = ("crowd", "tidy")          # names that the lab asks for; removed before and after

    @task("L1.1", points=2, title=..., hints=[...])
    def own_name(look: Look) -> None: ...

    def setup(look: Look) -> None: ...      # may be absent; what is there already may be made again
    def cleanup(look: Look) -> None: ...    # may be absent; must do after any half of the work
"""

import os
from typing import Any, NamedTuple

from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.lab.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from toolkit.lab.look import Look

    Deed = Callable[[Look], None]

CHECKS = "checks.py"


class Definition(NamedTuple):
    """What a checks.py says."""

    title: str
    minutes: int
    """How long a student needs, about."""
    run_s: int
    """How long the solved lab runs, on two cores."""
    needs: tuple[str, ...]
    """What of the machine: "group name" of features."""
    containers: tuple[str, ...]
    tasks: tuple[Task, ...]
    setup: "Deed"
    cleanup: "Deed"

    @property
    def points(self) -> float:
        """All that can be had."""
        return sum(each.points for each in self.tasks)

    def task(self, ident: str) -> Task:
        """Return a task by its identifier.

        Raises:
            NotFoundError: it has none of this name; the message lists those that it has.
        """
        for each in self.tasks:
            if each.ident == ident:
                return each
        known = ", ".join(each.ident for each in self.tasks)
        raise NotFoundError(f"no task {ident!r} in this lab", hint=f"its tasks are {known}")


def read(directory: str) -> Definition:
    """Read the checks.py of a directory.

    Raises:
        NotFoundError: there is none.
        InvalidError: it does not say what a lab must say.
    """
    path = os.path.join(directory, CHECKS)
    if not os.path.isfile(path):
        raise NotFoundError(f"no lab in {directory}: it has no {CHECKS}", hint="container lab start makes one")
    module = _load(path)
    tasks = tuple(value for value in vars(module).values() if isinstance(value, Task))
    _check_tasks(path, tasks)
    return Definition(
        title=_constant(module, path, "TITLE", str),
        minutes=_constant(module, path, "MINUTES", int),
        run_s=_constant(module, path, "RUN_S", int),
        needs=_constant(module, path, "NEEDS", tuple),
        containers=getattr(module, "CONTAINERS", ()),
        tasks=tasks,
        setup=getattr(module, "setup", _nothing),
        cleanup=getattr(module, "cleanup", _nothing),
    )


def _load(path: str) -> "ModuleType":
    """Import a file under a name of its own, and leave no compiled copy in the student's directory."""
    import sys
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("toolkit_lab_checks", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


def _constant(module: "ModuleType", path: str, name: str, kind: type) -> Any:
    value = getattr(module, name, None)
    if not isinstance(value, kind):
        raise InvalidError(f"{path} has no {name}", hint=f"set it to a {kind.__name__}")
    return value


def _check_tasks(path: str, tasks: tuple[Task, ...]) -> None:
    if not tasks:
        raise InvalidError(f"{path} has no tasks", hint="mark each check with @task")
    seen: list[str] = []
    for each in tasks:
        if each.ident in seen:
            raise InvalidError(f"{path} has two tasks {each.ident}", hint="give each its own name")
        for other in each.after:
            if other not in seen:
                raise InvalidError(f"{path}: {each.ident} comes after {other}, which does not come before it")
        seen.append(each.ident)


def _nothing(_look: "Look") -> None:
    """Do nothing: the lab needs no more."""
