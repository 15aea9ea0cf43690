"""The namespace map: who shares what, live; and a command in the namespaces that a learner has chosen."""

import shlex
from typing import ClassVar

import traitlets

from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.linux.enter import Entered, run_in
from toolkit.notebook.containers import find, seen_now, the_engine
from toolkit.notebook.figures.namespaces import ENDED, Member, NamespaceMap, draw, facts, read_map
from toolkit.notebook.widgets.base import style
from toolkit.notebook.widgets.live import MovingWidget, live_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toolkit.engine.container import Container as EngineContainer
    from toolkit.notebook.figures import Figure
    from toolkit.notebook.values import Container


class NamespaceWidget(MovingWidget):
    """See `toolkit.notebook.pictures.namespace_map`."""

    _esm: ClassVar[str] = live_module("namespaces")
    _css: ClassVar[str] = style("live", "namespaces")
    shown = traitlets.Dict().tag(sync=True)
    """What `facts` says of the map."""
    chosen = traitlets.Dict().tag(sync=True)
    """By kind, the pid of a process whose namespace of that kind is to be joined."""
    answer = traitlets.Dict().tag(sync=True)
    """What the command in the chosen namespaces came to."""

    def __init__(self, containers: "Sequence[EngineContainer] | None", pids: "Sequence[int]") -> None:
        self._containers = containers
        self._pids = pids
        self._was: dict[str, tuple[str, tuple[Member, ...]]] = {}
        """By id, each container that was asked for: its name and processes when it was last seen running."""
        super().__init__(shown=facts(self._read()[1]))

    @property
    def map(self) -> NamespaceMap:
        """What is so at this moment."""
        return self._read()[0]

    def figure(self) -> "Figure":
        """Return the map as it stands at this moment."""
        return draw(self._read()[1])

    def beat(self) -> float:
        """Look again: where none were asked for, containers come and go; one that was asked for stays."""
        self.shown = facts(self._read()[1])
        return 0.0

    def _read(self) -> tuple[NamespaceMap, NamespaceMap]:
        """Look; return what is so now, and the picture.

        In the picture a container that was asked for and has ended stays as it was: the text around it stays true.
        """
        if self._containers is None:
            found = read_map(_processes([*reversed(the_engine().containers.list())]), self._pids)
            return found, found
        current = [each for each in map(seen_now, self._containers) if each is not None]
        found = read_map(_processes(current), self._pids)
        for each in current:
            members = tuple(member for member in found.members if member.group == each.name)
            if members:
                self._was[each.id] = each.name, members
        there = {member.group for member in found.members}
        ended = [
            member._replace(group=f"{name}, {ENDED}")
            for name, members in [*self._was.values()]
            if name not in there
            for member in members
        ]
        return found, found._replace(members=(*found.members, *ended))

    def join(
        self, command: "str | Sequence[str]", process: "Container | EngineContainer | str | int", *kinds: str
    ) -> Entered:
        """Run a command in namespaces of a process: `m.join("hostname", c, "net", "uts")`.

        Args:
            command: words, or one string of them.
            process: a container, or a pid.
            kinds: which of its namespaces to join; all others stay this notebook's.

        Raises:
            InvalidError, UnsupportedError, SyscallError: see `toolkit.linux.enter.run_in`.
            NotFoundError: the container does not run.
        """
        pid = process if isinstance(process, int) else find(process).pid
        if not pid:
            raise NotFoundError(f"container {find(process).name} is not running", hint="start it first")  # type: ignore[arg-type]  # no pid is a container
        return self._join(command, dict.fromkeys(kinds, pid))

    def _join(self, command: "str | Sequence[str]", targets: dict[str, int]) -> Entered:
        try:
            words = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as exc:
            raise InvalidError(f"{exc} in: {command}", hint="close the quote") from exc
        entered = run_in(targets, words)
        self.answer = {
            "command": shlex.join(words),
            "kinds": list(targets),
            "calls": list(entered.calls),
            "output": entered.output,
            "code": entered.exit_code,
        }
        return entered

    def do_join(self, command: str) -> None:
        """Run a command in the namespaces that are chosen."""
        self._join(command, {kind: int(pid) for kind, pid in self.chosen.items()})


def _processes(containers: "Sequence[EngineContainer]") -> "Iterator[tuple[str, list[int]]]":
    """Yield the name of each container that runs, and its processes, the first one first."""
    for each in containers:
        pids = each.pids()
        if pids:
            first = each.pid
            yield each.name, [first, *(pid for pid in pids if pid != first)]


def widget(things: "tuple[Container | EngineContainer | str | int, ...]") -> NamespaceWidget:
    """Return the map of these containers and processes; without containers, of all that run."""
    pids = [each for each in things if isinstance(each, int)]
    containers = [find(each) for each in things if not isinstance(each, int)]
    return NamespaceWidget(containers or None, pids)
