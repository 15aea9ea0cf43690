"""pytest plugin: one base directory for all engine roots of a session, and the leak check at its end.

The base is a tmpfs where we may mount one, with a short path: sockets lie in
it, and their paths may be 107 bytes long.  pytest's own `tmp_path` lies in it
too, so that what is mounted there is ours.  CONTAINER_ROOT and CONTAINER_RUN
point into it for the whole session, so that no test can reach the machine's
own engine root by forgetting to name another.
"""

import gc
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from tests.support import leaks
from tests.support.features import missing
from toolkit.core.state import State
from toolkit.linux.mount import MNT_DETACH, mount, umount
from toolkit.runtime.client import Zygote

# Notes the id of every container that any process ever records, so that its cgroups can be told from others' later.
_TRIGGER = """
create table seen (id text);
create trigger see after insert on object when new.kind = 'container' begin insert into seen values (new.id); end;
"""


class EngineRoot(NamedTuple):
    """Where one engine of a test keeps its things."""

    root: str
    run: str


class Session:
    """The base, its owner mark, and what was on the machine before."""

    def __init__(self) -> None:
        self.base = tempfile.mkdtemp(prefix="ct-", dir=os.environ.get("TOOLKIT_TEST_PARENT", "/tmp"))
        self.is_mounted = not missing("root") and not missing("tmpfs")
        if self.is_mounted:
            # Container roots lie in here: devices and set-uid programs are theirs to have.
            mount("tmpfs", self.base, "tmpfs", 0, "mode=755")
        self.token = os.path.basename(self.base)
        self.ids: set[str] = set()
        self.count = 0
        self.before = leaks.snapshot()
        self.leaks: list[str] = []

    def owner(self) -> leaks.Owner:
        """Return the mark by which everything of this session is known."""
        return leaks.Owner(self.base, self.token, frozenset(self.ids))

    def new_root(self) -> EngineRoot:
        """Make the directories of one engine."""
        self.count += 1
        made = EngineRoot(f"{self.base}/{self.count}/root", f"{self.base}/{self.count}/run")
        os.makedirs(made.root, mode=0o700)
        os.makedirs(made.run, mode=0o700)
        path = f"{made.root}/state.db"
        with open(f"{made.root}/daemon.json", "w") as file:
            file.write('{"bridge": "none"}')  # no test makes a bridge on this machine; see tests/support/networks.py
        State(path).close()
        with closing(sqlite3.connect(path)) as db:
            db.executescript(_TRIGGER)
        return made

    def note_ids(self, made: EngineRoot) -> None:
        """Remember what an engine root recorded, before it is deleted."""
        with closing(sqlite3.connect(f"{made.root}/state.db")) as db:
            self.ids.update(ident for (ident,) in db.execute("select id from seen"))

    def delete_root(self, made: EngineRoot) -> None:
        """Delete an engine root; what is mounted or runs in it stays, and is found as a leak.

        Only a zygote may still be there: it waits for the next start, and is told that none will come.
        """
        Zygote(made.run).stop()
        self.note_ids(made)
        shutil.rmtree(os.path.dirname(made.root), ignore_errors=True)

    def check(self, settle_s: float) -> None:
        """Look for leaks, and take away what leaked."""
        gc.collect()  # what only waits for the collector is no leak
        shutil.rmtree(f"{self.base}/tmp", ignore_errors=True)  # whatever is mounted in it stays, and is found
        self.leaks = leaks.find_leaks(self.owner(), self.before, settle_s=settle_s)
        if self.leaks:
            leaks.clean(self.owner(), self.before)

    def close(self) -> None:
        """Take away the base."""
        if self.is_mounted:
            # A descriptor that leaked keeps the file system busy until this process ends.
            umount(self.base, MNT_DETACH if self.leaks else 0)
        shutil.rmtree(self.base)


_key = pytest.StashKey[Session]()
_REAP_S = 2.0
_VARIABLES = (leaks.SESSION_VARIABLE, "CONTAINER_ROOT", "CONTAINER_RUN")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare how long what was ended may take to vanish."""
    parser.addini("leak_settle_s", "seconds until what is still there counts as left behind", default="2.0")


@pytest.hookimpl(tryfirst=True)  # before pytest decides where tmp_path is
def pytest_configure(config: pytest.Config) -> None:
    """Make the base and mark every process that will be started."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        # A run that was started by nohup or with a shell's & would test on, but its children could not be interrupted.
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    made = Session()
    config.stash[_key] = made
    config.add_cleanup(made.close)  # called also where pytest refuses its arguments and no session begins
    config.option.basetemp = f"{made.base}/tmp"
    default = made.new_root()
    os.environ.update(zip(_VARIABLES, (made.token, default.root, default.run), strict=True))


@pytest.hookimpl(trylast=True)  # after pytest has taken tmp_path away
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that left something behind."""
    made = session.config.stash[_key]
    made.delete_root(EngineRoot(os.environ["CONTAINER_ROOT"], os.environ["CONTAINER_RUN"]))
    _reap()
    made.check(float(session.config.getini("leak_settle_s")))
    for name in _VARIABLES:
        del os.environ[name]
    if made.leaks and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _reap() -> None:
    """Wait a moment for children that are ending: a zygote that was started by this process is one."""
    deadline = time.monotonic() + _REAP_S
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was left."""
    made = config.stash[_key]
    if made.leaks:
        terminalreporter.section("left behind by this session", red=True)
        for line in made.leaks:
            terminalreporter.line(f"LEAKED {line}", red=True)


@pytest.fixture
def engine_root(request: pytest.FixtureRequest) -> Iterator[EngineRoot]:
    """Return fresh root and run directories on tmpfs (where allowed), deleted afterwards."""
    session = request.config.stash[_key]
    made = session.new_root()
    yield made
    session.delete_root(made)


@pytest.fixture(scope="module")
def module_engine_root(request: pytest.FixtureRequest) -> Iterator[EngineRoot]:
    """As `engine_root`, one for all tests of a module."""
    session = request.config.stash[_key]
    made = session.new_root()
    yield made
    session.delete_root(made)
