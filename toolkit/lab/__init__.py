"""The lab kit: tasks that a student works on, and checks that ask the kernel whether they are done.

    labs/NN_name/lab.py      the lab as an instructor sees it: text, solution, checks in place (jupytext, py:percent)
    labs/NN_name/checks.py   what is checked: one function marked `@task(...)` for each task, setup() and cleanup()

    task.py       a task, and what a check has to say about it
    look.py       what a check looks through: claims about processes, containers, files
    evidence.py   what /proc says, for checks
    definition.py a checks.py, read
    process.py    the process in which one check runs (`python -m toolkit.lab.process`)
    runner.py     starts that process, ends it when its time is up, and reads its answer
    attempts.py   how often a student has tried, and what has been solved
    source.py     the notebook of a lab: solved, or blank for a student
    catalogue.py  the labs that there are
    student.py    a student's copy: made, and made anew
    grade.py      a submission, executed and graded
    report.py     grades as CSV

Invariants:
- A check never sees the student's text or names: it runs in a process of its own, and reads the kernel and the engine.
- A check always answers: done, not done and why, out of time, not possible on this machine, or broken itself.
- Points are given for claims that hold, and for nothing else.
"""

from toolkit.lab.look import Look
from toolkit.lab.task import Claim, Result, Task, task

__all__ = ["Claim", "Look", "Result", "Task", "task"]
