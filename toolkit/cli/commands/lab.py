"""`container lab`: labs for students, and their grades for instructors."""

import os

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, INT, STRING, Flag, Parsed, UsageError
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import render_rows

_HEADERS = {"Name": "LAB", "Title": "TITLE", "Points": "POINTS", "Tasks": "TASKS", "Minutes": "MINUTES"}
_NOT_DONE = 1


def list_labs(session: Session, parsed: Parsed) -> Outcome:
    """Print the labs that there are."""
    from toolkit.lab import catalogue

    rows = []
    for path in catalogue.directories():
        lab = catalogue.read(path)
        numbers = {"Points": f"{lab.points:g}", "Tasks": str(len(lab.tasks)), "Minutes": str(lab.minutes)}
        rows.append({"Name": os.path.basename(path), "Title": lab.title, **numbers})
    session.stdout.write(render_rows(rows, _HEADERS, tuple(_HEADERS), parsed["format"]))
    return Outcome(value=rows)


def start(session: Session, parsed: Parsed) -> Outcome:
    """Make a student's copy of a lab."""
    from toolkit.lab import student

    name, directory = [*parsed.args, ""][:2]
    copy = student.start(name, directory, is_solved=parsed["solved"])
    _say(session, copy)
    return Outcome(value=copy)


def reset(session: Session, parsed: Parsed) -> Outcome:
    """Put a fresh copy in place of a student's."""
    from toolkit.lab import student

    copy, backup = student.reset(parsed.args[0])
    if backup:
        session.print(f"Your notebook is kept as {os.path.relpath(backup)}")
    _say(session, copy)
    return Outcome(value=copy)


def _say(session: Session, copy: "Copy") -> None:
    lab = copy.lab
    session.print(f"{lab.title}: {lab.points:g} points, about {lab.minutes} minutes")
    session.print(f"Open {os.path.relpath(copy.notebook)} in Jupyter")
    for reason, cure in copy.obstacles:
        session.complain(f"not ready: {reason}{f'; {cure}' if cure else ''}")


def check(session: Session, parsed: Parsed) -> Outcome:
    """Check the tasks of a lab against what is on the machine now."""
    from toolkit.lab import definition
    from toolkit.lab.checking import Checker
    from toolkit.lab.text import result_text

    directory = os.path.realpath(parsed.args[0])
    lab = definition.read(directory)
    wanted = parsed.args[1:] or tuple(task.ident for task in lab.tasks)
    checker = Checker(directory, lab)
    results = []
    for ident in wanted:
        result = checker.check(ident, counts=len(parsed.args) > 1)
        session.print(result_text(result))
        results.append(result)
    if len(results) > 1:
        points = sum(result.points for result in results)
        session.print(f"{points:g} of {sum(result.max_points for result in results):g} points")
    is_all_done = all(result.is_done for result in results)
    return Outcome(0 if is_all_done else _NOT_DONE, value=results)


def grade(session: Session, parsed: Parsed) -> Outcome:
    """Execute submissions and write their grades."""
    from toolkit.core.errors import EngineError
    from toolkit.lab import report
    from toolkit.lab.grade import Grader

    if parsed["report"] not in report.KINDS:
        raise UsageError(f"no report {parsed['report']!r}: one of {', '.join(report.KINDS)}")
    graded, exit_code = [], 0
    limits = {"cell_s": float(parsed["cell-timeout"]), "total_s": float(parsed["timeout"])}
    with Grader(**limits, told=lambda line: session.complain(f"  {line}")) as grader:
        for directory in parsed.args:
            session.complain(directory)
            try:
                graded.append(grader.grade(directory, parsed["lab"]))
            except EngineError as exc:  # one that cannot be graded costs the others nothing
                session.complain(f"container: {exc}")
                exit_code = 1
    text = report.write(graded, parsed["report"])
    if parsed["output"]:
        with open(parsed["output"], "w", encoding="utf-8") as file:
            file.write(text)
    else:
        session.stdout.write(text)
    return Outcome(exit_code, value=graded)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.lab.student import Copy

LAB_LIST = Command(
    "list",
    "[OPTIONS]",
    "List the labs",
    list_labs,
    "container lab list",
    flags=(Flag("format", "", STRING, "Format output using a Go template, or 'json'"),),
    max_args=0,
)
LAB_START = Command(
    "start",
    "[OPTIONS] LAB [DIR]",
    "Make a copy of a lab to work on",
    start,
    "container lab start 1\ncontainer lab start --solved container_in_40_lines /srv/course/source/lab1",
    flags=(Flag("solved", "", BOOL, "With the solutions, for instructors and nbgrader"),),
    min_args=1,
    max_args=2,
    details="LAB is a number, a name as `container lab list` shows it, or the path of a lab of your own.",
)
LAB_CHECK = Command(
    "check",
    "DIR [TASK]",
    "Check a lab against what is on this machine now",
    check,
    "container lab check 01_container_in_40_lines\ncontainer lab check 01_container_in_40_lines L1.3",
    min_args=1,
    max_args=2,
    details="With a TASK this counts as an attempt, and shows one more hint. Exits with 1 where a task is not done.",
)
LAB_RESET = Command(
    "reset",
    "DIR",
    "Take away what a lab has made, and make a fresh copy; the old notebook is kept",
    reset,
    "container lab reset 01_container_in_40_lines",
    min_args=1,
    max_args=1,
)
LAB_GRADE = Command(
    "grade",
    "[OPTIONS] DIR...",
    "Execute submissions and write their grades as CSV",
    grade,
    "container lab grade --output grades.csv submissions/*\ncontainer lab grade --report failed submissions/ada",
    flags=(
        Flag("cell-timeout", "", INT, "Seconds that one cell may take", default=60),
        Flag("lab", "", STRING, "Which lab it is; otherwise the name of the notebook tells"),
        Flag("output", "o", STRING, "Write to a file instead of STDOUT"),
        Flag(
            "report", "", STRING, "A row for each 'summary' (student), 'all' (tasks) or 'failed' (tasks)", default="all"
        ),
        Flag("timeout", "", INT, "Seconds that a whole notebook may take", default=600),
    ),
    min_args=1,
    details="What was handed in runs with your rights: grade in a virtual machine, or in one that may break.",
)
