"""Grades as CSV: for a spreadsheet, and for whatever keeps an instructor's marks."""

import csv
import io

from toolkit.core.errors import InvalidError
from toolkit.lab.text import WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toolkit.lab.grade import Graded
    from toolkit.lab.task import Result

KINDS = ("summary", "all", "failed")
"""A row for each submission; for each task of each; for each task that is not done."""
_SUMMARY = ("student", "lab", "points", "max_points", "done", "tasks", "seconds", "remark")
_TASKS = ("student", "lab", "task", "title", "points", "max_points", "state", "missing", "remark")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(graded: "Sequence[Graded]", kind: str) -> str:
    """Return the grades of submissions as CSV with a line of headings.

    Args:
        graded: the submissions.
        kind: one of KINDS.

    Raises:
        InvalidError: another kind.
    """
    if kind not in KINDS:
        raise InvalidError(f"no report {kind!r}", hint=f"one of {', '.join(KINDS)}")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if kind == "summary":
        writer.writerow(_SUMMARY)
        writer.writerows(map(_summary, graded))
    else:
        writer.writerow(_TASKS)
        for one in graded:
            writer.writerows(_tasks(one, is_all=kind == "all"))
    return out.getvalue()


def _summary(one: "Graded") -> "list[str]":
    done = sum(result.is_done for result in one.results)
    numbers = (f"{one.points:g}", f"{one.max_points:g}", str(done), str(len(one.results)), f"{one.took_s:.1f}")
    return [_harmless(one.student), one.lab, *numbers, _harmless(one.remark)]


def _tasks(one: "Graded", *, is_all: bool) -> "Iterator[list[str]]":
    for result in one.results:
        if is_all or not result.is_done:
            points = (f"{result.points:g}", f"{result.max_points:g}")
            words = (WORDS[result.state], _harmless(_missing(result)), _harmless(one.remark))
            yield [_harmless(one.student), one.lab, result.task, result.title, *points, *words]


def _missing(result: "Result") -> str:
    """Return what is not as it should be."""
    lacks = [
        f"{claim.what}: {claim.observed} instead of {claim.expected}" for claim in result.claims if not claim.holds
    ]
    return result.reason or "; ".join(lacks)


def _harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: a student chose some of it."""
    return f"'{text}" if text.startswith(_FORMULA) else text
