"""The namespace map: who shares what, live; and a command in the namespaces that a learner has chosen."""

import shlex
from typing import ClassVar

import traitlets

from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.linux.enter import Entered, run_in
from toolkit.notebook.containers import find, seen_now, the_engine
from toolkit.notebook.figures.namespaces import NamespaceMap, draw, facts, read_map
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
        super().__init__(shown=facts(self._read()))

    @property
    def map(self) -> NamespaceMap:
        """What is so at this moment."""
        return self._read()

    def figure(self) -> "Figure":
        """Return the map as it stands at this moment."""
        return draw(self._read())

    def beat(self) -> float:
        """Look again: containers come and go."""
        self.shown = facts(self._read())
        return 0.0

    def _read(self) -> NamespaceMap:
        return read_map(self._processes(), self._pids)

    def _processes(self) -> "Iterator[tuple[str, list[int]]]":
        """Yield the containers that run: those that were asked for, or all of this kernel's engine."""
        if self._containers is None:
            current = [*reversed(the_engine().containers.list())]
        else:
            current = [each for each in map(seen_now, self._containers) if each is not None]
        for each in current:
            pids = each.pids()
            if pids:
                first = each.pid
                yield each.name, [first, *(pid for pid in pids if pid != first)]

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


def widget(things: "tuple[Container | EngineContainer | str | int, ...]") -> NamespaceWidget:
    """Return the map of these containers and processes; without containers, of all that run."""
    pids = [each for each in things if isinstance(each, int)]
    containers = [find(each) for each in things if not isinstance(each, int)]
    return NamespaceWidget(containers or None, pids)
