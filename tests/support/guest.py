"""pytest plugin: tests that need another kernel run in a guest, and are reported here as any other.

A test runs in the guest instead of here when all that this host lacks of its
`needs` is what the guest has (a pure cgroup v2).  One that is marked `guest`,
or listed in guest_tests.py, runs here and in the guest (`--in-guest`: there
only).  All of them share one machine, which is booted by `container vm run`
when the others begin and works beside them at a lower priority; they are waited
for at the end.

In the guest the same pytest runs the same tests by their ids, and this plugin
only passes on how they ended.
"""

import json
import os
from collections.abc import Iterator

import pytest

from tests.support.features import GUEST_HAS, IN_GUEST, missing
from tests.support.guest_machine import REPORTS_FD, Guest
from tests.support.guest_tests import is_chosen

_ALSO = "@guest"
"""How the id of a test ends that runs here too."""
_END = "the guest leaves nothing behind"
_TIMEOUT_S, _LESSONS_S = 1500, 5400
"""Until the guest is ended: without --all-lessons, and with."""
_key = pytest.StashKey[Guest]()


def is_for_guest(features: list[str]) -> bool:
    """Tell whether all that this host lacks of `features` is what the guest has, and it lacks some."""
    lacking = [feature for feature in features if missing(feature)]
    return bool(lacking) and GUEST_HAS.issuperset(lacking)


class GuestFailure(Exception):  # noqa: N818 - not an error of this host
    """A test failed in the guest."""


class GuestItem(pytest.Item):
    """A test that runs in the guest."""

    def __init__(self, *, ident: str, location: tuple[str, int | None, str], **rest: object) -> None:
        """Stand for the test that is called `ident` there."""
        super().__init__(**rest)  # type: ignore[arg-type]  # pytest's own
        self.ident = ident
        self._location = location
        self.add_marker(pytest.mark.needs("guest"))
        self.add_marker(pytest.mark.timeout(0))  # it has one of its own there

    @classmethod
    def of(cls, item: pytest.Item, suffix: str = "") -> "GuestItem":
        """Make one for a test of this host."""
        made: GuestItem = cls.from_parent(
            item.session,
            name=item.name + suffix,
            nodeid=item.nodeid + suffix,
            ident=item.nodeid,
            location=item.reportinfo(),  # type: ignore[arg-type]  # pytest's own
        )
        return made

    def reportinfo(self) -> tuple[str, int | None, str]:
        """Return where the test is."""
        return self._location

    def runtest(self) -> None:
        """Wait for the guest's word."""
        result = self.config.stash[_key].wait_for(self.ident)
        if result.outcome == "skipped":
            pytest.skip(f"in the guest: {result.text}")
        if result.outcome != "passed":
            raise GuestFailure(result.text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> object:
        """Return the traceback that came from the guest."""
        if isinstance(excinfo.value, GuestFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)  # type: ignore[arg-type]  # pytest's own


class GuestEnd(GuestItem):
    """The end of the guest's session, which fails where something was left behind."""

    def runtest(self) -> None:
        """Wait for it."""
        guest = self.config.stash[_key]
        if guest.wait() not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or "LEAKED" in guest.said():
            raise GuestFailure(guest.said())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let one run what runs in the guest, and nothing here."""
    parser.addoption("--in-guest", action="store_true", help="only the tests that run in the guest")
    parser.addoption("--all-lessons", action="store_true", help="every lesson and lab in the guest, too (half an hour)")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; in the guest, become the one who passes on."""
    config.addinivalue_line("markers", "guest: runs here and in a guest with a pure cgroup v2")
    config.addinivalue_line("markers", "all_lessons: runs with --all-lessons only")
    if os.environ.get(IN_GUEST):
        config.pluginmanager.register(Reporter(), "guest-reporter")


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests of the guest last, and boot it if there are any."""
    if os.environ.get(IN_GUEST):
        return
    if not config.option.all_lessons:
        _leave_out(config, items, "all_lessons")
    here = [item for item in items if not is_for_guest(_features(item))]
    there: list[pytest.Item] = [GuestItem.of(item) for item in items if is_for_guest(_features(item))]
    there += [GuestItem.of(item, _ALSO) for item in here if _is_for_both(item)]
    if there:
        location = (str(config.rootpath), None, _END)
        there.append(GuestEnd.from_parent(session, name=_END, nodeid=_END, ident="", location=location))
    items[:] = there if config.option.in_guest else [*here, *there]


def _leave_out(config: pytest.Config, items: list[pytest.Item], marker: str) -> None:
    left_out = [item for item in items if item.get_closest_marker(marker)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker(marker)]


def _features(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("needs") for name in mark.args]


def _is_for_both(item: pytest.Item) -> bool:
    is_wanted = item.get_closest_marker("guest") is not None or is_chosen(item.nodeid)
    return is_wanted and not any(feature.startswith("cgroup1:") for feature in _features(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Keep the guest running as long as there are tests."""
    ids = [item.ident for item in session.items if isinstance(item, GuestItem) and item.ident]
    if not ids or session.config.option.collectonly or missing("guest"):
        return (yield)
    timeout_s = _LESSONS_S if session.config.option.all_lessons else _TIMEOUT_S
    guest = session.config.stash[_key] = Guest(ids, str(session.config.rootpath), timeout_s)
    try:
        return (yield)
    finally:
        guest.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say so where the guest had to be booted twice: its kernel died once in fifteen boots, and nobody knows why."""
    guest = config.stash.get(_key, None)
    if guest is not None and guest.death:
        terminalreporter.section("the guest died, and was booted once more for the tests that were left", yellow=True)
        terminalreporter.line(guest.death)


class Reporter:
    """In the guest: says how each test ended."""

    def __init__(self) -> None:
        """Take the descriptor, so that no test has it."""
        self._fd = os.dup(REPORTS_FD)
        os.close(REPORTS_FD)
        self._outcome, self._text = "passed", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Say how a test ended, once all of it has: its call, and what came before and after."""
        if report.outcome != "passed":
            self._outcome = report.outcome
            self._text += str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext
            self._text += "".join(f"\n{name}\n{content}" for name, content in report.sections)
        if report.when == "teardown":
            self._say(report.nodeid, self._outcome, self._text)
            self._outcome, self._text = "passed", ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Say that a file could not be read."""
        if report.failed:
            self._say(report.nodeid, report.outcome, report.longreprtext)

    def _say(self, ident: str, outcome: str, text: str) -> None:
        line = json.dumps([ident, outcome, text]).encode() + b"\n"
        while line:
            line = line[os.write(self._fd, line) :]
