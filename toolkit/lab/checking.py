"""One check as a student meets it: counted, with the hints that are due, and with what comes first."""

from toolkit.lab import runner
from toolkit.lab.attempts import Attempts
from toolkit.lab.task import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.lab.definition import Definition
    from toolkit.lab.task import Result, Task


class Checker:
    """Checks tasks in a student's directory; what it has found once in its life it does not look for again."""

    def __init__(self, directory: str, lab: "Definition", *, kernel_pid: int = 0) -> None:
        """Check the work in `directory`.

        Args:
            directory: the student's.
            lab: what its checks.py says.
            kernel_pid: the notebook's process that asks; 0: none.
        """
        self._directory = directory
        self._lab = lab
        self._kernel_pid = kernel_pid
        self._attempts = Attempts(directory)
        self._found: dict[str, Result] = {}

    def check(self, ident: str, *, counts: bool = True) -> "Result":
        """Check a task.

        Args:
            ident: the task.
            counts: whether this is an attempt of the student's.

        Raises:
            NotFoundError: the lab has no such task.
        """
        task = self._lab.task(ident)
        result = self._ask(task)
        if result.is_done:
            if counts:
                self._attempts.note_done(ident)
            return result
        if result.state != OPEN:
            return result
        if self._attempts.is_done(ident):
            result = result._replace(reason="This was done before, and is not there any more.")
        first = self._first(task)
        if first:
            return result._replace(first=first)
        return _with_hints(result, task, self._attempts.note_failure(ident) if counts else self._attempts.count(ident))

    def _ask(self, task: "Task") -> "Result":
        if task.ident not in self._found:
            self._found[task.ident] = runner.check(self._directory, task, kernel_pid=self._kernel_pid)
        return self._found[task.ident]

    def _first(self, task: "Task") -> str:
        """Return the first of the tasks before this one that is not done now and never was; empty: none."""
        for ident in task.after:
            before = self._lab.task(ident)
            earlier = self._first(before)
            if earlier:
                return earlier
            if not self._attempts.is_done(ident) and not self._ask(before).is_done:
                return f"{ident} {before.title}"
        return ""


def _with_hints(result: "Result", task: "Task", attempt: int) -> "Result":
    shown = task.hints[:attempt]
    return result._replace(attempt=attempt, hints=shown, more_hints=len(task.hints) - len(shown))
